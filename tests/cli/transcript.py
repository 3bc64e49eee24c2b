"""What the program said in a session of commands, as text that is the same every time.

`masked` is the only place where anything is changed: what no two sessions have in common (ids,
times, durations, ports, folders, counts of polls) becomes a word in angle brackets. Ids are
numbered by their first appearance, so that a file still shows which of them are the same.
"""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.cli.clouds import GlassCloud
from tests.cli.stage import FAST, PATIENCE, Process, Stage

ORDERLY = {
    "limits": {"rate": "200/s", "in_flight": 1, "connections": 1},
    "retry": {"attempts": 1, "base": "500ms", "cap": "500ms"},
}
"""One backup after the other: the order of everything that is told is fixed."""

RUN = re.compile(r"\b\d{8}-\d{4}-[0-9a-z]{4}\b")
UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
HEX = re.compile(r"\b[0-9a-f]{32}\b")
PLACES = (
    (re.compile(r"127\.0\.0\.1:\d{4,5}\b"), "127.0.0.1:<port>"),
    (re.compile(r"\b(password|ak|sk): [\w+/=-]+"), r"\1: <secret>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{3})?Z"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\dZ"), "<time>"),
)
FIGURES = (
    # Columns are as wide as what is in them: the blanks around a duration go too.
    (re.compile(r"(?m) *(?<![\w.-])(?:\d+m)?\d+s *$"), " <duration>"),
    (re.compile(r" *(?<![\w.-])(?:\d+m)?\d+s\b *"), " <duration> "),
    (re.compile(r'(?<="duration_seconds": )\d+\.\d+|(?<=\btime=")\d+\.\d+'), "<seconds>"),
    (re.compile(r'(?<="per_succeeded": )[\d.]+|(?<="read": )\d+'), "<polls>"),
    (re.compile(r"read=\d+ per_backup=\S+"), "read=<polls> per_backup=<polls>"),
    (
        re.compile(r"\b\d+( \(\d+ creates?), \d+ reads?\)(?:, [\d.]+ per)?"),
        r"<polls>\1, <polls> reads), <polls> per",
    ),
    (re.compile(r"\babout \d+ s\b"), "about <seconds> s"),
    (re.compile(r"\btook \d+ s in the median"), "took <seconds> s in the median"),
    (re.compile(r"in the name of [^:,\s]+"), "in the name of <user>"),
    (re.compile(r"\b(pid|process) \d+\b"), r"\1 <pid>"),
    (re.compile(r'(?<="each": )[\d.]+|(?<="seconds": )[\d.]+'), "<seconds>"),
)

CREATES = re.compile(r'\bcreate=\d+|"create": \d+|\(\d+ creates?(?=, )')
"""How many there were, where the store follows later than the output is read."""


def masked(text: str, folder: Path) -> str:
    """The text without what no two sessions have in common."""
    text = text.replace(str(folder), "<folder>")
    for pattern, by in (*PLACES, *FIGURES):
        text = pattern.sub(by, text)
    for pattern, word in ((RUN, "run"), (UUID, "uuid"), (HEX, "hex")):
        text = _numbered(pattern, word, text)
    return text


def _numbered(pattern: re.Pattern[str], word: str, text: str) -> str:
    known: dict[str, str] = {}
    return pattern.sub(lambda found: known.setdefault(found[0], f"<{word}-{len(known) + 1}>"), text)


def without_ids(line: str) -> str:
    """By what lines are sorted whose order is by ids or times."""
    for pattern in (RUN, UUID, HEX, *(pattern for pattern, _ in PLACES)):
        line = pattern.sub("", line)
    return line


class Session:
    """Commands in one folder against one cloud, and what came of them."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(folder)
        self.said: list[str] = []
        self.counts_creates = True

    def plan(self, **changes: Any) -> None:
        """The usual plan, orderly."""
        orderly = {key: {**value, **changes.pop(key, {})} for key, value in ORDERLY.items()}
        self.stage.write_plan(**orderly, **changes)

    def cloud(self, volumes: int = 3, faults: str = FAST) -> GlassCloud:
        return self.stage.cloud(faults, volumes=volumes)

    def begin(self, *words: str) -> Process:
        environment = {**self.stage.environment, "COLUMNS": "100", "TZ": "UTC"}
        return self.stage.start(*words, text=False, env=environment)

    def __call__(
        self, *words: str, given: str | None = None, sort: bool = False, once: bool = False
    ) -> None:
        """Run vbsbatch to its end and keep what it said."""
        if given is None:
            return self.end(self.begin(*words), *words, sort=sort, once=once)
        environment = {**self.stage.environment, "COLUMNS": "100", "TZ": "UTC"}
        process = self.stage.start(*words, text=False, env=environment, stdin=subprocess.PIPE)
        return self.end(process, *words, given=given)

    def end(
        self,
        process: Process,
        *words: str,
        given: str | None = None,
        sort: bool = False,
        once: bool = False,
    ) -> None:
        """Await the end of what was begun with these words, and keep what it said.

        `sort`: the order of lines is not promised. `once`: how often is not; a line that was
        told before is left out.
        """
        sent: Any = None if given is None else given.encode()
        out, err = process.communicate(sent, timeout=PATIENCE)
        self.said.append(f"$ vbsbatch {shlex.join(words)}\nexit {process.returncode}\n")
        for name, data in (("stdout", out), ("stderr", err)):
            assert isinstance(data, bytes)
            if data:
                text = self._shown(data.decode().replace("\r", "<CR>"), sort=sort, once=once)
                self.said.append(f"--- {name}\n{text}")
        self.said.append("\n")

    def _shown(self, text: str, *, sort: bool, once: bool) -> str:
        lines = text.split("\n")
        if lines.pop():
            lines.append(f"{text.rsplit(chr(10))[-1]}<no newline>")
        lines = [line for line in lines if not _is_progress(line)]
        if sort:
            lines.sort(key=without_ids)
        if once:
            lines = list({masked(line, self.stage.folder): line for line in lines}.values())
        return "".join(f"{line}\n" for line in lines)

    def note(self, title: str, lines: Iterable[str]) -> None:
        """Keep something that is no output, such as a file."""
        self.said.append(f"=== {title}\n{''.join(f'{line}{chr(10)}' for line in lines)}\n")

    def file(self, name: str) -> None:
        self.note(name, (self.stage.folder / name).read_text().splitlines())

    def text(self) -> str:
        text = masked("".join(self.said), self.stage.folder)
        return text if self.counts_creates else CREATES.sub("<creates>", text)


def _is_progress(line: str) -> bool:
    """Progress lines come after seconds, and tell what happened to be so at that moment."""
    return bool(re.match(r"\S+Z progress ", line)) or '"event": "progress"' in line


VARYING = frozenset(
    {"took", "took_ms", "rev", "read_calls", "first_event", "held_in", "host", "asked_by"}
)
"""Columns of the store whose values differ each time, beside those of times."""


def schema_of(store: Path) -> list[str]:
    """Everything that makes the file what it is, but rows."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        asked = ("application_id", "user_version", "encoding", "page_size", "journal_mode")
        found = [f"{name} = {db.execute(f'PRAGMA {name}').fetchone()[0]}" for name in asked]
        rows = db.execute(
            "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        ).fetchall()
    db.close()
    for kind, name, sql in rows:
        found += ["", f"{kind} {name}", *(sql or "(by itself)").splitlines()]
    return found


def rows_of(store: Path, *tables: str) -> list[str]:
    """The rows of these tables, a value a line."""
    found: list[str] = []
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
        for table in tables:
            cursor = db.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            for row in cursor:
                found += [
                    "",
                    table,
                    *(f"  {n} = {_value(n, v)}" for n, v in zip(names, row, strict=True)),
                ]
    db.close()
    return found


def _value(column: str, value: Any) -> str:
    varies = column in VARYING or column == "at" or column.endswith(("_at", "_since"))
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"<blob of {len(value)}>"
    if varies and value != 0:
        return f"<{type(value).__name__}>"
    return json.dumps(value)


Player = Callable[[Session], None]
