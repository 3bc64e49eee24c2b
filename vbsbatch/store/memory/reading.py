"""Runs and jobs in memory as commands, reports and screens see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from vbsbatch.errors import UsageError
from vbsbatch.model import (
    Attempt,
    Compaction,
    Job,
    JobMoved,
    JobState,
    MissedStart,
    Operation,
    Pin,
    PlanTotals,
    Rate,
    Run,
    RunNoted,
    RunState,
    Wall,
)
from vbsbatch.store.memory.runs import Held, on_wall
from vbsbatch.store.ports import (
    NO_CODE,
    CodeCount,
    Criteria,
    Event,
    Follower,
    Glance,
    ReadPosition,
    RunReader,
    ScreenReader,
    SizeSum,
)
from vbsbatch.store.records import STATES, most_frequent, ms
from vbsbatch.store.selection import JobSelection, resolved


class MemoryReader:
    """What `RunReader` asks, from a store in memory."""

    name = "memory"

    def __init__(self, held: Held) -> None:
        self.held = held

    def close(self) -> None:
        """Do nothing: there is nothing to let go."""

    def runs(self) -> list[Run]:
        """See `RunReader.runs`."""
        return [kept.run for kept in reversed(self.held.runs.values())]

    def newest_runs(self, *, unfinished: int, ended: int, plans: int = 0) -> list[Run]:
        """See `RunReader.newest_runs`."""
        left = {True: ended, False: unfinished}
        found, seen = [], set[str]()
        for run in self.runs():
            has_ended = run.state is RunState.ENDED
            left[has_ended] -= 1
            backup = run.settings.operation is Operation.BACKUP
            of_plan = backup and run.plan not in seen and len(seen) < plans
            if backup:
                seen.add(run.plan)
            if left[has_ended] >= 0 or of_plan:
                found.append(run)
        return found

    def totals(self) -> list[PlanTotals]:
        """See `RunReader.totals`."""
        return [self.held.totals[name] for name in sorted(self.held.totals)]

    def run(self, ref: str) -> Run:
        """See `RunReader.run`."""
        if ref in self.held.runs:
            return self.held.runs[ref].run
        ids = [*reversed(self.held.runs)]
        return self.held.run(resolved(ref, ids, self.name, self._latest)).run

    def _latest(self) -> str | None:
        """The newest run that a person began."""
        kinds = ((run.id, run.settings) for run in self.runs())
        return next((i for i, s in kinds if s.follows is None and s.makes_room_for is None), None)

    def newest_unfinished(self) -> Run | None:
        """See `RunReader.newest_unfinished`."""
        return next((run for run in self.runs() if run.state is not RunState.ENDED), None)

    def sending_rate(self, run_id: str) -> Rate | None:
        """See `RunReader.sending_rate`."""
        return self.held.run(run_id).sending_rate

    def counts(self, run_id: str) -> Mapping[JobState, int]:
        """See `RunReader.counts`."""
        by_state = self.held.run(run_id).by_state
        return {state: len(numbers) for state, numbers in by_state.items() if numbers}

    def sizes(self, run_id: str) -> Mapping[JobState, SizeSum]:
        """See `RunReader.sizes`."""
        found: dict[JobState, SizeSum] = {}
        for job in self.jobs(run_id):
            total, unsized = found.get(job.state, (0, 0))
            found[job.state] = total + (job.size or 0), unsized + (job.size is None)
        return found

    def wave_counts(self, run_id: str) -> Mapping[int, Mapping[JobState, int]]:
        """See `RunReader.wave_counts`."""
        return self.held.run(run_id).wave_counts()

    def jobs(
        self,
        run_id: str,
        *,
        states: Iterable[JobState] = (),
        statuses: Iterable[int] = (),
        codes: Iterable[str] = (),
        volumes: Iterable[str] = (),
        after: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """See `RunReader.jobs`."""
        selection = JobSelection.fitting(states, statuses, codes, volumes)
        kept = self.held.run(run_id)
        numbers = [no for no in sorted(kept.jobs) if after is None or no > after]
        fitting = (self.job(run_id, no) for no in numbers if selection.fits(kept.jobs[no]))
        return islice(fitting, limit)

    def job(self, run_id: str, no: int) -> Job:
        """See `RunReader.job`."""
        kept = self.held.run(run_id)
        if no not in kept.jobs:
            raise UsageError(f"run {run_id} has no job {no}")
        return on_wall(kept.jobs[no], kept.run.clock_step)

    def failures(self, run_id: str) -> list[CodeCount]:
        """See `RunReader.failures`."""
        failed = self.held.run(run_id).in_states([JobState.FAILED])
        return most_frequent(Counter((job.http_status, job.code) for job in failed))

    def answers(self, run_id: str) -> list[CodeCount]:
        """See `RunReader.answers`."""
        answers = [attempt.answer for attempt in self.held.run(run_id).attempts.values()]
        return most_frequent(Counter((answer.status, answer.code) for answer in answers))

    def retrying(self, run_id: str) -> int:
        """See `RunReader.retrying`."""
        waiting = self.held.run(run_id).in_states([JobState.WAITING])
        return sum(job.attempts > 0 for job in waiting)

    def attempts(self, run_id: str, no: int) -> list[Attempt]:
        """See `RunReader.attempts`."""
        kept = self.held.run(run_id).attempts
        return [kept[key] for key in sorted(kept) if key[0] == no]

    def attempt_total(self, run_id: str) -> int:
        """See `RunReader.attempt_total`."""
        return sum(job.attempts for job in self.held.run(run_id).jobs.values())

    def events(
        self, run_id: str, *, after: int = 0, limit: int | None = None, no: int | None = None
    ) -> Iterator[Event]:
        """See `RunReader.events`."""
        kept = self.held.run(run_id).events
        events = [_event(number, kept[number]) for number in sorted(kept) if number > after]
        return islice((event for event in events if no is None or event.no == no), limit)

    def mark(self) -> ReadPosition:
        """See `RunReader.mark`."""
        return ReadPosition(rev=self.held.changes.last, event=self.held.changes.last)

    def changed(self, run_id: str, since: ReadPosition) -> tuple[ReadPosition, list[Job]]:
        """See `RunReader.changed`."""
        revs = self.held.run(run_id).revs
        numbers = [no for no in sorted(revs) if revs[no] > since.rev]
        return self.mark(), [self.job(run_id, no) for no in numbers]

    def data_version(self) -> int:
        """See `RunReader.data_version`."""
        return self.held.changes.last

    def pins(self) -> list[Pin]:
        """See `RunReader.pins`."""
        return list(self.held.pins)

    def made(
        self,
        backup_ids: Collection[str] = (),
        *,
        names: Collection[str] = (),
        volumes: Collection[str] = (),
    ) -> list[tuple[str, Job]]:
        """See `RunReader.made`."""
        return [
            (run_id, self.job(run_id, job.no))
            for run_id, kept in self.held.runs.items()
            if kept.run.settings.operation is Operation.BACKUP
            for job in kept.in_states([JobState.SUCCEEDED])
            if job.backup_id is not None
            and (
                job.backup_id in backup_ids or job.backup_name in names or job.volume_id in volumes
            )
        ]

    def command_result(self, command_id: int) -> str | None:
        """See `RunReader.command_result`."""
        answer = self.held.answered.get(command_id)
        return None if answer is None else answer[1]

    def missed_starts(self) -> list[MissedStart]:
        """See `Upkeep.missed_starts`."""
        newest = list(reversed(self.held.missed))
        return sorted(newest, key=lambda missed: missed.at, reverse=True)

    def compactable(self, before: Wall) -> Compaction:
        """See `Upkeep.compactable`."""
        old = [run_id for run_id, kept in self.held.runs.items() if self._is_old(kept.run, before)]
        answered = [asked for asked, (run, _) in self.held.asked.items() if run in old]
        return Compaction(
            runs=tuple(old),
            events=sum(len(self.held.runs[run_id].events) for run_id in old),
            attempts=sum(len(self.held.runs[run_id].attempts) for run_id in old),
            commands=sum(asked in self.held.answered for asked in answered),
            starts=sum(missed.at < before for missed in self.held.missed),
        )

    def _is_old(self, run: Run, before: Wall) -> bool:
        """Whether it ended before, has a history, and nobody drives it."""
        if run.state is not RunState.ENDED or run.ended_at is None or run.id in self.held.driven:
            return False
        has_history = run.compacted_at is None or run.compacted_at < run.ended_at
        return has_history and run.ended_at < before


def _event(number: int, event: JobMoved | RunNoted) -> Event:
    if isinstance(event, RunNoted):
        return Event(id=number, at=float(event.at), no=None, kind=event.kind, text=event.text)
    return Event(
        id=number,
        at=float(event.at),
        no=event.job.no,
        kind="move",
        came_from=event.came_from,
        to=event.job.state,
        text=event.note,
    )


class MemoryScreen(MemoryReader):
    """What `ScreenReader` asks, from a store in memory."""

    def rev(self, run_id: str) -> int:
        """See `ScreenReader.rev`."""
        return self.held.run(run_id).rev

    def has_groups(self, run_id: str) -> bool:
        """See `ScreenReader.has_groups`."""
        return any(job.group is not None for job in self.held.run(run_id).jobs.values())

    def all_numbers(self, run_id: str) -> Sequence[int]:
        """See `ScreenReader.all_numbers`."""
        return sorted(self.held.run(run_id).jobs)

    def numbers(
        self, run_id: str, criteria: Criteria, *, sorts: Iterable[tuple[str, bool]] = ()
    ) -> Sequence[int]:
        """See `ScreenReader.numbers`."""
        found = [job for job in self.jobs(run_id) if _fits(job, criteria)]
        for key, descending in reversed([*sorts]):  # sorts are stable: the first one comes last
            keys = {job.no: _sort_key(job, key) for job in found}
            having = [job for job in found if keys[job.no] is not None]
            lacking = [job for job in found if keys[job.no] is None]
            having.sort(key=lambda job, keys=keys: keys[job.no], reverse=descending)  # type: ignore[misc]
            found = [*having, *lacking]
        return [job.no for job in found]

    def jobs_at(self, run_id: str, numbers: Iterable[int]) -> list[Job]:
        """See `ScreenReader.jobs_at`."""
        kept = self.held.run(run_id).jobs
        return [self.job(run_id, no) for no in numbers if no in kept]

    def follow(self, run_id: str, stats: Follower, since: ReadPosition | None) -> ReadPosition:
        """See `ScreenReader.follow`."""
        kept = self.held.run(run_id)
        chosen = [
            kept.jobs[no] for no in sorted(kept.jobs) if since is None or kept.revs[no] > since.rev
        ]
        stats.see(map(_glance, chosen))
        return ReadPosition(rev=kept.rev, event=self.held.changes.last)

    def newest_events(self, run_id: str, *, limit: int) -> list[Event]:
        """See `ScreenReader.newest_events`."""
        return list(self.events(run_id))[-limit:] if limit > 0 else []

    def loud_events(
        self, run_id: str, kinds: Iterable[str], *, after: int, until: int, limit: int
    ) -> list[Event]:
        """See `ScreenReader.loud_events`."""
        wanted = frozenset(kinds)
        events = [event for event in self.events(run_id, after=after) if event.id <= until]
        loud = [e for e in events if e.to is JobState.FAILED or (e.no is None and e.kind in wanted)]
        return loud[-limit:]

    def took(self, run_id: str, numbers: Iterable[int], *, limit: int) -> list[float]:
        """See `ScreenReader.took`."""
        attempts = [attempt for no in numbers for attempt in self.attempts(run_id, no)]
        newest = sorted(attempts, key=lambda attempt: attempt.sent_at, reverse=True)
        return [attempt.took for attempt in newest if attempt.took is not None][:limit]

    def slowest(self, run_id: str, *, limit: int) -> list[Job]:
        """See `ScreenReader.slowest`."""
        running = self.jobs(run_id, states=[JobState.RUNNING])
        return sorted(running, key=lambda job: float(job.intent_at or 0.0))[:limit]


def _glance(job: Job) -> Glance:
    status, code = (job.http_status, job.code) if job.state is JobState.FAILED else (None, None)
    intent = None if job.intent_at is None else ms(job.intent_at)
    end = None if job.ended_at is None else ms(job.ended_at)
    return job.no, STATES.index(job.state), job.attempts, status, code, intent, end, job.size


def _fits(job: Job, criteria: Criteria) -> bool:
    """Whether every criterion that is set fits the job."""
    tried = job.attempts > 0
    retrying = criteria.retrying and tried and job.state is JobState.WAITING
    if (criteria.states or criteria.retrying) and not (job.state in criteria.states or retrying):
        return False
    status = job.http_status or (0 if tried else None)
    if criteria.statuses and status not in criteria.statuses:
        return False
    if criteria.groups and job.group not in criteria.groups:
        return False
    if criteria.codes and not any(_has_code(job, code) for code in criteria.codes):
        return False
    texts = [job.volume_name, job.backup_name, job.code, job.message, job.group, job.volume_id]
    if len(plain := job.volume_id.replace("-", "")) == 32:
        texts.append(plain)
    searched = [text.lower() for text in texts if text is not None]

    def occurs(word: str) -> bool:
        return any(word.lower() in text for text in searched)

    some = not criteria.any_words or any(map(occurs, criteria.any_words))
    return some and all(map(occurs, criteria.words))


def _has_code(job: Job, beginning: str) -> bool:
    if beginning == NO_CODE:
        return job.code is None and job.attempts > 0
    return job.code is not None and job.code.lower().startswith(beginning.lower())


_RANKS = (
    JobState.FAILED,
    JobState.UNKNOWN,
    None,  # waiting, and tried before
    JobState.RUNNING,
    JobState.SUBMITTING,
    JobState.WAITING,
    JobState.SUCCEEDED,
    JobState.CANCELLED,
    JobState.SKIPPED,
)


def _sort_key(job: Job, key: str) -> float | str | None:
    """What the job is sorted by; None where it has no such thing."""
    waiting = job.state is JobState.WAITING
    newest = job.intent_at if job.ended_at is None else job.ended_at
    keys = {
        "number": job.no,
        "state": _RANKS.index(None if waiting and job.attempts else job.state),
        "volume": _folded(
            job.volume_id.replace("-", "")
            if job.volume_name == job.volume_id and len(job.volume_id.replace("-", "")) == 32
            else job.volume_name
        ),
        "http": job.http_status,
        "code": _folded(job.code),
        "attempts": job.attempts,
        "age": None if newest is None else -float(newest),
        "size": None if job.size is None else -job.size,
        "due": float(job.due_at) or None if waiting else None,
        "group": _folded(job.group),
    }
    return keys[key]


def _folded(text: str | None) -> str | None:
    """The text with its ASCII letters in lower case, as SQLite compares it."""
    return None if text is None else "".join(c.lower() if c.isascii() else c for c in text)


_: type[RunReader] = MemoryReader  # mypy compares each pair
_screen: type[ScreenReader] = MemoryScreen
