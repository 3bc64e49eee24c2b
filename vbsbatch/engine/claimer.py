"""Claims jobs ahead of the workers: one durable transaction for a small chunk of intents."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice, takewhile

import anyio

from vbsbatch.engine.outcome import still_busy
from vbsbatch.engine.run_context import RunContext
from vbsbatch.engine.signal import Signal
from vbsbatch.model import AT_ONCE, LONG_AGO, BlockingRun, Elapsed, Job, JobState, holders

NEARLY_ALL = 0.9
"""Where a vault takes one create at a time, one is sent when so many of its jobs find a place."""


class Claimer:
    """Holds jobs whose intent is durable until a worker takes them; at most `chunk()` of them.

    It is true while a batch can be taken: one that is full, or that no other job can join now.
    """

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
        self._batch = work.settings.limits.per_checkpoint
        self._ahead: deque[Job] = deque()
        self._ready = Signal()
        self._blocked_at = AT_ONCE
        self._run_id = work.run.id
        self._held: dict[int, tuple[BlockingRun, Elapsed]] = {}
        """Waiting jobs that another run blocks: the run as last seen, and how long that stays
        valid."""
        self._reported: set[tuple[str, str]] = set()
        self._claimed_at = LONG_AGO
        self._idle = False

    def __bool__(self) -> bool:
        count, ahead = self._together(), len(self._ahead)
        if count in (0, self._batch) or count < ahead or self._ledger.one_create_each:
            return count > 0
        return ahead >= self._chunk() or not self._worth_claiming()

    def _together(self) -> int:
        """How many of the next jobs go into one create."""
        if not self._ahead:
            return 0
        first = self._ahead[0]
        same = takewhile(lambda job: _go_together(first, job), islice(self._ahead, self._batch))
        return sum(1 for _ in same)

    async def run(self) -> None:
        """Claim until cancelled; then give back what was not sent."""
        try:
            while True:
                wanted, claim_requests = self._wanted(), self._ledger.claim_requests
                if wanted and await self._claim(wanted):
                    continue
                # A `claim_again` that came during a claim that found nothing must not be lost.
                if claim_requests == self._ledger.claim_requests:
                    await self._until_worth_claiming()
        finally:
            self.give_back()

    def take(self) -> list[Job]:
        """Return the next batch to send: jobs of one name with the same settings."""
        batch = [self._ahead.popleft() for _ in range(self._together())]
        if self._idle and len(self._ahead) * 2 < self._chunk():
            self._ledger.changed.notify()
        return batch

    async def more(self) -> None:
        """Wait until there may be something to take, or a reason not to take it."""
        self._ledger.changed.notify()
        await self._ready.wait()

    def wake(self) -> None:
        """Wake all waiters: the pause, a limit or the circuit has changed."""
        self._ready.notify()
        self._ledger.changed.notify()

    def give_back(self, *, keep: int = 0) -> None:
        """Return claimed jobs that were not sent to waiting, as if never claimed; not the first
        ones that are to `keep`."""
        while len(self._ahead) > keep:
            job = self._ahead.pop()
            self._ledger.move(job, JobState.WAITING, attempts=job.attempts - 1, note="not sent")

    async def _claim(self, wanted: int) -> bool:
        self._claimed_at = self._clock.elapsed()
        with anyio.CancelScope(shield=True):  # claimed jobs must not get lost
            jobs = await self._ledger.claim(wanted, least_tried=self._probing())
        self._ahead.extend(jobs)
        for job in jobs:
            self._held.pop(job.no, None)
        if self._closed():  # sending was closed while the claim ran
            self.give_back()
        elif self._ledger.one_create_each:
            self.give_back(keep=self._together())
        self._ready.notify()
        if not jobs:
            await self._put_off_blocked()
        return bool(jobs)

    def _wanted(self) -> int:
        """How many jobs to claim now: none while half a chunk is left, or while nothing may be
        sent."""
        if self._ledger.one_create_each:
            return self._wanted_of_one_vault()
        chunk = self._chunk()
        room = min(chunk - len(self._ahead), self.in_flight - len(self._ledger.open))
        if room <= 0 or len(self._ahead) * 2 > chunk or self._closed():
            return 0
        return room if self._worth_claiming() else 0

    def _wanted_of_one_vault(self) -> int:
        """The same where a vault takes one create at a time: the jobs of one, all at once.

        A create of the few places that are free would keep the others of its vault waiting.
        """
        if self._ahead or self._closed() or not self._worth_claiming():
            return 0
        wanted = min(self._batch, self._ledger.counts[JobState.WAITING], self.in_flight)
        room = self.in_flight - len(self._ledger.open)
        return min(wanted, room) if room >= NEARLY_ALL * wanted else 0

    def _worth_claiming(self) -> bool:
        """Whether another claim may find a job."""
        if self.in_flight <= len(self._ledger.open) or self._ledger.counts[JobState.WAITING] <= 0:
            return False
        return self._wait_for_due() <= 0

    def _wait_for_due(self) -> float:
        # A job that another run blocks is due but cannot be claimed, and nothing reports when that
        # ends. So check again now and then.
        again = self._claimed_at + self._tuning.fresh
        return min(self._ledger.earliest_due, again) - self._clock.elapsed()

    async def _until_worth_claiming(self) -> None:
        wait = self._wait_for_due()
        self._idle = True
        await self._ledger.changed.wait(
            wait if 0 < wait < self._tuning.fresh else self._tuning.fresh
        )
        self._idle = False

    async def _put_off_blocked(self) -> None:
        """Postpone jobs whose volume another run is backing up, as for any busy volume."""
        now = self._clock.elapsed()
        if now < self._blocked_at:
            return
        self._blocked_at = now + self._tuning.fresh
        async with self._ledger.waiting:
            blocked = await self._journal.blocked(now)
            self._note_holders([holder for _, holder in blocked])
            for job, holder in blocked:
                outcome = still_busy(job, holder, self._rules())
                if outcome.to is JobState.WAITING:
                    self._ledger.postpone(job, **outcome.changes)
                    # Valid until the job is due and another claim has passed it over.
                    self._held[job.no] = holder, outcome.changes["due_at"] + 2 * self._tuning.fresh
                else:
                    self._ledger.move(job, outcome.to, note=outcome.note, **outcome.changes)

    def _note_holders(self, found: list[BlockingRun]) -> None:
        new = {(holder.run_id, holder.standing) for holder in found} - self._reported
        if new:
            self._reported |= new
            self._ledger.note("run", holders.waits_for(self._run_id, holders.summed(found)))

    @property
    def waits_for(self) -> str | None:
        """Which other runs hold the volumes of all waiting jobs, in words; None while any other job
        may be sent."""
        now, waiting = self._clock.elapsed(), self._ledger.counts[JobState.WAITING]
        if not 0 < waiting <= len(self._held):
            return None
        held = [holder for holder, until in self._held.values() if now < until]
        if waiting > len(held):
            return None
        return holders.waits_for(self._run_id, holders.summed(held))


def _go_together(one: Job, other: Job) -> bool:
    """Whether one create may be sent for both."""
    return one.settings == other.settings and one.backup_name == other.backup_name
