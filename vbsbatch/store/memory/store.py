"""The store in memory as commands see it: what `MemoryReader` reads, and the writes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from vbsbatch.errors import RunIsLive, StoreUnusable, UsageError
from vbsbatch.model import (
    OPEN_STATES,
    WITHDRAWN,
    BackupSettings,
    BlockingRun,
    Command,
    Compaction,
    Holder,
    Job,
    JobMoved,
    JobState,
    MissedStart,
    Pin,
    Rate,
    Run,
    RunNoted,
    RunState,
    VerifySummary,
    Wall,
)
from vbsbatch.model.clocks import wall
from vbsbatch.store.memory.journal import MemoryJournal
from vbsbatch.store.memory.messages import MemoryMessages
from vbsbatch.store.memory.reading import MemoryReader, MemoryScreen
from vbsbatch.store.memory.runs import Held, MemoryRun
from vbsbatch.store.ports import NO_DEFAULTS, RunStore
from vbsbatch.store.records import (
    RETRIED,
    begun_as,
    cancelled,
    forgotten,
    refuse_second,
    released,
    requeued,
    taken_over,
)
from vbsbatch.store.selection import JobSelection, new_run_id


class MemoryStore(MemoryReader):
    """Any number of runs, as one store file holds them, for one process."""

    path = Path("memory")

    def __init__(self, *, clock: Callable[[], Wall] = wall) -> None:
        super().__init__(Held())
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def untrusted(self) -> str | None:
        """See `RunStore.untrusted`: no other user can write here."""
        return None

    def again(self) -> MemoryStore:
        """See `RunStore.again`: nothing of it belongs to one thread."""
        return self

    @property
    def messages(self) -> MemoryMessages:
        """See `RunStore.messages`."""
        return MemoryMessages(self.held)

    def screen(self) -> MemoryScreen:
        """See `RunStore.screen`."""
        return MemoryScreen(self.held)

    # Runs

    def new_run_id(self, now: Wall) -> str:
        """See `RunStore.new_run_id`."""
        return new_run_id(now, self.held.runs)

    def create_run(
        self,
        run: Run,
        jobs: Iterable[Job],
        defaults: BackupSettings = NO_DEFAULTS,
        *,
        instead_of: Collection[str] | None = None,
    ) -> None:
        """See `RunStore.create_run`."""
        if instead_of is not None:
            refuse_second(run, self.runs(), instead_of)
        if run.id in self.held.runs:
            raise UsageError(f"run {run.id} is in the store already")
        kept = MemoryRun(run=run, changes=self.held.changes)
        for job in jobs:
            if job.no in kept.jobs:
                raise StoreUnusable(f"run {run.id} has two jobs {job.no}")
            kept.add(job)
            if move := begun_as(job, run.created_at):
                kept.note(move)
        self.held.runs[run.id] = kept

    def set_limits(
        self, run_id: str, *, rate: Rate | None = None, in_flight: int | None = None
    ) -> None:
        """See `RunStore.set_limits`."""
        kept = self.held.run(run_id)
        given = {"rate": rate, "in_flight": in_flight}
        kept.change(**{name: value for name, value in given.items() if value is not None})

    def set_verified(self, run_id: str, found: VerifySummary) -> None:
        """See `RunStore.set_verified`."""
        self.held.run(run_id).change(verified_at=self._clock(), verified=found)

    def set_retained(self, run_id: str) -> None:
        """See `RunStore.set_retained`."""
        self.held.run(run_id).change(retained_at=self._clock())

    def note(self, run_id: str, noted: RunNoted) -> None:
        """See `RunStore.note`."""
        self.held.run(run_id).note(noted)

    def pin(self, pin: Pin) -> None:
        """See `RunStore.pin`."""
        self.held.run(pin.run_id)
        self.release(pin.run_id, pin.backup_id)
        self.held.pins.append(pin)

    def release(self, run_id: str, backup_id: str | None) -> bool:
        """See `RunStore.release`."""
        self.held.run(run_id)
        now, before = self._clock(), [*self.held.pins]
        left = [pin for pin in before if pin.holds(now)]
        others = [pin for pin in left if (pin.run_id, pin.backup_id) != (run_id, backup_id)]
        self.held.pins[:] = others
        return len(others) < len(left)

    # Engines

    @contextmanager
    def lock(self, run_id: str) -> Iterator[None]:
        """See `RunStore.lock`."""
        self.held.run(run_id)
        if run_id in self.held.driven:
            raise RunIsLive(f"run {run_id} is driven by this process ({os.getpid()}) already")
        self.held.driven.add(run_id)
        try:
            yield
        finally:
            self.held.driven.discard(run_id)

    def is_live(self, run_id: str) -> Holder | None:
        """See `RunStore.is_live`."""
        self.held.run(run_id)
        if run_id not in self.held.driven:
            return None
        return Holder(pid=os.getpid(), host=socket.gethostname(), visible=True)

    def journal(self, run_id: str) -> MemoryJournal:
        """See `RunStore.journal`."""
        return MemoryJournal(self.held, run_id)

    def ask(self, run_id: str, verb: str, argument: Mapping[str, Any], asked_by: str) -> int:
        """See `RunStore.ask`."""
        self.held.run(run_id)
        number = max(self.held.asked, default=0) + 1
        self.held.asked[number] = (
            run_id,
            Command(
                id=number,
                verb=verb,
                argument=dict(argument),
                asked_by=asked_by,
                asked_at=self._clock(),
            ),
        )
        return number

    def withdraw(self, command_id: int) -> bool:
        """See `RunStore.withdraw`."""
        if command_id in self.held.taken or command_id in self.held.answered:
            return False
        self.held.answered[command_id] = (self._clock(), WITHDRAWN)
        return True

    # What an operator does to a run without an engine

    def requeue(self, run_id: str, selection: Mapping[str, Any]) -> int:
        """See `RunStore.requeue`."""
        kept = self.held.run(run_id)
        moved = self._move(kept, JobSelection.of(selection).narrowed(*RETRIED), requeued)
        if moved:
            length = kept.run.settings.deadline
            ended = kept.run.state is RunState.ENDED
            kept.change(
                deadline_at=None if length is None else self._clock() + length,
                ended_at=None,
                reason="retry asked for" if ended else kept.run.reason,
                state=RunState.STOPPED if ended else kept.run.state,
            )
        return moved

    def cancel(self, run_id: str, selection: Mapping[str, Any]) -> int:
        """See `RunStore.cancel`."""
        chosen = JobSelection.of(selection).narrowed(JobState.WAITING)
        return self._move(self.held.run(run_id), chosen, cancelled)

    def _move(
        self, kept: MemoryRun, selection: JobSelection, change: Callable[[Job, Wall], JobMoved]
    ) -> int:
        jobs = [kept.jobs[no] for no in sorted(kept.jobs) if selection.fits(kept.jobs[no])]
        for job in jobs:
            kept.record(change(job, self._clock()))
        return len(jobs)

    def holders(self, run_id: str) -> list[BlockingRun]:
        """See `RunStore.holders`."""
        waiting = [job.volume_id for job in self.held.run(run_id).in_states([JobState.WAITING])]
        found = []
        for other, kept in self.held.runs.items():
            volumes = sum(kept.busy[volume] for volume in waiting) if other != run_id else 0
            if volumes:
                driven = self.is_live(other) is not None
                state = kept.run.state
                found.append(BlockingRun(run_id=other, state=state, driven=driven, volumes=volumes))
        return found

    def take_over(
        self, run_id: str, asked_by: str, only: Collection[str] | None = None
    ) -> list[BlockingRun]:
        """See `RunStore.take_over`."""
        taker = self.held.run(run_id)
        volumes = {job.volume_id for job in taker.in_states([JobState.WAITING])}
        gave_up = []
        for holder in self.holders(run_id):
            if holder.driven or (only is not None and holder.run_id not in only):
                continue
            kept = self.held.run(holder.run_id)
            jobs = [job for job in kept.in_states(OPEN_STATES) if job.volume_id in volumes]
            with self.lock(holder.run_id):
                for job in jobs:
                    kept.record(released(job, self._clock(), run_id))
                note = taken_over(self._clock(), asked_by, run_id, len(jobs))
                for about in (kept, taker):
                    about.record(note)
            gave_up.append(replace(holder, volumes=len(jobs)))
        return gave_up

    # Upkeep

    def record_missed_start(self, missed: MissedStart) -> None:
        """See `Upkeep.record_missed_start`."""
        self.held.missed.append(missed)

    def compact(self, before: Wall) -> Compaction:
        """See `Upkeep.compact`."""
        found = self.compactable(before)
        for run_id in found.runs:
            kept = self.held.runs[run_id]
            events, attempts = len(kept.events), len(kept.attempts)
            kept.events.clear()
            kept.attempts.clear()
            if events or attempts:
                kept.note(forgotten(self._clock(), events, attempts))
            kept.change(compacted_at=self._clock())
            for command in [asked for asked, (run, _) in self.held.asked.items() if run == run_id]:
                if self.held.answered.pop(command, None) is not None:
                    del self.held.asked[command]
        self.held.missed = [missed for missed in self.held.missed if missed.at >= before]
        return found


_: type[RunStore] = MemoryStore  # mypy compares the two
