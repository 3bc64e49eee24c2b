"""Applies the rules of a plan: after a run of it, and before one that needs room.

Each time the deletions are a run of their own, which this process drives while it holds the lock of
the run that they are for. Whatever goes wrong with them is noted in that run, and changes nothing
about its backups. What was not done is done by `resume`, or by the next run of the plan.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from shlex import quote

from vbsbatch.api.holdings import read_holdings
from vbsbatch.api.operation_runs import jobs_deleting, store_operation
from vbsbatch.api.plan_runs import automatic_prunes, in_place_of, runs_of_plan
from vbsbatch.api.system_clock import Clock
from vbsbatch.cloud import CloudService
from vbsbatch.engine import EngineResult
from vbsbatch.errors import RunIsLive, StoreFailed, VbsbatchError
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.inventory.preflight import Preflight
from vbsbatch.inventory.retention import fates
from vbsbatch.model import (
    Job,
    JobState,
    Operation,
    Retention,
    Run,
    RunNoted,
    RunState,
    Settings,
    plain_id,
)
from vbsbatch.plan.derived_jobs import settings_for
from vbsbatch.store import RunStore

_INTERRUPTED = "was interrupted: what it has sent is followed to its end"

DriveOne = Callable[[Run, "Collection[str] | None"], Awaitable[EngineResult]]
"""Drives another run in this process, with the ids of the backups that it may still delete."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deleting:
    """What the deletions for one run need."""

    store: RunStore
    run: Run
    service: CloudService
    drive: DriveOne
    emit: Callable[[RunNoted], None]
    clock: Clock

    def note(self, text: str) -> None:
        """Tell the observers, and put it into the history of the run."""
        noted = RunNoted(at=self.clock.wall(), kind="retention", text=text)
        self.emit(noted)
        self.store.note(self.run.id, noted)


def is_due(store: RunStore, run: Run) -> bool:
    """Whether the rules of the run's plan have yet to be applied after it.

    Only after the newest run of a plan: an old one may have other rules.
    """
    if run.settings.retention is None or run.state is not RunState.ENDED:
        return False
    same = in_place_of(run, runs_of_plan(store, run.plan))
    if same[0].id != run.id or not store.counts(run.id).get(JobState.SUCCEEDED):
        return False
    if run.retained_at is None or (run.ended_at is not None and run.retained_at < run.ended_at):
        return True
    return any(each.settings.follows == run.id for each in automatic_prunes(store, run))


def newest_due(store: RunStore) -> Run | None:
    """The newest run after which rules have yet to be applied, and that no engine drives."""
    seen = set()
    for run in store.runs():
        where = (run.plan, run.project_id, run.region, run.settings.service)
        if run.settings.operation is not Operation.BACKUP or where in seen:
            continue
        seen.add(where)
        if is_due(store, run) and store.is_live(run.id) is None:
            return run
    return None


def settings_of_prune(
    source: Run, *, follows: str | None = None, makes_room_for: str | None = None
) -> Settings:
    """The settings of a run that deletes backups of all runs of a plan."""
    settings = settings_for(Operation.PRUNE, source, rate=None, in_flight=None)
    return replace(
        settings,
        limits=replace(settings.limits, per_group=1),
        source_run=None,
        source_plan=source.plan,
        follows=follows,
        makes_room_for=makes_room_for,
    )


def one_after_the_other(jobs: Sequence[Job]) -> list[Job]:
    """The jobs in groups by volume, as `per_group` of `settings_of_prune` takes them: the youngest
    backup of a volume goes first, and is gone before the next one is asked for."""
    return [replace(job, group=job.volume_id) for job in jobs]


async def make_room(what: Deleting) -> None:
    """Finish the deletions that must come before the run's own backups.

    Of those that were interrupted after earlier runs only the requests that are under way are
    followed, since they hold volumes; nothing more is deleted.
    """
    for prune in automatic_prunes(what.store, what.run):
        if prune.settings.makes_room_for == what.run.id:
            step = _drive_to_end(what, prune, "makes room for new backups", None)
            await _guarded(what, step, "not all room could be made")
    for prune in _cancel_stale(what):
        step = _drive_to_end(what, prune, _INTERRUPTED, ())
        await _guarded(what, step, "an interrupted deletion could not be finished")


async def apply_rules(what: Deleting) -> None:
    """Delete what the rules of the run's plan no longer keep of the volumes that succeeded."""
    rules = what.run.settings.retention
    if rules is not None and what.store.counts(what.run.id).get(JobState.SUCCEEDED):
        await _guarded(what, _apply(what, rules), "the rules of the plan were not applied")


async def _guarded(what: Deleting, step: Awaitable[None], failed: str) -> None:
    """Do it; what goes wrong is noted, and nothing else."""
    try:
        await step
    except StoreFailed:
        raise
    except VbsbatchError as error:
        later = (
            f"vbsbatch resume {quote(what.run.id)}, or the next run of the plan, makes up for it"
        )
        what.note(f"{failed}: {error}; {later}")


async def _apply(what: Deleting, rules: Retention) -> None:
    store, run = what.store, what.run
    stale = _cancel_stale(what)
    ignored = {prune.id for prune in stale}
    holdings = await read_holdings(store, what.service, clock=what.clock, ignored=ignored)
    volumes = {plain_id(j.volume_id) for j in store.jobs(run.id, states=[JobState.SUCCEEDED])}
    plan = {each.id for each in in_place_of(run, runs_of_plan(store, run.plan))}
    told = [fate for fate in fates(holdings, rules, plan) if fate.found.volume in volumes]
    going = {fate.found.id: fate.found for fate in told if fate.goes}
    for prune in stale:
        await _drive_to_end(what, prune, _INTERRUPTED, going.keys())
        for job in store.jobs(prune.id, states=[JobState.SUCCEEDED]):
            going.pop(plain_id(job.settings.source_backup_id or ""), None)
    if not going:
        store.set_retained(run.id)
        what.note(f"{counted(len(told), 'backup')}, none to delete: the plan keeps {rules}")
        return
    jobs = one_after_the_other(jobs_deleting(holdings, list(going.values())))
    settings = settings_of_prune(run, follows=run.id)
    prune = store_operation(store, run, settings, jobs, what.service, run.cloud, clock=what.clock)
    store.set_retained(run.id)
    words = f"deletes {len(going)} of {counted(len(told), 'backup')}: the plan keeps {rules}"
    await _drive_to_end(what, prune, words, None)


def _cancel_stale(what: Deleting) -> list[Run]:
    """Give up what deletions after earlier runs of the plan did not come to: it is decided anew.

    Returns those runs, and what was begun after this very run; requests that may be under way are
    still to be followed.
    """
    found = []
    for prune in automatic_prunes(what.store, what.run):
        try:
            if not _is_at_work(what.store, prune):
                if prune.settings.follows != what.run.id:
                    what.store.cancel(prune.id, {"all": True})
                found.append(prune)
        except RunIsLive:
            continue
    return found


def _is_at_work(store: RunStore, prune: Run) -> bool:
    """Whether an engine drives the prune, or the run for which it makes room."""
    ids = [prune.id, prune.settings.makes_room_for]
    there = {run.id for run in store.runs()}
    return any(store.is_live(each) is not None for each in ids if each in there)


async def _drive_to_end(
    what: Deleting, prune: Run, words: str, only: Collection[str] | None
) -> None:
    """Drive a prune, and note in the run for which it is what became of it."""
    what.note(f"run {prune.id} {words}")
    try:
        result = await what.drive(prune, only)
    except RunIsLive as error:
        what.note(f"{error}")
        return
    what.note(_outcome(prune.id, result))


def _outcome(run_id: str, result: EngineResult) -> str:
    deleted = result.counts.get(JobState.SUCCEEDED, 0)
    failed = result.counts.get(JobState.FAILED, 0)
    text = f"run {run_id}: {counted(deleted, 'backup')} deleted"
    if failed:
        text += f", {failed} not (vbsbatch status {quote(run_id)})"
    if result.state is not RunState.ENDED:
        text += f"; stopped: {result.reason} (vbsbatch resume {quote(run_id)})"
    return text


def store_room(store: RunStore, run: Run, found: Preflight, service: CloudService) -> Run:
    """Store the deletions that must come before the backups of `run`, which is stored next."""
    assert found.holdings is not None, "it is what `first_deleted` was chosen from"
    settings = settings_of_prune(run, makes_room_for=run.id)
    jobs = one_after_the_other(jobs_deleting(found.holdings, found.first_deleted))
    return store_operation(store, run, settings, jobs, service, run.cloud)
