"""Restoring and deleting the backups that an earlier run made: runs of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter
from shlex import quote
from typing import TypeVar

from vbsbatch.api.cloud_lists import listed, volumes_by_id
from vbsbatch.api.driving import RunResult, drive, result_of
from vbsbatch.api.runs import cloud_now
from vbsbatch.api.sessions import check_project, signed_in
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.cloud import CloudChoice, CloudService
from vbsbatch.errors import CloudRefused, CloudUnavailable, UsageError
from vbsbatch.model import (
    ENDED_STATES,
    Backup,
    BackupSettings,
    Job,
    JobState,
    Operation,
    Rate,
    Run,
    RunState,
    Settings,
)
from vbsbatch.model.clocks import wall
from vbsbatch.observers import Observer
from vbsbatch.plan.derived_jobs import (
    called,
    deletions,
    objection_to_deletion,
    objections_to_restore,
    restores,
    settings_for,
    with_backup,
)
from vbsbatch.store import RunStore

Answer = TypeVar("Answer")

_NOT_ENDED = tuple(state for state in JobState if state not in ENDED_STATES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What a restore or a prune would do in the cloud as it is now; nothing is stored yet."""

    source: Run
    """The run that made the backups."""
    settings: Settings
    jobs: Sequence[Job]
    """One for each backup, in `settings.source_backup_id`."""
    backups: Mapping[str, Backup]
    """The backups of the jobs as the cloud lists them, by id."""
    left_alone: Sequence[tuple[Job, str]] = ()
    """Backups that must not be deleted, with the reason."""


async def restore(
    run_id: str,
    *,
    volumes: Sequence[str] = (),
    to: Sequence[str] = (),
    store: StoreName = None,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
    rate: Rate | None = None,
    in_flight: int | None = None,
    observers: Iterable[Observer] = (),
) -> RunResult:
    """Overwrite volumes with the backups that a run made of them, without asking.

    All volumes, or `volumes` (ids or names); `to` has `OLD=NEW`, to restore the backup of OLD onto
    the volume with the id NEW. Raises `UsageError` before anything is sent when one of them cannot
    be restored; else as `run`.
    """
    with opened_store(store) as opened:
        source = source_run(opened, run_id, "restored")
        wanted = restorable(opened, source, volumes, to)
        settings = settings_for(Operation.RESTORE, source, rate=rate, in_flight=in_flight)
        choice = _choice(source, cloud, vbs_endpoint, block_storage_endpoint)
        async with signed_in(choice, settings) as session:
            prepared = await prepare_restore(session, source, settings, wanted)
            created = create_operation_run(opened, prepared, session, choice.cloud)
            await drive(opened, created, session, observers=observers, resumed=False)
        return result_of(opened, opened.run(created.id))


async def prune(
    run_id: str,
    *,
    volumes: Sequence[str] = (),
    errored: bool = False,
    store: StoreName = None,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
    rate: Rate | None = None,
    in_flight: int | None = None,
    observers: Iterable[Observer] = (),
) -> RunResult:
    """Delete the backups that a run made, without asking; `prunable` lists them before.

    All of them, or those of `volumes` (ids or names); `errored` takes in the last that each failed
    job left in error. Raises `UsageError` when there is nothing to delete; else as `run`.
    """
    with opened_store(store) as opened:
        source = source_run(opened, run_id, "deleted")
        sources = deletable(opened, source, volumes, errored=errored)
        settings = settings_for(Operation.PRUNE, source, rate=rate, in_flight=in_flight)
        choice = _choice(source, cloud, vbs_endpoint, block_storage_endpoint)
        async with signed_in(choice, settings) as session:
            prepared = await prepare_prune(session, source, settings, sources)
            if not prepared.jobs:
                raise UsageError(f"run {source.id} has no backup left that may be deleted")
            created = create_operation_run(opened, prepared, session, choice.cloud)
            await drive(opened, created, session, observers=observers, resumed=False)
        return result_of(opened, opened.run(created.id))


async def prunable(
    run_id: str,
    *,
    volumes: Sequence[str] = (),
    errored: bool = False,
    store: StoreName = None,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
) -> list[Backup]:
    """The backups that `prune` would delete, as the cloud lists them. Nothing is deleted."""
    with opened_store(store, readonly=True) as opened:
        source = source_run(opened, run_id, "deleted")
        sources = with_backup(opened.jobs(source.id), volumes, errored=errored)
        settings = settings_for(Operation.PRUNE, source, rate=None, in_flight=None)
        choice = _choice(source, cloud, vbs_endpoint, block_storage_endpoint)
        async with signed_in(choice, settings) as session:
            prepared = await prepare_prune(session, source, settings, sources)
        return [prepared.backups[backup_id(job)] for job in prepared.jobs]


def source_run(store: RunStore, run_id: str, done: str) -> Run:
    """The run whose backups are meant; raises `UsageError` for one that made none."""
    found = store.run(run_id)
    if found.settings.operation is not Operation.BACKUP:
        raise UsageError(
            f"run {found.id} made no backups that could be {done}: "
            f"name the run that did ({found.settings.source_run})"
        )
    return found


def restorable(
    store: RunStore, source: Run, volumes: Sequence[str], to: Sequence[str]
) -> list[Job]:
    """The jobs of a restore; raises `UsageError` where another restore is still at work."""
    wanted = restores(with_backup(store.jobs(source.id), volumes), to)
    _refuse_overlap(store, {job.volume_id for job in wanted}, attrgetter("volume_id"))
    return wanted


def deletable(store: RunStore, source: Run, volumes: Sequence[str], *, errored: bool) -> list[Job]:
    """The jobs whose backups are to be deleted; raises likewise."""
    sources = with_backup(store.jobs(source.id), volumes, errored=errored)
    _refuse_overlap(store, {backup_id(job) for job in sources}, backup_id)
    return sources


async def prepare_restore(
    service: CloudService, source: Run, settings: Settings, wanted: Sequence[Job]
) -> Prepared:
    """Look whether each backup and volume is fit for the restore; raises `UsageError` if not."""
    backups = await _listed(service, source, wanted)
    onto = {job.volume_id for job in wanted}
    targets = await _looked(volumes_by_id(service.inventory, onto))
    jobs = called(wanted, targets)
    if objections := objections_to_restore(jobs, backups, targets):
        raise UsageError("\n".join([*objections, "nothing was restored"]))
    return Prepared(source=source, settings=settings, jobs=jobs, backups=backups)


async def prepare_prune(
    service: CloudService, source: Run, settings: Settings, sources: Sequence[Job]
) -> Prepared:
    """Look which of the backups may be deleted."""
    backups = await _listed(service, source, sources)
    made_at = {key: float(backup.created_at or 0.0) for key, backup in backups.items()}
    kept, left_alone = [], []
    for job in deletions(sources, made_at):
        objection = objection_to_deletion(job, backups.get(backup_id(job)))
        if objection is None:
            kept.append(job)
        else:
            left_alone.append((job, objection))
    return Prepared(
        source=source, settings=settings, jobs=kept, backups=backups, left_alone=left_alone
    )


def create_operation_run(
    store: RunStore, prepared: Prepared, service: CloudService, cloud: str | None
) -> Run:
    """Freeze a restore or a prune into the store as a run of its own."""
    now, source = wall(), prepared.source
    new = Run(
        id=store.new_run_id(now),
        plan=f"{prepared.settings.operation} of {source.id}",
        cloud=cloud,
        project_id=service.project_id,
        project_name=service.project_name,
        region=service.region,
        endpoint=service.endpoint,
        state=RunState.RUNNING,
        settings=prepared.settings,
        created_at=now,
        created_cloud_at=cloud_now(service),
    )
    store.create_run(new, prepared.jobs, BackupSettings())
    return store.run(new.id)


def backup_id(job: Job) -> str:
    """The backup that a job restores or deletes."""
    return job.settings.source_backup_id or ""


def _choice(
    source: Run, cloud: str | None, vbs_endpoint: str | None, block_storage_endpoint: str | None
) -> CloudChoice:
    return CloudChoice(
        cloud=cloud or source.cloud,
        service=source.settings.service,
        vbs_endpoint=vbs_endpoint,
        block_storage_endpoint=block_storage_endpoint,
    )


def _refuse_overlap(store: RunStore, wanted: Set[str], of: Callable[[Job], str]) -> None:
    """Refuse what another restore has yet to work on: `of` gives what of its jobs is compared."""
    for run in store.runs():
        if run.settings.operation is not Operation.RESTORE or run.state is RunState.ENDED:
            continue
        left = sum(of(job) in wanted for job in store.jobs(run.id, states=_NOT_ENDED))
        if left:
            raise UsageError(
                f"run {run.id} has not ended and has yet to restore {left} of these: let it end "
                f"(vbsbatch resume {quote(run.id)}), or take them back "
                f"(vbsbatch cancel {quote(run.id)})"
            )


async def _listed(service: CloudService, source: Run, jobs: Sequence[Job]) -> dict[str, Backup]:
    """The backups that the jobs name, as the cloud lists them, by id."""
    check_project(source, service)
    return await _looked(listed(service, {backup_id(job) for job in jobs}))


async def _looked(look: Awaitable[Answer]) -> Answer:
    """What a look shows; without one nothing is stored, let alone changed."""
    try:
        return await look
    except (CloudUnavailable, CloudRefused) as error:
        raise UsageError(f"cannot look first, so nothing was done: {error}") from error
