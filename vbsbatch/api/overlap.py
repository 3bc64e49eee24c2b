"""What becomes of an earlier run of a plan when the next one is to begin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from enum import StrEnum
from typing import TypeAlias, TypeVar

import anyio

from vbsbatch.api.steering import ACTOR, ask, is_under_way
from vbsbatch.cloud import CloudService
from vbsbatch.errors import RunIsLive, UsageError
from vbsbatch.model import ENDED_STATES, MissedKind, MissedStart, Run, RunState
from vbsbatch.model.clocks import wall
from vbsbatch.store import RunStore

STARTING = 120.0
"""Seconds after its creation for which a run may still be waiting for its first engine."""

EVERY = 3600.0
"""Seconds between two lines about a wait."""

_LOOK = 1.0

Tell: TypeAlias = Callable[[str], object]
Settle: TypeAlias = Callable[[Run], Awaitable[RunState]]
Created = TypeVar("Created")


class IfRunning(StrEnum):
    """What to do while an earlier run of the same plan is going on."""

    SKIP = "skip"
    """Start nothing."""
    WAIT = "wait"
    """Start when it has ended."""
    STOP = "stop"
    """Stop it, then start."""


class EarlierRunUnfinished(RunIsLive):
    """Nothing was started because of an earlier run of the plan."""

    def __init__(self, run: Run, *, skipped: bool) -> None:
        why = "is still running" if skipped else "could not be brought to its end"
        super().__init__(f"run {run.id} of the same plan {why}: nothing was started")
        self.run = run
        self.skipped = skipped
        """Whether the run goes on, and was to be left alone."""


class EarlierRuns:
    """The unfinished runs of a plan in one project and region, before the next one begins.

    `settle` drives a run that has no engine, and returns how it left it; `tell` gets lines for a
    person; `asked_by` is the name in the history of a run that is stopped.
    """

    def __init__(
        self,
        store: RunStore,
        plan: str,
        service: CloudService,
        policy: IfRunning,
        *,
        settle: Settle,
        tell: Tell = lambda _: None,
        asked_by: str = ACTOR,
    ) -> None:
        self._store = store
        self._plan = plan
        self._service = service
        self._policy = policy
        self._settle = settle
        self._tell = tell
        self._asked_by = asked_by
        self._stopped: set[str] = set()

    @property
    def stopped(self) -> Collection[str]:
        """The runs that were stopped: the next one takes the volumes over that they hold."""
        return self._stopped

    async def resolve(self) -> None:
        """Return when no earlier run is left to deal with.

        Raises `EarlierRunUnfinished` for one that is going on, with `SKIP`, which the store
        remembers; and for one that could not be brought to its end.
        """
        while (found := self._unfinished()) is not None:
            if is_going_on(self._store, found):
                if self._policy is IfRunning.SKIP:
                    record_skipped(self._store, found)
                    raise EarlierRunUnfinished(found, skipped=True)
                await self._await_or_stop(found)
            elif not await self._bring_to_its_end(found):
                raise EarlierRunUnfinished(found, skipped=False)

    def _unfinished(self) -> Run | None:
        """An earlier run to deal with, preferably one that is going on."""
        place = self._service.project_id, self._service.region, self._service.facts.service
        found = [
            run
            for run in self._store.runs()
            if run.state is not RunState.ENDED
            and run.id not in self._stopped
            and run.backs_up(self._plan, *place)
        ]
        going_on = [run for run in found if is_going_on(self._store, run)]
        return next(iter(going_on or found), None)

    async def _await_or_stop(self, run: Run) -> None:
        waited = 0.0
        while is_going_on(self._store, run):
            live = self._store.is_live(run.id) is not None
            if self._policy is IfRunning.STOP and live and run.id not in self._stopped:
                await self._stop(run)
            elif self._policy is IfRunning.WAIT and waited % EVERY == 0:
                left, total = self._left(run), sum(self._store.counts(run.id).values())
                words = f"{total - left} of {total} volumes done"
                self._tell(f"waiting until run {run.id} of the same plan has ended: {words}")
            await anyio.sleep(_LOOK)
            waited += _LOOK
            run = self._store.run(run.id)

    async def _stop(self, run: Run) -> None:
        self._tell(f"run {run.id} of the same plan is still running: it is stopped")
        try:
            await ask(self._store, run.id, "stop", {}, self._asked_by)
        except UsageError:
            if is_going_on(self._store, self._store.run(run.id)):
                raise
        self._stopped.add(run.id)

    def _left(self, run: Run) -> int:
        counts = self._store.counts(run.id)
        return sum(number for state, number in counts.items() if state not in ENDED_STATES)

    async def _bring_to_its_end(self, run: Run) -> bool:
        """Cancel what a run without an engine has not sent, and follow the rest to its end."""
        with suppress(RunIsLive):  # somebody resumed it at this moment
            cancelled = self._store.cancel(run.id, {"all": True})
            self._tell(
                f"run {run.id} of the same plan has no engine: it is brought to its end first "
                f"({cancelled} not sent and cancelled, {self._left(run)} to look up in the cloud)"
            )
            return await self._settle(self._store.run(run.id)) is RunState.ENDED
        return True


async def create_alone(
    earlier: EarlierRuns, create: Callable[[Collection[str]], Awaitable[Created]]
) -> Created:
    """Create a run when the earlier ones are dealt with; raises as `EarlierRuns.resolve` does.

    `create` gets the runs that may stay unfinished, and raises `RunIsLive` for any other.
    """
    while True:
        await earlier.resolve()
        with suppress(RunIsLive):  # another one was begun since
            return await create(earlier.stopped)


def is_going_on(store: RunStore, run: Run) -> bool:
    """Whether an engine drives the run, or is about to: it was created a moment ago."""
    age = float(wall()) - float(run.created_at)
    starting = run.started_at is None and run.state is RunState.RUNNING and 0 <= age < STARTING
    return run.state is not RunState.ENDED and (starting or is_under_way(store, run))


def record_skipped(store: RunStore, run: Run) -> None:
    """Remember that nothing was started, because of this run."""
    text = f"run {run.id} was still going on"
    store.record_missed_start(
        MissedStart(plan=run.plan, at=wall(), kind=MissedKind.SKIPPED, run_id=run.id, text=text)
    )
