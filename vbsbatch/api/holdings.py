"""What a cloud has of our backups, read before any of them is deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Iterator
from typing import TypeVar

from vbsbatch.api.cloud_lists import every_backup, listed
from vbsbatch.api.sessions import cloud_now
from vbsbatch.api.system_clock import SYSTEM_CLOCK, Clock
from vbsbatch.cloud import CloudService
from vbsbatch.errors import CloudRefused, CloudUnavailable, ListIncomplete, UsageError
from vbsbatch.inventory.retention import Holdings, MadeBackup
from vbsbatch.model import (
    ENDED_STATES,
    Backup,
    Job,
    JobState,
    Operation,
    Pin,
    Run,
    RunState,
    plain_id,
)
from vbsbatch.store import RunStore

Answer = TypeVar("Answer")

NOT_ENDED = tuple(state for state in JobState if state not in ENDED_STATES)

_WORK = {Operation.RESTORE: "restore", Operation.PRUNE: "delete"}


async def read_holdings(
    store: RunStore,
    service: CloudService,
    wanted: Iterable[Job] = (),
    *,
    clock: Clock = SYSTEM_CLOCK,
    ignored: Collection[str] = (),
) -> Holdings:
    """Read the project's whole list of backups, and what the store says of them.

    Where the list cannot be read whole, only our backups of the volumes of `wanted` are looked up,
    one by one; without any, and where there is no answer, it raises `UsageError`. Runs that are
    `ignored` claim no backups.
    """
    jobs = list(wanted)
    try:
        backups = await or_refuse(every_backup(service))
    except ListIncomplete as error:
        if not jobs:
            raise UsageError(
                f"the cloud's list of backups cannot be read whole: {error}"
            ) from error
        ids = {job.settings.source_backup_id or "" for job in jobs}
        others = store.made(volumes={job.volume_id for job in jobs})
        ids |= {job.backup_id for _, job in others if job.backup_id is not None}
        backups = [*(await or_refuse(listed(service, ids))).values()]
    return holdings_of(store, service, backups, clock=clock, ignored=ignored)


def holdings_of(
    store: RunStore,
    service: CloudService,
    backups: Collection[Backup],
    *,
    clock: Clock = SYSTEM_CLOCK,
    ignored: Collection[str] = (),
) -> Holdings:
    """The same of backups that were read already."""
    reserved, deleted_soon = _reserved(store, ignored)
    return Holdings(
        backups=list(backups),
        made=_made(store, backups),
        pins=live_pins(store, clock),
        reserved=reserved,
        deleted_soon=deleted_soon,
        chains=service.facts.chains,
        now=float(cloud_now(service, clock)),
    )


def live_pins(store: RunStore, clock: Clock = SYSTEM_CLOCK) -> list[Pin]:
    """The pins that hold now."""
    now = clock.wall()
    return [pin for pin in store.pins() if pin.holds(now)]


def _made(store: RunStore, backups: Collection[Backup]) -> list[MadeBackup]:
    there = {plain_id(backup.id): backup for backup in backups}
    runs = {run.id: run for run in store.runs()}
    found: dict[str, MadeBackup] = {}
    for run_id, job in store.made({backup.id for backup in backups}):
        key = plain_id(job.backup_id or "")
        found.setdefault(key, MadeBackup(run=runs[run_id], job=job, backup=there[key]))
    return list(found.values())


def _reserved(store: RunStore, ignored: Collection[str]) -> tuple[dict[str, str], set[str]]:
    """Why backups are left to other runs, by id; and those that are to be deleted."""
    reserved: dict[str, str] = {}
    deleted_soon: set[str] = set()
    for run, job in unfinished_work(store):
        if run.id in ignored:
            continue
        backup_id = plain_id(job.settings.source_backup_id or "")
        reserved[backup_id] = f"run {run.id} is to {_WORK[run.settings.operation]} it"
        if run.settings.operation is Operation.PRUNE:
            deleted_soon.add(backup_id)
    return reserved, deleted_soon


def unfinished_work(store: RunStore) -> Iterator[tuple[Run, Job]]:
    """What runs that restore or delete have yet to do."""
    for run in store.runs():
        if run.settings.operation in _WORK and run.state is not RunState.ENDED:
            for job in store.jobs(run.id, states=NOT_ENDED):
                yield run, job


async def or_refuse(query: Awaitable[Answer]) -> Answer:
    """The answer; raises `UsageError` without one, before anything is stored or changed."""
    try:
        return await query
    except ListIncomplete:
        raise
    except (CloudUnavailable, CloudRefused) as error:
        raise UsageError(
            f"the check before the start failed, so nothing was done: {error}"
        ) from error
