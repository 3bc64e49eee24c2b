"""Markdown (CommonMark with tables) in which no text of the cloud or of a plan is markup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from vbsbatch.report import sections
from vbsbatch.report.data import ReportData
from vbsbatch.report.sections import JOB_COLUMNS, Cell, job_cells
from vbsbatch.report.text import clean

# Character references are never structure, not even to table readers that split at any bar;
# a backslash before the others reads better and is enough.
_ESCAPES = {
    **{ord(c): f"&#{ord(c)};" for c in "&<>|`\\"},
    **{ord(c): f"\\{c}" for c in "*_[]~#!$"},
}


def write(data: ReportData, stream: TextIO, *, all_jobs: bool = False) -> None:
    """Write the summary, failures by code, failed and skipped jobs (or all), what to do next."""
    stream.write(f"# Run {text(data.run.id)}\n\n")
    for section in sections.of(data, all_jobs=all_jobs):
        match section:
            case sections.Facts(rows=rows):
                _table(("", ""), rows, stream)
            case sections.FigureTable(title=title, columns=columns, rows=figures):
                stream.write(f"## {title}\n\n")
                _table(columns, figures, stream)
            case sections.JobList(title=title, jobs=jobs):
                stream.write(f"## {title}\n\n")
                _table(JOB_COLUMNS, map(job_cells, jobs), stream)
            case sections.NextCommands(commands=commands):
                stream.write("## Next\n\n" + "".join(f"    {clean(c)}\n" for c in commands))


def text(value: object) -> str:
    """`value` as literal text of one line, anywhere in a document or a table cell."""
    return clean(str(value)).translate(_ESCAPES)


def _table(header: tuple[str, ...], rows: Iterable[tuple[Cell, ...]], stream: TextIO) -> None:
    stream.write(_row(header))
    stream.write(_row(("---",) * len(header)))
    for row in rows:
        stream.write(_row("-" if cell is None else text(cell) for cell in row))
    stream.write("\n")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
