"""Which service drives a run: the real one, or one that restores or deletes with its help."""

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

    `jobs` are all of the run as its store has them. What is given must hear what the engine tells.
    """
    kind = _ACTING.get(run.settings.operation)
    if kind is None:
        return None
    return kind(service, run, jobs, now=now)
