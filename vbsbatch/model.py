"""The words of vbsbatch as values: states, moves, jobs, attempts, verdicts.

A job's life::

               +------------------------- retry due --------------------------+
               v                                                              |
    waiting -> submitting -> running -> succeeded                             |
       |          |  |          |  `-> failed (cloud job failed for good)     |
       |          |  |          `----> waiting (cloud job failed, retry) -----+
       |          |  `-> waiting (refused, retry) / failed (refused for good)
       |          `----> unknown -> running (found) / waiting (proved absent) / failed
       `-> cancelled / skipped               failed, cancelled -> waiting (operator's retry)

All times are seconds since the Unix epoch (UTC) as ``float``; all durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """Where one volume's backup stands."""

    WAITING = "waiting"  # nothing is under way; may be sent from `due_at` on
    SUBMITTING = "submitting"  # the intent to send a create is durable; no answer is recorded yet
    UNKNOWN = "unknown"  # a create was sent and nothing proves that it was accepted or refused
    RUNNING = "running"  # the cloud accepted the create and works on it
    SUCCEEDED = "succeeded"  # the backup is available
    FAILED = "failed"  # ended without a backup; `code` and `message` say why
    CANCELLED = "cancelled"  # taken back by the operator before it was sent
    SKIPPED = "skipped"  # needs no backup; `message` says why


MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset(
        {JobState.SUBMITTING, JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED}
    ),
    JobState.SUBMITTING: frozenset(
        {JobState.RUNNING, JobState.WAITING, JobState.UNKNOWN, JobState.FAILED}
    ),
    JobState.UNKNOWN: frozenset({JobState.RUNNING, JobState.WAITING, JobState.FAILED}),
    JobState.RUNNING: frozenset(
        {JobState.SUCCEEDED, JobState.WAITING, JobState.UNKNOWN, JobState.FAILED}
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset({JobState.WAITING}),
    JobState.CANCELLED: frozenset({JobState.WAITING}),
    JobState.SKIPPED: frozenset(),
}
"""Every legal move of a job; `running -> unknown` is a cloud job that the cloud no longer knows."""

OPEN_STATES = frozenset({JobState.SUBMITTING, JobState.UNKNOWN, JobState.RUNNING})
"""States in which the cloud may be working on the volume: they count against the in-flight cap."""

ENDED_STATES = frozenset(
    {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED}
)
"""Terminal states: a run ends when every job is in one of them."""


class RunState(StrEnum):
    """Where a run stands, as its engine recorded it (a dead one leaves `running` behind)."""

    RUNNING = "running"  # an engine drives it, or did until it died
    PAUSED = "paused"  # an engine tracks what runs and sends no new create
    STOPPED = "stopped"  # stopped before its end; can be resumed; `reason` says why
    ENDED = "ended"  # every job is in a terminal state


class Operation(StrEnum):
    """What a run does to each of its volumes; the word create stands for its request in each."""

    BACKUP = "backup"  # makes a backup of the volume
    RESTORE = "restore"  # overwrites the volume with a backup that an earlier run made
    PRUNE = "prune"  # deletes the backup that an earlier run made of the volume


class Verdict(StrEnum):
    """What one answer to a create means for its job."""

    ACCEPTED = "accepted"  # the cloud works on it
    RETRY = "retry"  # refused now; a new create may succeed; costs an attempt
    LATER = "later"  # the volume is busy; come back on a time budget of its own
    UNKNOWN = "unknown"  # may have been accepted; look in the cloud before anything else
    REAUTH = "reauth"  # the token was refused; once with a fresh one, then stop
    THROTTLE = "throttle"  # too fast; slow everything down; costs no attempt
    FAIL = "fail"  # refused for good; the reason is the request or the volume itself
    STOP = "stop"  # the next volume would meet it too: stop the run, resumable


class CloudJobStatus(StrEnum):
    """The status of the service's own asynchronous job, in the service's words."""

    INIT = "INIT"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"


class Service(StrEnum):
    """Which backup service of a cloud makes the backups."""

    VBS = "vbs"  # the Volume Backup Service: a create answers with a cloud job
    CINDER = "cinder"  # plain OpenStack: a create answers with the backup itself


NO_PARENT = "Cinder.NoParent"
"""The code, ours, of an incremental create for a volume that has no backup to build on."""


class OnPreflight(StrEnum):
    """What becomes of a run when the look before it finds volumes that would surely fail."""

    FAIL = "fail"  # nothing is started
    SKIP = "skip"  # they are skipped, the rest runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """At most `count` creates in any window of `per` seconds."""

    count: float
    per: float = 1.0

    @property
    def per_second(self) -> float:
        """Creates a second."""
        return self.count / self.per

    def __str__(self) -> str:
        unit = {1.0: "s", 60.0: "min", 3600.0: "h"}.get(self.per, f"{self.per:g}s")
        return f"{self.count:g}/{unit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One line of the verdict table; `None` matches anything, `code` may hold `*`."""

    verdict: Verdict
    status: int | None = None
    code: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How hard a run may press the cloud."""

    rate: Rate = Rate(count=5)
    in_flight: int = 50
    connections: int = 16
    per_group: int | None = None
    """Open jobs of any one group at most."""
    per_az: tuple[tuple[str, int], ...] = ()
    """Availability zones with the open jobs each may have; `*` is each zone not named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wave:
    """Jobs that go together; the wave after them starts when they have ended well enough."""

    name: str
    max_failures: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Creates are sent while the clocks of `timezone` show `opens` or later, but not `closes`.

    Both are minutes since midnight; `closes` is the smaller one where midnight lies within.
    """

    opens: int
    closes: int
    timezone: str

    def __str__(self) -> str:
        times = "-".join(f"{m // 60:02d}:{m % 60:02d}" for m in (self.opens, self.closes))
        return f"{times} {self.timezone}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """When a job is tried again, and for how long."""

    attempts: int = 6
    base: float = 2.0
    cap: float = 300.0
    later_every: float = 60.0
    later_for: float = 7200.0
    settle: float = 30.0
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long one request may take."""

    connect: float = 10.0
    read: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a run was frozen with, apart from its volumes."""

    limits: Limits = Limits()
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    deadline: float | None = None
    waves: tuple[Wave, ...] = ()
    window: Window | None = None
    delete_errored: bool = True
    names_unique: bool = True
    """False when a backup name may be the same in another run: then only its age tells whose it
    is."""
    service: Service = Service.VBS
    """The service that was chosen when the run began; runs from before there was a choice used
    VBS."""
    operation: Operation = Operation.BACKUP
    source_run: str | None = None
    """The run whose backups are restored or deleted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupSettings:
    """What a create request says beside the volume and the name."""

    description: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    full: bool | None = None
    snapshot_id: str | None = None
    force: bool = True
    """Back up a volume that is in use; only Cinder asks."""
    full_if_no_parent: bool = False
    """Where an increment has nothing to build on, make a full backup instead; only Cinder asks."""
    source_backup_id: str | None = None
    """The backup that the job restores or deletes, where it makes none."""


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
    """`limiter`, `breaker`, `command`, `session`, `sweep`, `run`."""
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """What the cloud keeps, as one entry of its list; any field but the id may be missing."""

    id: str
    name: str | None = None
    volume_id: str | None = None
    status: str | None = None
    """The service's word, lower case: `creating`, `available`, `error`, ..."""
    created_at: float | None = None
    """By the server's clock."""
    updated_at: float | None = None
    size: int | None = None
    """GB."""
    fail_reason: str | None = None
    code: str | None = None
    """Why it is in `error`, where a code is known."""
    progress: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudJob:
    """The service's own job, as one query tells it."""

    id: str
    status: CloudJobStatus | None
    """None for a word that the service's reference does not list."""
    backup_id: str | None = None
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupPage:
    """One page of the cloud's list of backups."""

    backups: tuple[Backup, ...]
    next: str | None = None
    """An opaque address of the next page; None on the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudVolume:
    """A disk, as one entry of the cloud's list; any field but the id may be missing."""

    id: str
    name: str | None = None
    size: int | None = None
    """GB."""
    status: str | None = None
    """The service's word, lower case: `available`, `in-use`, `error`, ..."""
    volume_type: str | None = None
    zone: str | None = None
    server_ids: tuple[str, ...] = ()
    """The servers it is attached to."""
    metadata: tuple[tuple[str, str], ...] = ()
    created_at: float | None = None
    """By the server's clock."""
    updated_at: float | None = None
    """When anything of it changed last, its status too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumePage:
    """One page of the cloud's list of volumes."""

    volumes: tuple[CloudVolume, ...]
    next: str | None = None
    """An opaque address of the next page; None on the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudServer:
    """A virtual machine, as far as backups care."""

    id: str
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerPage:
    """One page of the cloud's list of servers."""

    servers: tuple[CloudServer, ...]
    next: str | None = None
    """An opaque address of the next page; None on the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """One limit of the project: `backups` in pieces or `backup_gigabytes` in GB."""

    kind: str
    used: int
    reserved: int = 0
    limit: int | None = None
    """None means without limit."""


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


class IllegalMoveError(ValueError):
    """A move that `MOVES` does not list: a fault of the program, never of the cloud."""


def check_move(came_from: JobState, to: JobState) -> None:
    """Raise `IllegalMoveError` unless a job in `came_from` may go to `to`."""
    if to not in MOVES[came_from]:
        raise IllegalMoveError(f"a job cannot go from {came_from} to {to}")


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
