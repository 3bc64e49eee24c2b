"""Markdown (CommonMark with tables) in which no text of a stranger is markup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from vbsbatch.model import Job
from vbsbatch.report import data as figures
from vbsbatch.report.data import ReportData
from vbsbatch.report.text import clean, moment

# Character references are never structure, not even to table readers that split at any bar;
# a backslash before the others reads better and is enough.
_ESCAPES = {
    **{ord(c): f"&#{ord(c)};" for c in "&<>|`\\"},
    **{ord(c): f"\\{c}" for c in "*_[]~#!$"},
}


def write(data: ReportData, stream: TextIO, *, all_jobs: bool = False) -> None:
    """Write the summary, failures by code, failed and skipped jobs (or all), what to do next."""
    stream.write(f"# Run {text(data.run.id)}\n\n")
    _table(("", ""), figures.facts(data), stream)
    _totals(data, stream)
    _failures(data, stream)
    _unknown_codes(data, stream)
    _jobs(data, stream, all_jobs=all_jobs)
    _next(data, stream)


def text(value: object) -> str:
    """`value` as literal text of one line, anywhere in a document or a table cell."""
    return clean(str(value)).translate(_ESCAPES)


def _totals(data: ReportData, stream: TextIO) -> None:
    stream.write("## Jobs by state\n\n")
    _table(("state", "jobs"), [(name, count) for name, count in figures.totals(data)], stream)


def _failures(data: ReportData, stream: TextIO) -> None:
    rows = figures.failures(data)
    if rows:
        stream.write("## Failures by code\n\n")
        shown = [(f.count, f.http_status, f.code, f.meaning or "never seen before") for f in rows]
        _table(("jobs", "HTTP", "code", "meaning"), shown, stream)


def _unknown_codes(data: ReportData, stream: TextIO) -> None:
    rows = figures.unknown_codes(data)
    if rows:
        stream.write("## Codes never seen before\n\n")
        _table(("times", "HTTP", "code"), [(f.count, f.http_status, f.code) for f in rows], stream)


def _jobs(data: ReportData, stream: TextIO, *, all_jobs: bool) -> None:
    listed = figures.listed(data, all_jobs=all_jobs)
    if listed is None:
        return
    title, chosen = listed
    stream.write(f"## {title}\n\n")
    header = ("state", "volume", "volume id", "HTTP", "code", "message", "attempts", "ended")
    _table(header, map(_job_cells, chosen), stream)


def _job_cells(job: Job) -> tuple[object, ...]:
    return (
        figures.mark(job),
        job.volume_name,
        job.volume_id,
        job.http_status,
        job.code,
        job.message,
        job.attempts,
        None if job.ended_at is None else moment(job.ended_at),
    )


def _next(data: ReportData, stream: TextIO) -> None:
    commands = figures.next_commands(data)
    if commands:
        stream.write("## Next\n\n" + "".join(f"    {clean(c)}\n" for c in commands))


def _table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]], stream: TextIO) -> None:
    stream.write(_row(header))
    stream.write(_row(("---",) * len(header)))
    for row in rows:
        stream.write(_row("-" if cell is None else text(cell) for cell in row))
    stream.write("\n")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
