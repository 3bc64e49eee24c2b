"""Compares a run with the cloud."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vbsbatch.api.cloud_lists import backups_since, listed, volumes_by_id
from vbsbatch.api.sessions import session_for
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.cloud import CloudService
from vbsbatch.engine.verify import (
    BackupIndex,
    Discrepancy,
    DiscrepancyKind,
    differences,
    differences_of_deletions,
    differences_of_restores,
    left_in_error,
)
from vbsbatch.errors import StoreError
from vbsbatch.model import OPEN_STATES, Cloud, JobState, Operation, Run, VerifySummary
from vbsbatch.store import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """The differences between a run in the store and the cloud."""

    run_id: str
    differences: Sequence[Discrepancy]
    """Every job that differs; empty when there is no difference."""
    leftovers: Sequence[str] = ()
    """Backups in error, by id, that count against their volumes' limit."""
    pruned: int = 0
    """Backups of the run that were deleted on purpose, by a prune."""
    not_stored: str | None = None
    """Why the store does not remember this result, in words; None if it does."""

    @property
    def missing(self) -> list[Discrepancy]:
        """Jobs that succeeded and whose backup does not exist."""
        return self._of(DiscrepancyKind.MISSING)

    @property
    def duplicate(self) -> list[Discrepancy]:
        """Jobs with more than one backup."""
        return self._of(DiscrepancyKind.DUPLICATE)

    @property
    def unavailable(self) -> list[Discrepancy]:
        """Jobs that succeeded and whose backup is not available."""
        return self._of(DiscrepancyKind.UNAVAILABLE)

    @property
    def unrecorded(self) -> list[Discrepancy]:
        """Jobs that ended without a backup although there is one."""
        return self._of(DiscrepancyKind.UNRECORDED)

    def _of(self, kind: DiscrepancyKind) -> list[Discrepancy]:
        return [each for each in self.differences if each.fault is kind]


async def verify(
    run_id: str = "latest",
    *,
    store: StoreName = None,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
) -> Verification:
    """Compare a run with the cloud, where nothing is changed; the store remembers the result.

    Of backups: missing, duplicate, not available, unrecorded. Of a restore: volumes that are gone
    or in error. Of a prune: backups that still exist. Raises `UsageError`, `SignInError`, and
    `CloudUnavailable` or `CloudRefused` when it could not be found out.
    """
    with opened_store(store, readonly=True) as opened:
        found = opened.run(run_id)
        place = (cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint)
        async with session_for(found, *place) as session:
            return await compare(opened, found, session)


async def compare(store: RunStore, run: Run, service: CloudService) -> Verification:
    """Do the same in a session that is open already.

    The store remembers the result, if it can be written.
    """
    found = await _compare(store, run, service)
    try:
        store.set_verified(run.id, _summary(found))
    except StoreError as error:
        return replace(found, not_stored=str(error))
    return found


def _summary(found: Verification) -> VerifySummary:
    kinds = Counter(str(each.fault) for each in found.differences)
    return VerifySummary(
        differences=tuple(sorted(kinds.items())),
        leftovers=len(found.leftovers),
        pruned=found.pruned,
    )


async def _compare(store: RunStore, run: Run, service: CloudService) -> Verification:
    if run.settings.operation is Operation.BACKUP:
        return await _compare_backups(store, run, service)
    jobs = list(store.jobs(run.id))
    if run.settings.operation is Operation.RESTORE:
        volumes = await volumes_by_id(service.inventory, {job.volume_id for job in jobs})
        return Verification(run_id=run.id, differences=[*differences_of_restores(jobs, volumes)])
    wanted = {job.settings.source_backup_id or "" for job in jobs}
    left = await listed(service, wanted)
    return Verification(run_id=run.id, differences=[*differences_of_deletions(jobs, left)])


async def _compare_backups(store: RunStore, run: Run, service: CloudService) -> Verification:
    made_at = run.created_cloud_at or Cloud(float(run.created_at) + service.clock_ahead)
    index = BackupIndex(await backups_since(service, made_at))
    known: Any = {"names_unique": run.settings.names_unique, "clock_ahead": service.clock_ahead}
    found = differences(store.jobs(run.id), index, **known)
    leftovers = [backup.id for backup in left_in_error(store.jobs(run.id), index, **known)]
    pruned = _pruned(store, run)
    gone = (DiscrepancyKind.MISSING, DiscrepancyKind.UNAVAILABLE)
    return Verification(
        run_id=run.id,
        differences=[e for e in found if e.fault not in gone or e.job.backup_id not in pruned],
        leftovers=leftovers,
        pruned=len(pruned),
    )


def _pruned(store: RunStore, run: Run) -> set[str | None]:
    """The backups of a run that a prune has deleted or is deleting."""
    made = {job.backup_id for job in store.jobs(run.id, states=[JobState.SUCCEEDED])}
    made |= {job.errored_backup_id for job in store.jobs(run.id, states=[JobState.FAILED])}
    return made & {
        job.settings.source_backup_id
        for other in store.runs()
        if other.settings.operation is Operation.PRUNE
        and (other.settings.source_run == run.id or other.settings.source_plan == run.plan)
        for job in store.jobs(other.id, states=(JobState.SUCCEEDED, *OPEN_STATES))
    }
