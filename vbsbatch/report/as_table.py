"""Tables for a terminal or a pipe: ASCII glyph and word per state, nothing interpreted as markup.

On a terminal everything fits its width and colour repeats what the words say. Anywhere else there
is no escape code, no width, nothing cut, no blanks at line ends: one job is one line for `grep`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import chain, islice
from typing import TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vbsbatch.model import Job, JobState, MissedStart, as_wall
from vbsbatch.report import data as figures
from vbsbatch.report import sections
from vbsbatch.report.data import ReportData
from vbsbatch.report.sections import Cell, Section
from vbsbatch.report.text import clean, cut, moment, span

MEASURED = 500
"""Jobs that determine the widths of the columns; later ones are streamed."""

PIPE_WIDTH = 1_000_000
LONGEST_ON_A_TERMINAL = 300

_STYLES = {
    "x": "red",
    "+": "green",
    "~": "yellow",
    "?": "magenta",
    ">": "cyan",
}

# Columns of any length are folded; ids and figures stay whole, to be copied and compared.
_FOLDED = frozenset({"", "PLAN", "CODE", "MEANING", "TOP FAILURE", "WHY"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumn:
    """One column of the list of jobs."""

    title: str
    right: bool = False
    least: int | None = None
    """How narrow a narrow terminal may make it; None: it is never cut."""
    whole: bool = False
    """It is shown whole, or on a narrow terminal not at all."""


_JOB_COLUMNS = (
    TableColumn(title="ST"),
    TableColumn(title="#", right=True),
    TableColumn(title="VOLUME", least=12),
    TableColumn(title="HTTP", right=True),
    TableColumn(title="CODE", least=17),
    TableColumn(title="ATT", right=True),
    TableColumn(title="TOOK", right=True),
    TableColumn(title="NEXT", right=True),
    TableColumn(title="GB", right=True),
    TableColumn(title="MESSAGE", least=0),
    TableColumn(title="BACKUP ID", least=0, whole=True),
)


_ORDER = (
    sections.StateCounts,
    sections.Facts,
    sections.FigureTable,
    sections.NextCommands,
    sections.JobList,
)
"""On a terminal the counts come first; what may be long comes last, above the prompt."""


def write(data: ReportData, stream: TextIO, *, all_jobs: bool = False) -> None:
    """Write the status, then the failed and skipped jobs (or all)."""
    _write(data, sections.of(data, all_jobs=all_jobs), stream)


def write_status(data: ReportData, stream: TextIO) -> None:
    """Write the run's totals, figures, failures by code, unknown codes and next commands."""
    _write(data, sections.of(data, jobs=False), stream)


def _write(data: ReportData, found: Iterable[Section], stream: TextIO) -> None:
    console = _console(stream)
    _say(console, Text(f"vbsbatch run {clean(data.run.id)}", style="bold"))
    for section in sorted(found, key=lambda section: _ORDER.index(type(section))):
        match section:
            case sections.StateCounts(rows=counts):
                _say(console, Text("  ").join(_totals(counts)))
            case sections.Facts(rows=facts):
                _table(console, ("", ""), facts)
            case sections.FigureTable(title=title, columns=columns, rows=rows):
                _say(console, Text(f"\n{title}"))
                _table(console, tuple(map(str.upper, columns)), rows)
            case sections.NextCommands(commands=commands):
                _say(console, Text("\n".join(["\nNext", *(f"  {clean(c)}" for c in commands)])))
            case sections.JobList(title=title, jobs=jobs):
                stream.write(f"\n{title}\n")
                write_jobs(jobs, stream, now=data.now)


def write_runs(
    runs: Iterable[ReportData], stream: TextIO, missed: Sequence[MissedStart] = ()
) -> None:
    """Write one row a run, in the order given; then the starts that made no run, if any."""
    header = ("STATE", "RUN", "PLAN", "JOBS", "OK", "FAIL", "DONE", "TOOK", "TOP FAILURE")
    console = _console(stream)
    _table(console, header, [_run_cells(data) for data in runs])
    if missed:
        _say(console, Text("\nStarts that made no run, or were late"))
        _table(console, ("WHAT", "WHEN", "PLAN", "RUN", "WHY"), map(_missed_cells, missed))


def write_jobs(jobs: Iterable[Job], stream: TextIO, *, now: float) -> None:
    """Write one line a job, streaming; durations are until `now`, in epoch seconds."""
    rows = (_job_cells(job, now) for job in jobs)
    titles = tuple(column.title for column in _JOB_COLUMNS)
    first = [titles, *islice(rows, MEASURED)]
    widths = [max(cell_len(row[i]) for row in first) for i in range(len(_JOB_COLUMNS))]
    console = _console(stream)
    if not console.is_terminal:
        for row in chain(first, rows):
            stream.write(_padded(row, widths).rstrip(" ") + "\n")
        return
    widths = _fitted(widths, console.width)
    for row in chain(first, rows):
        styled = Text(_padded([_in_cells(c, w) for c, w in zip(row, widths, strict=True)], widths))
        styled.stylize(_STYLES.get(row[0][:1], ""), 0, widths[0])
        _say(console, styled, one_line=True)


def _console(stream: TextIO) -> Console:
    """Only whether `stream` is a terminal counts: no variable forces escapes into a pipe."""
    on_terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=on_terminal,
        force_jupyter=False,
        color_system="auto" if on_terminal else None,
        width=None if on_terminal else PIPE_WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
    )


def _say(console: Console, text: Text, *, one_line: bool = False) -> None:
    if console.is_terminal:
        console.print(
            text, no_wrap=one_line, crop=one_line, overflow="ignore" if one_line else "fold"
        )
    else:
        console.file.write(f"{text.plain}\n")


def _totals(counts: Iterable[tuple[Cell, ...]]) -> Iterator[Text]:
    """The usual states, and the rarer ones if any job is in them."""
    for name, count in counts:
        glyph = str(name)[0]
        if count:
            yield Text(f"{name} {count}", style=_STYLES.get(glyph, ""))
        elif glyph not in "?-":
            yield Text(f"{name} 0")


def _table(console: Console, header: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> None:
    """A table of few rows; a cell that is too wide for the terminal is folded."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(header))
    rows = list(rows)
    for index, title in enumerate(header):
        numbers = any(isinstance(row[index], int) for row in rows)
        table.add_column(
            Text(title),
            justify="right" if numbers else "left",
            overflow="fold",
            no_wrap=title not in _FOLDED,
        )
    for row in rows:
        table.add_row(*(_small_cell(console, value) for value in row))
    if console.is_terminal:
        console.print(table)
    else:
        _print_bare(console, table)


def _print_bare(console: Console, table: Table) -> None:
    """Print without the blanks that fill the last column."""
    scratch = Console(file=StringIO(), width=PIPE_WIDTH, color_system=None, force_terminal=False)
    with scratch.capture() as captured:
        scratch.print(table)
    console.file.writelines(f"{line.rstrip(' ')}\n" for line in captured.get().split("\n")[:-1])


def _small_cell(console: Console, value: Cell) -> Text:
    shown = "-" if value is None else clean(str(value))
    return Text(cut(shown, LONGEST_ON_A_TERMINAL) if console.is_terminal else shown)


def write_rows(header: tuple[str, ...], rows: Iterable[tuple[Cell, ...]], stream: TextIO) -> None:
    """Write any small table."""
    _table(_console(stream), header, rows)


def _missed_cells(missed: MissedStart) -> tuple[Cell, ...]:
    return missed.kind.upper(), moment(missed.at), missed.plan, missed.run_id, missed.text


def _run_cells(data: ReportData) -> tuple[Cell, ...]:
    run = data.run
    took = figures.duration(data)
    top = next(iter(figures.failures(data)), None)
    return (
        figures.standing(data),
        run.id,
        run.plan,
        data.total,
        data.count(JobState.SUCCEEDED),
        data.count(JobState.FAILED),
        f"{figures.percent(data.counts)}%",
        None if took is None else span(took),
        None if top is None else f"{top.code or top.http_status or 'no answer'}: {top.count}",
    )


def _job_cells(job: Job, now: float) -> tuple[str, ...]:
    until = now if job.ended_at is None else float(job.ended_at)
    return (
        figures.mark(job),
        f"{job.no:05d}",
        clean(job.volume_name),
        "-" if job.http_status is None else str(job.http_status),
        "-" if job.code is None else clean(job.code),
        str(job.attempts),
        "-" if job.first_sent_at is None else span(until - float(job.first_sent_at)),
        _next(job, now),
        "-" if job.size is None else str(job.size),
        "" if job.message is None else clean(job.message),
        "-" if job.backup_id is None else clean(job.backup_id),
    )


def _next(job: Job, now: float) -> str:
    due = float(as_wall(job.due_at))
    if job.state is JobState.WAITING and due > now:
        return f"in {span(due - now)}"
    if job.state is JobState.RUNNING and job.progress is not None:
        return f"{job.progress}%"
    return "-"


def _fitted(widths: Sequence[int], room: int) -> list[int]:
    """`widths` with the columns that may be cut made narrower, the last first, until all fit."""
    fitted = list(widths)
    for index, column in reversed(list(enumerate(_JOB_COLUMNS))):
        over = sum(fitted) + 2 * (len(fitted) - 1) - room
        if over > 0 and column.least is not None:
            narrowest = min(fitted[index], column.least)
            fitted[index] = narrowest if column.whole else max(narrowest, fitted[index] - over)
    return fitted


def _in_cells(text: str, width: int) -> str:
    """`text` in at most `width` terminal cells, `..` where something was left out."""
    # Marks that take no cell could pile up without end: a cell gets four characters at most.
    short = text[: 4 * width + 4]
    if len(short) == len(text) and cell_len(text) <= width:
        return text
    return set_cell_size(short, max(0, width - 2)) + ".." if width >= 2 else ""


def _padded(row: Iterable[str], widths: Sequence[int]) -> str:
    return "  ".join(_cells(row, widths))


def _cells(row: Iterable[str], widths: Sequence[int]) -> Iterator[str]:
    for text, width, column in zip(row, widths, _JOB_COLUMNS, strict=True):
        blanks = " " * max(0, width - cell_len(text))
        yield blanks + text if column.right else text + blanks
