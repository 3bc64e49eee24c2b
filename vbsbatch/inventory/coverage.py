"""Which volumes have a good backup that is young enough, whoever made it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import Backup, Cloud, CloudVolume, Uncovered, VolumeCoverage, plain_id

GOOD = frozenset({"available", "restoring"})
"""Statuses of a backup that can be restored; one that is being restored is as good."""

_UNFINISHED = "creating"
_GOING = frozenset({"deleting", "deleted"})

OwnedBackup = tuple[str, Backup]
"""The name of the service that has a backup, and the backup."""


def coverage_of(
    fleet: VolumesByServer,
    volumes: Mapping[str, CloudVolume],
    backups: Iterable[OwnedBackup],
    *,
    now: Cloud,
    max_age: float,
) -> list[VolumeCoverage]:
    """The volumes with their newest good backups, the worst first; `max_age` is in seconds.

    A volume that is being deleted is left out: it needs no backup. Of a backup in the lists of two
    services the last one counts.
    """
    by_volume: dict[str, dict[str, OwnedBackup]] = {}
    for service, backup in backups:
        if backup.volume_id is not None:
            of_volume = by_volume.setdefault(plain_id(backup.volume_id), {})
            of_volume[plain_id(backup.id)] = service, backup

    def backups_of(volume_id: str) -> list[OwnedBackup]:
        return list(by_volume.get(plain_id(volume_id), {}).values())

    found = [
        _of_volume(fleet, volume_id, volume, backups_of(volume_id), now, max_age)
        for volume_id, volume in volumes.items()
        if volume.status not in _GOING
    ]
    return sorted(found, key=_worst_first)


def _of_volume(
    fleet: VolumesByServer,
    volume_id: str,
    volume: CloudVolume,
    backups: Sequence[OwnedBackup],
    now: Cloud,
    max_age: float,
) -> VolumeCoverage:
    good = [each for each in backups if each[1].status in GOOD]
    service, newest = max(good, key=_made_at, default=(None, None))
    made = None if newest is None else newest.created_at
    age = None if made is None else max(0.0, now - made)
    reason = _why([backup for _, backup in backups], newest, age, max_age)
    return VolumeCoverage(
        volume_id=volume_id,
        name=volume.name,
        size=volume.size,
        status=volume.status,
        servers=tuple(sorted(map(fleet.label, volume.server_ids))),
        reason=reason,
        newest=newest,
        service=service,
        age=age,
        failed=sum(1 for _ in _failed_since(backups, made)),
    )


def _why(
    backups: Sequence[Backup], newest: Backup | None, age: float | None, max_age: float
) -> Uncovered | None:
    if newest is not None:
        if age is None:
            return Uncovered.UNDATED
        return Uncovered.OLD if age > max_age else None
    if any(backup.status == _UNFINISHED for backup in backups):
        return Uncovered.UNFINISHED
    return Uncovered.FAILED if any(map(_has_failed, backups)) else Uncovered.NONE


def _made_at(owned: OwnedBackup) -> float:
    made = owned[1].created_at
    return float("-inf") if made is None else float(made)


def _failed_since(backups: Iterable[OwnedBackup], made: Cloud | None) -> Iterator[Backup]:
    for _, backup in backups:
        at = backup.created_at
        if _has_failed(backup) and (made is None or at is None or at > made):
            yield backup


def _has_failed(backup: Backup) -> bool:
    return backup.status is not None and backup.status.startswith(("error", "fail"))


_ORDER = list(Uncovered)


def _worst_first(each: VolumeCoverage) -> tuple[int, float, str, str]:
    rank = len(_ORDER) if each.reason is None else _ORDER.index(each.reason)
    return rank, -(each.age or 0.0), each.name or "", each.volume_id
