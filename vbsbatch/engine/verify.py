"""Compares the store with the cloud: what a finished run claims, and what is really there. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from vbsbatch.engine.reconcile import AVAILABLE, ERRORED, IN_ERROR, SLACK
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
    """Indexes the cloud's backups, to look them up by job."""

    def __init__(self, backups: Iterable[Backup]) -> None:
        # A list that shifts between pages shows a backup twice.
        self._by_id = {plain_id(backup.id): backup for backup in backups}
        self._by_name: defaultdict[tuple[str, str], list[Backup]] = defaultdict(list)
        for backup in self._by_id.values():
            if backup.name is not None and backup.volume_id is not None:
                self._by_name[backup.name, plain_id(backup.volume_id)].append(backup)

    def named(self, job: Job) -> Backup | None:
        """Return the backup that the job made according to the store."""
        if job.backup_id is not None:
            return self._by_id.get(plain_id(job.backup_id))
        found = self._by_name.get((job.backup_name, plain_id(job.volume_id)), [])
        return next((backup for backup in found if backup.status in AVAILABLE), None)

    def made_by(self, job: Job, *, names_unique: bool, clock_ahead: float) -> list[Backup]:
        """Return every backup with the job's name and volume that is not older than the job."""
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
    jobs: Iterable[Job], index: BackupIndex, *, names_unique: bool, clock_ahead: float
) -> Iterator[Discrepancy]:
    """Yield every difference, in the order of the jobs; open jobs make none."""
    for job in jobs:
        if job.state in OPEN_STATES:
            continue
        named_alike = index.made_by(job, names_unique=names_unique, clock_ahead=clock_ahead)
        made = [backup for backup in named_alike if backup.status not in ERRORED]
        ids = tuple(backup.id for backup in made)
        if job.state is JobState.SUCCEEDED:
            backup = index.named(job)
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
    jobs: Iterable[Job], index: BackupIndex, *, names_unique: bool, clock_ahead: float
) -> Iterator[Backup]:
    """Yield failed backups of ended jobs that nothing has deleted; open jobs may still delete
    theirs."""
    for job in jobs:
        if job.state not in OPEN_STATES:
            made = index.made_by(job, names_unique=names_unique, clock_ahead=clock_ahead)
            yield from (backup for backup in made if backup.status in IN_ERROR)


def differences_of_restores(
    jobs: Iterable[Job], volumes: Mapping[str, CloudVolume]
) -> Iterator[Discrepancy]:
    """Yield restored volumes that are gone or in error, and any that are still being restored.

    The latter count whatever the state of their job: a volume may still be overwritten after its
    job was given up. `volumes` are by id. No API reports what a volume contains.
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
    """Yield deleted backups that the cloud still lists; `backups` are by id."""
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
