"""What operators ask of a live engine, its heartbeat, and the plan's deadline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio

from vbsbatch.engine.clock_watch import ClockWatch
from vbsbatch.engine.dispatcher import Dispatcher
from vbsbatch.engine.outcome import past_deadline
from vbsbatch.engine.run_context import RunContext
from vbsbatch.engine.wave_gates import Waves
from vbsbatch.model import LONG_AGO, Command, Elapsed, JobState, Rate, RunState, renewed

CHUNK = 1000
"""Waiting jobs that are held in memory at a time when all of them must be moved."""


class Control:
    """One task that obeys the commands table, writes the heartbeat and enforces the deadline."""

    def __init__(
        self,
        work: RunContext,
        *,
        dispatcher: Dispatcher,
        stop: Callable[..., None],
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
        self._stop = stop
        self._extend = extend
        self._paused = False
        """Whether an operator paused it; the deadline pauses it too."""
        self._calls_before = (work.run.create_calls, work.run.read_calls)
        self._adopted_before = work.run.adopted
        self._beaten_at = LONG_AGO
        self._watch = ClockWatch(work.clock)
        self._wake = work.wake
        self._resumed = work.resumed
        self._waves = Waves(work)
        self._stands: tuple[RunState, str | None] = RunState.RUNNING, None
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
        """Look, obey, beat; for ever, until cancelled."""
        while True:
            self._mind_the_clocks()
            for command in await self._journal.commands(self._clock.wall()):
                await self._obey(command)
            await self._waves.look()
            await self._stand()
            if self._clock.elapsed() >= self._beaten_at + self._tuning.heartbeat:
                await self.beat()
            if self._rules().closed and self._ledger.counts[JobState.WAITING]:
                await self._close()
            await anyio.sleep(self._tuning.poll)

    async def beat(self) -> None:
        """Write the heartbeat and what has been called so far, earlier engines included."""
        self._beaten_at = self._clock.elapsed()
        creates, reads = self._calls_before
        await self._journal.heartbeat(
            self._clock.wall(),
            clock_step=self._watch.step,
            rate=self._dispatcher.limiter.rate,
            create_calls=creates + self._service.create_calls,
            read_calls=reads + self._service.read_calls,
            adopted=self._adopted_before + self._ledger.adopted,
        )

    def _mind_the_clocks(self) -> None:
        """The loop's timers know nothing of a sleep of the machine, nor the window of a new time:
        everything that waits looks at the clock again."""
        if told := self._watch.look():
            self._ledger.note("run", told)
            self._wake()

    async def _obey(self, command: Command) -> None:
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
        await self._stand()
        return "paused: no new creates; what runs is still followed"

    async def _unpause(self, command: Command) -> str:
        """Takes back one thing at a time: first the operator's pause, then what a gate holds."""
        shut, result = self._waves.shut, "going on"
        if shut is not None and self._paused:
            result = f"the pause is over, but {shut}"
        elif shut is not None:
            result = await self._waves.waive()
        self._paused = False
        self._dispatcher.pause(False)
        await self._stand()
        return result

    @property
    def waits_for(self) -> str | None:
        """What must happen before a new create is sent, in words; a mere pause is none."""
        return self._stands[1]

    async def _stand(self) -> None:
        """Record where the run stands, and tell it, when that has changed."""
        now = self._clock.wall()
        hours = self._dispatcher.hours.told(now) if self._ledger.counts[JobState.WAITING] else None
        waits = self._waves.shut or hours or self._dispatcher.outage or self._survey
        state = RunState.PAUSED if self._paused or self._waves.shut else RunState.RUNNING
        if (state, waits) == self._stands:
            return
        if waits in (self._waves.shut, hours) and waits not in (None, self._stands[1]):
            # Of an outage the dispatcher tells.
            self._ledger.note("run", f"paused: {waits}" if self._waves.shut else str(waits))
        self._stands = state, waits
        await self._journal.run_state(state, now, waits)

    @property
    def _survey(self) -> str | None:
        """That nothing is sent yet, and why, in words."""
        if self._ledger.surveyed or not self._resumed or not self._ledger.counts[JobState.WAITING]:
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
            raise ValueError("a rate is more than 0")
        self._dispatcher.limiter.set_ceiling(rate)
        return f"rate is {rate}"

    async def _in_flight(self, command: Command) -> str:
        cap = int(command.argument["count"])
        if cap < 1:
            raise ValueError("the in-flight cap is at least 1")
        self._dispatcher.feed.in_flight = cap
        self._dispatcher.feed.give_back()
        self._dispatcher.feed.wake()
        return f"at most {cap} in flight"

    async def _cancel(self, command: Command) -> str:
        async with self._ledger.waiting:
            self._dispatcher.feed.give_back()  # claimed ahead is not sent
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
        """As for a run that is retried without an engine, and before anything waits again."""
        if self._settings.deadline is None:
            return
        await self._journal.deadline(self._clock.wall() + self._settings.deadline)
        self._extend(self._clock.elapsed() + self._settings.deadline)
        self._dispatcher.pause(self._paused)

    async def _close(self) -> None:
        """The deadline has passed: what still waits fails."""
        self._dispatcher.pause(True)
        async with self._ledger.waiting:
            while jobs := await self._journal.jobs_in((JobState.WAITING,), limit=CHUNK):
                outcome = past_deadline(self._rules())
                for job in jobs:
                    self._ledger.move(job, outcome.to, **outcome.changes)
