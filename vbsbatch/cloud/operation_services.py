"""Chooses the adapter for a run that restores or deletes backups."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vbsbatch.cloud.backup_operation_adapter import BackupOperationAdapter, RealService
from vbsbatch.cloud.pruning import Pruning
from vbsbatch.cloud.restoring import Restoring
from vbsbatch.model import Elapsed, Job, Operation, Run

_ACTING: dict[Operation, type[BackupOperationAdapter]] = {
    Operation.RESTORE: Restoring,
    Operation.PRUNE: Pruning,
}


def stand_in(
    service: RealService, run: Run, jobs: Iterable[Job], now: Callable[[], Elapsed]
) -> BackupOperationAdapter | None:
    """The service of a run that restores or deletes; None for one that makes backups.

    `jobs` are all jobs of the run as its store has them. The engine must send its events to the
    result's `hear`.
    """
    kind = _ACTING.get(run.settings.operation)
    if kind is None:
        return None
    return kind(service, run, jobs, now=now)
