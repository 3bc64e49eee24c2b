"""Restores and deletes the backups that an earlier run made; each is a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from operator import attrgetter
from shlex import quote

from vbsbatch.api.cloud_lists import listed, volumes_by_id
from vbsbatch.api.driving import drive
from vbsbatch.api.holdings import NOT_ENDED, or_refuse, read_holdings
from vbsbatch.api.operation_runs import jobs_deleting, store_operation
from vbsbatch.api.results import RunResult, result_of
from vbsbatch.api.sessions import session_for
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.cloud import CloudService
from vbsbatch.cloud.services import facts_of
from vbsbatch.errors import UsageError
from vbsbatch.inventory.retention import MadeBackup, spared
from vbsbatch.model import Backup, Job, Operation, Rate, Run, RunState, Settings, plain_id
from vbsbatch.observers import Observer
from vbsbatch.plan.derived_jobs import (
    called,
    objections_to_restore,
    one_for_each_vault,
    restores,
    settings_for,
    with_backup,
)
from vbsbatch.store import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationRequest:
    """A restore or a prune as the store alone knows it."""

    source: Run
    """The run that made the backups."""
    settings: Settings
    jobs: Sequence[Job]
    """One for each backup, in `settings.source_backup_id`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What a restore or a prune would do in the cloud now; nothing is stored yet."""

    request: OperationRequest
    jobs: Sequence[Job]
    """Those of the request that can be done."""
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
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
    rate: Rate | None = None,
    in_flight: int | None = None,
    observers: Iterable[Observer] = (),
) -> RunResult:
    """Overwrite volumes with the backups that a run made of them, without asking.

    Restores all volumes, or `volumes` (ids or names). `OLD=NEW` in `to` restores the backup of OLD
    onto the volume with the id NEW. Raises `UsageError` before anything is sent when one of them
    cannot be restored; other errors as for `run`.
    """
    with opened_store(store) as opened:
        request = request_restore(opened, run_id, volumes, to, rate=rate, in_flight=in_flight)
        place = (cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint)
        async with session_for(
            request.source, *place, settings=request.settings, observers=observers
        ) as session:
            prepared = await prepare_restore(session, request)
            return await _carry_out(opened, prepared, session, cloud, observers)


async def prune(
    run_id: str,
    *,
    volumes: Sequence[str] = (),
    errored: bool = False,
    even_last: bool = False,
    store: StoreName = None,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
    rate: Rate | None = None,
    in_flight: int | None = None,
    observers: Iterable[Observer] = (),
) -> RunResult:
    """Delete the backups that a run made, without asking; `prunable` lists them first.

    Deletes all of them, or those of `volumes` (ids or names). Pinned ones stay, those that others
    build on, and the last good one of a volume, unless `even_last`. `errored` adds the last backup
    that each failed job left in error. Raises `UsageError` when there is nothing to delete, or the
    run has not ended; other errors as for `run`.
    """
    with opened_store(store) as opened:
        request = request_prune(
            opened,
            run_id,
            volumes,
            errored=errored,
            even_last=even_last,
            rate=rate,
            in_flight=in_flight,
        )
        refuse_restores_of(opened, request)
        place = (cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint)
        async with session_for(
            request.source, *place, settings=request.settings, observers=observers
        ) as session:
            prepared = await prepare_prune(opened, session, request)
            if not prepared.jobs:
                raise UsageError(f"run {request.source.id} has no backup left that may be deleted")
            return await _carry_out(opened, prepared, session, cloud, observers)


async def prunable(
    run_id: str,
    *,
    volumes: Sequence[str] = (),
    errored: bool = False,
    even_last: bool = False,
    store: StoreName = None,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
) -> list[Backup]:
    """List the backups that `prune` would delete, as the cloud shows them. Nothing is deleted."""
    with opened_store(store, readonly=True) as opened:
        request = request_prune(opened, run_id, volumes, errored=errored, even_last=even_last)
        place = (cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint)
        async with session_for(request.source, *place, settings=request.settings) as session:
            prepared = await prepare_prune(opened, session, request)
        return [prepared.backups[backup_id(job)] for job in prepared.jobs]


def request_restore(
    store: RunStore,
    run_id: str,
    volumes: Sequence[str],
    to: Sequence[str],
    *,
    rate: Rate | None = None,
    in_flight: int | None = None,
) -> OperationRequest:
    """Read from the store what a restore needs.

    Raises `UsageError` for wrong names, and while another restore has yet to write these volumes.
    """
    source = _source_run(store, run_id, "restored")
    facts = facts_of(source.settings.service)
    if to and not facts.restores_elsewhere:
        raise UsageError(
            f"--to: {facts.label} restores a backup only onto its own volume, nowhere else"
        )
    jobs = restores(with_backup(store.jobs(source.id), volumes), to)
    if facts.vaults:
        jobs = one_for_each_vault(jobs)
    _refuse_overlap(store, {job.volume_id for job in jobs}, attrgetter("volume_id"))
    settings = settings_for(
        Operation.RESTORE, source, rate=rate, in_flight=in_flight, vaults=facts.vaults
    )
    return OperationRequest(source=source, settings=settings, jobs=jobs)


def request_prune(
    store: RunStore,
    run_id: str,
    volumes: Sequence[str],
    *,
    errored: bool,
    even_last: bool = False,
    rate: Rate | None = None,
    in_flight: int | None = None,
) -> OperationRequest:
    """Read from the store what a prune needs.

    Raises `UsageError` for wrong names, and for a run that has not ended.
    """
    source = _source_run(store, run_id, "deleted")
    if source.state is not RunState.ENDED:
        raise UsageError(
            f"run {source.id} has not ended, so none of its backups is deleted: let it end "
            f"(vbsbatch resume {quote(source.id)}; vbsbatch cancel {quote(source.id)} first if it "
            "is to send no more)"
        )
    jobs = with_backup(store.jobs(source.id), volumes, errored=errored)
    settings = settings_for(Operation.PRUNE, source, rate=rate, in_flight=in_flight)
    settings = replace(settings, even_last=even_last)
    return OperationRequest(source=source, settings=settings, jobs=jobs)


def refuse_restores_of(store: RunStore, request: OperationRequest) -> None:
    """Raise `UsageError` while a restore has yet to read backups that are to be deleted."""
    _refuse_overlap(store, {backup_id(job) for job in request.jobs}, backup_id)


def _source_run(store: RunStore, run_id: str, done: str) -> Run:
    """Find the run by its id; raises `UsageError` for a run that makes no backups."""
    found = store.run(run_id)
    if found.settings.operation is not Operation.BACKUP:
        raise UsageError(
            f"run {found.id} made no backups that could be {done}: "
            f"name the run that did ({found.settings.source_run})"
        )
    return found


async def prepare_restore(service: CloudService, request: OperationRequest) -> Prepared:
    """Check each backup and volume in the cloud; raises `UsageError` if one is not fit."""
    backups = await _listed(service, request.jobs)
    onto = {job.volume_id for job in request.jobs}
    targets = await or_refuse(volumes_by_id(service.inventory, onto))
    jobs = called(request.jobs, targets)
    if objections := objections_to_restore(jobs, backups, targets):
        raise UsageError("\n".join([*objections, "nothing was restored"]))
    return Prepared(request=request, jobs=jobs, backups=backups)


async def prepare_prune(
    store: RunStore, service: CloudService, request: OperationRequest
) -> Prepared:
    """Find out in the cloud which of the backups may be deleted."""
    holdings = await read_holdings(store, service, request.jobs)
    there = {plain_id(backup.id): backup for backup in holdings.backups}
    gone = [job for job in request.jobs if plain_id(backup_id(job)) not in there]
    wanted = {
        backup_id(job): MadeBackup(
            run=request.source, job=job, backup=there[plain_id(backup_id(job))]
        )
        for job in request.jobs
        if plain_id(backup_id(job)) in there
    }
    even_last = request.settings.even_last
    stay = spared(holdings, list(wanted.values()), even_last=even_last)
    left_alone = [(job, "gone already") for job in gone]
    left_alone += [(each.job, stay[each.id]) for each in wanted.values() if each.id in stay]
    going = [each for each in wanted.values() if each.id not in stay]
    return Prepared(
        request=request,
        jobs=jobs_deleting(holdings, going, even_last=even_last),
        backups={key: each.backup for key, each in wanted.items()},
        left_alone=left_alone,
    )


def create_operation_run(
    store: RunStore, prepared: Prepared, service: CloudService, cloud: str | None
) -> Run:
    """Freeze a restore or a prune into the store as a run of its own."""
    request = prepared.request
    return store_operation(store, request.source, request.settings, prepared.jobs, service, cloud)


def backup_id(job: Job) -> str:
    """The id of the backup that a job restores or deletes."""
    return job.settings.source_backup_id or ""


async def _carry_out(
    store: RunStore,
    prepared: Prepared,
    session: CloudService,
    cloud: str | None,
    observers: Iterable[Observer],
) -> RunResult:
    created = create_operation_run(store, prepared, session, cloud)
    await drive(store, created, session, observers=observers, resumed=False)
    return result_of(store, created.id)


def _refuse_overlap(store: RunStore, wanted: Set[str], of: Callable[[Job], str]) -> None:
    """Raise `UsageError` while another restore needs one of `wanted`; `of` gives a job's key."""
    for run in store.runs():
        if run.settings.operation is not Operation.RESTORE or run.state is RunState.ENDED:
            continue
        left = sum(of(job) in wanted for job in store.jobs(run.id, states=NOT_ENDED))
        if left:
            raise UsageError(
                f"run {run.id} has not ended and has yet to restore {left} of these: let it end "
                f"(vbsbatch resume {quote(run.id)}), or cancel them "
                f"(vbsbatch cancel {quote(run.id)})"
            )


async def _listed(service: CloudService, jobs: Sequence[Job]) -> dict[str, Backup]:
    """The backups that the jobs name, as the cloud lists them, by id."""
    return await or_refuse(listed(service, {backup_id(job) for job in jobs}))
