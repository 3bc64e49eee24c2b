"""Freezes a restore or a prune into the store as a run of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vbsbatch.api.sessions import cloud_now
from vbsbatch.api.system_clock import SYSTEM_CLOCK, Clock
from vbsbatch.cloud import CloudService
from vbsbatch.inventory.retention import Holdings, MadeBackup, deletion, keeper
from vbsbatch.model import BackupSettings, Job, Run, RunState, Settings
from vbsbatch.plan.derived_jobs import deletions
from vbsbatch.store import RunStore


def jobs_deleting(
    holdings: Holdings, going: Sequence[MadeBackup], *, even_last: bool = False
) -> list[Job]:
    """The jobs that delete these backups, the newest first, each with what stays in its place."""
    leaving = {found.id for found in going}.union(holdings.deleted_soon)
    good: dict[str, list[MadeBackup]] = {}
    for found in holdings.made:
        good.setdefault(found.volume, []).append(found)
    jobs = [
        deletion(
            found,
            None if even_last or not found.good else keeper(good.get(found.volume, ()), leaving),
        )
        for found in going
    ]
    return deletions(jobs, {found.backup.id: found.made_at for found in going})


def store_operation(
    store: RunStore,
    source: Run,
    settings: Settings,
    jobs: Iterable[Job],
    service: CloudService,
    cloud: str | None,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> Run:
    """Store a run with these jobs, in the place where the run `source` was."""
    now = clock.wall()
    new = Run(
        id=store.new_run_id(now),
        plan=f"{settings.operation} of {settings.source_plan or source.id}",
        cloud=cloud or source.cloud,
        project_id=service.project_id,
        project_name=service.project_name,
        region=service.region,
        endpoint=service.endpoint,
        state=RunState.RUNNING,
        settings=settings,
        created_at=now,
        created_cloud_at=cloud_now(service, clock),
    )
    store.create_run(new, jobs, BackupSettings())
    return store.run(new.id)
