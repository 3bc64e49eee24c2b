"""Drives one run, from the jobs an earlier engine left to the end of the last job or a stop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

import anyio

from vbsbatch.engine.control import Control
from vbsbatch.engine.dispatcher import Dispatcher
from vbsbatch.engine.ledger import Ledger, Listener
from vbsbatch.engine.limiter import CreateLimiter
from vbsbatch.engine.outcome import Rules
from vbsbatch.engine.poller import Poller
from vbsbatch.engine.ports import BackupService, Clock, Journal
from vbsbatch.engine.run_context import RunContext
from vbsbatch.engine.tuning import Tuning
from vbsbatch.errors import StoreError
from vbsbatch.model import Cloud, Elapsed, JobState, Rate, Run, RunState


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineResult:
    """How an engine left its run."""

    state: RunState
    """`ended` or `stopped`."""
    reason: str | None
    counts: Mapping[JobState, int]


class Engine:
    """Drives one run. One task group owns everything that runs concurrently."""

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
        resumed: bool = True,
    ) -> None:
        """`resumed` may be false only for the first engine of a run that was just created.

        Any other engine delays its first create until everything an earlier engine sent must be
        visible.
        """
        tuning = tuning or Tuning()
        self._run = run
        self._journal = journal
        self._clock = clock
        self._random = random
        self._reason: str | None = None
        limits = run.settings.limits
        self._closes_at: Elapsed | None = None
        """When the plan's deadline passes."""
        self.ledger = Ledger(
            journal,
            clock,
            listeners,
            cloud_now=lambda: Cloud(float(clock.elapsed()) + service.clock_ahead),
            capped=limits.capped,
        )
        self.limiter = CreateLimiter(run.rate or limits.rate, now=clock.elapsed, tuning=tuning)
        work = RunContext(
            run=run,
            ledger=self.ledger,
            journal=journal,
            service=service,
            clock=clock,
            tuning=tuning,
            rules=self._rules,
            stop=self.stop,
            wake=self._wake,
            resumed=resumed,
        )
        self._dispatcher = Dispatcher(work, limiter=self.limiter)
        self._poller = Poller(work, self._dispatcher)
        self._control = Control(
            work, dispatcher=self._dispatcher, poller=self._poller, extend=self._extend
        )

    @property
    def counts(self) -> Mapping[JobState, int]:
        """Jobs by state; states without jobs are left out."""
        return self.ledger.tally()

    @property
    def retrying(self) -> int:
        """Waiting jobs that have been sent before."""
        return self.ledger.retrying

    @property
    def rate(self) -> Rate:
        """The create rate in force."""
        return self.limiter.rate

    @property
    def paused(self) -> bool:
        """Whether new creates are on hold, by an operator or by the plan."""
        return self._dispatcher.paused or self.waits_for is not None

    @property
    def waits_for(self) -> str | None:
        """What must happen before a new create is sent, in words: the window opens, a wave gate
        opens, or an outage ends."""
        return self._control.waits_for

    @property
    def next_look_in(self) -> float | None:
        """Seconds until the cloud's list is read next; None while it can show nothing."""
        return self._poller.next_in

    @property
    def ends_in(self) -> float | None:
        """Seconds until the run is expected to end; None while too little is known, or it waits."""
        return None if self.paused else self._poller.ends_in

    def stop(self, reason: str, *, now: bool = False) -> None:
        """Send nothing new, await the answers under way (not with `now`), and end resumable."""
        self._reason = self._reason or reason
        if now:
            self._dispatcher.abort()
        self.ledger.changed.notify()

    def _extend(self, closes_at: Elapsed) -> None:
        self._closes_at = closes_at

    def _wake(self) -> None:
        self.ledger.claim_again()
        self.ledger.poll_soon.notify()
        self._dispatcher.wake()

    async def drive(self) -> EngineResult:
        """Run until every job has ended, or until stopped; raises `StoreFailed` when the
        store does."""
        await self._begin()
        await self.ledger.load()
        await self._journal.run_state(RunState.RUNNING, self._clock.wall())
        try:
            await self._work()
        except* StoreError as failures:
            raise _first(failures) from None
        return await self._close()

    async def _begin(self) -> None:
        """Convert the times that an earlier engine left to this engine's clock.

        The deadline gets what was left of it, at most what the plan gives.
        """
        run, now, wall = self._run, self._clock.elapsed(), self._clock.wall()
        await self._journal.begin(run, now, wall)
        if run.deadline_at is not None and run.settings.deadline is not None:
            self._closes_at = now + min(run.deadline_at - wall, run.settings.deadline)

    async def _work(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._journal.failed, name="journal watch")
            group.start_soon(self._control.run, name="control")
            group.start_soon(self._poller.run, name="poller")
            # The other tasks run until the answers under way have arrived, so that a stopping run
            # still takes commands.
            async with anyio.create_task_group() as sending:
                sending.start_soon(self._dispatcher.run, name="dispatcher")
                while not self.ledger.ended and self._reason is None:
                    await self.ledger.changed.wait()
                if under_way := self._dispatcher.under_way:
                    self.ledger.note("run", f"stopping: answers still pending: {under_way}")
                sending.cancel_scope.cancel()
            group.cancel_scope.cancel()

    async def _close(self) -> EngineResult:
        ended = self.ledger.ended
        state = RunState.ENDED if ended else RunState.STOPPED
        reason = None if ended else self._reason
        if reason is not None:
            self.ledger.note("run", f"stopped: {reason}")
        await self._control.write_heartbeat()
        await self._journal.run_state(state, self._clock.wall(), reason)
        await self._journal.flush()
        return EngineResult(state=state, reason=reason, counts=self.ledger.tally())

    def _rules(self) -> Rules:
        now = self._clock.elapsed()
        return Rules(
            retry=self._run.settings.retry,
            now=now,
            wall=self._clock.wall(),
            random=self._random,
            closed=self._closes_at is not None and now >= self._closes_at,
        )


def _first(failures: BaseExceptionGroup[StoreError]) -> StoreError:
    """Return one of the failures of a store that failed in several tasks at once."""
    failure = failures.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
