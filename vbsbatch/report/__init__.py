"""A finished or running run -> table, JSON, CSV, Markdown, HTML, JUnit; and the lines of progress.

Pure functions from values to text: this room sees `model` only; the command line passes in what the
store's queries found. Every text that a server or a plan can influence goes through `text.clean`.
Importing this package is cheap; each format is imported when it is requested.
"""

from __future__ import annotations

from typing import TextIO

from vbsbatch.errors import UsageError
from vbsbatch.report.data import Failure, ReportData
from vbsbatch.report.output import opened
from vbsbatch.report.progress import End, Progress, wanted
from vbsbatch.report.text import clean

FORMATS = ("table", "json", "csv", "md", "html", "junit")
"""What `--format` takes."""

__all__ = [
    "FORMATS",
    "End",
    "Failure",
    "Progress",
    "ReportData",
    "clean",
    "opened",
    "wanted",
    "write",
]


def write(data: ReportData, format_name: str, stream: TextIO, *, all_jobs: bool = False) -> None:
    """Write the report of one run to `stream`, streaming its jobs.

    `all_jobs` makes table and Markdown list every job instead of the failed ones; the others always
    hold all. An unknown `format_name` is a `UsageError`.
    """
    match format_name:
        case "table":
            from vbsbatch.report import as_table

            as_table.write(data, stream, all_jobs=all_jobs)
        case "json":
            from vbsbatch.report import as_json

            as_json.write(data, stream)
        case "csv":
            from vbsbatch.report import as_csv

            as_csv.write(data, stream)
        case "md":
            from vbsbatch.report import as_markdown

            as_markdown.write(data, stream, all_jobs=all_jobs)
        case "html":
            from vbsbatch.report import as_html

            as_html.write(data, stream)
        case "junit":
            from vbsbatch.report import as_junit

            as_junit.write(data, stream)
        case _:
            raise UsageError(f"no format {clean(format_name)!r}: use one of {', '.join(FORMATS)}")
