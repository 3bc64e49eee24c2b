"""One HTML page to hand on: self-contained, pure ASCII, no script, prints on A4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from vbsbatch.model import Job, JobState, Operation, RunState
from vbsbatch.report import data as figures
from vbsbatch.report import sections
from vbsbatch.report.as_svg import picture
from vbsbatch.report.data import ReportData
from vbsbatch.report.markup import literal
from vbsbatch.report.sections import Cell
from vbsbatch.report.text import in_words, moment, moment_or_none, span
from vbsbatch.report.timeline import timeline_of

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --ink: #1a1a1a; --dim: #5c5c5c; --page: #fff; --line: #d4d4d4; --head: #f1f1f1;
  --bad: #a40000; --good: #22734a; --open: #8a8a8a; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e6e6; --dim: #a0a0a0; --page: #161616; --line: #444; --head: #262626;
    --bad: #ff8a80; --good: #6fbf95; --open: #8a8a8a; }}
}}
body {{ color: var(--ink); background: var(--page); margin: 1.5rem auto; padding: 0 1.5rem;
  max-width: 70rem; font: 15px/1.4 system-ui, sans-serif; }}
h1 {{ font-size: 1.6em; margin: 0 0 .2rem; }}
h2 {{ font-size: 1.15em; margin: 1.8rem 0 .5rem; break-after: avoid; }}
.verdict {{ font-size: 1.1em; margin: 0 0 1rem; }}
.note {{ color: var(--dim); font-size: .85em; margin: .4rem 0 0; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .25rem .6rem .25rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; unicode-bidi: isolate; }}
thead th {{ position: sticky; top: 0; background: var(--head); white-space: nowrap; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
td.failed {{ color: var(--bad); font-weight: 600; }}
td.succeeded {{ color: var(--good); }}
td[class] {{ overflow-wrap: normal; white-space: nowrap; }}
table.volumes {{ table-layout: fixed; min-width: 46rem; }}
table.volumes th {{ font-size: .85em; }}
.volumes .c0 {{ width: 8.5%; }} .volumes .c1, .volumes .c7 {{ width: 25.5%; }}
.volumes .c2 {{ width: 6%; }} .volumes .c3 {{ width: 9.5%; }} .volumes .c4 {{ width: 11%; }}
.volumes .c5, .volumes .c6 {{ width: 7%; }}
.failures .c2 {{ width: 24%; }} .failures .c3 {{ width: 6%; }} .failures .c4 {{ width: 18%; }}
.failures .c6 {{ width: 11%; }}
small {{ display: block; color: var(--dim); font-size: .72em; }}
table.facts th {{ width: 9rem; font-weight: 400; color: var(--dim); }}
table.totals {{ width: auto; margin: 0 0 1rem; }}
table.totals th {{ padding-right: 1.2rem; font-weight: 400; color: var(--dim); border: 0;
  white-space: nowrap; }}
table.totals td {{ padding: 0 1.2rem 0 0; font-size: 1.5em; border: 0; white-space: nowrap; }}
svg {{ display: block; width: 100%; height: auto; break-inside: avoid; }}
svg svg {{ width: auto; }}
svg text {{ fill: var(--ink); font: 11px system-ui, sans-serif; unicode-bidi: isolate; }}
text.middle {{ text-anchor: middle; }}
text.end {{ text-anchor: end; }}
rect.succeeded {{ fill: var(--good); }}
rect.failed {{ fill: var(--page); stroke: var(--bad); stroke-width: 1.2; }}
rect.open {{ fill: var(--open); }}
path.axis {{ stroke: var(--line); }}
path.cross {{ stroke: var(--bad); stroke-width: 1.6; }}
@page {{ size: A4; margin: 15mm 10mm 17mm;
  @bottom-left {{ content: "{foot}"; font: 8pt sans-serif; color: #555; }}
  @bottom-right {{ content: counter(page) " / " counter(pages); font: 8pt sans-serif;
    color: #555; }} }}
@media print {{
  :root {{ color-scheme: light; --ink: #000; --dim: #444; --page: #fff; --line: #bbb;
    --head: #fff; --bad: #a40000; --good: #22734a; --open: #888; }}
  body {{ font: 9pt/1.35 Helvetica, Arial, sans-serif; margin: 0; padding: 0; max-width: none; }}
  th, td {{ padding: .1rem .35rem .1rem 0; }}
  table.volumes {{ font-size: 8pt; min-width: 0; }}
  table.volumes small {{ font-size: 6pt; }}
  thead {{ display: table-header-group; }}
  thead th {{ position: static; }}
  tr {{ break-inside: avoid; }}
}}
</style>
</head>
<body>
"""

_TITLES = {
    Operation.BACKUP: "Backup report",
    Operation.RESTORE: "Restore report",
    Operation.PRUNE: "Deletion report",
}
_DONE = {
    Operation.BACKUP: "volumes were backed up",
    Operation.RESTORE: "volumes were restored",
    Operation.PRUNE: "backups were deleted",
}

_ALWAYS = ("succeeded", "failed")
"""Totals that are shown even where they are 0."""

_NUMBERS = frozenset({"jobs", "times", "HTTP", "GB", "took", "attempts"})
"""Columns of numbers, which are aligned to the right."""

_FAILED_COLUMNS = ("state", "volume", "reason", "HTTP", "code", "attempts", "ended")
_VOLUME_COLUMNS = ("state", "volume", "GB", "kind", "started", "took", "attempts", "backup")

_LEGEND = (
    "Times are UTC. Sizes are those of the volumes. Started and took count from the first request "
    "for a volume to its end. Kind is what was asked for; where there is a dash, the cloud decides."
)


def write(data: ReportData, stream: TextIO) -> None:
    """Write totals, facts, the timeline, failures with their meaning, and every volume."""
    title = f"{_TITLES[data.run.settings.operation]}: run {literal(data.run.id)}"
    stream.write(head(title))
    stream.write(f"<h1>{title}</h1>\n")
    stream.write(f'<p class="verdict">{literal(_verdict(data))}</p>\n')
    _totals(data, stream)
    _facts(data, stream)
    _timeline(data, stream)
    for section in sections.of(data, jobs=False):
        match section:
            case sections.StateCounts():
                pass  # the totals have them
            case sections.FigureTable(title=heading, columns=columns, rows=rows):
                stream.write(f"<h2>{heading}</h2>\n")
                _table(columns, (map(_cell, row, columns) for row in rows), stream)
    _jobs(data, stream)
    if commands := figures.next_commands(data):
        shown = "\n".join(map(literal, commands))
        stream.write(f"<h2>What to do next</h2>\n<pre>{shown}</pre>\n")
    stream.write(f'<p class="note">Written by vbsbatch, {literal(moment(data.now))}. {_LEGEND}</p>')
    stream.write("\n</body>\n</html>\n")


def head(title: str) -> str:
    """The beginning of a page, up to its body; `title` is literal text of an element."""
    return _HEAD.format(title=f"{title} - vbsbatch", foot=_css_text(title))


def _css_text(text: str) -> str:
    """Text of an id in a string of CSS: ids of runs hold letters, digits, `.`, `_` and `-`."""
    return "".join(each for each in text if each.isalnum() or each in " :._-")


def _verdict(data: ReportData) -> str:
    """The run in a sentence."""
    ended = data.run.state is RunState.ENDED
    text = "" if ended else "The run has not ended. "
    text += f"{data.count(JobState.SUCCEEDED):,} of {data.total:,}"
    text += f" {_DONE[data.run.settings.operation]}"
    others = (JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED)
    for state in others:
        if number := data.count(state):
            text += f", {number:,} {state.value}"
    return f"{text}."


def _totals(data: ReportData, stream: TextIO) -> None:
    """The jobs by state, and the GB, side by side."""
    counts = {state.value: data.count(state) for state in JobState}
    shown = {name: f"{n:,}" for name, n in counts.items() if n or name in _ALWAYS}
    found = figures.sizes(data)
    shown["GB done"] = "-" if found.total is None else f"{found.done:,}"
    heads = "".join(f"<th>{literal(name)}</th>" for name in ("volumes", *shown))
    cells = "".join(f"<td>{each}</td>" for each in (f"{data.total:,}", *shown.values()))
    stream.write(f'<table class="totals">\n<tr>{heads}</tr>\n<tr>{cells}</tr>\n</table>\n')


def _facts(data: ReportData, stream: TextIO) -> None:
    stream.write('<table class="facts">\n')
    for label, value in sections.facts(data):
        stream.write(f'<tr><th scope="row">{literal(label)}</th><td>{literal(value)}</td></tr>\n')
    stream.write("</table>\n")


def _timeline(data: ReportData, stream: TextIO) -> None:
    shown = timeline_of(data)
    if shown is None:
        return
    words = "volumes at work" if shown.bars else f"volumes ended per {in_words(shown.step)}"
    stream.write(f"<h2>Timeline: {words} (UTC)</h2>\n")
    stream.writelines(picture(shown))
    grey = " Grey: still open, or cancelled." if shown.bars else ""
    stream.write(f'<p class="note">Green: succeeded. Outlined, with a cross: failed.{grey}</p>\n')


def _jobs(data: ReportData, stream: TextIO) -> None:
    """The failed and skipped volumes with their reasons, then every volume."""
    if chosen := sections.listed(data, all_jobs=False):
        stream.write(f"<h2>{chosen[0]}</h2>\n")
        rows = (_failed(job, data) for job in chosen[1])
        _table(_FAILED_COLUMNS, rows, stream, kind="volumes failures")
    if data.total:
        stream.write("<h2>All volumes</h2>\n")
        _table(_VOLUME_COLUMNS, map(_volume, data.jobs()), stream, kind="volumes")


def _failed(job: Job, data: ReportData) -> Iterator[str]:
    """A job in `_FAILED_COLUMNS`; the cloud's words stand over their meaning."""
    failed = job.state is JobState.FAILED
    meaning = data.meaning(job.code, job.http_status) if failed else None
    yield _state(job)
    yield _named(job.volume_name, job.volume_id)
    yield _named(job.message or meaning, meaning if job.message else None)
    rest = (job.http_status, job.code, job.attempts, moment_or_none(job.ended_at))
    yield from map(_cell, rest, _FAILED_COLUMNS[3:])


def _volume(job: Job) -> Iterator[str]:
    """A job in `_VOLUME_COLUMNS`."""
    took = figures.took(job)
    yield _state(job)
    yield _named(job.volume_name, job.volume_id)
    times = (moment_or_none(job.first_sent_at), None if took is None else span(took))
    rest = (job.size, figures.kind(job), *times, job.attempts)
    yield from map(_cell, rest, _VOLUME_COLUMNS[2:])
    yield _named(None if job.backup_id is None else job.backup_name, job.backup_id)


def _state(job: Job) -> str:
    return f'<td class="{job.state.value}">{job.state.value}</td>'


def _named(name: str | None, detail: str | None) -> str:
    """A text over a smaller one; the same twice is shown once."""
    if name is None:
        return _cell(detail, "")
    small = "" if detail in (None, name) else f"<small>{literal(detail)}</small>"
    return f"<td>{literal(name)}{small}</td>"


def _table(
    header: tuple[str, ...], rows: Iterable[Iterable[str]], stream: TextIO, *, kind: str = "figures"
) -> None:
    heads = "".join(
        f'<th scope="col" class="c{place}{_aligned(name)}">{literal(name)}</th>'
        for place, name in enumerate(header)
    )
    stream.write(f'<table class="{kind}">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n')
    for cells in rows:
        stream.write(f"<tr>{''.join(cells)}</tr>\n")
    stream.write("</tbody>\n</table>\n")


def _aligned(column: str) -> str:
    return " number" if column in _NUMBERS else ""


def _cell(value: Cell, column: str) -> str:
    kind = ' class="number"' if column in _NUMBERS else ""
    return f"<td{kind}>{'-' if value is None else literal(value)}</td>"
