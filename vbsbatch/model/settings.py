"""What a run is frozen with: limits, retries, waves, windows, and what a backup is made with.

All durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vbsbatch.model.states import Verdict


class Operation(StrEnum):
    """What a run does to each of its volumes; the word create stands for its request in each."""

    BACKUP = "backup"  # makes a backup of the volume
    RESTORE = "restore"  # overwrites the volume with a backup that an earlier run made
    PRUNE = "prune"  # deletes the backup that an earlier run made of the volume


class Service(StrEnum):
    """Which backup service of a cloud makes the backups: the words of plans and stores.

    What each of them is like is in its class: see `vbsbatch/cloud/services`.
    """

    VBS = "vbs"
    CINDER = "cinder"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceFacts:
    """What rooms without a network need to know about one backup service."""

    service: Service
    label: str
    """What people call it."""
    usual: bool = False
    """Output that names no service means this one."""
    settle: float
    """Seconds that an unanswered create may stay invisible, where the plan does not say."""
    backups_most: int | None = None
    """Backups that it keeps of one volume; the next create is refused. None: no such limit."""
    refuses_in_use: bool = False
    """It refuses to back up a volume that is in use, unless the create says `force`."""
    needs_parent: bool = False
    """It refuses an incremental backup of a volume that has no backup to build on."""

    @property
    def mention(self) -> str | None:
        """How output names the service; None where it is the usual one."""
        return None if self.usual else self.label


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


MOST_IN_FLIGHT = 100_000
"""The largest in-flight cap that a plan or an operator may ask for."""


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

    @property
    def capped(self) -> bool:
        """Whether any group or zone has a cap of its own."""
        return self.per_group is not None or bool(self.per_az)


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
    """How long an unanswered create may stay invisible; `ServiceFacts.settle` is the usual one."""
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
