"""A run, its jobs and their attempts, and what happens to them.

All times are seconds since the Unix epoch (UTC) as ``float``; all durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vbsbatch.model.settings import BackupSettings, Rate, Settings
from vbsbatch.model.states import JobState, RunState, Verdict

NO_PARENT = "Cinder.NoParent"
"""The code, ours, of an incremental create for a volume that has no backup to build on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One volume's backup in one run."""

    no: int
    volume_id: str
    volume_name: str
    backup_name: str
    settings: BackupSettings = field(default=BackupSettings(), repr=False)
    priority: int = 0
    group: str | None = None
    az: str | None = None
    wave: int = 0
    """Index into the run's `settings.waves`."""
    rank: int = 0
    """Lower goes first within the wave, before priority and place: keeps a group together."""

    state: JobState = JobState.WAITING
    attempts: int = 0
    """Create requests sent so far."""
    free: int = 0
    """How many of `attempts` cost nothing (throttled, refused by an outage, volume busy)."""
    due_at: float = 0.0
    """While waiting: not to be sent before this."""
    intent_at: float | None = None
    """When the newest intent to send became durable."""
    unknown_at: float | None = None
    """Since when nobody knows what the newest create did."""
    later_since: float | None = None
    """Since when the volume has been busy without a break."""
    first_sent_at: float | None = None
    ended_at: float | None = None
    http_status: int | None = None
    code: str | None = None
    message: str | None = None
    cloud_job_id: str | None = None
    backup_id: str | None = None
    errored_backup_id: str | None = None
    """What an earlier attempt left behind in `error`: never to be taken for a newer attempt's."""
    progress: int | None = None
    """Percent of the running backup, where the cloud tells it."""

    @property
    def charged(self) -> int:
        """Attempts that count against the plan's `retry.attempts`."""
        return self.attempts - self.free


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back for one create request, in the words of HTTP and of the service."""

    status: int | None = None
    """HTTP status, or None when no answer came."""
    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    """Seconds, already resolved from either form of `Retry-After`."""
    limit: Rate | None = None
    """The rate that a gateway's refusal names (`limit:N,time:1 second`)."""
    cloud_job_id: str | None = None
    backup_id: str | None = None
    readable: bool = True
    """False when a 2xx came whose body names neither a cloud job nor a backup."""
    json: bool = True
    """False when the body was no JSON object: a proxy's page, not the service."""
    passing: bool = False
    """What answered is not the service, at an address where the service answered lately: a gateway
    that reloads, say. Nothing was done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One create request of a job and what came back."""

    number: int
    sent_at: float
    took: float | None
    """Seconds until the answer; None when the engine died before one was recorded."""
    verdict: Verdict
    answer: Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class JobMoved:
    """A job went from one state to another."""

    job: Job
    came_from: JobState
    at: float
    attempt: Attempt | None = None
    """The create whose answer moved it, if one did."""
    note: str | None = None
    """Why, in words for a person, where the states alone do not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunNoted:
    """Something happened to the run as a whole: limiter, breaker, command, stop."""

    at: float
    kind: str
    """`limiter`, `breaker`, `command`, `session`, `sweep`, `run`; `preflight` before a run."""
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One execution of a plan."""

    id: str
    plan: str
    cloud: str | None
    project_id: str | None = None
    """The project it was started in: anywhere else nothing of it could be found again."""
    state: RunState
    settings: Settings
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    reason: str | None = None
    """Why it stopped, or what it waits for."""
    deadline_at: float | None = None
    """After this no new create is sent; set when the run starts and when it is retried."""
    rate: Rate | None = None
    """The rate an operator set since the plan was frozen."""
    in_flight: int | None = None
    wave: int = 0
    """The last wave that may be sent: the gates before it have opened."""
    pid: int | None = None
    host: str | None = None
    heartbeat_at: float | None = None
    create_calls: int = 0
    read_calls: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What an operator asked of a live engine."""

    id: int
    verb: str
    """`pause`, `unpause`, `stop`, `stop-now`, `cancel`, `retry`, `rate`, `in-flight`."""
    argument: Mapping[str, Any]
    asked_by: str
    asked_at: float


def renewed(job: Job) -> Mapping[str, Any]:
    """What changes, beside the state, on a job that an operator sends back to waiting.

    It is due at once, with all its attempts; why it failed stays to be seen until the next answer.
    What its last attempt left in the cloud must not be taken for the next one's backup.
    """
    return {
        "free": job.attempts,
        "due_at": 0.0,
        "unknown_at": None,
        "later_since": None,
        "ended_at": None,
        "cloud_job_id": None,
        "backup_id": None,
        "errored_backup_id": None
        if job.settings.source_backup_id  # what is restored from is nothing that was left behind
        else job.backup_id or job.errored_backup_id,
        "progress": None,
    }
