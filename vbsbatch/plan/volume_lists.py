"""Lists of volumes that other tools write: CSV, JSON, or bare ids.

Accepted: `openstack volume list -f json|csv` (`--long` too), a console's export with
a header row, separated by comma, semicolon or tab or what a first line `sep=;` says, and a text of
one id per line with `#` comments.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from vbsbatch.errors import Problem
from vbsbatch.plan.findings import Findings, TooMany
from vbsbatch.plan.plan import PlanVolume
from vbsbatch.plan.reading import Document
from vbsbatch.plan.units import kind_of
from vbsbatch.plan.volume_collector import VolumeCollector

ID_COLUMNS = ("volumeid", "diskid", "evsdiskid", "id", "uuid")
"""Headers of the id, best first, without case, blanks, `_` and `-`."""

NAME_COLUMNS = ("name", "volumename", "diskname", "displayname")

SIZE_COLUMNS = ("size", "sizegb", "size(gb)", "capacity", "capacity(gb)", "capacitygb", "disksize")
"""Headers of the size in GB."""

_SEPARATOR = re.compile(r"\"?sep=([^\"])\"?[,;\t]*", re.IGNORECASE)
"""The line above the header in which spreadsheets name the separator."""
_UUID_LIKE = re.compile(r"[\"']?[0-9a-fA-F-]{32,36}[\"']?")


def holds_volumes(data: bytes) -> bool:
    """Whether this is a list of volumes, with or without problems."""
    return bool(read_list("", data)[0])


def read_list(file: str, data: bytes) -> tuple[list[PlanVolume], list[Problem], int]:
    """The volumes of a list, what is wrong with it, and how many more problems are not shown."""
    if data.lstrip()[:1] in (b"[", b"{"):
        gathered = VolumeCollector(lambda index: (index,))
        problems, more = _read_json(file, data, gathered)
    else:
        gathered, more = VolumeCollector(lambda line: (line, 1)), 0
        with suppress(TooMany):
            _read_text(data, gathered)
        problems = _placed(file, gathered.findings)
    if not gathered.found and not problems:
        problems = [Problem(file=file, line=1, column=1, text="holds no volumes")]
    return gathered.volumes, problems, gathered.findings.more + more


def _read_json(file: str, data: bytes, gathered: VolumeCollector) -> tuple[list[Problem], int]:
    document = Document(file, data, quotes=False)
    columns: dict[tuple[str, ...], tuple[str | None, ...]] = {}

    def take(index: int, item: Any) -> None:
        if isinstance(item, str):
            gathered.add_listed(index, (index,), item, None)
            return
        if not isinstance(item, dict):
            gathered.refuse((index,), f"must be a volume, not {kind_of(item)}")
            return
        keys = tuple(item)
        if keys not in columns:
            columns[keys] = _columns(keys)
        id_key, name_key, size_key = columns[keys]
        if id_key is None:
            gathered.refuse((index,), "has no id: a volume needs a key such as ID")
            return
        name, size = (item[key] if key else None for key in (name_key, size_key))
        gathered.add_listed(index, (index, id_key), item[id_key], name, size)

    top = document.read(take, under=None)
    if not document.broken and not isinstance(top, list):
        gathered.findings.add((), f"must be a list of volumes, not {kind_of(top)}")
    return [*document.problems, *document.place(gathered.findings)], document.more


def _columns(headers: tuple[str, ...]) -> tuple[str | None, ...]:
    """The headers of id, name and size."""
    return tuple(_column(headers, each) for each in (ID_COLUMNS, NAME_COLUMNS, SIZE_COLUMNS))


def _column(headers: tuple[str, ...], wanted: tuple[str, ...]) -> str | None:
    plain = {re.sub(r"[\s_-]", "", header).casefold(): header for header in reversed(headers)}
    return next((plain[name] for name in wanted if name in plain), None)


def _read_text(data: bytes, gathered: VolumeCollector) -> None:
    lines = _Lines(data)
    told = None
    for line in lines:
        text = line.strip()
        if separator := _SEPARATOR.fullmatch(text):
            told = separator[1]
        elif text and not text.startswith("#"):
            break
    else:
        return
    delimiter = told or max(",;\t", key=text.count)
    if delimiter not in text and not _column((text.strip("\"'"),), ID_COLUMNS):
        _read_bare(_Lines(data, skip=lines.number - 1), gathered)
    elif _UUID_LIKE.fullmatch(text.split(delimiter)[0].strip()):
        what = "the first line must name the columns, such as ID and Name"
        gathered.findings.add((lines.number, 1), f"there is no header row: {what}")
    else:
        _read_csv(_Lines(data, skip=lines.number - 1), delimiter, gathered)


def _read_bare(lines: _Lines, gathered: VolumeCollector) -> None:
    for line in lines:
        text = line.partition("#")[0].strip()
        if text:
            column = line.index(text) + 1
            gathered.add_listed(lines.number, (lines.number, column), text.strip("\"'"), None)


def _read_csv(lines: _Lines, delimiter: str, gathered: VolumeCollector) -> None:
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        headers = tuple(next(rows))
        at = [None if header is None else headers.index(header) for header in _columns(headers)]
        id_at, name_at, size_at = at
        if id_at is None:
            text = f"no column of volume ids (ID, Volume ID, Disk ID) among {len(headers)} columns"
            gathered.findings.add((lines.first, 1), text)
            return
        lines.begin()
        for row in rows:
            if any(map(str.strip, row)):
                spot = lines.spot(id_at, delimiter)
                cells = (_cell(row, place) for place in (id_at, name_at, size_at))
                gathered.add_listed(lines.first, spot, *cells)
            lines.begin()
    except csv.Error as error:
        gathered.findings.add((lines.first, 1), f"not valid CSV: {error}")


def _cell(row: list[str], at: int | None) -> str:
    return row[at].strip() if at is not None and at < len(row) else ""


def _placed(file: str, findings: Findings) -> list[Problem]:
    """Findings of a text carry their line and column as their path."""
    spots = {(path[0], path[1]): (path, path) for path in findings.wanted() if len(path) == 2}
    return findings.placed(file, spots)  # type: ignore[arg-type]


class _Lines:
    """The lines of a text, with the number of the last one and the text of the current record."""

    def __init__(self, data: bytes, skip: int = 0) -> None:
        self._text = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
        self.number = 0
        self.first = skip + 1
        self._record: list[str] = []
        for _ in range(skip):
            next(self)
        self.begin()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.number += 1
        self._record.append(line)
        return line

    def begin(self) -> None:
        """Start a new record with the next line."""
        self.first = self.number + 1
        self._record = []

    def spot(self, field: int, delimiter: str) -> tuple[int, int]:
        """Line and column of a field of the current record (of the record, if it is missing)."""
        line, column, inside = self.first, 1, False
        for character in "".join(self._record):
            if not field:
                return line, column
            column += 1
            if character == '"':
                inside = not inside
            elif character == "\n":
                line, column = line + 1, 1
            elif character == delimiter and not inside:
                field -= 1
        return self.first, 1
