"""Creates, resumes and retries runs that make backups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING, Any

from vbsbatch.api.driving import drive
from vbsbatch.api.lost_runs import LostRun, check_backups, lost_run
from vbsbatch.api.overlap import EarlierRuns, IfRunning, create_alone
from vbsbatch.api.preflight import refuse_errors, refuse_hopeless, run_preflight
from vbsbatch.api.reading import check_volumes
from vbsbatch.api.results import RunResult, result_of
from vbsbatch.api.retention import is_due, newest_due, store_room
from vbsbatch.api.sessions import (
    choice_for_plan,
    cloud_now,
    objections,
    reach,
    session_for,
    signed_in,
)
from vbsbatch.api.steering import ACTOR, ask, wait
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.api.vaults import place
from vbsbatch.cloud import CloudService
from vbsbatch.errors import RunIsLive, UsageError
from vbsbatch.inventory.preflight import Preflight, Severity
from vbsbatch.model import (
    BackupSettings,
    Job,
    JobState,
    OnPreflight,
    Operation,
    Rate,
    Run,
    RunState,
    Service,
    Wall,
)
from vbsbatch.model.clocks import wall
from vbsbatch.observers import Observer
from vbsbatch.plan.batches import in_batches
from vbsbatch.report.text import moment
from vbsbatch.store import RunStore, db_option

if TYPE_CHECKING:
    from vbsbatch.plan import Plan


async def run(
    plan: Plan,
    *,
    store: StoreName = None,
    cloud: str | None = None,
    service: Service | str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
    rate: Rate | None = None,
    in_flight: int | None = None,
    preflight: bool = True,
    on_preflight: OnPreflight | str | None = None,
    keep_errored_backups: bool = False,
    as_run: str | None = None,
    take_over: bool = False,
    if_running: IfRunning | str | None = None,
    observers: Iterable[Observer] = (),
) -> RunResult:
    """Submit the backups of a plan and follow them to their end.

    `store` is a path, an open store, or None for the default store; a missing one is created.
    `cloud` is an entry of clouds.yaml and wins over the plan and `OS_CLOUD`; `service` wins over
    the plan (`auto` takes what the cloud offers). `rate` and `in_flight` win over the plan's
    limits. `preflight` checks volumes and quota first; volumes that would surely fail are refused
    or skipped, as `on_preflight` or the plan says. `as_run` creates a run again whose store is
    lost. `take_over` takes volumes from runs that have no engine. `if_running` is what to do about
    a run of the plan in the same project that is not over (docs/schedule.md): `skip` raises
    `RunIsLive`, `wait` begins when it has ended, `stop` stops it first.

    A cancelled caller waits until pending answers are recorded; the run can be resumed. Raises
    `UsageError`, `SignInError` or `StoreError` before anything is sent, and `StoreFailed` later;
    the run can then be resumed.
    """
    plan = with_options(
        plan, rate=rate, in_flight=in_flight, keep_errored_backups=keep_errored_backups
    )
    choice = choice_for_plan(
        plan, cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint, service=service
    )
    policy = OnPreflight(on_preflight or plan.on_preflight)

    def approve(found: Preflight) -> None:
        refuse_hopeless(found, len(plan))
        if policy is OnPreflight.FAIL:
            refuse_errors(found)

    with opened_store(store, create=True) as opened:
        lost = None if as_run is None else lost_run(opened, as_run)
        async with signed_in(choice, plan.settings, observers) as session:
            cloud_name, check = choice.cloud, approve if preflight else None

            async def create(instead_of: Collection[str] | None) -> Run:
                created, _ = await check_and_create(
                    opened, plan, session, cloud_name, check, lost=lost, instead_of=instead_of
                )
                return created

            if if_running is None:
                created = await create(None)
            else:
                created = await _create_alone(
                    opened, plan.name, session, IfRunning(if_running), create, observers
                )
            if take_over:
                opened.take_over(created.id, ACTOR)
            await drive(opened, created, session, observers=observers, resumed=lost is not None)
        return result_of(opened, created.id)


async def _create_alone(
    store: RunStore,
    plan: str,
    session: CloudService,
    policy: IfRunning,
    create: Callable[[Collection[str]], Awaitable[Run]],
    observers: Iterable[Observer],
) -> Run:
    """Create the run after what an earlier one of the plan leaves to do."""

    async def settle(run: Run) -> RunState:
        return (await drive(store, run, session, observers=observers)).state

    earlier = EarlierRuns(store, plan, session, policy, settle=settle)
    created = await create_alone(earlier, create)
    store.take_over(created.id, ACTOR, only=earlier.stopped)
    return created


async def resume(
    run_id: str | None = None,
    *,
    store: StoreName = None,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
    rate: Rate | None = None,
    in_flight: int | None = None,
    take_over: bool = False,
    observers: Iterable[Observer] = (),
) -> RunResult:
    """Continue a run, by default the newest unfinished one that makes backups.

    Nothing is submitted twice. A run that has ended is left as it is, unless the rules of its plan
    have yet to be applied. Arguments and errors as for `run`; `RunIsLive` when an engine drives it
    already.
    """
    with opened_store(store) as opened:
        found = find_resumable(opened, run_id, rate=rate, in_flight=in_flight)
        if found.state is not RunState.ENDED or is_due(opened, found):
            async with session_for(
                found,
                cloud,
                vbs_endpoint,
                cbr_endpoint,
                block_storage_endpoint,
                observers=observers,
            ) as session:
                if take_over:
                    opened.take_over(found.id, ACTOR)
                await drive(opened, found, session, observers=observers)
        return result_of(opened, found.id)


async def retry(
    run_id: str,
    *,
    statuses: Sequence[int] = (),
    codes: Sequence[str] = (),
    volumes: Sequence[str] = (),
    all_failed: bool = False,
    store: StoreName = None,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
    observers: Iterable[Observer] = (),
) -> RunResult:
    """Try failed jobs of a run again, with all their attempts, and resume it.

    A job matches if it fits one criterion of each given kind; `all_failed` takes every failed job.
    If an engine drives the run, it is asked and waited for, and `observers` receive no events.
    Raises `UsageError` without any criterion; other errors as for `resume`.
    """
    chosen = retry_selection(statuses, codes, volumes, all_failed=all_failed)
    if chosen is None:
        raise UsageError("say what to retry: statuses, codes, volumes or all_failed")
    with opened_store(store) as opened:
        found = opened.run(run_id)
        check_volumes(opened, found.id, volumes)
        if opened.is_live(found.id) is not None:
            await ask(opened, found.id, "retry", chosen)
            return await wait(found.id, store=opened)
        async with session_for(
            found, cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint, observers=observers
        ) as session:
            if opened.requeue(found.id, chosen) or found.state is not RunState.ENDED:
                await drive(opened, opened.run(found.id), session, observers=observers)
        return result_of(opened, found.id)


def with_options(
    plan: Plan, *, rate: Rate | None, in_flight: int | None, keep_errored_backups: bool
) -> Plan:
    """The plan with these options in place of its own."""
    settings = plan.settings
    limits = replace(
        settings.limits,
        rate=rate or settings.limits.rate,
        in_flight=settings.limits.in_flight if in_flight is None else in_flight,
    )
    delete_errored = settings.delete_errored and not keep_errored_backups
    return replace(plan, settings=replace(settings, limits=limits, delete_errored=delete_errored))


async def check_and_create(
    store: RunStore,
    plan: Plan,
    service: CloudService,
    cloud: str | None,
    approve: Callable[[Preflight], object] | None,
    *,
    lost: LostRun | None,
    agree: Callable[[Sequence[str]], object] = lambda _: None,
    instead_of: Collection[str] | None = None,
) -> tuple[Run, Preflight | None]:
    """Check the plan against the cloud, and store it as a new run; what the preflight found too.

    `approve` is called with what was found, and raises `UsageError` to start nothing; without it
    there is no preflight. Nor is there one for a `lost` run, whose backups are checked instead.
    `agree` is called with words about volumes that are to be put into vaults, and raises likewise.
    With `instead_of` the run is refused with `RunIsLive` if another of the same plan than these has
    not ended.
    """
    found = None
    if lost is not None:
        await check_backups(service, plan, lost)
    elif approve is not None:
        found = await run_preflight(plan, service, unanswered=Severity.WARNING, store=store)
        approve(found)
    await check_settings(plan, service, reached=found is not None)
    vault_of = await place(plan, service, found, agree)
    frozen = new_run(store, plan, service, cloud, lost=lost)
    if found is not None and found.first_deleted:
        store_room(store, frozen, found, service)
    store_backups(
        store, plan, frozen, service, found=found, vault_of=vault_of, instead_of=instead_of
    )
    return store.run(frozen.id), found


async def check_settings(plan: Plan, service: CloudService, *, reached: bool) -> None:
    """Raise `UsageError` for settings that the service does not support.

    `reached`: the service has answered already; if not, check that first.
    """
    if not reached:
        await reach(service)
    if objected := await objections(plan, service):
        raise UsageError("\n".join(objected))


def new_run(
    store: RunStore,
    plan: Plan,
    service: CloudService,
    cloud: str | None,
    *,
    lost: LostRun | None = None,
) -> Run:
    """The run that the plan is frozen into, not stored yet. `lost` is one to create again."""
    now = wall()
    deadline = plan.settings.deadline
    return Run(
        id=store.new_run_id(now) if lost is None else lost.id,
        plan=plan.name,
        cloud=cloud,
        project_id=service.project_id,
        project_name=service.project_name,
        region=service.region,
        endpoint=service.endpoint,
        state=RunState.RUNNING,
        settings=plan.settings_on(service.facts),
        created_at=now if lost is None else lost.made_at,
        created_cloud_at=cloud_now(service) if lost is None else None,
        deadline_at=None if deadline is None else now + deadline,
    )


def store_backups(
    store: RunStore,
    plan: Plan,
    run: Run,
    service: CloudService,
    *,
    found: Preflight | None = None,
    vault_of: Mapping[str, str],
    instead_of: Collection[str] | None = None,
) -> None:
    """Put the run of the plan into the store, with its jobs.

    What the preflight found tells sizes, and the volumes that are left out; `vault_of` has the
    vaults of the others, on a service that has vaults; `instead_of` is as in `RunStore.create_run`.
    """
    now = wall()
    skipped, sizes = ({}, {}) if found is None else (found.left_out, found.sizes)
    jobs = (
        _skipped(_placed(job, vault_of), skipped.get(job.volume_id), now)
        for job in plan.jobs(run.id, sizes, shared_names=service.facts.vaults)
    )
    batches = in_batches(jobs, run.settings.limits.per_checkpoint)
    store.create_run(run, batches, BackupSettings(), instead_of=instead_of)


def _placed(job: Job, vault_of: Mapping[str, str]) -> Job:
    vault = vault_of.get(job.volume_id)
    return job if vault is None else replace(job, settings=replace(job.settings, vault=vault))


def _skipped(job: Job, why: str | None, now: Wall) -> Job:
    """The new job: waiting, or skipped for a reason."""
    if why is None:
        return job
    return replace(job, state=JobState.SKIPPED, message=why, ended_at=now)


def find_resumable(
    store: RunStore, run_id: str | None, *, rate: Rate | None, in_flight: int | None
) -> Run:
    """The run to resume, with these limits unless it has ended; raises `RunIsLive`.

    Without an id, the newest unfinished one that makes backups; raises `UsageError` without any.
    """
    found = store.run(run_id) if run_id else unfinished(store)
    refuse_if_live(store, found)
    if found.state is RunState.ENDED:
        return found
    store.set_limits(found.id, rate=rate, in_flight=in_flight)
    return store.run(found.id)


def unfinished(store: RunStore) -> Run:
    """Find the newest unfinished run that makes backups; raises `UsageError` when there is none.

    Else the newest after which the rules of its plan have yet to be applied. A run that restores or
    deletes is resumed only by its id.
    """
    found = [run for run in store.runs() if run.state is not RunState.ENDED]
    for each in found:
        if each.settings.operation is Operation.BACKUP:
            return each
    if (due := newest_due(store)) is not None:
        return due
    if not found:
        raise UsageError(f"no run in {store.path} is unfinished")
    only = found[0]
    raise UsageError(
        f"only run {only.id} is unfinished, a {only.settings.operation}: "
        f"if that is still wanted, name it: vbsbatch resume {quote(only.id)}"
    )


def refuse_if_live(store: RunStore, run: Run) -> None:
    """Raise `RunIsLive` when an engine drives the run, or may drive it."""
    holder = store.is_live(run.id)
    if holder is not None:
        watch = f"vbsbatch attach {quote(run.id)}{db_option(store.path)}"
        since = "" if holder.since is None else f", since {moment(holder.since)}"
        raise RunIsLive(f"{holder.refusal(run.id)}{since}: {watch}")


def unfinished_of_plan(store: RunStore, plan: str) -> tuple[Run, bool] | None:
    """The newest unfinished run if it is one of this plan, and whether an engine drives it."""
    found = store.newest_unfinished()
    if found is None or found.plan != plan:
        return None
    return found, store.is_live(found.id) is not None


def retry_selection(
    statuses: Sequence[int], codes: Sequence[str], volumes: Sequence[str], *, all_failed: bool
) -> Mapping[str, Any] | None:
    """The criteria as the store takes them; None without any."""
    chosen: dict[str, Any] = {"states": ["failed"]}
    for key, values in (("status", statuses), ("codes", codes), ("volumes", volumes)):
        if values:
            chosen[key] = list(values)
    if len(chosen) == 1 and not all_failed:
        return None
    if volumes:
        chosen["states"].append("cancelled")
    return chosen
