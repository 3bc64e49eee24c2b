"""What the cloud showed before a run, and which of it nobody could find out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import Backup, Quota, Service
from vbsbatch.plan.checks import volume_uuid


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A question that got no answer; `refused` when asking again would not help."""

    what: str
    """`volumes`, `backups` or `quota`."""
    why: str
    refused: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudSnapshot:
    """One look at a project. None stands for what could not be found out; `gaps` say why."""

    service: Service
    now: float
    """By the server's clock."""
    fleet: VolumesByServer | None = None
    """Every volume, or those of the plan among them."""
    backups: Sequence[Backup] | None = None
    whole: bool = True
    """False when older backups than these were not looked at."""
    quotas: Sequence[Quota] | None = None
    gaps: tuple[Gap, ...] = ()


def by_volume(backups: Sequence[Backup] | None) -> Mapping[str, list[Backup]]:
    """The backups of each volume, in their order; those that name no volume are nobody's."""
    found: defaultdict[str, list[Backup]] = defaultdict(list)
    for backup in backups or ():
        try:
            found[volume_uuid(backup.volume_id or "")].append(backup)
        except ValueError:
            continue
    return found
