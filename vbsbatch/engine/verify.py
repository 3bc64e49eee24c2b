"""The store against the cloud: what a finished run claims, and what is really there. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from vbsbatch.engine.reconcile import AVAILABLE, ERRORED, SLACK
from vbsbatch.model import (
    OPEN_STATES,
    Backup,
    Cloud,
    CloudVolume,
    Job,
    JobState,
    as_wall,
    plain_id,
)

IN_ERROR = frozenset({"error", "error_deleting"})
"""Statuses of a backup that nobody will restore from and that counts against its volume's 20."""


class DiscrepancyKind(StrEnum):
    """How the cloud differs from the store."""

    MISSING = "missing"  # a job succeeded, and its backup is not there
    UNAVAILABLE = "not available"  # a job succeeded, and its backup is in another status
    DUPLICATE = "duplicate"  # one job made more than one backup
    UNRECORDED = "unrecorded"  # a job ended without a backup, and there is one
    BROKEN = "not restored"  # a restore succeeded, and its volume is gone or in error
    RESTORING = "restoring"  # a restore was sent, and its volume is still being overwritten
    KEPT = "not deleted"  # a deletion succeeded, and the backup is there


@dataclass(frozen=True, kw_only=True, slots=True)
class Discrepancy:
    """One job for which cloud and store differ."""

    job: Job
    fault: DiscrepancyKind
    backup_ids: tuple[str, ...] = ()
    status: str | None = None


class BackupIndex:
    """What the cloud keeps, to be looked up by job."""

    def __init__(self, backups: Iterable[Backup]) -> None:
        # A list that shifts while it is paged shows a backup twice.
        self._by_id = {plain_id(backup.id): backup for backup in backups}
        self._by_name: defaultdict[tuple[str, str], list[Backup]] = defaultdict(list)
        for backup in self._by_id.values():
            if backup.name is not None and backup.volume_id is not None:
                self._by_name[backup.name, plain_id(backup.volume_id)].append(backup)

    def named(self, job: Job) -> Backup | None:
        """The backup that the store says the job made."""
        if job.backup_id is not None:
            return self._by_id.get(plain_id(job.backup_id))
        found = self._by_name.get((job.backup_name, plain_id(job.volume_id)), [])
        return next((backup for backup in found if backup.status in AVAILABLE), None)

    def made_by(self, job: Job, *, names_unique: bool, clock_ahead: float) -> list[Backup]:
        """Every backup that bears the job's name and volume and is as young as the job."""
        since = _first_create(job, clock_ahead)
        if since is None:
            return []
        found = self._by_name.get((job.backup_name, plain_id(job.volume_id)), [])
        return [
            backup
            for backup in found
            if names_unique or backup.created_at is None or backup.created_at >= since - SLACK
        ]


def differences(
    jobs: Iterable[Job], shelf: BackupIndex, *, names_unique: bool, clock_ahead: float
) -> Iterator[Discrepancy]:
    """Every difference, in the order of the jobs; jobs that are under way make none."""
    for job in jobs:
        if job.state in OPEN_STATES:
            continue
        bearing = shelf.made_by(job, names_unique=names_unique, clock_ahead=clock_ahead)
        made = [backup for backup in bearing if backup.status not in ERRORED]
        ids = tuple(backup.id for backup in made)
        if job.state is JobState.SUCCEEDED:
            backup = shelf.named(job)
            if backup is None:
                yield Discrepancy(job=job, fault=DiscrepancyKind.MISSING, backup_ids=ids)
            elif backup.status not in AVAILABLE:
                yield Discrepancy(
                    job=job,
                    fault=DiscrepancyKind.UNAVAILABLE,
                    backup_ids=(backup.id,),
                    status=backup.status,
                )
            if len(made) > 1:
                yield Discrepancy(job=job, fault=DiscrepancyKind.DUPLICATE, backup_ids=ids)
        elif made:
            yield Discrepancy(job=job, fault=DiscrepancyKind.UNRECORDED, backup_ids=ids)


def left_in_error(
    jobs: Iterable[Job], shelf: BackupIndex, *, names_unique: bool, clock_ahead: float
) -> Iterator[Backup]:
    """What failed attempts left behind and nobody has deleted; jobs under way may yet do it."""
    for job in jobs:
        if job.state not in OPEN_STATES:
            made = shelf.made_by(job, names_unique=names_unique, clock_ahead=clock_ahead)
            yield from (backup for backup in made if backup.status in IN_ERROR)


def differences_of_restores(
    jobs: Iterable[Job], volumes: Mapping[str, CloudVolume]
) -> Iterator[Discrepancy]:
    """Restored volumes that are gone or in error, and any that is still being restored.

    The latter whatever became of its job: one that was given up may be overwritten yet. `volumes`
    are by id. No API reports what a volume holds.
    """
    for job in jobs:
        volume = volumes.get(job.volume_id)
        status = None if volume is None else volume.status or ""
        fault = None
        if status == "restoring-backup" and (job.attempts or job.state is JobState.SUCCEEDED):
            fault = DiscrepancyKind.RESTORING
        elif job.state is JobState.SUCCEEDED and (status is None or status.startswith("error")):
            fault = DiscrepancyKind.BROKEN
        if fault is not None:
            yield Discrepancy(job=job, fault=fault, backup_ids=_source(job), status=status)


def differences_of_deletions(
    jobs: Iterable[Job], backups: Mapping[str, Backup]
) -> Iterator[Discrepancy]:
    """Deleted backups that the cloud still lists; `backups` are by id."""
    for job in jobs:
        backup = backups.get(job.settings.source_backup_id or "")
        if job.state is JobState.SUCCEEDED and backup is not None and backup.status != "deleting":
            yield Discrepancy(
                job=job, fault=DiscrepancyKind.KEPT, backup_ids=_source(job), status=backup.status
            )


def _first_create(job: Job, clock_ahead: float) -> Cloud | None:
    """When the job's first create was sent, by the cloud's clock."""
    told = job.first_cloud_at or job.intent_cloud_at
    if told is not None:
        return told
    ours = job.first_sent_at or (None if job.intent_at is None else as_wall(job.intent_at))
    return None if ours is None else Cloud(float(ours) + clock_ahead)


def _source(job: Job) -> tuple[str, ...]:
    return (job.settings.source_backup_id or "",)
