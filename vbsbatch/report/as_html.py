"""One HTML page, self-contained and pure ASCII: no script, light and dark, prints well."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TextIO

from vbsbatch.model import Job
from vbsbatch.report import sections
from vbsbatch.report.data import ReportData
from vbsbatch.report.sections import JOB_COLUMNS, Cell, Section, job_cells
from vbsbatch.report.text import clean

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
    for section in sections.of(data, all_jobs=all_jobs):
        _write(section, stream)
    stream.write("</body>\n</html>\n")


def text(value: object) -> str:
    """`value` as literal text of an element or a quoted attribute."""
    escaped = html.escape(clean(str(value)))
    return escaped.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _write(section: Section, stream: TextIO) -> None:
    match section:
        case sections.Facts(rows=facts):
            rows = (
                f'<tr><th scope="row">{text(label)}</th><td>{text(value)}</td></tr>\n'
                for label, value in facts
            )
            stream.write(f"<table>\n{''.join(rows)}</table>\n")
        case sections.FigureTable(title=title, columns=columns, rows=figures):
            stream.write(f"<h2>{title}</h2>\n")
            _table(columns, (map(_cell, row) for row in figures), stream)
        case sections.JobList(title=title, jobs=jobs):
            stream.write(f"<h2>{title}</h2>\n")
            _table(JOB_COLUMNS, map(_job_cells, jobs), stream)
        case sections.NextCommands(commands=commands):
            shown = "\n".join(map(text, commands))
            stream.write(f"<h2>Next</h2>\n<pre>{shown}</pre>\n")


def _job_cells(job: Job) -> list[str]:
    state, *others = job_cells(job)
    return [f'<td class="{job.state.value}">{text(state)}</td>', *map(_cell, others)]


def _table(header: tuple[str, ...], rows: Iterable[Iterable[str]], stream: TextIO) -> None:
    heads = "".join(f'<th scope="col">{text(name)}</th>' for name in header)
    stream.write(f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n")
    for cells in rows:
        stream.write(f"<tr>{''.join(cells)}</tr>\n")
    stream.write("</tbody>\n</table>\n")


def _cell(value: Cell) -> str:
    kind = ' class="number"' if isinstance(value, int) else ""
    return f"<td{kind}>{'-' if value is None else text(value)}</td>"
