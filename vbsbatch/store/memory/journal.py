"""One run in memory, as its engine writes it: `engine.ports.Journal` over a `MemoryStore`."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import anyio
import anyio.lowlevel

from vbsbatch.errors import StoreFailed
from vbsbatch.model import (
    ENDED_STATES,
    OPEN_STATES,
    WITHDRAWN,
    BlockingRun,
    Cloud,
    Command,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Operation,
    Rate,
    Run,
    RunNoted,
    RunState,
    Wall,
    check_move,
)
from vbsbatch.store.concurrency_caps import ConcurrencyCaps
from vbsbatch.store.memory.runs import Held, begun
from vbsbatch.store.records import Acknowledged, Entry, gigabytes_done, ms
from vbsbatch.store.selection import JobSelection

WRITE_BEHIND = 256
"""So many entries are written without waiting for anything else."""


class MemoryJournal:
    """`engine.ports.Journal` over a `MemoryStore`, which makes it."""

    def __init__(self, held: Held, run_id: str) -> None:
        self.run_id = run_id
        self._held = held
        self._kept = held.run(run_id)
        self._pending: list[Entry] = []
        self._failure: StoreFailed | None = None
        self._broken = anyio.Event()
        self.commits = 0
        """Transactions that the SQLite store would have made durable."""

    async def __aenter__(self) -> MemoryJournal:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._failure is None:
            self._write()

    def break_down(self, reason: str) -> None:
        """Fail from now on as the SQLite store does on a full disk; what was pending is lost."""
        self._failure = StoreFailed(reason)
        self._pending.clear()
        self._broken.set()

    def crash(self, keep: int = 0) -> None:
        """Lose what is pending except the first `keep` entries, as a kill may; then fail."""
        del self._pending[keep:]
        self._write()
        self.break_down("this journal's engine was killed")

    @property
    def pending(self) -> int:
        """How many entries a crash could lose now."""
        return len(self._pending)

    async def begin(self, run: Run, now: Elapsed, at: Wall) -> None:
        """An engine begins to drive the run; see `engine.ports.Journal.begin`."""
        await self._in_order()
        for number, (run_id, _) in self._held.asked.items():
            if run_id == self.run_id and number not in self._held.answered:
                self._held.answered[number] = (at, WITHDRAWN)
        step = float(now) - float(at) + run.clock_step
        last = Elapsed(float(run.heartbeat_at or run.created_at) - run.clock_step)
        for job in [j for j in self._kept.jobs.values() if j.state not in ENDED_STATES]:
            later_for = run.settings.retry.later_for
            self._kept.put(begun(job, now, step=step, last=last, later_for=later_for))
        ahead = float(at) - float(now)
        self._kept.change(clock_step=ahead, heartbeat_at=at)
        self.commits += 1

    async def claim(
        self,
        now: Elapsed,
        limit: int,
        *,
        cloud_now: Cloud,
        least_tried: bool = False,
        busy_vaults: Collection[str] = (),
    ) -> list[Job]:
        """Move due waiting jobs to `submitting`; see `engine.ports.Journal.claim`."""
        await self._in_order()
        jobs = self._next(now, limit, busy_vaults, least_tried=least_tried)
        claimed = [
            replace(
                job,
                state=JobState.SUBMITTING,
                attempts=job.attempts + 1,
                intent_at=now,
                intent_cloud_at=cloud_now,
            )
            for job in jobs
        ]
        for job in claimed:
            self._kept.put(job)
        self.commits += bool(claimed)
        return claimed

    def _next(
        self, now: Elapsed, limit: int, busy_vaults: Collection[str], *, least_tried: bool
    ) -> list[Job]:
        found: list[Job] = []
        room = self._room()
        queue = self._may_go()
        if least_tried:
            queue = iter(sorted(queue, key=lambda job: (job.wave, job.attempts)))
        for job in queue:
            if len(found) >= limit:
                break
            due = ms(job.due_at) <= ms(now) and self._holder(job) is None
            if due and job.settings.vault not in busy_vaults and room.take(job.group, job.az):
                found.append(job)
        return found

    def _may_go(self) -> Iterator[Job]:
        """Waiting jobs of the waves that are open, in the order of claims."""
        for wave, _, _, no in self._kept.queue:
            if wave > self._kept.run.wave:
                return
            yield self._kept.jobs[no]

    def _room(self) -> ConcurrencyCaps:
        limits = self._kept.run.settings.limits
        open_jobs = self._kept.in_states(OPEN_STATES) if limits.capped else []
        return ConcurrencyCaps(limits, [(job.group, job.az, 1) for job in open_jobs])

    def _holder(self, job: Job) -> str | None:
        return self._held.holder(job.volume_id, self.run_id)

    def record(self, event: JobMoved | RunNoted) -> None:
        """Write a move or a note behind."""
        if isinstance(event, JobMoved):
            check_move(event.came_from, event.job.state)
        self._behind(event)

    def touch(self, job: Job) -> None:
        """Write a job's changed fields behind, its state unchanged."""
        self._behind(job)

    def acknowledge(self, command: Command, at: Wall, result: str) -> None:
        """Record what became of a command."""
        self._behind(Acknowledged(command=command, at=at, result=result))

    def _behind(self, entry: Entry) -> None:
        if self._failure is not None:
            raise self._failure
        self._pending.append(entry)
        if len(self._pending) >= WRITE_BEHIND:
            self._write()

    def _write(self) -> None:
        self.commits += bool(self._pending)
        run, gigabytes = self._kept.run, gigabytes_done(self._pending)
        if gigabytes and run.settings.operation is Operation.BACKUP:
            self._held.add(run, gigabytes=gigabytes)
        for entry in self._pending:
            match entry:
                case JobMoved() | RunNoted():
                    self._kept.record(entry)
                case Acknowledged():
                    self._held.answered[entry.command.id] = (entry.at, entry.result)
                case Job():
                    self._kept.put(entry)
        self._pending.clear()

    async def _in_order(self) -> None:
        """Let others run, as waiting for a commit does, then write what was recorded before."""
        await anyio.lowlevel.checkpoint()
        if self._failure is not None:
            raise self._failure
        self._write()

    async def flush(self) -> None:
        """Return once everything recorded so far is written."""
        await self._in_order()

    async def failed(self) -> None:
        """Wait for `break_down` and raise."""
        await self._broken.wait()
        assert self._failure is not None
        raise self._failure

    async def next_due(self, *, busy_vaults: Collection[str] = ()) -> Elapsed | None:
        """The earliest `due_at` of a waiting job; see `engine.ports.Journal.next_due`."""
        await self._in_order()
        room = self._room()
        groups, azs = set(room.full_groups()), set(room.full_azs())
        due = (
            job.due_at
            for job in self._may_go()
            if self._holder(job) is None and job.group not in groups and job.az not in azs
            if job.settings.vault not in busy_vaults
        )
        return min(due, default=None)

    async def blocked(self, now: Elapsed) -> list[tuple[Job, BlockingRun]]:
        """Due jobs that wait for another run's open job, with that run, in plan order."""
        await self._in_order()
        found: list[tuple[Job, BlockingRun]] = []
        for job in sorted(self._may_go(), key=lambda job: job.no):
            run_id = self._holder(job) if ms(job.due_at) <= ms(now) else None
            if run_id is not None:
                state = self._held.run(run_id).run.state
                driven = state is not RunState.STOPPED
                found.append((job, BlockingRun(run_id=run_id, state=state, driven=driven)))
        return found

    async def jobs_in(self, states: Sequence[JobState], *, limit: int | None = None) -> list[Job]:
        """Jobs of this run in any of `states`, in plan order."""
        await self._in_order()
        return self._kept.in_states(states)[:limit]

    async def select(self, argument: Mapping[str, object]) -> list[Job]:
        """Jobs that a command's argument names, in plan order; may raise `SelectionError`."""
        selection = JobSelection.of(argument)
        await self._in_order()
        return [job for _, job in sorted(self._kept.jobs.items()) if selection.fits(job)]

    async def named(self, names: Sequence[str]) -> list[Job]:
        """Waiting jobs whose backups have one of these names, in plan order."""
        await self._in_order()
        wanted = frozenset(names)
        waiting = self._kept.in_states([JobState.WAITING])
        return [job for job in waiting if job.backup_name in wanted]

    async def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in each state."""
        await self._in_order()
        return {state: len(numbers) for state, numbers in self._kept.by_state.items() if numbers}

    async def wave_counts(self) -> Mapping[int, Mapping[JobState, int]]:
        """How many jobs of each wave are in each state."""
        await self._in_order()
        return self._kept.wave_counts()

    async def open_wave(self, wave: int) -> None:
        """Record up to which wave jobs may be claimed."""
        await self._in_order()
        self._kept.change(wave=wave)
        self.commits += 1

    async def retrying(self) -> int:
        """How many waiting jobs have been tried before."""
        await self._in_order()
        return sum(job.attempts > 0 for job in self._kept.in_states([JobState.WAITING]))

    async def commands(self, at: Wall) -> list[Command]:
        """Take the commands that are not yet taken or withdrawn, oldest first."""
        await self._in_order()
        gone = self._held.taken | self._held.answered.keys()
        found = {
            number: command
            for number, (run_id, command) in sorted(self._held.asked.items())
            if run_id == self.run_id and number not in gone
        }
        self._held.taken |= found.keys()
        return list(found.values())

    async def heartbeat(
        self,
        at: Wall,
        *,
        clock_step: float,
        rate: Rate,
        create_calls: int,
        read_calls: int,
        adopted: int,
        next_look_at: Wall | None,
        ends_at: Wall | None,
        rate_used: float,
        circuit_open: bool,
    ) -> None:
        """Record that the engine lives; see `engine.ports.Journal.heartbeat`."""
        await self._in_order()
        run = self._kept.run
        creates, reads = create_calls - run.create_calls, read_calls - run.read_calls
        self._held.add(run, creates=creates, reads=reads)
        self._kept.sending_rate = rate
        self._kept.change(
            heartbeat_at=at,
            clock_step=clock_step,
            create_calls=create_calls,
            read_calls=read_calls,
            adopted=adopted,
            next_look_at=next_look_at,
            ends_at=ends_at,
            rate_used=rate_used,
            circuit_open=circuit_open,
        )
        self.commits += 1

    async def deadline(self, at: Wall) -> None:
        """Record after which time no create is to be sent."""
        await self._in_order()
        self._kept.change(deadline_at=at)
        self.commits += 1

    async def run_state(self, state: RunState, at: Wall, reason: str | None = None) -> None:
        """Record the run's state; see `SqliteJournal.run_state`."""
        await self._in_order()
        run = self._kept.run
        live = state in (RunState.RUNNING, RunState.PAUSED)
        self._kept.change(
            state=state,
            reason=reason,
            started_at=run.started_at or (at if live else None),
            ended_at=at if state is RunState.ENDED else None,
            pid=os.getpid() if live else None,
            host=socket.gethostname() if live else None,
        )
        without = self._kept.by_state[JobState.FAILED] | self._kept.by_state[JobState.CANCELLED]
        backup = run.settings.operation is Operation.BACKUP
        if state is RunState.ENDED and backup and not without:
            self._held.succeeded(run, at)
        self.commits += 1
