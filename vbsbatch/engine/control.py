"""Carries out operators' commands, writes the heartbeat, and enforces the plan's deadline."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import anyio

from vbsbatch.engine.dispatcher import Dispatcher
from vbsbatch.engine.outcome import past_deadline
from vbsbatch.engine.poller import Poller
from vbsbatch.engine.ports import Clock
from vbsbatch.engine.run_context import RunContext
from vbsbatch.engine.wave_gates import Waves
from vbsbatch.model import LONG_AGO, Command, Elapsed, JobState, Rate, RunState, renewed

CHUNK = 1000
"""How many waiting jobs are in memory at a time when all of them must be moved."""

LATELY, SHORTEST = 60.0, 1.0
"""Seconds over which the rate that is used is measured, at most and at least."""

NOTICED = 2.0
"""Report a clock change only from this many seconds on; smaller ones are routine drift
correction."""


class Control:
    """One task that executes the rows of the commands table, writes the heartbeat and enforces the
    deadline."""

    def __init__(
        self,
        work: RunContext,
        *,
        dispatcher: Dispatcher,
        poller: Poller,
        extend: Callable[[Elapsed], None],
    ) -> None:
        self._settings = work.settings
        self._ledger = work.ledger
        self._journal = work.journal
        self._service = work.service
        self._clock = work.clock
        self._tuning = work.tuning
        self._rules = work.rules
        self._dispatcher = dispatcher
        self._poller = poller
        self._stop = work.stop
        self._extend = extend
        self._paused = False
        """Whether an operator paused the run; the deadline pauses it too."""
        self._calls_before = (work.run.create_calls, work.run.read_calls)
        self._adopted_before = work.run.adopted
        self._heartbeat_at = LONG_AGO
        self._sent_lately = SentLately(work.clock.elapsed(), work.service.create_calls)
        self._watch = ClockWatch(work.clock)
        self._wake = work.wake
        self._resumed = work.resumed
        self._waves = Waves(work)
        self._recorded: tuple[RunState, str | None] = RunState.RUNNING, None
        self._verbs: Mapping[str, Callable[[Command], Any]] = {
            "pause": self._pause,
            "unpause": self._unpause,
            "stop": self._stop_run,
            "stop-now": self._stop_run,
            "rate": self._rate,
            "in-flight": self._in_flight,
            "cancel": self._cancel,
            "retry": self._retry,
        }

    async def run(self) -> None:
        """Check clocks, commands, waves, heartbeat and deadline in turn, until cancelled."""
        while True:
            self._check_clocks()
            for command in await self._journal.commands(self._clock.wall()):
                await self._execute(command)
            await self._waves.check()
            await self._record_state()
            if self._clock.elapsed() >= self._heartbeat_at + self._tuning.heartbeat:
                await self.write_heartbeat()
            if self._rules().closed and self._ledger.counts[JobState.WAITING]:
                await self._close()
            await anyio.sleep(self._tuning.poll)

    async def write_heartbeat(self) -> None:
        """Write the heartbeat and the request counts so far, earlier engines included."""
        self._heartbeat_at = self._clock.elapsed()
        creates, reads = self._calls_before
        wall, look_in = self._clock.wall(), self._poller.next_in
        waiting = self._dispatcher.paused or self.waits_for is not None
        ends_in = None if waiting else self._poller.ends_in
        await self._journal.heartbeat(
            wall,
            clock_step=self._watch.step,
            rate=self._dispatcher.limiter.rate,
            create_calls=creates + self._service.create_calls,
            read_calls=reads + self._service.read_calls,
            adopted=self._adopted_before + self._ledger.adopted,
            next_look_at=None if look_in is None else wall + look_in,
            ends_at=None if ends_in is None else wall + ends_in,
            rate_used=self._sent_lately.rate(self._heartbeat_at, self._service.create_calls),
            circuit_open=self._circuit_open,
        )

    @property
    def _circuit_open(self) -> bool:
        """Whether creates wait for a service that is down; all else they wait for, the claimer
        says."""
        return self._dispatcher.outage != self._dispatcher.claimer.waits_for

    def _check_clocks(self) -> None:
        """Wake everything that waits after the machine slept or its clock was set.

        The loop's timers do not notice a sleep, and the plan's window does not notice a new wall
        time.
        """
        if report := self._watch.check():
            self._ledger.note("run", report)
            self._wake()

    async def _execute(self, command: Command) -> None:
        verb = self._verbs.get(command.verb)
        try:
            result = "unknown command" if verb is None else await verb(command)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            result = f"refused: {error}"
        self._journal.acknowledge(command, self._clock.wall(), result)
        self._ledger.note("command", f"in the name of {command.asked_by}: {command.verb}: {result}")

    async def _pause(self, command: Command) -> str:
        self._paused = True
        self._dispatcher.pause(True)
        await self._record_state()
        return "paused: no new creates; jobs under way continue"

    async def _unpause(self, command: Command) -> str:
        """Undo one thing at a time: first the operator's pause, then a closed wave gate."""
        blocked, result = self._waves.blocked, "continuing"
        if blocked is not None and self._paused:
            result = f"the pause is over, but {blocked}"
        elif blocked is not None:
            result = await self._waves.open_next()
        self._paused = False
        self._dispatcher.pause(False)
        await self._record_state()
        return result

    @property
    def waits_for(self) -> str | None:
        """What must happen before a new create is sent, in words; None for a plain pause."""
        return self._recorded[1]

    async def _record_state(self) -> None:
        """Record the run's state and what it waits for, when either has changed."""
        now = self._clock.wall()
        waiting = self._ledger.counts[JobState.WAITING]
        hours = self._dispatcher.hours.describe(now) if waiting else None
        waits = self._waves.blocked or hours or self._dispatcher.outage or self._scan_wait
        state = RunState.PAUSED if self._paused or self._waves.blocked else RunState.RUNNING
        if (state, waits) == self._recorded:
            return
        if waits in (self._waves.blocked, hours) and waits not in (None, self._recorded[1]):
            # The dispatcher reports outages itself.
            self._ledger.note("run", f"paused: {waits}" if self._waves.blocked else str(waits))
        self._recorded = state, waits
        await self._journal.run_state(state, now, waits)

    @property
    def _scan_wait(self) -> str | None:
        """Why nothing is sent before the initial scan has finished, in words."""
        if self._ledger.scanned or not self._resumed or not self._ledger.counts[JobState.WAITING]:
            return None
        return (
            "first looking for backups that this run may have made already; "
            f"nothing is sent for {self._settings.retry.settle:g} s (retry.settle) after the start"
        )

    async def _stop_run(self, command: Command) -> str:
        now = command.verb == "stop-now"
        self._stop(f"asked to stop, in the name of {command.asked_by}", now=now)
        return "stopping" if not now else "stopping at once"

    async def _rate(self, command: Command) -> str:
        rate = Rate(count=float(command.argument["count"]), per=float(command.argument["per"]))
        if not (0 < rate.count < float("inf") and 0 < rate.per < float("inf")):
            raise ValueError("a rate must be more than 0")
        self._dispatcher.limiter.set_ceiling(rate)
        return f"rate is {rate}"

    async def _in_flight(self, command: Command) -> str:
        cap = int(command.argument["count"])
        if cap < 1:
            raise ValueError("the in-flight cap must be at least 1")
        self._dispatcher.claimer.in_flight = cap
        self._dispatcher.claimer.give_back()
        self._dispatcher.claimer.wake()
        return f"at most {cap} in flight"

    async def _cancel(self, command: Command) -> str:
        async with self._ledger.waiting:
            self._dispatcher.claimer.give_back()  # jobs claimed ahead have not been sent

            jobs = await self._journal.select(command.argument)
            waiting = [job for job in jobs if job.state is JobState.WAITING]
            for job in waiting:
                self._ledger.move(job, JobState.CANCELLED, ended_at=self._clock.wall())
        under_way = sum(job.no in self._ledger.open for job in jobs)
        return f"cancelled {len(waiting)}" + (f"; {under_way} already sent" if under_way else "")

    async def _retry(self, command: Command) -> str:
        async with self._ledger.waiting:
            chosen = await self._journal.select(command.argument)
            ended = [j for j in chosen if j.state in (JobState.FAILED, JobState.CANCELLED)]
            if ended:
                await self._begin_deadline_anew()
            for job in ended:
                self._ledger.move(job, JobState.WAITING, note="retry asked for", **renewed(job))
        return f"to be tried again: {len(ended)}"

    async def _begin_deadline_anew(self) -> None:
        """Restart the deadline before any job waits again, as a retry without an engine does."""
        if self._settings.deadline is None:
            return
        await self._journal.deadline(self._clock.wall() + self._settings.deadline)
        self._extend(self._clock.elapsed() + self._settings.deadline)
        self._dispatcher.pause(self._paused)

    async def _close(self) -> None:
        """Fail every waiting job: the deadline has passed."""
        self._dispatcher.pause(True)
        async with self._ledger.waiting:
            while jobs := await self._journal.jobs_in((JobState.WAITING,), limit=CHUNK):
                outcome = past_deadline(self._rules())
                for job in jobs:
                    self._ledger.move(job, outcome.to, **outcome.changes)


class SentLately:
    """The creates that left in the last minute, counted at each heartbeat."""

    def __init__(self, now: Elapsed, creates: int) -> None:
        self._counts = deque([(now, creates)])

    def rate(self, now: Elapsed, creates: int) -> float:
        """Creates a second, of so many that left so far."""
        counts = self._counts
        counts.append((now, creates))
        while len(counts) > 2 and now - counts[1][0] >= LATELY:
            counts.popleft()
        since, before = counts[0]
        return (creates - before) / max(now - since, SHORTEST)


class ClockWatch:
    """Compares the clocks to detect that the machine slept or that its wall clock was set.

    The event loop's clock stops while the machine sleeps. The wall clock jumps when it is set. The
    elapsed clock does neither.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reported_step = self.step
        self._loop_behind: float | None = None

    @property
    def step(self) -> float:
        """By how many seconds the wall clock has been set since the engine began."""
        return float(self._clock.wall()) - float(self._clock.elapsed())

    def check(self) -> str | None:
        """Describe what happened to the clocks since the last check, in words."""
        events = [*self._slept(), *self._set()]
        return "; ".join(events) or None

    def _slept(self) -> list[str]:
        behind = float(self._clock.elapsed()) - anyio.current_time()
        before, self._loop_behind = self._loop_behind, behind
        slept = 0.0 if before is None else behind - before
        return [f"the machine slept for {slept:.0f} s"] if slept > NOTICED else []

    def _set(self) -> list[str]:
        by, step = self.step - self._reported_step, self.step
        if abs(by) < NOTICED:
            return []
        self._reported_step = step
        way = "forward" if by > 0 else "back"
        return [f"the machine's clock was set {way} by {abs(by):.0f} s: no wait depends on it"]
