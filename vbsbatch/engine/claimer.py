"""Claims jobs ahead of the workers: one durable transaction for a small chunk of intents."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from vbsbatch.engine.outcome import still_busy
from vbsbatch.engine.run_context import RunContext
from vbsbatch.engine.signal import Signal
from vbsbatch.model import AT_ONCE, LONG_AGO, BlockingRun, Elapsed, Job, JobState, holders


class Claimer:
    """Jobs whose intent is durable and that wait for a worker; at most `chunk()` of them."""

    def __init__(
        self,
        work: RunContext,
        *,
        chunk: Callable[[], int],
        closed: Callable[[], bool],
        probing: Callable[[], bool],
    ) -> None:
        self.in_flight = work.run.in_flight or work.settings.limits.in_flight
        self._ledger = work.ledger
        self._journal = work.journal
        self._clock = work.clock
        self._tuning = work.tuning
        self._rules = work.rules
        self._chunk = chunk
        self._closed = closed
        self._probing = probing
        self._ahead: deque[Job] = deque()
        self._served = Signal()
        self._blocked_at = AT_ONCE
        self._run_id = work.run.id
        self._held: dict[int, tuple[BlockingRun, Elapsed]] = {}
        """Waiting jobs that another run holds up, as last seen, and until when that counts."""
        self._told: set[tuple[str, str]] = set()
        self._claimed_at = LONG_AGO
        self._resting = False

    def __len__(self) -> int:
        return len(self._ahead)

    async def run(self) -> None:
        """Claim for ever; ends by cancellation, with whatever was not sent given back."""
        try:
            while True:
                wanted, looks = self._wanted(), self._ledger.looks
                if wanted and await self._claim(wanted):
                    continue
                # Whoever asked to look again while a claim found nothing asked before this wait.
                if looks == self._ledger.looks:
                    await self._until_worth_claiming()
        finally:
            self.give_back()

    def take(self) -> Job:
        """The next job to send."""
        job = self._ahead.popleft()
        if self._resting and len(self._ahead) * 2 < self._chunk():
            self._ledger.changed.notify()
        return job

    async def more(self) -> None:
        """Wait until there may be something to take, or a reason not to."""
        self._ledger.changed.notify()
        await self._served.wait()

    def wake(self) -> None:
        """Pause, limits or the circuit changed: everyone looks again."""
        self._served.notify()
        self._ledger.changed.notify()

    def give_back(self) -> None:
        """Claimed and not sent: back to waiting, as if never claimed."""
        while self._ahead:
            job = self._ahead.popleft()
            self._ledger.move(job, JobState.WAITING, attempts=job.attempts - 1, note="not sent")

    async def _claim(self, wanted: int) -> bool:
        self._claimed_at = self._clock.elapsed()
        with anyio.CancelScope(shield=True):  # what was claimed must not be forgotten
            jobs = await self._ledger.claim(wanted, least_tried=self._probing())
        self._ahead.extend(jobs)
        for job in jobs:
            self._held.pop(job.no, None)
        if self._closed():  # since the claim began
            self.give_back()
        self._served.notify()
        if not jobs:
            await self._put_off_blocked()
        return bool(jobs)

    def _wanted(self) -> int:
        """How many jobs to claim now: none while half a chunk is there, or nothing may be sent."""
        chunk = self._chunk()
        room = min(chunk - len(self._ahead), self.in_flight - len(self._ledger.open))
        if room <= 0 or len(self._ahead) * 2 > chunk or self._closed():
            return 0
        due = self._ledger.counts[JobState.WAITING] > 0 and self._wait_for_due() <= 0
        return room if due else 0

    def _wait_for_due(self) -> float:
        # A job that another run holds up is due without being claimable, and nobody tells when
        # that ends: look again now and then.
        again = self._claimed_at + self._tuning.fresh
        return min(self._ledger.earliest_due, again) - self._clock.elapsed()

    async def _until_worth_claiming(self) -> None:
        wait = self._wait_for_due()
        self._resting = True
        await self._ledger.changed.wait(
            wait if 0 < wait < self._tuning.fresh else self._tuning.fresh
        )
        self._resting = False

    async def _put_off_blocked(self) -> None:
        """Jobs whose volume another run is backing up come back later, like any busy volume."""
        now = self._clock.elapsed()
        if now < self._blocked_at:
            return
        self._blocked_at = now + self._tuning.fresh
        async with self._ledger.waiting:
            blocked = await self._journal.blocked(now)
            self._tell_who_holds([holder for _, holder in blocked])
            for job, holder in blocked:
                outcome = still_busy(job, holder, self._rules())
                if outcome.to is JobState.WAITING:
                    self._ledger.postpone(job, **outcome.changes)
                    # Until it is due, and a claim has passed it over again.
                    self._held[job.no] = holder, outcome.changes["due_at"] + 2 * self._tuning.fresh
                else:
                    self._ledger.move(job, outcome.to, note=outcome.note, **outcome.changes)

    def _tell_who_holds(self, found: list[BlockingRun]) -> None:
        new = {(holder.run_id, holder.standing) for holder in found} - self._told
        if new:
            self._told |= new
            self._ledger.note("run", holders.waits_for(self._run_id, holders.summed(found)))

    @property
    def waits_for(self) -> str | None:
        """Which other runs hold all that waits, in words; None while anything else may be sent."""
        now, waiting = self._clock.elapsed(), self._ledger.counts[JobState.WAITING]
        if not 0 < waiting <= len(self._held):
            return None
        held = [holder for holder, until in self._held.values() if now < until]
        if waiting > len(held):
            return None
        return holders.waits_for(self._run_id, holders.summed(held))
