"""What a report for people says, in which order; table, Markdown and HTML only render it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from vbsbatch.model import Job, JobState, Operation, Pin, Run, RunState, VerifySummary, holders
from vbsbatch.report import data as figures
from vbsbatch.report.data import Failure, ReportData
from vbsbatch.report.documents import wave_documents
from vbsbatch.report.sizes import in_gigabytes
from vbsbatch.report.text import in_words, moment, moment_or_none, span

Cell: TypeAlias = str | int | None
"""Uncleaned text, a number, or nothing (`-`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Labels, each with its text."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureTable:
    """A title over a few rows."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]


class StateCounts(FigureTable):
    """Jobs by state, which a terminal shows on one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobList:
    """Jobs that are read while they are written."""

    title: str
    jobs: Iterator[Job]


@dataclass(frozen=True, kw_only=True, slots=True)
class NextCommands:
    """What to type next."""

    commands: Sequence[str]


Section: TypeAlias = Facts | FigureTable | JobList | NextCommands

JOB_COLUMNS = (
    *("state", "volume", "volume id", "HTTP", "code", "message", "attempts", "ended"),
    *("GB", "kind", "started", "took", "backup", "backup id"),
)
"""The columns of a `JobList` in Markdown; `job_cells` fills them."""


def of(data: ReportData, *, all_jobs: bool = False, jobs: bool = True) -> Iterator[Section]:
    """The sections that have something to say; no `jobs` leaves the list of jobs out."""
    yield Facts(rows=facts(data))
    yield StateCounts(title="Jobs by state", columns=("state", "jobs"), rows=totals(data))
    if failures := figures.failures(data):
        yield FigureTable(
            title="Failures by code",
            columns=("jobs", "HTTP", "code", "meaning"),
            rows=[(*_code(row), row.meaning or "never seen before") for row in failures],
        )
    if unknown := figures.unknown_codes(data):
        yield FigureTable(
            title="Codes never seen before",
            columns=("times", "HTTP", "code"),
            rows=[_code(row) for row in unknown],
        )
    if data.pins:
        yield FigureTable(
            title="Pinned backups",
            columns=("backup", "until", "since", "by"),
            rows=[_pinned(pin) for pin in data.pins],
        )
    if jobs and (chosen := listed(data, all_jobs=all_jobs)):
        yield JobList(title=chosen[0], jobs=chosen[1])
    if commands := figures.next_commands(data):
        yield NextCommands(commands=commands)


def _pinned(pin: Pin) -> tuple[Cell, ...]:
    until = "released" if pin.until is None else moment(pin.until)
    return pin.backup_id or "every one of the run", until, moment(pin.pinned_at), pin.pinned_by


def _code(row: Failure) -> tuple[Cell, ...]:
    return row.count, row.http_status, row.code


def job_cells(job: Job) -> tuple[Cell, ...]:
    """A job in `JOB_COLUMNS`."""
    named = (figures.mark(job), job.volume_name, job.volume_id)
    answer = (job.http_status, job.code, job.message)
    ended, started = moment_or_none(job.ended_at), moment_or_none(job.first_sent_at)
    took = figures.took(job)
    times = (started, None if took is None else span(took))
    backup = (job.backup_name, job.backup_id)
    return (*named, *answer, job.attempts, ended, job.size, figures.kind(job), *times, *backup)


def listed(data: ReportData, *, all_jobs: bool) -> tuple[str, Iterator[Job]] | None:
    """Title and jobs of the list: all jobs, or the failed and skipped ones; None without any."""
    if all_jobs:
        return "All jobs", data.jobs()
    named = {"Failed": JobState.FAILED, "skipped": JobState.SKIPPED}
    found = {word: state for word, state in named.items() if data.count(state)}
    if not found:
        return None
    return f"{' and '.join(found).capitalize()} jobs", data.jobs(states=found.values())


def totals(data: ReportData) -> list[tuple[str, int]]:
    """Jobs by state as (glyph and word, count), in the order of a job's life; they add up."""
    return [
        (". wait", data.count(JobState.WAITING) - data.retrying),
        ("~ retry", data.retrying),
        ("> active", figures.active(data.counts) - data.count(JobState.UNKNOWN)),
        ("? unknown", data.count(JobState.UNKNOWN)),
        ("+ ok", data.count(JobState.SUCCEEDED)),
        ("x FAIL", data.count(JobState.FAILED)),
        ("- cancelled", data.count(JobState.CANCELLED)),
        ("- skipped", data.count(JobState.SKIPPED)),
    ]


def facts(data: ReportData) -> list[tuple[str, str]]:
    """What a person wants to know of the run first, as (label, uncleaned text)."""
    run, counts = data.run, data.counts
    took, standing = figures.duration(data), figures.standing(data)
    at_work = data.live is not False or run.state is not RunState.RUNNING
    window = run.settings.window
    rows = [
        ("plan", run.plan),
        ("work", _work(run)),
        ("state", f"{run.state} ({standing})"),
        ("cloud", run.cloud),
        ("region", run.region),
        ("project", run.place.project),
        ("endpoint", run.endpoint),
        ("service", data.service),
        ("reason", run.reason if at_work else None),  # an engine that is gone waits for nothing
        ("held", holders.who_holds(data.holders) if data.holders else None),
        ("started", moment_or_none(run.started_at)),
        ("ended", moment_or_none(run.ended_at)),
        ("took", None if took is None else span(took)),
        ("window", None if window is None else str(window)),
        ("waves", _waves(data)),
        ("engine", _LOCKS_SILENT if standing == "LIVE?" else None),
        ("done", f"{figures.percent(counts)}%, {figures.ended(counts)} of {data.total}"),
        ("size", in_gigabytes(figures.sizes(data))),
        ("rate", _rate(data)),
        ("next look", _next_look(data)),
        ("ends", _expected_end(data)),
        ("attempts", str(data.attempts)),
        ("taken over", _adopted(run)),
        ("API calls", calls(run, counts)),
        ("retention", _retention(run)),
        ("verified", _verified(run)),
        ("history", _history(run)),
    ]
    return [(label, text) for label, text in rows if text is not None]


def _work(run: Run) -> str | None:
    """What a run does that makes no backups."""
    verb, settings = _VERBS.get(run.settings.operation), run.settings
    if verb is None:
        return None
    if settings.source_plan is None:
        return f"{verb} the backups of run {settings.source_run}"
    why = ""
    if settings.follows is not None:
        why = f", as its retention says after run {settings.follows}"
    if settings.makes_room_for is not None:
        why = f", to make room for run {settings.makes_room_for}"
    return f"{verb} old backups of plan {settings.source_plan}{why}"


def _retention(run: Run) -> str | None:
    """The rules of the plan, and when they were applied after the run."""
    rules = run.settings.retention
    if rules is None:
        return None
    if run.retained_at is not None:
        return f"{rules}, applied {moment(run.retained_at)}"
    return f"{rules}, not applied yet" if run.state is RunState.ENDED else str(rules)


def _adopted(run: Run) -> str | None:
    """Backups that an engine found and the store did not know of: it is an old or a new store."""
    many = "1 backup" if run.adopted == 1 else f"{run.adopted} backups"
    return f"{many} that the store did not know of" if run.adopted else None


_LOCKS_SILENT = (
    "it cannot be told whether one drives the run: the locks of the store cannot be asked"
)

_VERBS = {Operation.RESTORE: "restores", Operation.PRUNE: "deletes"}

_DONE = {
    Operation.BACKUP: "completed backup",
    Operation.RESTORE: "restored volume",
    Operation.PRUNE: "deleted backup",
}
"""What one job that succeeded has done."""


def _waves(data: ReportData) -> str | None:
    """How far each wave is; a wave that has jobs left and may not start yet says that it waits."""
    texts = []
    for wave in wave_documents(data):
        failed = f" ({wave['failed']} failed)" if wave["failed"] else ""
        waits = "" if wave["open"] or wave["ended"] == wave["jobs"] else " waits"
        texts.append(f"{wave['name']} {wave['ended']}/{wave['jobs']}{failed}{waits}")
    return ", ".join(texts) or None


def calls(run: Run, counts: Mapping[JobState, int]) -> str:
    """What the run has called so far, in words, with the calls per job that succeeded."""
    each = figures.calls_per_succeeded(run, counts)
    operation = run.settings.operation
    asked, done = figures.REQUESTS[operation], _DONE[operation]
    per_job = f"no {done} yet" if each is None else f"{each:.2f} per {done}"
    total = run.create_calls + run.read_calls
    return f"{total} ({run.create_calls} {asked}, {run.read_calls} reads), {per_job}"


def _rate(data: ReportData) -> str:
    """`4.1/s on average, at most 5/s`: how fast creates were sent."""
    average, limit = figures.average_rate(data), figures.rate_limit(data.run)
    return f"at most {limit}" if average is None else f"{_few(average)}, at most {limit}"


def _few(per_second: float) -> str:
    """A rate with two digits that count: `4.1/s`, `12/min`."""
    if per_second >= 1:
        return f"{per_second:.1f}/s on average"
    return f"{60 * per_second:.2g}/min on average"


def _next_look(data: ReportData) -> str | None:
    """When the engine reads the cloud's list next."""
    if data.run.next_look_at is None or not figures.is_at_work(data):
        return None
    rest = float(data.run.next_look_at) - data.now
    return f"in {in_words(rest)}" if rest >= 0.5 else "now"


def _expected_end(data: ReportData) -> str | None:
    """When the engine expects the run to end."""
    if data.run.ends_at is None or not figures.is_at_work(data):
        return None
    rest = max(0.0, float(data.run.ends_at) - data.now)
    return f"in about {in_words(rest)}, {moment(data.run.ends_at)}"


def _verified(run: Run) -> str | None:
    """When the run was last compared with the cloud, and what was found."""
    if run.verified_at is None or run.verified is None:
        return "not yet" if run.state is RunState.ENDED else None
    early = run.ended_at is None or run.verified_at < run.ended_at
    parts = [
        f"{moment(run.verified_at)}{', before the run ended' if early else ''}",
        _differences(run.verified),
    ]
    return ": ".join(parts)


def _history(run: Run) -> str | None:
    """That events and attempts are gone, and since when."""
    if run.compacted_at is None:
        return None
    return f"events and attempts were removed by a compaction, {moment(run.compacted_at)}"


def _differences(found: VerifySummary) -> str:
    kinds = ", ".join(f"{count} {fault}" for fault, count in found.differences)
    many = "1 difference" if found.total == 1 else f"{found.total} differences"
    texts = [f"{many} ({kinds})" if found.total else "no difference between cloud and store"]
    if found.leftovers:
        texts.append(f"backups in error: {found.leftovers}")
    if found.pruned:
        texts.append(f"backups deleted on purpose: {found.pruned}")
    return "; ".join(texts)
