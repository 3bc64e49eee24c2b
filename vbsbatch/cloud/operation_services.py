"""Chooses the adapter for a run that restores or deletes backups."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vbsbatch.cloud.backup_operation_adapter import BackupOperationAdapter, RealService
from vbsbatch.cloud.pruning import Pruning
from vbsbatch.cloud.restoring import Restoring
from vbsbatch.model import Elapsed, Job, Operation, Run


def stand_in(
    service: RealService,
    run: Run,
    jobs: Iterable[Job],
    now: Callable[[], Elapsed],
    refuses: Callable[[Job], str | None] | None = None,
) -> BackupOperationAdapter | None:
    """The service of a run that restores or deletes; None for one that makes backups.

    `jobs` are all jobs of the run as its store has them. The engine must send its events to the
    result's `hear`. `refuses` gives a code of ours for a backup that must not be deleted now.
    """
    match run.settings.operation:
        case Operation.RESTORE:
            return Restoring(service, run, jobs, now=now)
        case Operation.PRUNE:
            return Pruning(service, run, jobs, now=now, refuses=refuses)
    return None
