"""CSV as RFC 4180 has it, UTF-8 without a mark, in which no cell is a formula."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable
from typing import TextIO

from vbsbatch.model import Job
from vbsbatch.report.data import JOB_FIELDS, ReportData, job_values
from vbsbatch.report.text import cleaned

# What a spreadsheet skips before it looks for a formula: blanks and invisible characters.
_BLANK = re.compile(r"[\s\u00ad\u200b-\u200d\u2060\ufeff\ufffd]*")
# Where `;` separates cells, a comma-separated file breaks here, and the rest starts a cell.
_AFTER_SEMICOLON = re.compile(r";(?=([\s\"'\u00ad\u200b-\u200d\u2060\ufeff\ufffd]*)(.))")
_TRIGGERS = frozenset("=+-@\u2212")


PLACE_FIELDS = ("cloud", "region", "project_id", "endpoint")
"""Columns that a report has behind those of its jobs: where the run was started."""


def write(data: ReportData, stream: TextIO) -> None:
    """Write the run's jobs, each with the cloud that it is in."""
    place = data.run.place
    cells = [cell(cleaned(getattr(place, name))) for name in PLACE_FIELDS]
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow((*JOB_FIELDS, *PLACE_FIELDS))
    for job in data.jobs():
        writer.writerow((*map(cell, job_values(job).values()), *cells))


def write_jobs(jobs: Iterable[Job], stream: TextIO) -> None:
    """Write a header and one row a job; `stream` must not translate line ends (`newline=""`)."""
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(JOB_FIELDS)
    for job in jobs:
        writer.writerow(map(cell, job_values(job).values()))


def cell(value: str | int | None) -> str | int | None:
    """`value` such that no spreadsheet computes it: an apostrophe before what starts a formula."""
    if not isinstance(value, str):
        return value
    safe = _AFTER_SEMICOLON.sub(lambda m: ";'" if _starts_formula(m.group(2)) else ";", value)
    blank = _BLANK.match(safe)
    start = blank.end() if blank else 0
    return "'" + safe if _starts_formula(safe[start : start + 1]) else safe


def _starts_formula(character: str) -> bool:
    """Full-width and small forms count as what they look like."""
    return unicodedata.normalize("NFKC", character)[:1] in _TRIGGERS
