"""One HTML page, self-contained and pure ASCII: no script, light and dark, prints well."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TextIO

from vbsbatch.model import Job
from vbsbatch.report import data as figures
from vbsbatch.report.data import ReportData
from vbsbatch.report.text import clean, moment

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --ink: #1a1a1a; --page: #fff; --line: #c8c8c8; --head: #eee;
  --bad: #a40000; --good: #0a5c0a; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e6e6; --page: #161616; --line: #444; --head: #262626;
    --bad: #ff8a80; --good: #8bd18b; }}
}}
body {{ color: var(--ink); background: var(--page); margin: 1.5rem;
  font: 16px/1.45 system-ui, sans-serif; }}
table {{ border-collapse: collapse; margin-bottom: 1.5rem; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; unicode-bidi: isolate; }}
thead th {{ position: sticky; top: 0; background: var(--head); }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
td.failed {{ color: var(--bad); }}
td.succeeded {{ color: var(--good); }}
td[class] {{ overflow-wrap: normal; white-space: nowrap; }}
@media print {{
  :root {{ --ink: #000; --page: #fff; --head: #fff; --bad: #000; --good: #000; }}
  body {{ font-size: 10pt; margin: 0; }}
  thead {{ display: table-header-group; }}
  thead th {{ position: static; }}
  tr {{ break-inside: avoid; }}
}}
</style>
</head>
<body>
"""


def write(data: ReportData, stream: TextIO, *, all_jobs: bool = False) -> None:
    """Write the summary, failures by code, failed and skipped jobs (or all), what to do next."""
    title = f"Run {text(data.run.id)}"
    stream.write(_HEAD.format(title=f"{title} - vbsbatch"))
    stream.write(f"<h1>{title}</h1>\n")
    _facts(data, stream)
    _totals(data, stream)
    _failures(data, stream)
    _unknown_codes(data, stream)
    _jobs(data, stream, all_jobs=all_jobs)
    _next(data, stream)
    stream.write("</body>\n</html>\n")


def text(value: object) -> str:
    """`value` as literal text of an element or a quoted attribute."""
    escaped = html.escape(clean(str(value)))
    return escaped.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _facts(data: ReportData, stream: TextIO) -> None:
    rows = (
        f'<tr><th scope="row">{text(label)}</th><td>{text(value)}</td></tr>\n'
        for label, value in figures.facts(data)
    )
    stream.write(f"<table>\n{''.join(rows)}</table>\n")


def _totals(data: ReportData, stream: TextIO) -> None:
    stream.write("<h2>Jobs by state</h2>\n")
    _table(("state", "jobs"), (map(_cell, row) for row in figures.totals(data)), stream)


def _failures(data: ReportData, stream: TextIO) -> None:
    rows = figures.failures(data)
    if rows:
        stream.write("<h2>Failures by code</h2>\n")
        shown = ((f.count, f.http_status, f.code, f.meaning or "never seen before") for f in rows)
        _table(("jobs", "HTTP", "code", "meaning"), (map(_cell, row) for row in shown), stream)


def _unknown_codes(data: ReportData, stream: TextIO) -> None:
    rows = figures.unknown_codes(data)
    if rows:
        stream.write("<h2>Codes never seen before</h2>\n")
        shown = ((f.count, f.http_status, f.code) for f in rows)
        _table(("times", "HTTP", "code"), (map(_cell, row) for row in shown), stream)


def _jobs(data: ReportData, stream: TextIO, *, all_jobs: bool) -> None:
    listed = figures.listed(data, all_jobs=all_jobs)
    if listed is None:
        return
    title, chosen = listed
    stream.write(f"<h2>{title}</h2>\n")
    header = ("state", "volume", "volume id", "HTTP", "code", "message", "attempts", "ended")
    _table(header, map(_job_cells, chosen), stream)


def _job_cells(job: Job) -> list[str]:
    ended = None if job.ended_at is None else moment(job.ended_at)
    values = (job.volume_name, job.volume_id, job.http_status, job.code, job.message, job.attempts)
    state = f'<td class="{job.state.value}">{text(figures.mark(job))}</td>'
    return [state, *map(_cell, (*values, ended))]


def _next(data: ReportData, stream: TextIO) -> None:
    commands = figures.next_commands(data)
    if commands:
        shown = "\n".join(map(text, commands))
        stream.write(f"<h2>Next</h2>\n<pre>{shown}</pre>\n")


def _table(header: tuple[str, ...], rows: Iterable[Iterable[str]], stream: TextIO) -> None:
    heads = "".join(f'<th scope="col">{text(name)}</th>' for name in header)
    stream.write(f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n")
    for cells in rows:
        stream.write(f"<tr>{''.join(cells)}</tr>\n")
    stream.write("</tbody>\n</table>\n")


def _cell(value: object) -> str:
    kind = ' class="number"' if isinstance(value, int) else ""
    return f"<td{kind}>{'-' if value is None else text(value)}</td>"
