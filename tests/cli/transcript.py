"""What the program said in a session of commands, as text that is the same every time.

Most commands run in this process, through the same front door as in their own; those that drive a
run, or wait for a signal, are processes. `masked` is the only place where anything is changed, and
only what no two sessions have in common: ids, times, durations, ports, folders, secrets, process
numbers, and how often the cloud was polled. Ids are numbered by their first appearance, so that a
file still shows which of them are the same.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeAlias, cast
from unittest.mock import patch

from tests.cli.clouds import GlassCloud
from tests.cli.harness import FAST, PATIENCE, Harness, until
from vbsbatch.cli import command_line

Process: TypeAlias = "subprocess.Popen[bytes]"

ORDERLY = {
    "limits": {"rate": "200/s", "in_flight": 1, "connections": 1},
    "retry": {"attempts": 1, "base": "500ms", "cap": "500ms"},
}
"""One backup after the other: the order of everything that is told is fixed."""

IDS = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "uuid"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "hex"),
    (re.compile(r"\b\d{8}-\d{4}-[0-9a-z]{4}\b"), "run"),
)
DURATION = r"(?<![\w.-])(?:\d+m)?\d+s\b"
MASKS = (
    (re.compile(r"127\.0\.0\.1:\d{4,5}\b"), "127.0.0.1:<port>"),
    (re.compile(r"file:///\S+/(?=plan\.schema\.json)"), "<package>/"),
    (re.compile(r"\b(password|ak|sk): [\w+/=-]+"), r"\1: <secret>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{3})?Z"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"\bnow (?:open, closes|closed, opens) .*"), "now <open or closed>"),
    (re.compile(r"\bin the name of [^:,\s\"]+"), "in the name of <user>"),
    (re.compile(r"\bprocess \d+\b"), "process <pid>"),
    # Durations; a column is as wide as what is in it, so blanks on one side go too.
    (re.compile(r"\bin=\d+s"), "in=<duration>"),
    (re.compile(rf"(?m)^(took +){DURATION}$"), r"\1<duration>"),
    (re.compile(rf"(?<=[|>])( ?){DURATION}( ?)(?=[|<])"), r"\1<duration>\2"),
    (re.compile(rf"(% +){DURATION} +"), r"\1<duration>  "),
    (re.compile(rf" +{DURATION}"), "  <duration>"),
    (re.compile(r"(?<=  TOOK) +(?=TOP FAILURE)"), "  "),
    (re.compile(r"(?<= ATT) +TOOK\b"), "  TOOK"),
    (re.compile(r'(?<="duration_seconds": )\d+\.\d+|(?<=\btime=")\d+\.\d+'), "<seconds>"),
    (re.compile(r'(?<="took_seconds": )\d[\d.]*'), "<seconds>"),
    (re.compile(r"(?<=,,)\d+\.\d+(?=(,(true|false),[^,]*)?(<CR>|\r))"), "<seconds>"),
    (re.compile(r'(?<="each": )\d[\d.]*|(?<="seconds": )\d[\d.]*'), "<seconds>"),
    (re.compile(r"\b(about|took) \d+ s\b"), r"\1 <seconds> s"),
    # What an engine foretells is there at times.
    (re.compile(r"(?m)^(?:next look|ends     )  .*\n"), ""),
    (re.compile(r'(?<="next_look_at": )(?:"<time>"|null)'), "<time or null>"),
    (re.compile(r"(?s)<svg viewBox=.*?\n</svg>"), "<timeline>"),
    # Polls, and what is counted together with them.
    (re.compile(r'(?<="per_succeeded": )\d[\d.]*|(?<="read": )\d+'), "<polls>"),
    (re.compile(r"\bread=\d+"), "read=<polls>"),
    (re.compile(r"\b(per_(?:backup|restore|deletion))=\d[\d.]*"), r"\1=<polls>"),
    (
        re.compile(r"\b\d+( \(\d+ (?:creates|restores|deletions)), \d+ reads\)"),
        r"<polls>\1, <polls> reads)",
    ),
    (re.compile(r"(?<=<polls> reads\), )\d[\d.]* per\b"), "<polls> per"),
)


def masked(text: str) -> str:
    """The text without what no two sessions have in common."""
    for pattern, by in MASKS:
        text = pattern.sub(by, text)
    for pattern, word in IDS:
        text = _numbered(pattern, word, text)
    return text


def _numbered(pattern: re.Pattern[str], word: str, text: str) -> str:
    known: dict[str, str] = {}
    return pattern.sub(lambda found: known.setdefault(found[0], f"<{word}-{len(known) + 1}>"), text)


class Session:
    """Commands in one folder against one cloud, and what came of them."""

    exact = False
    """Nothing is masked but the folder."""

    def __init__(self, folder: Path) -> None:
        self.harness = Harness(folder)
        self.said: list[str] = []

    def plan(self, **changes: Any) -> None:
        """The usual plan, orderly."""
        orderly = {key: {**value, **changes.pop(key, {})} for key, value in ORDERLY.items()}
        self.harness.write_plan(**orderly, **changes)

    def cloud(self, volumes: int = 3, faults: str = FAST) -> GlassCloud:
        return self.harness.cloud(faults, volumes=volumes)

    @property
    def _environment(self) -> dict[str, str]:
        return {**self.harness.environment, "COLUMNS": "100", "TZ": "UTC"}

    def __call__(self, *words: str, given: str = "") -> None:
        """Run a command in this process and keep what it said."""
        with (
            _stream(given) as stdin,
            _stream() as stdout,
            _stream() as stderr,
            patch.multiple(
                sys, argv=["vbsbatch", *words], stdin=stdin, stdout=stdout, stderr=stderr
            ),
            patch.dict(os.environ, self._environment, clear=True),
            chdir(self.harness.folder),
        ):
            code = command_line()
            said = [_written(stream) for stream in (stdout, stderr)]
        self._keep(words, code, *said)

    def process(self, *words: str) -> None:
        """Run a command in a process of its own and keep what it said."""
        self.end(self.begin(*words), *words)

    def begin(self, *words: str) -> Process:
        return cast(Process, self.harness.start(*words, text=False, env=self._environment))

    def end(self, process: Process, *words: str, before: bytes = b"") -> None:
        """Await the end of what was begun with these words, and keep what it said.

        `before` was read of its standard output already.
        """
        out, err = process.communicate(timeout=PATIENCE)
        self._keep(words, process.returncode, before + out, err)

    def _keep(self, words: Iterable[str], code: int, out: bytes, err: bytes) -> None:
        assert b"Traceback" not in err + out, err
        assert b"a fault of vbsbatch itself" not in err, err
        said = [f"$ vbsbatch {shlex.join(words)}\nexit {code}\n"]
        for name, data in (("stdout", out), ("stderr", err)):
            text = "".join(filter(_is_steady, data.decode().splitlines(keepends=True)))
            if text:
                text = text.replace("\r", "<CR>")
                said.append(f"--- {name}\n{text}" + ("" if text[-1] == "\n" else "<no newline>\n"))
        self.said.append("".join(said))

    def note(self, title: str, lines: Iterable[str]) -> None:
        """Keep something that is no output, such as a file."""
        self.said.append("".join(f"{line}\n" for line in (f"=== {title}", *lines)))

    def file(self, name: str) -> None:
        self.note(name, (self.harness.folder / name).read_text().splitlines())

    def until_created(self, count: int) -> None:
        """Wait until the store tells of so many creates: it follows the engine's heartbeat."""
        until(lambda: self.harness.runs()[0]["calls"]["create"] == count)

    def until_running(self, count: int) -> None:
        """Wait until so many backups are under way, and the cloud has told how far each is."""
        until(lambda: any(run["counts"]["running"] == count for run in self.harness.runs()))
        until(
            lambda: all(
                job["progress"] == 0 for job in self.harness.jobs() if job["state"] == "running"
            )
        )

    def text(self) -> str:
        text = "\n".join(self.said).replace(str(self.harness.folder), "<folder>")
        return text if self.exact else masked(text)


@contextmanager
def _stream(content: str = "") -> Iterator[TextIOWrapper]:
    """A standard stream with a descriptor, as processes have it."""
    with tempfile.TemporaryFile() as file, TextIOWrapper(file, encoding="utf-8") as stream:
        stream.write(content)
        stream.seek(0)
        yield stream


def _written(stream: TextIOWrapper) -> bytes:
    stream.flush()
    with open(stream.fileno(), "rb", closefd=False) as again:
        again.seek(0)
        return again.read()


def _is_steady(line: str) -> bool:
    """Progress lines come after seconds, and tell what happened to be so at that moment."""
    return not re.match(r"\S+Z progress ", line) and '"event": "progress"' not in line


VARYING = frozenset({"took", "took_ms", "rev", "read_calls", "asked_by", "rate_used"})
"""Columns of the store whose values differ each time, beside those of times."""

RUN_NUMBER = "(SELECT no FROM runs WHERE id = run)"
ORDER = {
    "runs": "no",
    "jobs": "run, no",
    "attempts": "run, job, number",
    "events": "id",
    "commands": "id",
    "totals": "plan",
    "job_list": f"{RUN_NUMBER}, no",
    "attempt_list": f"{RUN_NUMBER}, job, number",
    "event_list": "id",
    "failures": f"{RUN_NUMBER}, http_status, code",
    "progress": RUN_NUMBER,
}
"""Every table and view, and by what its rows are told in a fixed order."""


def schema_of(store: Path) -> list[str]:
    """Everything that makes the file what it is, but rows."""
    asked = ("application_id", "user_version", "encoding", "page_size", "journal_mode")
    with _opened(store) as db:
        found = [f"{name} = {db.execute(f'PRAGMA {name}').fetchone()[0]}" for name in asked]
        rows = db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
        for kind, name, sql in rows:
            found += ["", f"{kind} {name}", *(sql or "(by itself)").splitlines()]
    return found


def rows_of(store: Path, *tables: str) -> list[str]:
    """The rows of these tables and views, a value a line."""
    found: list[str] = []
    with _opened(store) as db:
        for table in tables:
            cursor = db.execute(f"SELECT * FROM {table} ORDER BY {ORDER[table]}")
            names = [column[0] for column in cursor.description]
            for row in cursor:
                pairs = zip(names, row, strict=True)
                found += [
                    "",
                    table,
                    *(f"  {name} = {_value(name, value)}" for name, value in pairs),
                ]
    return found


@contextmanager
def _opened(store: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        yield db
    finally:
        db.close()


def _value(column: str, value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    varies = column in VARYING or column == "at" or column.endswith(("_at", "_since"))
    return f"<{type(value).__name__}>" if varies and value != 0 else json.dumps(value)


Player = Callable[[Session], None]
