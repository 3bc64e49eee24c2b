"""A run, its jobs and their attempts, and the events of a run.

All durations are seconds; the type of a time says which clock it belongs to
(`vbsbatch/model/clocks.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vbsbatch.model.clocks import AT_ONCE, Cloud, Elapsed, Wall
from vbsbatch.model.settings import BackupSettings, Operation, Rate, Service, Settings
from vbsbatch.model.states import JobState, RunState, Verdict

NO_PARENT = "Cinder.NoParent"
"""Our code for an incremental create for a volume that has no backup to build on."""


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
    """Lower goes first within the wave, before priority and place; keeps a group together."""
    size: int | None = None
    """GB of the volume, from the plan, the preflight or the backup; None where nobody told it."""

    state: JobState = JobState.WAITING
    attempts: int = 0
    """Create requests sent so far."""
    uncharged: int = 0
    """How many of `attempts` cost nothing (throttled, refused during an outage, volume busy)."""
    due_at: Elapsed = AT_ONCE
    """While waiting: not sent before this."""
    intent_at: Elapsed | None = None
    """When the newest intent to send became durable, and after its answer, when it was sent; None
    again once an operator's retry has moved the job back to waiting."""
    intent_cloud_at: Cloud | None = None
    """The same by the cloud's clock; None if unknown."""
    unknown_at: Elapsed | None = None
    """Since when the result of the newest create has been unknown."""
    later_since: Elapsed | None = None
    """Since when the volume has been busy without interruption."""
    first_sent_at: Wall | None = None
    first_cloud_at: Cloud | None = None
    """When its first create was sent, by the cloud's clock; None if unknown."""
    ended_at: Wall | None = None
    http_status: int | None = None
    code: str | None = None
    message: str | None = None
    cloud_job_id: str | None = None
    backup_id: str | None = None
    errored_backup_id: str | None = None
    """What an earlier attempt left behind in `error`: must not be taken for a newer attempt's
    backup."""
    progress: int | None = None
    """Progress of the running backup in percent, if the cloud reports it."""

    @property
    def charged(self) -> int:
        """Attempts that count against the plan's `retry.attempts`."""
        return self.attempts - self.uncharged


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The answer to one create request, in the terms of HTTP and of the service."""

    status: int | None = None
    """HTTP status; None if no answer came."""
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
    """False for a 2xx whose body names neither a cloud job nor a backup."""
    json: bool = True
    """False if the body was no JSON object: a proxy's page, not the service."""
    skipped: bool = False
    """The request succeeded for other volumes and refuses this one, with a code."""
    passing: bool = False
    """The answer is not the service's, at an address where the service answered recently: for
    example from a gateway that reloads. Nothing was done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One create request of a job and its answer."""

    number: int
    sent_at: Wall
    took: float | None
    """Seconds until the answer; None if the engine died before recording one."""
    verdict: Verdict
    answer: Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class JobMoved:
    """A job moved from one state to another."""

    job: Job
    came_from: JobState
    at: Wall
    due_in: float | None = None
    """Seconds until a waiting job may be sent, as of now."""
    attempt: Attempt | None = None
    """The create whose answer moved it, if any."""
    note: str | None = None
    """Why, in words for people, if the states alone do not say it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunNoted:
    """Something happened to the run as a whole: limiter, breaker, command, stop."""

    at: Wall
    kind: str
    """`limiter`, `breaker`, `command`, `session`, `sweep`, `run`, `notify`; `preflight` before a
    run."""
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The target of a sign-in; unknown fields are None."""

    cloud: str | None = None
    """The entry of clouds.yaml; None for the `OS_*` variables."""
    region: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    endpoint: str | None = None
    """The address of the backup service."""

    def __str__(self) -> str:
        """`cloud lab, region R1, project proj (0123…), https://…`, uncleaned."""
        return ", ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        yield f"cloud {self.cloud}" if self.cloud else "the environment's cloud"
        yield f"region {self.region}" if self.region else "no region named"
        if self.project_id or self.project_name:
            yield f"project {self.project}"
        if self.endpoint:
            yield self.endpoint

    @property
    def project(self) -> str | None:
        """The project's name with its id, or whichever is known."""
        if self.project_name and self.project_id and self.project_name != self.project_id:
            return f"{self.project_name} ({self.project_id})"
        return self.project_name or self.project_id


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifySummary:
    """What `verify` found when it compared a run with the cloud."""

    differences: tuple[tuple[str, int], ...] = ()
    """Each kind of difference that was found, with the number of jobs that have it."""
    leftovers: int = 0
    """Backups in error that count against the limit of their volumes."""
    pruned: int = 0
    """Backups of the run that a prune deleted on purpose."""

    @property
    def total(self) -> int:
        """Differences of all kinds."""
        return sum(number for _, number in self.differences)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One execution of a plan."""

    id: str
    plan: str
    cloud: str | None
    project_id: str | None = None
    """The project it was started in: in any other project its backups cannot be found."""
    project_name: str | None = None
    region: str | None = None
    """The region it was started in; None if none was named, and in runs of older stores."""
    endpoint: str | None = None
    """The address of the backup service when the run was started."""
    state: RunState
    settings: Settings
    created_at: Wall
    created_cloud_at: Cloud | None = None
    """The same by the cloud's clock, minus its possible error: no backup of the run is older. None
    for runs from before this was stored."""
    started_at: Wall | None = None
    ended_at: Wall | None = None
    reason: str | None = None
    """Why it stopped, or what it waits for."""
    deadline_at: Wall | None = None
    """No create is sent after this; set when the run starts and when it is retried."""
    rate: Rate | None = None
    """The rate that an operator set after the plan was frozen."""
    in_flight: int | None = None
    wave: int = 0
    """The last wave that may be sent: the gates before it have opened."""
    pid: int | None = None
    host: str | None = None
    heartbeat_at: Wall | None = None
    next_look_at: Wall | None = None
    """When the engine means to read the cloud's list next; None while nothing is to be seen."""
    ends_at: Wall | None = None
    """When the engine expects the run to end; None while it has seen too few backups to tell."""
    rate_used: float | None = None
    """Creates a second that the engine sent in the minute before its heartbeat; None if unknown."""
    circuit_open: bool | None = None
    """Whether the engine waits for a service that is down, as of its heartbeat; None if unknown."""
    clock_step: float = 0.0
    """The seconds by which the machine's clock has been set since the current or last engine of the
    run began."""
    create_calls: int = 0
    read_calls: int = 0
    adopted: int = 0
    """Backups of this run that an engine found in the cloud and that the store did not know."""
    verified_at: Wall | None = None
    """When the run was last compared with the cloud; None: never."""
    verified: VerifySummary | None = None
    """What that found."""
    compacted_at: Wall | None = None
    """When its events and attempts were forgotten; None: they are there."""

    retained_at: Wall | None = None
    """When the rules of its plan were last applied after it ended; None: never."""

    def backs_up(
        self,
        plan: str,
        project_id: str | None = None,
        region: str | None = None,
        service: Service | None = None,
    ) -> bool:
        """Whether it makes the backups of this plan, there and with this service, as far as known.

        None is not compared.
        """
        return (
            self.plan == plan
            and self.settings.operation is Operation.BACKUP
            and service in (None, self.settings.service)
            and (None in (self.project_id, project_id) or self.project_id == project_id)
            and (None in (self.region, region) or self.region == region)
        )

    @property
    def place(self) -> Target:
        """Where it was started."""
        return Target(
            cloud=self.cloud,
            region=self.region,
            project_id=self.project_id,
            project_name=self.project_name,
            endpoint=self.endpoint,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanTotals:
    """What all backup runs of one plan did so far, those included that the store has forgotten."""

    plan: str | None
    """None for the restores and prunes of all plans together."""
    gigabytes: int = 0
    """GB of the volumes that were backed up, each time that it was done."""
    create_calls: int = 0
    read_calls: int = 0
    succeeded_at: Wall | None = None
    """When a run last ended with every volume backed up or skipped; None: never."""


WITHDRAWN = "withdrawn: whoever asked gave up, or the engine that was asked is gone"
"""The result of a command that no engine carried out or will carry out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Which process drives a run, as far as known; None means unknown."""

    pid: int | None = None
    host: str | None = None
    since: float | None = None
    visible: bool = False
    """Whether `pid` is a process visible from here: on this host and in this container."""
    doubt: str | None = None
    """Why it is unknown whether a process drives the run."""

    @property
    def live(self) -> bool | None:
        """Whether an engine drives the run; None if unknown."""
        return True if self.doubt is None else None

    @property
    def who(self) -> str:
        """The process in words, such as `process 4711 on host backup1, which cannot be seen from
        here`."""
        if self.visible:
            return f"process {self.pid}"
        if self.pid is None or self.host is None:
            return "a process that cannot be seen from here (of another host, container or user)"
        return f"process {self.pid} on host {self.host}, which cannot be seen from here"

    def refusal(self, run_id: str) -> str:
        """Why no other process may drive the run."""
        if self.doubt is not None:
            return f"it cannot be told whether an engine drives run {run_id}: {self.doubt}"
        return f"run {run_id} is driven by {self.who} already"


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A request of an operator to a live engine."""

    id: int
    verb: str
    """`pause`, `unpause`, `stop`, `stop-now`, `cancel`, `retry`, `rate`, `in-flight`."""
    argument: Mapping[str, Any]
    asked_by: str
    asked_at: Wall


def left_open(job: Job, now: Elapsed) -> Job:
    """Return an open job as a starting engine takes it over.

    The clock of the previous engine may have been ahead of this one's: nothing was sent later than
    now, and how long an answer had already been missing is unknown.
    """
    return replace(
        job,
        intent_at=None if job.intent_at is None else min(job.intent_at, now),
        unknown_at=None if job.unknown_at is None else now,
    )


def renewed(job: Job) -> Mapping[str, Any]:
    """Return the changes, besides the state, on a job that an operator sends back to waiting.

    It is due at once, with all its attempts. The reason for its failure stays visible until the
    next answer. What its last attempt left in the cloud must not be taken for the next attempt's
    backup.
    """
    return {
        "uncharged": job.attempts,
        "due_at": AT_ONCE,
        "intent_at": None,
        "unknown_at": None,
        "later_since": None,
        "ended_at": None,
        "cloud_job_id": None,
        "backup_id": None,
        "errored_backup_id": None
        if job.settings.source_backup_id  # the source of a restore is not a leftover
        else job.backup_id or job.errored_backup_id,
        "progress": None,
    }
