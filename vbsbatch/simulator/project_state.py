"""What a simulated project holds: volumes, backups, cloud jobs. Everything follows from the time.

Nothing here runs: a backup knows from its birth when it ends and how, and tells its status for any
moment it is asked about. All times are epoch seconds of the true clock.
"""

from __future__ import annotations

import heapq
import math
import random
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vbsbatch.model import CloudJobStatus

NEVER = math.inf

BACKUPS_PER_VOLUME = 20
"""The service keeps at most this many backups of one disk."""


def new_id(rng: random.Random) -> str:
    """A random UUID with hyphens."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def read_id(text: object) -> str | None:
    """A UUID with or without hyphens in its one spelling, or None when it is none."""
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
    """A backup from its accepted create on."""

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
    native: bool = False
    """Made by block storage's own create, without a cloud job."""
    description: str | None = None
    incremental: bool = False
    snapshot_id: str | None = None
    parent_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    job_id: str | None = None
    deleting_at: float = NEVER
    gone_at: float = NEVER
    restoring_since: float = NEVER
    restoring_until: float = -NEVER
    seeded: bool = False
    """There from the start: no create of the ledger made it."""
    rendered: tuple[object, bytes] = (None, b"")
    """Its entry in a list, and what that depends on: lists of a thousand are mostly prepared."""

    def status(self, now: float) -> str | None:
        """The service's word for it, None when there is no such backup (any more)."""
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

    def live(self, now: float) -> bool:
        """True for a backup that is or will be good: neither failed, nor deleted, nor doomed."""
        return self.outcome == "available" and now < self.deleting_at

    def progress(self, now: float) -> int:
        """Percent, in steps of ten while it is made."""
        if now >= self.ends_at:
            return 100
        return int(10 * (now - self.created_at) / (self.ends_at - self.created_at)) * 10


@dataclass(slots=True, kw_only=True, eq=False)
class SimJob:
    """The service's own asynchronous job."""

    id: str
    kind: str
    """`bksCreateBackup` or `bksRestoreBackup`."""
    backup: SimBackup
    volume_id: str
    begins_at: float
    ends_at: float
    code: str | None = None
    """Why it fails; None when it succeeds."""

    def status(self, now: float) -> CloudJobStatus:
        """In the service's words; it stays in `INIT` for half a second at most."""
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
        self._ending: list[tuple[float, int, SimBackup]] = []

    def add(self, backup: SimBackup) -> None:
        """Keep a backup; `seq` must be the length of `order`."""
        self.backups[backup.id] = backup
        self.order.append(backup)
        self.of_volume.setdefault(backup.volume.id, []).append(backup)
        if not backup.seeded:
            heapq.heappush(self._ending, (backup.ends_at, backup.seq, backup))

    def ended(self, now: float) -> Iterator[SimBackup]:
        """Every backup whose making came to an end since the last time this was asked, in order."""
        while self._ending and self._ending[0][0] <= now:
            yield heapq.heappop(self._ending)[2]

    def being_made(self, volume_id: str, now: float) -> SimBackup | None:
        """The backup that is in the making for a volume, None when it is free."""
        for backup in reversed(self.of_volume.get(volume_id, ())):
            if now < backup.ends_at:
                return backup
        return None

    def kept(self, volume_id: str, now: float) -> list[SimBackup]:
        """All backups of a volume that count against its limit, visible or not."""
        of_volume = self.of_volume.get(volume_id, ())
        return [backup for backup in of_volume if backup.status(now) is not None]

    def parent(self, volume_id: str, now: float) -> SimBackup | None:
        """The newest good backup of a volume, on which an increment can build."""
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
