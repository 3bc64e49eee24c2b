"""The JSON documents as types, and the values of each; `schema` derives the JSON Schema from them.

`Annotated` adds keywords of JSON Schema as pairs. All texts are cleaned, all times ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, TypeAlias, TypedDict

from vbsbatch.model import (
    AT_ONCE,
    Job,
    JobState,
    MissedKind,
    MissedStart,
    Operation,
    Pin,
    Run,
    RunState,
    Service,
    as_wall,
)
from vbsbatch.report import data as figures
from vbsbatch.report.comparison import RunComparison
from vbsbatch.report.data import Failure, Kind, ReportData
from vbsbatch.report.pins import pin_of_job
from vbsbatch.report.sizes import Sizes
from vbsbatch.report.text import clean, cleaned, time_or_none, utc

SCHEMA: Final = 1
"""The version of every JSON document; it changes when a reader of the old one would break."""

Count: TypeAlias = Annotated[int, ("minimum", 0)]
Percent: TypeAlias = Annotated[float, ("minimum", 0), ("maximum", 100)]
WholePercent: TypeAlias = Annotated[int, ("minimum", 0), ("maximum", 100)]
NotNegative: TypeAlias = Annotated[float, ("minimum", 0)]
Time: TypeAlias = Annotated[str, ("pattern", r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$")]

Counts: TypeAlias = dict[JobState, Count]
"""Jobs by state: every state, in the order of a job's life."""


class JobDocument(TypedDict):
    """A job; the columns of CSV are the same."""

    volume_id: str
    name: str
    backup_name: str
    state: JobState
    attempts: Count
    http_status: int | None
    code: str | None
    message: str | None
    cloud_job_id: str | None
    backup_id: str | None
    first_sent_at: Time | None
    ended_at: Time | None
    due_at: Time | None
    priority: int
    group: str | None
    progress: WholePercent | None
    size_gb: Count | None
    kind: Kind | None
    took_seconds: NotNegative | None
    pinned: bool
    pinned_until: Time | None


class PinDocument(TypedDict):
    """A pin; `backup_id` is null for every backup of the run, `until` for one without an end."""

    backup_id: str | None
    until: Time | None
    pinned_at: Time
    pinned_by: str


class CallsDocument(TypedDict):
    """API calls of a run."""

    create: Count
    read: Count
    per_succeeded: NotNegative | None


class GigabytesDocument(TypedDict):
    """GB of the volumes of a run; `unsized_jobs` have no size and are not counted in."""

    done: Count | None
    total: Count | None
    unsized_jobs: Count
    per_hour: NotNegative | None


class DifferenceDocument(TypedDict):
    """How many jobs have one kind of difference."""

    fault: str
    count: Count


class VerifiedDocument(TypedDict):
    """What the last comparison of a run with the cloud found."""

    at: Time
    differences: list[DifferenceDocument]
    leftovers: Count
    pruned: Count


class WaveDocument(TypedDict):
    """How far a wave is; `open` says that its jobs may be sent."""

    name: str
    jobs: Count
    ended: Count
    failed: Count
    max_failures: Count
    open: bool


class CodeDocument(TypedDict):
    """How often one status and code came."""

    http_status: int | None
    code: str | None
    count: Count


class FailureDocument(CodeDocument):
    """How many jobs failed with one status and code."""

    meaning: str | None


class HolderDocument(TypedDict):
    """Another run that holds volumes of this one."""

    run: str
    state: RunState
    live: bool
    volumes: Count


class RunDocument(TypedDict):
    """A run without its jobs."""

    id: str
    plan: str
    operation: Operation
    source_run: str | None
    cloud: str | None
    region: str | None
    project_id: str | None
    project_name: str | None
    endpoint: str | None
    service: Service
    state: RunState
    live: bool | None
    reason: str | None
    counts: Counts
    percent: Percent
    attempts: Count
    adopted: Count
    started_at: Time | None
    ended_at: Time | None
    duration_seconds: NotNegative | None
    calls: CallsDocument
    waves: list[WaveDocument]
    unknown_codes: list[CodeDocument]
    gigabytes: GigabytesDocument
    rate_limit: str
    creates_per_second: NotNegative | None
    next_look_at: Time | None
    ends_at: Time | None
    verified: VerifiedDocument | None
    compacted_at: Time | None
    source_plan: str | None
    retention: str | None
    retained_at: Time | None
    pins: list[PinDocument]


class MissedStartDocument(TypedDict):
    """A start of a plan that made no run, or made it late."""

    plan: str
    at: Time
    kind: MissedKind
    run: str | None
    text: str | None


class StatusDocument(TypedDict):
    """A report without its jobs (`status --json`)."""

    schema: Literal[1]
    run: RunDocument
    failures: list[FailureDocument]
    held_by: list[HolderDocument]
    next: list[str]


class ReportDocument(StatusDocument):
    """A whole report."""

    jobs: list[JobDocument]


class JobsDocument(TypedDict):
    """Some jobs of one run (`jobs --json`)."""

    schema: Literal[1]
    run_id: str
    jobs: list[JobDocument]


class RunsDocument(TypedDict):
    """Every run (`runs --json`)."""

    schema: Literal[1]
    missed_starts: list[MissedStartDocument]
    runs: list[RunDocument]


class OutcomeDocument(TypedDict):
    """How the job of a volume ended in one of two runs."""

    state: JobState
    http_status: int | None
    code: str | None
    message: str | None


class ComparedVolumeDocument(TypedDict):
    """A volume in two runs; null for a run that does not have it."""

    volume_id: str
    name: str
    left: OutcomeDocument | None
    right: OutcomeDocument | None


class ComparisonDocument(TypedDict):
    """Two runs side by side (`compare --json`)."""

    schema: Literal[1]
    left: RunDocument
    right: RunDocument
    failed_in_both: list[ComparedVolumeDocument]
    failed_only_left: list[ComparedVolumeDocument]
    failed_only_right: list[ComparedVolumeDocument]
    only_left: list[ComparedVolumeDocument]
    only_right: list[ComparedVolumeDocument]


JOB_FIELDS = tuple(JobDocument.__annotations__)
"""The members of a job, in the order of the columns of CSV."""


def job_document(job: Job, pins: Sequence[Pin] = ()) -> JobDocument:
    """One job; `pins` are those of its run."""
    is_due = job.state is JobState.WAITING and job.due_at > AT_ONCE
    took, pin = figures.took(job), pin_of_job(pins, job)
    return {
        "volume_id": clean(job.volume_id),
        "name": clean(job.volume_name),
        "backup_name": clean(job.backup_name),
        "state": job.state,
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
        "size_gb": job.size,
        "kind": figures.kind(job),
        "took_seconds": None if took is None else round(took, 3),
        "pinned": pin is not None,
        "pinned_until": None if pin is None else time_or_none(pin.until),
    }


def pin_document(pin: Pin) -> PinDocument:
    """One pin."""
    return {
        "backup_id": cleaned(pin.backup_id),
        "until": time_or_none(pin.until),
        "pinned_at": utc(pin.pinned_at),
        "pinned_by": clean(pin.pinned_by),
    }


def counts_document(counts: Mapping[JobState, int]) -> Counts:
    """Jobs by state."""
    return {state: counts.get(state, 0) for state in JobState}


def calls_document(run: Run, counts: Mapping[JobState, int]) -> CallsDocument:
    """API calls of the run."""
    return {
        "create": run.create_calls,
        "read": run.read_calls,
        "per_succeeded": figures.calls_per_succeeded(run, counts),
    }


def gigabytes_document(sizes: Sizes) -> GigabytesDocument:
    """GB of a run; null where no size is known."""
    return {
        "done": None if sizes.total is None else sizes.done,
        "total": sizes.total,
        "unsized_jobs": sizes.unsized,
        "per_hour": None if sizes.per_hour is None else round(sizes.per_hour, 1),
    }


def _verified(run: Run) -> VerifiedDocument | None:
    if run.verified_at is None or run.verified is None:
        return None
    found = run.verified
    return {
        "at": utc(run.verified_at),
        "differences": [
            {"fault": clean(fault), "count": count} for fault, count in found.differences
        ],
        "leftovers": found.leftovers,
        "pruned": found.pruned,
    }


def wave_documents(data: ReportData) -> list[WaveDocument]:
    """The waves of the run in their order."""
    return [
        {
            "name": clean(wave.name),
            "jobs": sum(data.waves.get(index, {}).values()),
            "ended": figures.ended(data.waves.get(index, {})),
            "failed": data.waves.get(index, {}).get(JobState.FAILED, 0),
            "max_failures": wave.max_failures,
            "open": index <= data.run.wave,
        }
        for index, wave in enumerate(data.run.settings.waves)
    ]


def run_document(data: ReportData) -> RunDocument:
    """One run."""
    run = data.run
    took, average = figures.duration(data), figures.average_rate(data)
    at_work = figures.is_at_work(data)
    return {
        "id": clean(run.id),
        "plan": clean(run.plan),
        "operation": run.settings.operation,
        "source_run": cleaned(run.settings.source_run),
        "cloud": cleaned(run.cloud),
        "region": cleaned(run.region),
        "project_id": cleaned(run.project_id),
        "project_name": cleaned(run.project_name),
        "endpoint": cleaned(run.endpoint),
        "service": run.settings.service,
        "state": run.state,
        "live": data.live,
        "reason": cleaned(run.reason),
        "counts": counts_document(data.counts),
        "percent": figures.percent(data.counts),
        "attempts": data.attempts,
        "adopted": run.adopted,
        "started_at": time_or_none(run.started_at),
        "ended_at": time_or_none(run.ended_at),
        "duration_seconds": None if took is None else round(took, 3),
        "calls": calls_document(run, data.counts),
        "waves": wave_documents(data),
        "unknown_codes": [_code_document(row) for row in figures.unknown_codes(data)],
        "gigabytes": gigabytes_document(figures.sizes(data)),
        "rate_limit": str(figures.rate_limit(run)),
        "creates_per_second": None if average is None else round(average, 3),
        "next_look_at": time_or_none(run.next_look_at) if at_work else None,
        "ends_at": time_or_none(run.ends_at) if at_work else None,
        "verified": _verified(run),
        "compacted_at": time_or_none(run.compacted_at),
        "source_plan": cleaned(run.settings.source_plan),
        "retention": None if run.settings.retention is None else str(run.settings.retention),
        "retained_at": time_or_none(run.retained_at),
        "pins": [pin_document(pin) for pin in data.pins],
    }


def missed_start_document(missed: MissedStart) -> MissedStartDocument:
    """One start of a plan that made no run, or made it late."""
    return {
        "plan": clean(missed.plan),
        "at": utc(missed.at),
        "kind": missed.kind,
        "run": cleaned(missed.run_id),
        "text": cleaned(missed.text),
    }


def comparison_document(found: RunComparison) -> ComparisonDocument:
    """Two runs, and the volumes that differ."""
    return {
        "schema": SCHEMA,
        "left": run_document(found.left),
        "right": run_document(found.right),
        "failed_in_both": [_compared(*pair) for pair in found.failed_in_both],
        "failed_only_left": [_compared(job, None) for job in found.failed_only_left],
        "failed_only_right": [_compared(None, job) for job in found.failed_only_right],
        "only_left": [_compared(job, None) for job in found.only_left],
        "only_right": [_compared(None, job) for job in found.only_right],
    }


def _compared(left: Job | None, right: Job | None) -> ComparedVolumeDocument:
    job = left or right
    assert job is not None, "a volume is in one run at least"
    return {
        "volume_id": clean(job.volume_id),
        "name": clean(job.volume_name),
        "left": None if left is None else _outcome(left),
        "right": None if right is None else _outcome(right),
    }


def _outcome(job: Job) -> OutcomeDocument:
    return {
        "state": job.state,
        "http_status": job.http_status,
        "code": cleaned(job.code),
        "message": cleaned(job.message),
    }


def status_document(data: ReportData) -> StatusDocument:
    """One run with its failures and what to do next."""
    return {
        "schema": SCHEMA,
        "run": run_document(data),
        "failures": [
            {**_code_document(row), "meaning": cleaned(row.meaning)}
            for row in figures.failures(data)
        ],
        "held_by": [
            {
                "run": clean(holder.run_id),
                "state": holder.state,
                "live": holder.driven,
                "volumes": holder.volumes,
            }
            for holder in data.holders
        ],
        "next": figures.next_commands(data),
    }


def _code_document(row: Failure) -> CodeDocument:
    return {"http_status": row.http_status, "code": cleaned(row.code), "count": row.count}
