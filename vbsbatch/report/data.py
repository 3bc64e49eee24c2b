"""The values of a report, and the figures that every format shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import Literal, TypeAlias

from vbsbatch.model import (
    ENDED_STATES,
    OPEN_STATES,
    BlockingRun,
    Job,
    JobState,
    Operation,
    Pin,
    Rate,
    Run,
    RunState,
)
from vbsbatch.report.sizes import LEAST, Sizes, SizeSum, sizes_after
from vbsbatch.report.text import clean

Meaning: TypeAlias = Callable[[str | None, int | None], str | None]
"""(code, status) -> what it means, or None when neither is documented."""

Kind: TypeAlias = Literal["full", "incremental"]
"""What a create asked for."""

CodeCount: TypeAlias = tuple[int | None, str | None, int]
"""(HTTP status, code of the service, how often)."""

REQUESTS = {
    Operation.BACKUP: "creates",
    Operation.RESTORE: "restores",
    Operation.PRUNE: "deletions",
}
"""What the requests of a run are called."""

_SAFE_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_COMMANDS = 3


def _no_jobs(*, states: Iterable[JobState] = ()) -> Iterator[Job]:
    return iter(())


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportData:
    """One run as the store's queries return it.

    `jobs()` reads all of them again, in plan order; `jobs(states=...)` only those in these states.
    """

    run: Run
    counts: Mapping[JobState, int]
    meaning: Meaning
    now: float
    """Epoch seconds; the end of the duration of a run that has not ended."""
    failures: Sequence[CodeCount] = ()
    """Failed jobs by the status and code they failed with."""
    answers: Sequence[CodeCount] = ()
    """Answers to creates by status and code, of jobs that succeeded later too: unknown codes."""
    jobs: Callable[..., Iterator[Job]] = _no_jobs
    attempts: int = 0
    """Create requests of all jobs together."""
    retrying: int = 0
    """How many of the waiting jobs have been tried before."""
    live: bool | None = False
    """Whether an engine drives the run at this moment; None where that is not known."""
    service: str | None = None
    """How output names the service that made the backups; None for the usual one."""
    db_option: str = ""
    """The option by which a command about this run finds its store, with a blank before it."""
    holders: Sequence[BlockingRun] = ()
    """Other runs of the store that hold volumes which wait in this one."""
    temporary: bool = False
    """The run's cloud and store are removed when this command ends: there is no next command."""
    waves: Mapping[int, Mapping[JobState, int]] = field(default_factory=dict)
    """Jobs by the index of their wave, and by state; of a run with waves."""
    sizes: Mapping[JobState, SizeSum] = field(default_factory=dict)
    """How large the volumes of the jobs in each state are."""
    pins: Sequence[Pin] = ()
    """Those of the run that hold."""

    @property
    def total(self) -> int:
        """Jobs of the run."""
        return sum(self.counts.values())

    def count(self, state: JobState) -> int:
        """Jobs in `state`."""
        return self.counts.get(state, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """How many jobs failed with one (status, code), and its meaning; None if not documented."""

    http_status: int | None
    code: str | None
    count: int
    meaning: str | None


def percent(counts: Mapping[JobState, int]) -> float:
    """Percent of jobs that have ended, to one decimal; 100.0 only for a complete run."""
    total, done = sum(counts.values()), ended(counts)
    if not total or done == total:
        return 100.0 if total else 0.0
    return min(99.9, round(done * 100 / total, 1))


def ended(counts: Mapping[JobState, int]) -> int:
    """Jobs in a terminal state."""
    return sum(counts.get(state, 0) for state in ENDED_STATES)


def active(counts: Mapping[JobState, int]) -> int:
    """Jobs the cloud may be working on."""
    return sum(counts.get(state, 0) for state in OPEN_STATES)


def calls_per_succeeded(run: Run, counts: Mapping[JobState, int]) -> float | None:
    """API calls per completed backup, three decimals; None before the first."""
    done = counts.get(JobState.SUCCEEDED, 0)
    return round((run.create_calls + run.read_calls) / done, 3) if done else None


def duration(data: ReportData) -> float | None:
    """Seconds from the run's start to its end or last sign of life; None before the start."""
    run = data.run
    if run.started_at is None:
        return None
    gone = run.heartbeat_at if run.state is RunState.STOPPED or not data.live else None
    until = next(float(at) for at in (run.ended_at, gone, data.now) if at is not None)
    return max(0.0, until - float(run.started_at))


def sizes(data: ReportData) -> Sizes:
    """GB done and of all, and GB per hour since the run's start."""
    return sizes_after(data.sizes, duration(data))


def average_rate(data: ReportData) -> float | None:
    """Creates a second since the run's start; None in its first minute."""
    took = duration(data)
    return data.attempts / took if took is not None and took >= LEAST else None


def rate_limit(run: Run) -> Rate:
    """The rate at which the run may send creates: the operator's, or else the plan's."""
    return run.rate or run.settings.limits.rate


def is_at_work(data: ReportData) -> bool:
    """Whether an engine drives the run, so that its forecasts hold."""
    return bool(data.live) and data.run.state in (RunState.RUNNING, RunState.PAUSED)


def kind(job: Job) -> Kind | None:
    """Whether a full backup or an increment was asked for.

    None where the cloud decides, where no backup is made, and for an increment that may have become
    a full backup because there was none to build on (`full_if_no_parent`).
    """
    settings = job.settings
    if settings.source_backup_id is not None or settings.full is None:
        return None
    if settings.full:
        return "full"
    return None if settings.full_if_no_parent and job.attempts > 1 else "incremental"


def took(job: Job) -> float | None:
    """Seconds from the job's first create to its end; None before, or if nothing was sent."""
    if job.first_sent_at is None or job.ended_at is None:
        return None
    return max(0.0, job.ended_at - job.first_sent_at)


def failures(data: ReportData) -> list[Failure]:
    """The run's failures with their meanings, most frequent first."""
    rows = sorted(data.failures, key=lambda row: (-row[2], row[0] or 0, row[1] or ""))
    return [_with_meaning(data.meaning, row) for row in rows]


def unknown_codes(data: ReportData) -> list[Failure]:
    """Every status and code of an answer that no table knows, with its count."""
    seen = {(status, code): count for status, code, count in data.failures}
    seen |= {(status, code): count for status, code, count in data.answers}
    rows = [_with_meaning(data.meaning, (*key, count)) for key, count in seen.items()]
    strange = [row for row in rows if row.meaning is None and not _is_plain_success(row)]
    return sorted(strange, key=lambda row: (-row.count, row.http_status or 0, row.code or ""))


def _is_plain_success(row: Failure) -> bool:
    return row.code is None and row.http_status is not None and 200 <= row.http_status < 300


def _with_meaning(meaning: Meaning, row: CodeCount) -> Failure:
    status, code, count = row
    return Failure(http_status=status, code=code, count=count, meaning=meaning(code, status))


def next_commands(data: ReportData) -> list[str]:
    """What to type next, most useful first; nothing while a live run needs no help.

    It includes commands that free volumes which other runs hold."""
    return [] if data.temporary else [command + data.db_option for command in _next(data)]


def _next(data: ReportData) -> list[str]:
    run, run_id = data.run, quote(data.run.id)
    if run.state is RunState.ENDED:
        return _retries(data) or [f"vbsbatch verify {run_id}"]
    if run.state is RunState.STOPPED or data.live is False:
        return [f"vbsbatch resume {run_id}", *_about_holders(data)]
    if run.state is not RunState.PAUSED:
        return _about_holders(data)
    at_a_gate = run.reason is not None and run.settings.waves and data.count(JobState.FAILED)
    retry = [f"vbsbatch retry {run_id} --all-failed"] if at_a_gate else []
    return [*retry, f"vbsbatch unpause {run_id}", *_about_holders(data)]


def _about_holders(data: ReportData) -> list[str]:
    """Commands that free the volumes which runs without an engine hold."""
    idle = [f"vbsbatch resume {quote(each.run_id)}" for each in data.holders if not each.driven]
    return [*idle[:_MOST_COMMANDS], f"vbsbatch take-over {quote(data.run.id)}"] if idle else []


def _retries(data: ReportData) -> list[str]:
    """One `retry` for each of the most frequent failures, the one for all failures last.

    A code is untrusted text: only one that no shell can misread is put into a command.
    """
    options = []
    for row in failures(data):
        code = clean(row.code or "")
        if _SAFE_CODE.fullmatch(code):
            options.append(f"--code {quote(code)}")
        elif row.http_status is not None:
            options.append(f"--status {row.http_status}")
        else:
            options.append("--all-failed")
    narrow_first = sorted(dict.fromkeys(options), key="--all-failed".__eq__)
    return [f"vbsbatch retry {quote(data.run.id)} {option}" for option in narrow_first][
        :_MOST_COMMANDS
    ]


def standing(data: ReportData) -> str:
    """The run in one word: LIVE, PAUSED, DONE, PART, STOP, STALE, LIVE?.

    PART ended with jobs that have no backup. STALE has not ended, and its engine is gone. LIVE? has
    not ended, and whether its engine is gone is not known.
    """
    state = data.run.state
    if state is RunState.ENDED:
        lost = data.count(JobState.FAILED) + data.count(JobState.CANCELLED)
        return "PART" if lost else "DONE"
    if state is RunState.STOPPED:
        return "STOP"
    if data.live is None:
        return "LIVE?"
    if not data.live:
        return "STALE"
    return "PAUSED" if state is RunState.PAUSED else "LIVE"


def mark(job: Job) -> str:
    """A job's state as glyph and word, ASCII."""
    if job.state is JobState.WAITING and job.attempts:
        return "~ RETRY"
    return _MARKS[job.state]


_MARKS: Mapping[JobState, str] = {
    JobState.WAITING: ". wait",
    JobState.SUBMITTING: "> SEND",
    JobState.UNKNOWN: "? UNKNOWN",
    JobState.RUNNING: "> RUN",
    JobState.SUCCEEDED: "+ ok",
    JobState.FAILED: "x FAIL",
    JobState.CANCELLED: "- cancel",
    JobState.SKIPPED: "- skip",
}
