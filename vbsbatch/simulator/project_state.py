"""What a simulated project holds: volumes, backups, cloud jobs. Everything depends on the time.

Nothing here runs. When a backup is created its end and result are set, and its status is computed
for any moment. All times are epoch seconds of the true clock.
"""

from __future__ import annotations

import heapq
import math
import random
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice

from vbsbatch.model import CloudJobStatus

NEVER = math.inf


def new_id(rng: random.Random) -> str:
    """A random UUID with hyphens."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def read_id(text: object) -> str | None:
    """The canonical spelling of a UUID, with or without hyphens; None when it is none."""
    if not isinstance(text, str) or len(text) not in (32, 36):
        return None
    try:
        plain = str(uuid.UUID(text))
    except ValueError:
        return None
    return plain if text.lower() in (plain, plain.replace("-", "")) else None


@dataclass(slots=True, kw_only=True)
class SimVolume:
    """A disk."""

    id: str
    name: str
    size: int
    """GB."""
    status: str = "available"
    volume_type: str = "SSD"
    zone: str = "sim-1a"
    bootable: bool = False
    server_id: str | None = None
    """The server it is attached to."""
    server_name: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    restoring_since: float = NEVER
    restoring_until: float = -NEVER
    broken: bool = False
    """Its last restore failed, or will."""
    age: float = 0.0
    """Seconds between its creation and the start of the cloud."""


@dataclass(slots=True, kw_only=True, eq=False)
class SimBackup:
    """A backup, from its accepted create on."""

    id: str
    seq: int
    name: str | None
    volume: SimVolume
    created_at: float
    visible_at: float
    ends_at: float
    outcome: str
    """What it becomes at `ends_at`: `available`, `error`, or `absent` for one that never shows."""
    code: str | None = None
    """Why it ends in `error` or never shows."""
    fail_reason: str | None = None
    """What it says then; None for its code."""
    native: bool = False
    """Made by block storage's own create, without a cloud job."""
    description: str | None = None
    incremental: bool = False
    snapshot_id: str | None = None
    parent_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    job_id: str | None = None
    checkpoint_id: str | None = None
    vault_id: str | None = None
    """The vault it was made in, by a service that has vaults."""
    deleting_at: float = NEVER
    gone_at: float = NEVER
    restoring_since: float = NEVER
    restoring_until: float = -NEVER
    listed_late: float = 0.0
    """For so many seconds lists do not show that it has ended."""
    seeded: bool = False
    """There from the start: no create of the ledger made it."""
    rendered: tuple[object, bytes] = (None, b"")
    """Its entry in a list, and what that depends on: a cache for long lists."""

    def status(self, now: float) -> str | None:
        """The service's word for it; None when there is no such backup, or no more."""
        if now >= self.gone_at:
            return None
        if now >= self.deleting_at:
            return "deleting"
        if now < self.ends_at:
            return "creating"
        if self.outcome == "absent":
            return None
        return "restoring" if now < self.restoring_until else self.outcome

    def updated_at(self, now: float) -> float:
        """When its status last changed."""
        changed = (self.created_at, self.ends_at, self.restoring_since, self.restoring_until)
        return max(at for at in changed if at <= now)

    def seen(self, now: float) -> bool:
        """True when lists show it."""
        return now >= self.visible_at and self.status(now) is not None

    def listed_at(self, now: float) -> float:
        """The moment whose state a list shows."""
        late = self.ends_at <= now < self.ends_at + self.listed_late
        return math.nextafter(self.ends_at, self.created_at) if late else now

    def live(self, now: float) -> bool:
        """True for a backup that is or will be available: not failing and not deleted."""
        return self.outcome == "available" and now < self.deleting_at

    def progress(self, now: float) -> int:
        """Percent, in steps of ten while it is made."""
        if now >= self.ends_at:
            return 100
        return int(10 * (now - self.created_at) / (self.ends_at - self.created_at)) * 10


@dataclass(slots=True, kw_only=True, eq=False)
class SimVault:
    """A container of disks and their backups."""

    id: str
    name: str
    size: int
    """GB."""
    volumes: dict[str, SimVolume] = field(default_factory=dict)
    """The associated disks, by id."""


@dataclass(slots=True, kw_only=True, eq=False)
class SimJob:
    """The service's own asynchronous job."""

    id: str
    kind: str
    """`bksCreateBackup` or `bksRestoreBackup`; `backup`, `restore` or `delete` of CBR."""
    backup: SimBackup
    volume_id: str
    begins_at: float
    ends_at: float
    code: str | None = None
    """Why it fails; None when it succeeds."""
    shows_at: float = -NEVER
    """When lists of jobs begin to show it."""

    def status(self, now: float) -> CloudJobStatus:
        """In the service's words; it is in `INIT` for half a second at most."""
        if now >= self.ends_at:
            return CloudJobStatus.FAIL if self.code else CloudJobStatus.SUCCESS
        warming_up = min(0.5, (self.ends_at - self.begins_at) / 10)
        return CloudJobStatus.INIT if now < self.begins_at + warming_up else CloudJobStatus.RUNNING


class Project:
    """One project's volumes, backups and jobs."""

    def __init__(self, project_id: str, name: str, volumes: Iterable[SimVolume] = ()) -> None:
        self.id = project_id
        self.name = name
        self.volumes = {volume.id: volume for volume in volumes}
        self.backups: dict[str, SimBackup] = {}
        self.order: list[SimBackup] = []
        self.of_volume: dict[str, list[SimBackup]] = {}
        self.jobs: dict[str, SimJob] = {}
        self.vaults: dict[str, SimVault] | None = None
        """By id; None until a service that has vaults is first asked."""
        self._ending: list[tuple[float, int, SimBackup]] = []

    def add(self, backup: SimBackup) -> None:
        """Keep a backup; `seq` must be the length of `order`."""
        self.backups[backup.id] = backup
        self.order.append(backup)
        self.of_volume.setdefault(backup.volume.id, []).append(backup)
        if not backup.seeded:
            heapq.heappush(self._ending, (backup.ends_at, backup.seq, backup))

    def ended(self, now: float) -> Iterator[SimBackup]:
        """Every backup that ended since the last call, in order."""
        while self._ending and self._ending[0][0] <= now:
            yield heapq.heappop(self._ending)[2]

    def being_made(self, volume_id: str, now: float) -> SimBackup | None:
        """The backup that is being made of a volume; None when there is none."""
        for backup in reversed(self.of_volume.get(volume_id, ())):
            if now < backup.ends_at:
                return backup
        return None

    def kept(self, volume_id: str, now: float) -> list[SimBackup]:
        """All backups of a volume that count against its limit, visible or not."""
        of_volume = self.of_volume.get(volume_id, ())
        return [backup for backup in of_volume if backup.status(now) is not None]

    def parent(self, volume_id: str, now: float) -> SimBackup | None:
        """The newest available backup of a volume, on which an increment can build."""
        for backup in reversed(self.of_volume.get(volume_id, ())):
            if backup.status(now) == "available":
                return backup
        return None

    def used(self, now: float) -> tuple[int, int]:
        """How many backups count against the quota, and their gigabytes."""
        kept = [backup for backup in self.order if backup.status(now) is not None]
        return len(kept), sum(backup.volume.size for backup in kept)

    def volume_status(self, volume: SimVolume, now: float) -> str:
        """Block storage's word for a volume; only its own backups show in it."""
        busy = self.being_made(volume.id, now)
        if busy is not None and busy.native:
            return "backing-up"
        if now < volume.restoring_until:
            return "restoring-backup"
        return "error_restoring" if volume.broken else volume.status


_TRADES: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (
    ("db", (("root", 40), ("data", 500), ("log", 100))),
    ("web", (("root", 40),)),
    ("app", (("root", 40), ("data", 200))),
    ("file", (("root", 40), ("share1", 1000), ("share2", 2000))),
    ("mail", (("root", 40), ("spool", 300))),
    ("cache", (("root", 20), ("swap", 50))),
    ("build", (("root", 60), ("work", 250))),
)
"""Kind of a server and its disks with their usual size in GB."""


def sample_volumes(number: int, seed: int = 1) -> list[SimVolume]:
    """`number` volumes with names such as `db01-data`; the same seed gives the same volumes.

    Names are unique, about three in four are attached (`in-use`), sizes are in GB.
    """
    return list(islice(_volumes(random.Random(f"fleet {seed}")), number))


def _volumes(rng: random.Random) -> Iterator[SimVolume]:
    hosts = {trade: count(1) for trade, _ in _TRADES}
    while True:
        trade, disks = rng.choice(_TRADES)
        host = f"{trade}{next(hosts[trade]):02d}"
        server_id = new_id(rng) if rng.random() < 0.75 else None
        zone = rng.choice(("sim-1a", "sim-1b", "sim-1c"))
        for part, usual_size in disks:
            yield SimVolume(
                id=new_id(rng),
                name=f"{host}-{part}",
                size=rng.choice((usual_size, usual_size, usual_size * 2)),
                status="in-use" if server_id else "available",
                volume_type=rng.choice(("SSD", "SSD", "SAS", "SATA")),
                zone=zone,
                bootable=part == "root",
                server_id=server_id,
                server_name=host if server_id else None,
                metadata={"trade": trade},
                age=rng.uniform(1, 800) * 86400,
            )
