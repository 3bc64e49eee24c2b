"""Deletes what rules no longer keep of the backups of all runs of a plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from vbsbatch.api.driving import drive
from vbsbatch.api.holdings import read_holdings
from vbsbatch.api.operation_runs import jobs_deleting, store_operation
from vbsbatch.api.plan_runs import in_place_of, runs_of_plan
from vbsbatch.api.results import RunResult, result_of
from vbsbatch.api.retention import one_after_the_other, settings_of_prune
from vbsbatch.api.sessions import session_for
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.cloud import CloudService
from vbsbatch.errors import UsageError
from vbsbatch.inventory.retention import Fate, fates
from vbsbatch.model import Job, Operation, Rate, Retention, Run, Settings, did_you_mean
from vbsbatch.observers import Observer
from vbsbatch.store import RunStore


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanPruneRequest:
    """A prune of all runs of a plan as the store alone knows it."""

    source: Run
    """The newest run of the plan in this place: its limits and waits hold for the prune."""
    settings: Settings
    rules: Retention
    runs: Collection[str]
    """The ids of the runs of the plan in this place."""
    elsewhere: Sequence[Run] = ()
    """Runs of the plan in another project or region, or of another service."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedPlanPrune:
    """What such a prune would do in the cloud now; nothing is stored yet."""

    request: PlanPruneRequest
    fates: Sequence[Fate]
    """What becomes of each backup, volume by volume, the newest first."""
    jobs: Sequence[Job]
    """One for each backup that goes."""


async def retained(
    plan: str,
    rules: Retention | None = None,
    *,
    store: StoreName = None,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
) -> list[Fate]:
    """List what becomes of each backup of a plan's runs under the rules. Nothing is deleted.

    `rules` are by default those with which the plan's newest run began. Raises `UsageError` where
    there is no such plan, or no rule.
    """
    with opened_store(store, readonly=True) as opened:
        request = request_plan_prune(opened, plan, rules, cloud=cloud)
        place = (cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint)
        async with session_for(request.source, *place, settings=request.settings) as session:
            return list((await prepare_plan_prune(opened, session, request)).fates)


async def prune_plan(
    plan: str,
    rules: Retention | None = None,
    *,
    store: StoreName = None,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
    rate: Rate | None = None,
    in_flight: int | None = None,
    observers: Iterable[Observer] = (),
) -> RunResult | None:
    """Delete what the rules no longer keep, without asking; `retained` lists it first.

    None where everything is kept. Arguments and errors as for `retained` and `prune`.
    """
    with opened_store(store) as opened:
        request = request_plan_prune(
            opened, plan, rules, cloud=cloud, rate=rate, in_flight=in_flight
        )
        place = (cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint)
        async with session_for(
            request.source, *place, settings=request.settings, observers=observers
        ) as session:
            prepared = await prepare_plan_prune(opened, session, request)
            if not prepared.jobs:
                return None
            created = create_plan_prune(opened, prepared, session, cloud)
            await drive(opened, created, session, observers=observers, resumed=False)
        return result_of(opened, created.id)


def request_plan_prune(
    store: RunStore,
    plan: str,
    rules: Retention | None,
    *,
    cloud: str | None = None,
    rate: Rate | None = None,
    in_flight: int | None = None,
) -> PlanPruneRequest:
    """Read from the store what a prune of a plan needs; raises `UsageError`.

    The place is that of the plan's newest run; `cloud`, an entry of clouds.yaml, chooses among the
    places of those runs.
    """
    found = runs_of_plan(store, plan)
    if not found:
        known = {run.plan for run in store.runs() if run.settings.operation is Operation.BACKUP}
        raise UsageError(f"no run of {store.path} is of a plan {plan!r}{did_you_mean(plan, known)}")
    source = next((run for run in found if run.cloud == cloud), found[0])
    rules = rules or source.settings.retention
    if rules is None:
        raise UsageError(
            f"which backups are to be kept? Plan {plan} has no retention: name a rule, such as "
            "--keep-last 7"
        )
    settings = settings_of_prune(source)
    limits = replace(
        settings.limits,
        rate=rate or settings.limits.rate,
        in_flight=in_flight or settings.limits.in_flight,
    )
    here = in_place_of(source, found)
    ids = {run.id for run in here}
    return PlanPruneRequest(
        source=source,
        settings=replace(settings, limits=limits),
        rules=rules,
        runs=ids,
        elsewhere=[run for run in found if run.id not in ids],
    )


async def prepare_plan_prune(
    store: RunStore, service: CloudService, request: PlanPruneRequest
) -> PreparedPlanPrune:
    """Find out in the cloud what becomes of each backup."""
    holdings = await read_holdings(store, service)
    told = fates(holdings, request.rules, request.runs)
    going = [fate.found for fate in told if fate.goes]
    jobs = one_after_the_other(jobs_deleting(holdings, going))
    return PreparedPlanPrune(request=request, fates=told, jobs=jobs)


def create_plan_prune(
    store: RunStore, prepared: PreparedPlanPrune, service: CloudService, cloud: str | None
) -> Run:
    """Freeze the prune into the store as a run of its own."""
    request = prepared.request
    return store_operation(store, request.source, request.settings, prepared.jobs, service, cloud)
