"""The settings frozen into a run: limits, retries, waves, windows, and the options of a backup.

All durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vbsbatch.model.retention import Retention
from vbsbatch.model.states import Verdict


class Operation(StrEnum):
    """What a run does to each of its volumes; the word create means its request in each case."""

    BACKUP = "backup"  # makes a backup of the volume
    RESTORE = "restore"  # overwrites the volume with a backup that an earlier run made
    PRUNE = "prune"  # deletes the backup that an earlier run made of the volume


class Service(StrEnum):
    """Which backup service of a cloud makes the backups: the words of plans and stores.

    The properties of each are in its class: see `vbsbatch/cloud/services`.
    """

    VBS = "vbs"
    CBR = "cbr"
    CINDER = "cinder"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceFacts:
    """What rooms without network access need to know about one backup service."""

    service: Service
    label: str
    """Its usual name."""
    usual: bool = False
    """The default service: output that names no service means this one."""
    settle: float
    """Seconds that an unanswered create may stay invisible, unless the plan says otherwise."""
    backups_most: int | None = None
    """How many backups it keeps of one volume; the next create is refused. None: no such limit."""
    refuses_in_use: bool = False
    """It refuses to back up a volume that is in use, unless the create says `force`."""
    needs_parent: bool = False
    """It refuses an incremental backup of a volume that has no backup to build on."""
    volumes_per_create: int = 1
    """How many volumes one create may back up. If several, their backups share a name, which holds
    the run's id, and each volume must be in a vault."""
    snapshots: bool = True
    """It can back up a snapshot of a volume."""
    restores_elsewhere: bool = True
    """It can restore a backup onto another volume than its own."""
    chains: bool = False
    """An incremental backup needs those that it builds on: they cannot be deleted before it."""

    @property
    def vaults(self) -> bool:
        """Whether a volume must be in a vault before it can be backed up."""
        return self.volumes_per_create > 1

    @property
    def mention(self) -> str | None:
        """How output names the service; None if it is the default."""
        return None if self.usual else self.label


class OnPreflight(StrEnum):
    """What happens to a run when the preflight finds volumes that would surely fail."""

    FAIL = "fail"  # nothing is started
    SKIP = "skip"  # they are skipped, the rest runs


class Polling(StrEnum):
    """How often the cloud's list is read, for the calls that it costs."""

    EAGER = "eager"  # shorter nights, up to twice the reads
    NORMAL = "normal"
    SPARING = "sparing"  # half the reads, longer nights


class Order(StrEnum):
    """Which volumes go first among those of equal wave, group and priority."""

    PLAN = "plan"  # as they stand in the plan
    LARGEST_FIRST = "largest_first"  # the largest; volumes of unknown size last


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """At most `count` creates in any window of `per` seconds."""

    count: float
    per: float = 1.0

    @property
    def per_second(self) -> float:
        """Creates per second."""
        return self.count / self.per

    def __str__(self) -> str:
        unit = {1.0: "s", 60.0: "min", 3600.0: "h"}.get(self.per, f"{self.per:g}s")
        return f"{self.count:g}/{unit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule of the verdict table; `None` matches anything, `code` may contain `*`."""

    verdict: Verdict
    status: int | None = None
    code: str | None = None


MOST_IN_FLIGHT = 100_000
"""The largest in-flight cap that a plan or an operator may ask for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much load a run may put on the cloud."""

    rate: Rate = Rate(count=5)
    in_flight: int = 50
    connections: int = 16
    per_checkpoint: int = 1
    """How many jobs with the same settings one create may start; more than 1 only on a service that
    makes several backups with one request."""
    per_group: int | None = None
    """Maximum of open jobs of any one group."""
    per_az: tuple[tuple[str, int], ...] = ()
    """Availability zones with the maximum of open jobs in each; `*` is each zone not listed."""

    @property
    def capped(self) -> bool:
        """Whether any group or zone has a cap of its own."""
        return self.per_group is not None or bool(self.per_az)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wave:
    """Jobs that start together; the next wave starts when they have ended well enough."""

    name: str
    max_failures: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Creates are sent from `opens` until just before `closes`, by the clocks of `timezone`.

    Both are minutes since midnight; `closes` is the smaller one if midnight lies in between.
    """

    opens: int
    closes: int
    timezone: str

    def __str__(self) -> str:
        times = "-".join(f"{m // 60:02d}:{m % 60:02d}" for m in (self.opens, self.closes))
        return f"{times} {self.timezone}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """When a job is retried, and for how long."""

    attempts: int = 6
    base: float = 2.0
    cap: float = 300.0
    later_every: float = 60.0
    later_for: float = 7200.0
    settle: float = 30.0
    """How long an unanswered create may stay invisible; `ServiceFacts.settle` is the default."""
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long one request may take, and one backup."""

    connect: float = 10.0
    read: float = 60.0
    backup: float = 86400.0
    """From its create on; after that its job fails, and the backup is left as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings frozen into a run, apart from its volumes."""

    limits: Limits = Limits()
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    deadline: float | None = None
    waves: tuple[Wave, ...] = ()
    window: Window | None = None
    delete_errored: bool = True
    names_unique: bool = True
    """False if another run may use the same backup names: then only the age of a backup shows which
    run made it."""
    service: Service = Service.VBS
    """The service chosen when the run began; VBS in runs from before there was a choice."""
    operation: Operation = Operation.BACKUP
    source_run: str | None = None
    """The run whose backups are restored or deleted."""
    polling: Polling = Polling.NORMAL
    retention: Retention | None = None
    """Which backups are kept when a run that makes backups has ended; None: all."""
    source_plan: str | None = None
    """The plan whose backups are deleted, of all its runs."""
    follows: str | None = None
    """The run whose plan asked for this deletion when the run had ended."""
    makes_room_for: str | None = None
    """The run that needs this deletion before it can make backups."""
    even_last: bool = False
    """Delete even the last good backup of a volume."""
    notify: tuple[str, ...] | None = None
    """The channels of the config file that are told of the run; None: those for any plan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupSettings:
    """What a create request says besides the volume and the name."""

    description: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    full: bool | None = None
    snapshot_id: str | None = None
    force: bool = True
    """Back up a volume that is in use; only Cinder requires this."""
    full_if_no_parent: bool = False
    """Make a full backup if an increment has nothing to build on; only Cinder requires a parent."""
    vault: str | None = None
    """The id of the vault that the volume is in, on a service that has vaults."""
    source_backup_id: str | None = None
    """The backup that the job restores or deletes, if it makes none."""
    keeper_id: str | None = None
    """A good backup of the same volume, without which this one is not deleted."""
