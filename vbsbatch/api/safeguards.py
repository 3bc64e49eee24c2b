"""Looks at a backup once more before its deletion is sent: hours may have passed since the plan."""

from __future__ import annotations

from collections.abc import Callable, Collection

from vbsbatch.api.holdings import live_pins, unfinished_work
from vbsbatch.api.system_clock import SYSTEM_CLOCK, Clock
from vbsbatch.inventory.retention import pin_of
from vbsbatch.model import Job, Operation, Run, plain_id
from vbsbatch.store import RunStore


def refusals(
    store: RunStore,
    run: Run,
    only: Collection[str] | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> Callable[[Job], str | None]:
    """What gives a code of ours for a backup that this run must not delete now.

    It was pinned meanwhile; or the good backup that is to stay in its place is to be deleted by
    another run. `only`: ids of the backups that may still go.
    """
    ids = {job.settings.source_backup_id or "" for job in store.jobs(run.id)}
    maker = {plain_id(job.backup_id or ""): run_id for run_id, job in store.made(ids)}
    others = {
        plain_id(job.settings.source_backup_id or "")
        for other, job in unfinished_work(store)
        if other.id != run.id and other.settings.operation is Operation.PRUNE
    }

    def refuses(job: Job) -> str | None:
        backup_id = plain_id(job.settings.source_backup_id or "")
        if only is not None and backup_id not in only:
            return "kept"
        made_by = maker.get(backup_id) or run.settings.source_run or ""
        if pin_of(live_pins(store, clock), made_by, backup_id) is not None:
            return "pinned"
        keeper = job.settings.keeper_id
        return "last-good" if keeper is not None and plain_id(keeper) in others else None

    return refuses
