"""CSV as RFC 4180 has it, UTF-8 without a mark, in which no cell is a formula."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TextIO

from vbsbatch.model import Job, Pin
from vbsbatch.report.data import ReportData
from vbsbatch.report.documents import JOB_FIELDS, job_document
from vbsbatch.report.text import cleaned

# What a spreadsheet skips before a formula: blanks and invisible characters.
_BLANK = re.compile(r"[\s\u00ad\u200b-\u200d\u2060\ufeff\ufffd]*")
# Where `;` separates cells, a comma-separated file breaks here, and the rest starts a cell.
_AFTER_SEMICOLON = re.compile(r";(?=([\s\"'\u00ad\u200b-\u200d\u2060\ufeff\ufffd]*)(.))")
_TRIGGERS = frozenset("=+-@\u2212")

PLACE_FIELDS = ("cloud", "region", "project_id", "endpoint")
"""Columns of a report alone: where the run was started."""

FIRST_FIELDS = JOB_FIELDS[: JOB_FIELDS.index("progress") + 1]
"""The columns that stand before those of the place, where scripts expect them."""


def write(data: ReportData, stream: TextIO) -> None:
    """Write the run's jobs, each with the cloud that it is in."""
    place = [cleaned(getattr(data.run.place, name)) for name in PLACE_FIELDS]
    _write(PLACE_FIELDS, data.jobs(), place, stream, data.pins)


def write_jobs(jobs: Iterable[Job], stream: TextIO, *, pins: Sequence[Pin] = ()) -> None:
    """Write a header and one row a job; `stream` must not translate line ends (`newline=""`).

    `pins` are those of the jobs' run.
    """
    _write((), jobs, (), stream, pins)


def _write(
    place_fields: Sequence[str],
    jobs: Iterable[Job],
    place: Sequence[str | None],
    stream: TextIO,
    pins: Sequence[Pin],
) -> None:
    """Columns are only ever added at the end: those of the place came before the newest of jobs."""
    writer = csv.writer(stream, lineterminator="\r\n")
    first, places = len(FIRST_FIELDS), list(map(cell, place))
    writer.writerow((*FIRST_FIELDS, *place_fields, *JOB_FIELDS[first:]))
    for job in jobs:
        cells = list(map(cell, job_document(job, pins).values()))
        writer.writerow((*cells[:first], *places, *cells[first:]))


def cell(value: object) -> object:
    """`value` with an apostrophe before what a spreadsheet would take for a formula; `true`."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    safe = _AFTER_SEMICOLON.sub(lambda m: ";'" if _starts_formula(m.group(2)) else ";", value)
    blank = _BLANK.match(safe)
    start = blank.end() if blank else 0
    return "'" + safe if _starts_formula(safe[start : start + 1]) else safe


def _starts_formula(character: str) -> bool:
    """Full-width and small forms count as the ASCII character."""
    return unicodedata.normalize("NFKC", character)[:1] in _TRIGGERS
