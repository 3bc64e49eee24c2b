"""Everything that a store in memory holds: runs with their jobs and history, commands."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from vbsbatch.errors import UsageError
from vbsbatch.model import (
    AT_ONCE,
    OPEN_STATES,
    Attempt,
    Command,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Message,
    MissedStart,
    Operation,
    Pin,
    PlanTotals,
    Rate,
    Run,
    RunNoted,
    Wall,
)
from vbsbatch.store.records import is_told_by_attempt, ms


@dataclass(kw_only=True, slots=True)
class Changes:
    """Numbers the changes of a store, so that followers can tell what is new."""

    last: int = 0

    def next(self) -> int:
        """The number of one more change."""
        self.last += 1
        return self.last


@dataclass(kw_only=True, slots=True)
class MemoryRun:
    """One run with all that was ever recorded of it."""

    run: Run
    changes: Changes = field(default_factory=Changes)
    rev: int = 0
    """The number of its last change."""
    jobs: dict[int, Job] = field(default_factory=dict)
    revs: dict[int, int] = field(default_factory=dict)
    """By job, the number of its last change; 0 for one that was never changed."""
    attempts: dict[tuple[int, int], Attempt] = field(default_factory=dict)
    """By job number and number of the attempt; the first record of an attempt stands."""
    events: dict[int, JobMoved | RunNoted] = field(default_factory=dict)
    """By the number of the change, oldest first."""
    sending_rate: Rate | None = None
    """The rate that the last heartbeat reported."""
    by_state: dict[JobState, set[int]] = field(default_factory=lambda: {s: set() for s in JobState})
    queue: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Waiting jobs as (wave, rank, -priority, number), sorted: the order of claims."""
    busy: Counter[str] = field(default_factory=Counter)
    """Volumes with an open job of this run."""

    def copy(self) -> MemoryRun:
        """The run as it is now, whatever becomes of this one."""
        return replace(
            self,
            jobs=dict(self.jobs),
            revs=dict(self.revs),
            attempts=dict(self.attempts),
            events=dict(self.events),
            by_state={state: set(numbers) for state, numbers in self.by_state.items()},
            queue=list(self.queue),
            busy=Counter(self.busy),
        )

    def change(self, **fields: Any) -> None:
        """Write fields of the run itself."""
        self.run = replace(self.run, **fields)
        self.rev = self.changes.next()

    def add(self, job: Job) -> None:
        """Put in a job that is new."""
        self.revs[job.no] = 0
        self.jobs[job.no] = job
        self._sort_in(job)

    def put(self, job: Job) -> None:
        """Write a job that has changed."""
        old = self.jobs[job.no]
        if old.state is not job.state:
            self._take_out(old)
            self._sort_in(job)
        self.jobs[job.no] = job
        self.rev = self.revs[job.no] = self.changes.next()

    def record(self, event: JobMoved | RunNoted) -> None:
        """Write a move or a note, as journals do."""
        if isinstance(event, JobMoved):
            self.put(event.job)
            if event.attempt is not None:
                self.attempts.setdefault((event.job.no, event.attempt.number), event.attempt)
        if not (isinstance(event, JobMoved) and is_told_by_attempt(event)):
            self.note(event)

    def note(self, event: JobMoved | RunNoted) -> None:
        """Put an event into the history, and do nothing else."""
        self.rev = number = self.changes.next()
        self.events[number] = event

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

    def wave_counts(self) -> dict[int, Counter[JobState]]:
        """How many jobs of each wave, by its index, are in each state."""
        found: dict[int, Counter[JobState]] = {}
        for job in self.jobs.values():
            found.setdefault(job.wave, Counter())[job.state] += 1
        return found

    def in_states(self, states: Iterable[JobState]) -> list[Job]:
        """Jobs in any of `states`, in plan order."""
        numbers = set[int]().union(*(self.by_state[state] for state in states))
        return [self.jobs[no] for no in sorted(numbers)]


def _place(job: Job) -> tuple[int, int, int, int]:
    return job.wave, job.rank, -job.priority, job.no


@dataclass(kw_only=True, slots=True)
class Held:
    """All that a store holds; its readers and journals share it."""

    runs: dict[str, MemoryRun] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)
    asked: dict[int, tuple[str, Command]] = field(default_factory=dict)
    """Commands by id, with the run they are for."""
    taken: set[int] = field(default_factory=set)
    """Commands that an engine took: they cannot be withdrawn any more."""
    answered: dict[int, tuple[Wall, str]] = field(default_factory=dict)
    """When a command was acknowledged, and what became of it."""
    messages: dict[tuple[str, str, str], Message] = field(default_factory=dict)
    """By run, fact and channel."""
    driven: set[str] = field(default_factory=set)
    """Runs whose lock is held."""
    missed: list[MissedStart] = field(default_factory=list)
    """In the order in which they were recorded."""

    totals: dict[str, PlanTotals] = field(default_factory=dict)
    """By the name of the plan; restores and prunes are under the empty name."""

    pins: list[Pin] = field(default_factory=list)
    """The oldest first."""

    def add(self, run: Run, *, gigabytes: int = 0, creates: int = 0, reads: int = 0) -> None:
        """Add what the run did to the totals of its plan."""
        key, kept = self._totals_of(run)
        self.totals[key] = replace(
            kept,
            gigabytes=kept.gigabytes + gigabytes,
            create_calls=kept.create_calls + max(0, creates),
            read_calls=kept.read_calls + max(0, reads),
        )

    def succeeded(self, run: Run, at: Wall) -> None:
        """The run ended, and left no volume without a backup."""
        key, kept = self._totals_of(run)
        self.totals[key] = replace(kept, succeeded_at=at)

    def _totals_of(self, run: Run) -> tuple[str, PlanTotals]:
        plan = run.plan if run.settings.operation is Operation.BACKUP else None
        return plan or "", self.totals.get(plan or "", PlanTotals(plan=plan))

    def run(self, run_id: str) -> MemoryRun:
        """The run with this id."""
        if run_id not in self.runs:
            raise UsageError(f"there is no run {run_id} in memory")
        return self.runs[run_id]

    def copy(self) -> Held:
        """Everything as it is now but for locks, whatever becomes of this."""
        return replace(
            self,
            runs={run_id: run.copy() for run_id, run in self.runs.items()},
            asked=dict(self.asked),
            taken=set(self.taken),
            answered=dict(self.answered),
            totals=dict(self.totals),
            missed=list(self.missed),
            pins=list(self.pins),
            messages=dict(self.messages),
        )

    def holder(self, volume_id: str, besides: str) -> str | None:
        """The other run that has an open job for this volume, if one has."""
        for run_id, run in self.runs.items():
            if run_id != besides and run.busy[volume_id] > 0:
                return run_id
        return None


def on_wall(job: Job, step: float) -> Job:
    """The job with its waits as the machine's clock shows them; see `rows.read_job`."""

    def moved(at: Elapsed | None) -> Elapsed | None:
        return None if at is None else Elapsed((ms(at) + ms(step)) / 1000)

    if not step:
        return job
    return replace(
        job,
        due_at=(moved(job.due_at) or AT_ONCE) if job.due_at > AT_ONCE else AT_ONCE,
        intent_at=moved(job.intent_at),
        unknown_at=moved(job.unknown_at),
        later_since=moved(job.later_since),
    )


def begun(job: Job, now: Elapsed, *, step: float, last: Elapsed, later_for: float) -> Job:
    """The job with its waits on another engine's clock; see `journal_sql.BEGIN_WAITS`. In whole
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
