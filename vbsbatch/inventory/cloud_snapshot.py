"""What the cloud returned before a run, and which questions got no answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import Backup, Quota, ServiceFacts, Vault
from vbsbatch.plan.units import volume_uuid


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A question that got no answer; `refused` when asking again would not help."""

    what: str
    """`volumes`, `backups`, `quota` or `vaults`."""
    why: str
    refused: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudSnapshot:
    """A project as the cloud returned it. None is what could not be read; `gaps` say why."""

    service: ServiceFacts
    now: float
    """By the server's clock."""
    fleet: VolumesByServer | None = None
    """Every volume, or those of the plan among them."""
    backups: Sequence[Backup] | None = None
    whole: bool = True
    """False when older backups than these were not read."""
    quotas: Sequence[Quota] | None = None
    vaults: Sequence[Vault] | None = None
    """None too on a service without vaults."""
    gaps: tuple[Gap, ...] = ()


def by_volume(backups: Sequence[Backup] | None) -> Mapping[str, list[Backup]]:
    """The backups of each volume, in their order; those that name no volume are left out."""
    found: defaultdict[str, list[Backup]] = defaultdict(list)
    for backup in backups or ():
        try:
            found[volume_uuid(backup.volume_id or "")].append(backup)
        except ValueError:
            continue
    return found
