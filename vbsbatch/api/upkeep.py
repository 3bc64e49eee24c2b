"""Upkeep of the store: starts that made no run, and compaction."""

from __future__ import annotations

from enum import StrEnum

from vbsbatch.api.overlap import is_going_on
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.model import Compaction, MissedKind, MissedStart, Run, RunState, Wall
from vbsbatch.model.clocks import wall
from vbsbatch.policy.timetable import Scheduled
from vbsbatch.report.text import moment
from vbsbatch.store import RunStore

USUAL_AGE = 90 * 86_400.0
"""Seconds after its end for which a run keeps its history."""


SHUTDOWN = "stopped by SIGTERM"
"""The reason of a run that a shutdown stopped; `vbsbatch.cli.stop_signals` has the words."""


class Interruption(StrEnum):
    """What ended an engine that nobody stopped on purpose."""

    REBOOT = "reboot"
    """A shutdown, or anything that killed it."""
    KILL = "kill"
    """Something that killed it: SIGKILL, a lack of memory, a loss of power."""


async def missed_starts(*, store: StoreName = None) -> list[MissedStart]:
    """List the starts of plans that made no run, or made it late; newest first."""
    with opened_store(store, readonly=True) as opened:
        return opened.missed_starts()


async def compact(
    *, older_than: float = USUAL_AGE, store: StoreName = None, dry_run: bool = False
) -> Compaction:
    """Remove events, attempts and answered commands of runs that ended `older_than` seconds ago.

    Runs and jobs stay. `dry_run` only counts. Returns what was removed, or would be.
    """
    before = Wall(float(wall()) - older_than)
    with opened_store(store, readonly=dry_run) as opened:
        return opened.compactable(before) if dry_run else opened.compact(before)


def passed_starts(store: RunStore, scheduled: Scheduled, until: float) -> list[MissedStart]:
    """The moments of a schedule up to `until` that made no run, and that the store does not know.

    A moment at which a run of the plan was going on is `skipped`, any other is `missed`.
    """
    plan_runs = [run for run in store.runs() if run.backs_up(scheduled.plan)]
    known = max(scheduled.since, last_start(store, scheduled.plan))
    found = []
    for slot in scheduled.timetable.between(known, until):
        covering = next((run for run in plan_runs if _covers(run, slot)), None)
        text = (
            "nothing was started: the machine or the timer was off"
            if covering is None
            else f"run {covering.id} was still going on"
        )
        missed = MissedStart(
            plan=scheduled.plan,
            at=Wall(slot),
            kind=MissedKind.MISSED if covering is None else MissedKind.SKIPPED,
            run_id=None if covering is None else covering.id,
            text=text,
        )
        found.append(missed)
    return found


def last_start(store: RunStore, plan: str) -> float:
    """When the newest run of a plan was made, or the newest start missed; 0 without any."""
    made = [float(run.created_at) for run in store.runs() if run.backs_up(plan)]
    missed = [float(each.at) for each in store.missed_starts() if each.plan == plan]
    return max([0.0, *made, *missed])


def _covers(run: Run, at: float) -> bool:
    """Whether the run was going on at a moment, as far as its engine told."""
    left = run.heartbeat_at if run.ended_at is None else run.ended_at
    return left is not None and float(run.created_at) <= at <= float(left)


def why_not_resumed(
    store: RunStore, run: Run, *, by: Interruption, scheduled: Scheduled | None, now: float
) -> str | None:
    """Why a run of a plan that is started by the clock is not continued; None if it is.

    It is continued if a kill took its engine, or a shutdown (SIGTERM) with `REBOOT`; but not if the
    schedule starts the next run at this moment, because the machine was off at its time.
    """
    if run.state is RunState.ENDED:
        return "it has ended"
    if is_going_on(store, run):
        return "an engine drives it"
    by_shutdown = by is Interruption.REBOOT and run.reason == SHUTDOWN
    if run.state is RunState.STOPPED and not by_shutdown:
        return f"it was stopped: {run.reason or 'no reason is known'}"
    due = None if scheduled is None else scheduled.timetable.last(now)
    if due is None or float(run.heartbeat_at or run.created_at) >= due:
        return None
    if any(each.plan == run.plan and float(each.at) >= due for each in store.missed_starts()):
        return None
    return f"the start of {moment(due)} is due, and takes its place"


def newest_of_plan(store: RunStore, plan: str, cloud: str | None) -> Run | None:
    """The newest run that makes the backups of a plan, with this entry of clouds.yaml if named."""
    for run in store.runs():
        if run.backs_up(plan) and cloud in (None, run.cloud):
            return run
    return None
