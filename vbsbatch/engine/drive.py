"""One run, from the jobs an earlier engine left to the last job's end or a stop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random

import anyio

from vbsbatch.engine.assignment import Assignment
from vbsbatch.engine.control import Control
from vbsbatch.engine.dispatch import Dispatcher
from vbsbatch.engine.ledger import Ledger, Listener
from vbsbatch.engine.limiter import CreateLimiter
from vbsbatch.engine.outcome import Rules
from vbsbatch.engine.ports import BackupService, Clock, Journal
from vbsbatch.engine.track import Tracker
from vbsbatch.engine.tuning import Tuning
from vbsbatch.errors import StoreError
from vbsbatch.model import JobState, Rate, Run, RunState


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How an engine left its run."""

    state: RunState
    """`ended` or `stopped`."""
    reason: str | None
    counts: Mapping[JobState, int]


class Engine:
    """Drives one run. One task group owns everything that happens at once."""

    def __init__(
        self,
        *,
        run: Run,
        journal: Journal,
        service: BackupService,
        clock: Clock,
        random: Random,
        listeners: Iterable[Listener] = (),
        tuning: Tuning | None = None,
    ) -> None:
        tuning = tuning or Tuning()
        self._run = run
        self._journal = journal
        self._clock = clock
        self._random = random
        self._reason: str | None = None
        limits = run.settings.limits
        self.ledger = Ledger(journal, clock, listeners, capped=limits.capped)
        self.limiter = CreateLimiter(run.rate or limits.rate, now=clock.now, tuning=tuning)
        work = Assignment(
            run=run,
            ledger=self.ledger,
            journal=journal,
            service=service,
            clock=clock,
            tuning=tuning,
            rules=self._rules,
            stop=self.stop,
        )
        self._dispatcher = Dispatcher(work, limiter=self.limiter)
        self._tracker = Tracker(work)
        self._control = Control(
            work, dispatcher=self._dispatcher, stop=self.stop, extend=self._extend
        )

    @property
    def rate(self) -> Rate:
        """The create rate in force."""
        return self.limiter.rate

    @property
    def paused(self) -> bool:
        """Whether no new create is sent for now, by an operator's wish or the plan's."""
        return self._dispatcher.paused or self.waits_for is not None

    @property
    def waits_for(self) -> str | None:
        """What must happen before a new create is sent, in words: the plan's window, a gate,
        the end of an outage."""
        return self._control.waits_for

    def stop(self, reason: str, *, now: bool = False) -> None:
        """Send nothing new, await the answers under way (not with `now`), end resumable."""
        self._reason = self._reason or reason
        if now:
            self._dispatcher.abort()
        self.ledger.changed.notify()

    def _extend(self, deadline_at: float) -> None:
        self._run = replace(self._run, deadline_at=deadline_at)

    async def drive(self) -> Ending:
        """Run until every job has ended, or until stopped; raises `StoreFailed` when the
        store does."""
        await self.ledger.load()
        await self._journal.run_state(RunState.RUNNING, self._clock.now())
        try:
            await self._work()
        except* StoreError as failures:
            raise _first(failures) from None
        return await self._close()

    async def _work(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._journal.failed, name="journal watch")
            group.start_soon(self._control.run, name="control")
            group.start_soon(self._tracker.run, name="tracker")
            # The others go on until the answers under way have come: a stopping run is steered too.
            async with anyio.create_task_group() as sending:
                sending.start_soon(self._dispatcher.run, name="dispatcher")
                while not self.ledger.ended and self._reason is None:
                    await self.ledger.changed.wait()
                if under_way := self._dispatcher.under_way:
                    self.ledger.note("run", f"stopping: answers still under way: {under_way}")
                sending.cancel_scope.cancel()
            group.cancel_scope.cancel()

    async def _close(self) -> Ending:
        ended = self.ledger.ended
        state = RunState.ENDED if ended else RunState.STOPPED
        reason = None if ended else self._reason
        if reason is not None:
            self.ledger.note("run", f"stopped: {reason}")
        await self._control.beat()
        await self._journal.run_state(state, self._clock.now(), reason)
        await self._journal.flush()
        return Ending(state=state, reason=reason, counts=self.ledger.tally())

    def _rules(self) -> Rules:
        now = self._clock.now()
        deadline = self._run.deadline_at
        return Rules(
            retry=self._run.settings.retry,
            now=now,
            random=self._random,
            closed=deadline is not None and now >= deadline,
        )


def _first(failures: BaseExceptionGroup[StoreError]) -> StoreError:
    """One failure of a store that fails in many tasks at once."""
    failure = failures.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
