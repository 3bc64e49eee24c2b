"""What a report is made of, and the figures that every format shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import Any, TypeAlias

from vbsbatch.model import (
    AT_ONCE,
    ENDED_STATES,
    OPEN_STATES,
    BlockingRun,
    Job,
    JobState,
    Operation,
    Run,
    RunState,
    as_wall,
    holders,
)
from vbsbatch.report.text import clean, cleaned, moment, span, time_or_none, utc

SCHEMA = 1
"""The version of every JSON document; it changes when a reader of the old one would break."""

Meaning: TypeAlias = Callable[[str | None, int | None], str | None]
"""(code, status) -> what it means, or None when neither is documented."""

CodeCount: TypeAlias = tuple[int | None, str | None, int]
"""(HTTP status, code of the service, how often)."""

_SAFE_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_COMMANDS = 3
_NO_TELLING = "it cannot be told whether one drives the run: the locks of the store cannot be asked"


def _no_jobs(*, states: Iterable[JobState] = ()) -> Iterator[Job]:
    return iter(())


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportData:
    """One run as the store's queries tell it.

    `jobs()` gives all of them anew, in plan order; `jobs(states=...)` only those in these states.
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
    """An engine drives the run at this moment; None where that cannot be told."""
    service: str | None = None
    """How output names the service that made the backups; None for the usual one."""
    db_option: str = ""
    """What a command about this run must say to find its store, with a blank before it."""
    holders: Sequence[BlockingRun] = ()
    """Other runs of the store that hold volumes which wait in this one."""
    temporary: bool = False
    """The run's cloud and store go when this command has ended: there is nothing to type next."""
    waves: Mapping[int, Mapping[JobState, int]] = field(default_factory=dict)
    """Jobs by the index of their wave, and by state; of a run with waves."""

    @property
    def total(self) -> int:
        """Jobs of the run."""
        return sum(self.counts.values())

    def count(self, state: JobState) -> int:
        """Jobs in `state`."""
        return self.counts.get(state, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """How many jobs failed with one (status, code), and what that means; None: never documented."""

    http_status: int | None
    code: str | None
    count: int
    meaning: str | None


def percent(counts: Mapping[JobState, int]) -> float:
    """Ended jobs of all jobs, to one decimal; 100.0 is said of a complete run only."""
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


def failures(data: ReportData) -> list[Failure]:
    """The run's failures with their meanings, most frequent first."""
    rows = sorted(data.failures, key=lambda row: (-row[2], row[0] or 0, row[1] or ""))
    return [_with_meaning(data.meaning, row) for row in rows]


def unknown_codes(data: ReportData) -> list[Failure]:
    """Every status and code the cloud answered with that no table of ours knows, with its count."""
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
    """What to type next, most useful first; nothing while a live run goes its way.

    What frees volumes that other runs hold is among it."""
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
    """What frees the volumes that runs without an engine hold."""
    idle = [f"vbsbatch resume {quote(each.run_id)}" for each in data.holders if not each.driven]
    return [*idle[:_MOST_COMMANDS], f"vbsbatch take-over {quote(data.run.id)}"] if idle else []


def _retries(data: ReportData) -> list[str]:
    """One `retry` for each of the most frequent failures, the one that takes all of them last.

    A code is a stranger's text: only one that no shell can misread is put into a command.
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

    PART ended with jobs that have no backup; STALE was never ended by its engine, which is gone.
    LIVE? was not ended either, and whether its engine is gone cannot be told.
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


def listed(data: ReportData, *, all_jobs: bool) -> tuple[str, Iterator[Job]] | None:
    """The jobs that a report for people lists, under which title: those without a new backup that
    somebody may look for, or all; None when there is nothing to list."""
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
        ("> active", active(data.counts) - data.count(JobState.UNKNOWN)),
        ("? unknown", data.count(JobState.UNKNOWN)),
        ("+ ok", data.count(JobState.SUCCEEDED)),
        ("x FAIL", data.count(JobState.FAILED)),
        ("- cancelled", data.count(JobState.CANCELLED)),
        ("- skipped", data.count(JobState.SKIPPED)),
    ]


def facts(data: ReportData) -> list[tuple[str, str]]:
    """What a person wants to know of the run first, as (label, uncleaned text)."""
    run = data.run
    took = duration(data)
    waits = (
        data.live is not False or run.state is not RunState.RUNNING
    )  # an engine that is gone does not
    optional = [
        ("cloud", run.cloud),
        ("region", run.region),
        ("project", run.place.project),
        ("endpoint", run.endpoint),
        ("service", data.service),
        ("reason", run.reason if waits else None),
        ("held", holders.who_holds(data.holders) if data.holders else None),
        ("started", None if run.started_at is None else moment(run.started_at)),
        ("ended", None if run.ended_at is None else moment(run.ended_at)),
        ("took", None if took is None else span(took)),
        ("window", None if run.settings.window is None else str(run.settings.window)),
        ("waves", _waves(data)),
        ("engine", _NO_TELLING if standing(data) == "LIVE?" else None),
    ]
    return [
        ("plan", run.plan),
        *_work(run),
        ("state", f"{run.state} ({standing(data)})"),
        *((label, text) for label, text in optional if text is not None),
        ("done", f"{percent(data.counts)}%, {ended(data.counts)} of {data.total}"),
        ("attempts", str(data.attempts)),
        *_adopted(run),
        ("API calls", calls(run, data.counts)),
    ]


def _adopted(run: Run) -> list[tuple[str, str]]:
    """What an engine found that the store did not know of: the store is an old copy, or was made
    anew."""
    many = "1 backup" if run.adopted == 1 else f"{run.adopted} backups"
    return [("taken over", f"{many} that the store did not know of")] if run.adopted else []


def _work(run: Run) -> list[tuple[str, str]]:
    """What a run does that makes no backups."""
    settings = run.settings
    verb = _VERBS.get(settings.operation)
    return [] if verb is None else [("work", f"{verb} the backups of run {settings.source_run}")]


_VERBS = {Operation.RESTORE: "restores", Operation.PRUNE: "deletes"}

_DONE = {
    Operation.BACKUP: "completed backup",
    Operation.RESTORE: "restored volume",
    Operation.PRUNE: "deleted backup",
}
"""What one job that succeeded has done."""


def wave_values(data: ReportData) -> list[dict[str, Any]]:
    """How far each wave is, as JSON has it; `open` until now are those that may be sent."""
    return [
        {
            "name": clean(wave.name),
            "jobs": sum(data.waves.get(index, {}).values()),
            "ended": ended(data.waves.get(index, {})),
            "failed": data.waves.get(index, {}).get(JobState.FAILED, 0),
            "max_failures": wave.max_failures,
            "open": index <= data.run.wave,
        }
        for index, wave in enumerate(data.run.settings.waves)
    ]


def _waves(data: ReportData) -> str | None:
    """The same in words; waves that have something left and may not start yet say so."""
    told = []
    for wave in wave_values(data):
        failed = f" ({wave['failed']} failed)" if wave["failed"] else ""
        waits = "" if wave["open"] or wave["ended"] == wave["jobs"] else " waits"
        told.append(f"{wave['name']} {wave['ended']}/{wave['jobs']}{failed}{waits}")
    return ", ".join(told) or None


def calls(run: Run, counts: Mapping[JobState, int]) -> str:
    """What the run has called so far, in words, with the calls per job that succeeded."""
    each, done = calls_per_succeeded(run, counts), _DONE[run.settings.operation]
    per_backup = f"no {done} yet" if each is None else f"{each:.2f} per {done}"
    total = run.create_calls + run.read_calls
    return f"{total} ({run.create_calls} creates, {run.read_calls} reads), {per_backup}"


def counts_values(counts: Mapping[JobState, int]) -> dict[str, int]:
    """Jobs by state as JSON has them: every state, in the order of a job's life."""
    return {state.value: counts.get(state, 0) for state in JobState}


def calls_values(run: Run, counts: Mapping[JobState, int]) -> dict[str, int | float | None]:
    """API calls as JSON has them."""
    return {
        "create": run.create_calls,
        "read": run.read_calls,
        "per_succeeded": calls_per_succeeded(run, counts),
    }


def job_values(job: Job) -> dict[str, str | int | None]:
    """A job's fields as JSON and CSV name them: texts cleaned, times in ISO 8601 UTC."""
    is_due = job.state is JobState.WAITING and job.due_at > AT_ONCE
    return {
        "volume_id": clean(job.volume_id),
        "name": clean(job.volume_name),
        "backup_name": clean(job.backup_name),
        "state": job.state.value,
        "attempts": job.attempts,
        "http_status": job.http_status,
        "code": cleaned(job.code),
        "message": cleaned(job.message),
        "cloud_job_id": cleaned(job.cloud_job_id),
        "backup_id": cleaned(job.backup_id),
        "first_sent_at": time_or_none(job.first_sent_at),
        "ended_at": time_or_none(job.ended_at),
        "due_at": utc(as_wall(job.due_at)) if is_due else None,
        "priority": job.priority,
        "group": cleaned(job.group),
        "progress": job.progress if job.state is JobState.RUNNING else None,
    }


JOB_FIELDS = tuple(job_values(Job(no=0, volume_id="", volume_name="", backup_name="")))
"""The keys of `job_values`, in the order of the columns."""
