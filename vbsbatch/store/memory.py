"""The in-memory twin of the store: same semantics, dicts instead of SQLite, for simulated nights.

What is recorded is written behind here too: it waits in `MemoryJournal` until an operation that
waits, `flush`, or `WRITE_BEHIND` entries; `MemoryJournal.crash` loses it, as a killed engine does.
"""

from __future__ import annotations

import os
import socket
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import anyio.lowlevel

from vbsbatch.errors import StoreFailed, UsageError
from vbsbatch.model import (
    AT_ONCE,
    ENDED_STATES,
    OPEN_STATES,
    WITHDRAWN,
    Attempt,
    BlockingRun,
    Cloud,
    Command,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Rate,
    Run,
    RunNoted,
    RunState,
    Wall,
    check_move,
)
from vbsbatch.store.concurrency_caps import ConcurrencyCaps
from vbsbatch.store.selection import JobSelection
from vbsbatch.store.write_ops import Acknowledged, Entry, begun_as, ms

EPOCH = Wall(0.0)

EPOCH = Wall(0.0)

WRITE_BEHIND = 256
"""So many entries are written without waiting for anything else."""


@dataclass(kw_only=True, slots=True)
class MemoryRun:
    """One run with all that was ever recorded of it."""

    run: Run
    jobs: dict[int, Job] = field(default_factory=dict)
    attempts: dict[tuple[int, int], Attempt] = field(default_factory=dict)
    """By job number and number of the attempt; the first record of an attempt stands."""
    events: list[JobMoved | RunNoted] = field(default_factory=list)
    sending_rate: Rate | None = None
    """The rate that the last heartbeat told."""
    by_state: dict[JobState, set[int]] = field(default_factory=lambda: {s: set() for s in JobState})
    queue: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Waiting jobs as (wave, rank, -priority, number), sorted: the order of claims."""
    busy: Counter[str] = field(default_factory=Counter)
    """Volumes with an open job of this run."""

    def put(self, job: Job) -> None:
        """Write a job, new or changed."""
        old = self.jobs.get(job.no)
        if old is None or old.state is not job.state:
            if old is not None:
                self._take_out(old)
            self._sort_in(job)
        self.jobs[job.no] = job

    def _take_out(self, job: Job) -> None:
        self.by_state[job.state].discard(job.no)
        if job.state is JobState.WAITING:
            del self.queue[bisect_left(self.queue, _place(job))]
        elif job.state in OPEN_STATES:
            self.busy[job.volume_id] -= 1

    def _sort_in(self, job: Job) -> None:
        self.by_state[job.state].add(job.no)
        if job.state is JobState.WAITING:
            insort(self.queue, _place(job))
        elif job.state in OPEN_STATES:
            self.busy[job.volume_id] += 1

    def in_states(self, states: Iterable[JobState]) -> list[Job]:
        """Jobs in any of `states`, in plan order."""
        numbers = set[int]().union(*(self.by_state[state] for state in states))
        return [self.jobs[no] for no in sorted(numbers)]


def _place(job: Job) -> tuple[int, int, int, int]:
    return job.wave, job.rank, -job.priority, job.no


class MemoryStore:
    """Any number of runs, as one store file holds them."""

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}
        self.asked: dict[int, tuple[str, Command]] = {}
        """Commands by id, with the run they are for."""
        self.taken: set[int] = set()
        """Commands that an engine took: they cannot be withdrawn any more."""
        self.answered: dict[int, tuple[Wall, str]] = {}
        """When a command was acknowledged, and what became of it."""

    def create_run(self, run: Run, jobs: Iterable[Job]) -> None:
        """Freeze a run with its jobs; one that is skipped already has that in its history."""
        if run.id in self.runs:
            raise UsageError(f"run {run.id} is in the store already")
        kept = MemoryRun(run=run)
        for job in jobs:
            kept.put(job)
            if move := begun_as(job, run.created_at):
                kept.events.append(move)
        self.runs[run.id] = kept

    def run(self, run_id: str) -> Run:
        """The run as last recorded."""
        return self.runs[run_id].run

    def jobs(self, run_id: str) -> Iterator[Job]:
        """All jobs of a run in plan order."""
        kept, step = self.runs[run_id].jobs, self.runs[run_id].run.clock_step
        return (_on_wall(kept[no], step) if step else kept[no] for no in sorted(kept))

    def attempts(self, run_id: str, no: int) -> list[Attempt]:
        """The attempts of one job, in the order of their numbers."""
        kept = self.runs[run_id].attempts
        return [kept[key] for key in sorted(kept) if key[0] == no]

    def ask(
        self,
        run_id: str,
        verb: str,
        argument: Mapping[str, Any],
        asked_by: str,
        at: Wall = EPOCH,
    ) -> int:
        """Ask something of the engine of a run; the id tells what became of it."""
        number = len(self.asked) + 1
        command = Command(
            id=number, verb=verb, argument=dict(argument), asked_by=asked_by, asked_at=at
        )
        self.asked[number] = (run_id, command)
        return number

    def withdraw(self, command_id: int) -> bool:
        """Take back a command: true when no engine took it, and none will."""
        if command_id in self.taken or command_id in self.answered:
            return False
        self.answered[command_id] = (Wall(0.0), WITHDRAWN)
        return True

    def command_result(self, command_id: int) -> str | None:
        """What became of a command, None while nobody acknowledged it."""
        answer = self.answered.get(command_id)
        return None if answer is None else answer[1]

    def wave_counts(self, run_id: str) -> Mapping[int, Mapping[JobState, int]]:
        """How many jobs of each wave, by its index, are in each state."""
        found: dict[int, Counter[JobState]] = {}
        for job in self.runs[run_id].jobs.values():
            found.setdefault(job.wave, Counter())[job.state] += 1
        return found

    def holder(self, volume_id: str, besides: str) -> str | None:
        """The other run that has an open job for this volume, if one has."""
        for run_id, kept in self.runs.items():
            if run_id != besides and kept.busy[volume_id] > 0:
                return run_id
        return None

    def journal(self, run_id: str) -> MemoryJournal:
        """The journal of one run."""
        return MemoryJournal(self, run_id)


class MemoryJournal:
    """`engine.ports.Journal` over a `MemoryStore`."""

    def __init__(self, store: MemoryStore, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        self._kept = store.runs[run_id]
        self._pending: list[Entry] = []
        self._failure: StoreFailed | None = None
        self._broken = anyio.Event()
        self.commits = 0
        """Transactions that the real store would have made durable, lingering not counted."""

    async def __aenter__(self) -> MemoryJournal:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._failure is None:
            self._write()

    def break_down(self, reason: str) -> None:
        """From now on fail as the real store does on a full disk; what was pending is lost."""
        self._failure = StoreFailed(reason)
        self._pending.clear()
        self._broken.set()

    def crash(self, keep: int = 0) -> None:
        """Lose what is pending but the first `keep` entries, as a kill may; use it no more."""
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
        for number, (run_id, _) in self.store.asked.items():
            if run_id == self.run_id and number not in self.store.answered:
                self.store.answered[number] = (at, WITHDRAWN)
        step = float(now) - float(at) + run.clock_step
        last = Elapsed(float(run.heartbeat_at or run.created_at) - run.clock_step)
        for job in [j for j in self._kept.jobs.values() if j.state not in ENDED_STATES]:
            later_for = run.settings.retry.later_for
            self._kept.put(_begun(job, now, step=step, last=last, later_for=later_for))
        ahead = float(at) - float(now)
        self._kept.run = replace(self._kept.run, clock_step=ahead, heartbeat_at=at)
        self.commits += 1

    async def claim(
        self, now: Elapsed, limit: int, *, cloud_now: Cloud, least_tried: bool = False
    ) -> list[Job]:
        """Move due waiting jobs to `submitting`; see `engine.ports.Journal.claim`."""
        await self._in_order()
        jobs = self._next(now, limit, least_tried=least_tried)
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

    def _next(self, now: Elapsed, limit: int, *, least_tried: bool) -> list[Job]:
        found: list[Job] = []
        room = self._room()
        queue = self._may_go()
        if least_tried:
            queue = iter(sorted(queue, key=lambda job: (job.wave, job.attempts)))
        for job in queue:
            if len(found) >= limit:
                break
            due = ms(job.due_at) <= ms(now) and self._holder(job) is None
            if due and room.take(job.group, job.az):
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
        return self.store.holder(job.volume_id, self.run_id)

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
        for entry in self._pending:
            match entry:
                case JobMoved(job=job, attempt=attempt):
                    self._kept.put(job)
                    self._kept.events.append(entry)
                    if attempt is not None:
                        self._kept.attempts.setdefault((job.no, attempt.number), attempt)
                case RunNoted():
                    self._kept.events.append(entry)
                case Acknowledged():
                    self.store.answered[entry.command.id] = (entry.at, entry.result)
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

    async def next_due(self) -> Elapsed | None:
        """The earliest `due_at` of a waiting job; see `engine.ports.Journal.next_due`."""
        await self._in_order()
        room = self._room()
        groups, azs = set(room.full_groups()), set(room.full_azs())
        due = (
            job.due_at
            for job in self._may_go()
            if self._holder(job) is None and job.group not in groups and job.az not in azs
        )
        return min(due, default=None)

    async def blocked(self, now: Elapsed) -> list[tuple[Job, BlockingRun]]:
        """Due jobs that wait for another run's open job, with that run, in plan order."""
        await self._in_order()
        found: list[tuple[Job, BlockingRun]] = []
        for job in sorted(self._may_go(), key=lambda job: job.no):
            run_id = self._holder(job) if ms(job.due_at) <= ms(now) else None
            if run_id is not None:
                state = self.store.run(run_id).state
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
        """Waiting jobs whose backups bear one of these names, in plan order."""
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
        return self.store.wave_counts(self.run_id)

    async def open_wave(self, wave: int) -> None:
        """Record up to which wave jobs may be claimed."""
        await self._in_order()
        self._kept.run = replace(self._kept.run, wave=wave)
        self.commits += 1

    async def retrying(self) -> int:
        """How many waiting jobs have been tried before."""
        await self._in_order()
        return sum(job.attempts > 0 for job in self._kept.in_states([JobState.WAITING]))

    async def commands(self, at: Wall) -> list[Command]:
        """Take the commands that nobody has taken or withdrawn yet, oldest first."""
        await self._in_order()
        gone = self.store.taken | self.store.answered.keys()
        found = {
            number: command
            for number, (run_id, command) in sorted(self.store.asked.items())
            if run_id == self.run_id and number not in gone
        }
        self.store.taken |= found.keys()
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
    ) -> None:
        """Record that the engine lives; see `engine.ports.Journal.heartbeat`."""
        await self._in_order()
        self._kept.sending_rate = rate
        self._kept.run = replace(
            self._kept.run,
            heartbeat_at=at,
            clock_step=clock_step,
            create_calls=create_calls,
            read_calls=read_calls,
            adopted=adopted,
        )
        self.commits += 1

    async def deadline(self, at: Wall) -> None:
        """Record after which time no create is to be sent."""
        await self._in_order()
        self._kept.run = replace(self._kept.run, deadline_at=at)
        self.commits += 1

    async def run_state(self, state: RunState, at: Wall, reason: str | None = None) -> None:
        """Record the run's state; see `SqliteJournal.run_state`."""
        await self._in_order()
        run = self._kept.run
        live = state in (RunState.RUNNING, RunState.PAUSED)
        self._kept.run = replace(
            run,
            state=state,
            reason=reason,
            started_at=run.started_at or (at if live else None),
            ended_at=at if state is RunState.ENDED else None,
            pid=os.getpid() if live else None,
            host=socket.gethostname() if live else None,
        )
        self.commits += 1


def _on_wall(job: Job, step: float) -> Job:
    """The job with its waits as the machine's clock shows them; see `rows.read_job`."""

    def moved(at: Elapsed | None) -> Elapsed | None:
        return None if at is None else Elapsed((ms(at) + ms(step)) / 1000)

    return replace(
        job,
        due_at=(moved(job.due_at) or AT_ONCE) if job.due_at > AT_ONCE else AT_ONCE,
        intent_at=moved(job.intent_at),
        unknown_at=moved(job.unknown_at),
        later_since=moved(job.later_since),
    )


def _begun(job: Job, now: Elapsed, *, step: float, last: Elapsed, later_for: float) -> Job:
    """The job with its waits on another engine's clock; see `statements.BEGIN_WAITS`. In whole
    milliseconds, as the file keeps them."""
    waits = job.due_at > AT_ONCE or job.later_since is not None
    if job.state is JobState.WAITING and not waits:
        return job
    present, by = ms(now), ms(step)

    def moved(at: Elapsed | None, latest: int) -> Elapsed | None:
        return None if at is None else Elapsed(min(ms(at) + by, latest) / 1000)

    def since(at: Elapsed | None) -> Elapsed | None:
        if at is None:
            return None
        return Elapsed((present - min(max(ms(last) - ms(at), 0), ms(later_for))) / 1000)

    due = moved(job.due_at, present + max(0, ms(job.due_at) - ms(last))) or AT_ONCE
    return replace(
        job,
        due_at=max(due, Elapsed(0.001)) if job.due_at > AT_ONCE else AT_ONCE,
        later_since=since(job.later_since),
        intent_at=moved(job.intent_at, present),
        unknown_at=Elapsed(present / 1000) if job.state is JobState.UNKNOWN else job.unknown_at,
    )
