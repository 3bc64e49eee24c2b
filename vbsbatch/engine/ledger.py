"""Holds the run's open jobs in memory; the only place that moves a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import anyio

from vbsbatch.engine.ports import Clock, Journal
from vbsbatch.engine.signal import Signal
from vbsbatch.model import (
    AT_ONCE,
    NEVER,
    OPEN_STATES,
    Attempt,
    Cloud,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    RunNoted,
    as_wall,
    check_move,
    left_open,
)

Listener = Callable[[JobMoved | RunNoted], None]


class Ledger:
    """Knows every open job, counts all jobs by state, writes every move and notifies the listeners.

    Only open jobs are in memory. The waiting ones stay in the store, however many there are.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        listeners: Iterable[Listener] = (),
        *,
        cloud_now: Callable[[], Cloud],
        capped: bool = False,
    ) -> None:
        """`capped`: groups or zones have caps, so the end of any job may make room for another."""
        self._cloud_now = cloud_now
        self._capped = capped
        self._journal = journal
        self._clock = clock
        self._listeners = tuple(listeners)
        self.open: dict[int, Job] = {}
        self.counts: Counter[JobState] = Counter()
        self.moves = 0
        """Number of moves so far: counts made before need no repeat while it stays the same."""
        self.retrying = 0
        """How many waiting jobs have been tried before."""
        self.changed = Signal()
        """A job left the open states: there is room, something to claim, or the run has ended."""
        self.poll_soon = Signal()
        """There is something to poll earlier than planned."""
        self.waiting = anyio.Lock()
        """Held while waiting jobs are claimed, and while they are selected and moved by a
        command."""
        self.earliest_due = AT_ONCE
        """No waiting job is due before this."""
        self.scanned = False
        """The initial scan is done: creates may begin."""
        self.running_since: dict[int, Elapsed] = {}
        """When this engine learned that a running job was accepted, or found it running."""
        self.adopted = 0
        """Backups of this run that the store did not know of."""
        self.sent = 0
        """Jobs for which this engine sent a create; one create may be for several."""
        self.claim_requests = 0
        """How often `claim_again` was called."""
        self.one_create_each = False
        """The service takes one create for each vault at a time."""

    async def load(self) -> None:
        """Load the counts, and the jobs that an earlier engine left open.

        A job that was left between intent and answer may have been accepted: it becomes unknown.
        The end of the engine is not the job's fault, and costs it no attempt.
        """
        self.counts.update(await self._journal.counts())
        self.retrying = await self._journal.retrying()
        now = self._clock.elapsed()
        for left in await self._journal.jobs_in(tuple(OPEN_STATES)):
            job = self.open[left.no] = left_open(left, now)
            if job.state is JobState.SUBMITTING:
                self.move(
                    job,
                    JobState.UNKNOWN,
                    note="the engine ended before an answer was recorded",
                    unknown_at=now,
                    uncharged=job.uncharged + 1,
                    cloud_job_id=None,
                    first_sent_at=job.first_sent_at or as_wall(job.intent_at or AT_ONCE),
                    first_cloud_at=job.first_cloud_at or job.intent_cloud_at,
                )
        await self._journal.flush()

    async def claim(self, limit: int, *, least_tried: bool = False) -> list[Job]:
        """Move up to `limit` due jobs from waiting to submitting; durable when it returns."""
        async with self.waiting:
            jobs = await self._journal.claim(
                self._clock.elapsed(),
                limit,
                cloud_now=self._cloud_now(),
                least_tried=least_tried,
                busy_vaults=self._busy_vaults(),
            )
            for job in jobs:
                self.open[job.no] = job
            self.counts[JobState.WAITING] -= len(jobs)
            self.counts[JobState.SUBMITTING] += len(jobs)
            self.retrying -= sum(job.attempts > 1 for job in jobs)
            if len(jobs) < limit:
                # A job that returns to waiting during this query lowers it again.
                self.earliest_due = NEVER
                due = await self._journal.next_due(busy_vaults=self._busy_vaults())
                if due is not None:
                    self.earliest_due = min(self.earliest_due, due)
            else:
                self.earliest_due = AT_ONCE  # there may be more due jobs
        return jobs

    def move(
        self,
        job: Job,
        to: JobState,
        *,
        attempt: Attempt | None = None,
        note: str | None = None,
        **changes: Any,
    ) -> Job:
        """Check the move, write the journal, notify the listeners. `changes` are fields of
        `Job`."""
        check_move(job.state, to)
        moved = replace(job, state=to, **changes)
        waits = to is JobState.WAITING and moved.due_at > AT_ONCE
        event = JobMoved(
            job=moved,
            came_from=job.state,
            at=self._clock.wall(),
            due_in=max(0.0, moved.due_at - self._clock.elapsed()) if waits else None,
            attempt=attempt,
            note=note,
        )
        self._journal.record(event)
        self.sent += attempt is not None
        self._track(moved, job.state)
        self._emit(event)
        return moved

    def touch(self, job: Job, **changes: Any) -> Job:
        """Change fields of an open job without moving it."""
        touched = replace(job, **changes)
        self.open[job.no] = touched
        self._journal.touch(touched)
        return touched

    def postpone(self, job: Job, **changes: Any) -> None:
        """Change fields of a waiting job, including its due time."""
        self._journal.touch(replace(job, **changes))

    def note(self, kind: str, text: str) -> None:
        """Record something that happened to the run as a whole."""
        event = RunNoted(at=self._clock.wall(), kind=kind, text=text)
        self._journal.record(event)
        self._emit(event)

    def _busy_vaults(self) -> set[str]:
        """The vaults for which nothing can be sent now."""
        if not self.one_create_each:
            return set()
        vaults = (job.settings.vault for job in self.open.values())
        return {vault for vault in vaults if vault is not None}

    def claim_again(self) -> None:
        """Claim again: a job that was passed over before may be free now."""
        self.earliest_due = AT_ONCE
        self.claim_requests += 1
        self.changed.notify()

    @property
    def ended(self) -> bool:
        """Whether every job is in a terminal state."""
        return not self.open and not self.counts[JobState.WAITING]

    def tally(self) -> Mapping[JobState, int]:
        """How many jobs are in each state."""
        return {state: n for state, n in self.counts.items() if n}

    def _track(self, job: Job, came_from: JobState) -> None:
        if job.attempts:
            self.retrying += (job.state is JobState.WAITING) - (came_from is JobState.WAITING)
        self.moves += 1
        self.counts[came_from] -= 1
        self.counts[job.state] += 1
        if job.state is JobState.RUNNING:
            self.running_since.setdefault(job.no, self._clock.elapsed())
        else:
            self.running_since.pop(job.no, None)
        if job.state in OPEN_STATES:
            self.open[job.no] = job
        else:
            capped = self._capped or self.one_create_each
            if self.open.pop(job.no, None) is not None and capped:
                self.earliest_due = AT_ONCE
            self.changed.notify()
        if job.state is JobState.WAITING:
            self.earliest_due = min(self.earliest_due, job.due_at)
        first = self.counts[JobState.RUNNING] + self.counts[JobState.UNKNOWN] == 1
        if first or job.state is JobState.UNKNOWN:
            self.poll_soon.notify()

    def _emit(self, event: JobMoved | RunNoted) -> None:
        for listener in self._listeners:
            listener(event)
