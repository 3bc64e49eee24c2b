"""Statistics of one run that would otherwise need a query over every job.

They take eight bytes a job, and counters by intervals of time. `ScreenReader.follow` passes in the
jobs that changed; `RunStats` itself never reads the store.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from vbsbatch.model import ENDED_STATES, JobState
from vbsbatch.store.ports import CodeCount, Glance, SizeSum
from vbsbatch.store.records import STATES, most_frequent, one_of

STEP = 5
"""Seconds of an interval in which creates and ends are counted."""

NEWEST = 500
"""The job numbers of this many of the newest creates are kept."""

ROOM = 1024
"""Jobs for which space is allocated at a time."""

_Kind: TypeAlias = tuple[int, int, int | None, str | None]
"""What is counted separately: state, attempts, and HTTP status and code if failed."""

_ENDED = frozenset(number for number, state in enumerate(STATES) if state in ENDED_STATES)
_WAITING, _SUCCEEDED, _FAILED = map(
    STATES.index, (JobState.WAITING, JobState.SUCCEEDED, JobState.FAILED)
)

_WORKED = frozenset({_SUCCEEDED, _FAILED})


class RunStats:
    """Counts by state, failures by code, creates and ends over time."""

    def __init__(self) -> None:
        self._kinds: list[_Kind | None] = [None]
        self._kind_numbers: dict[_Kind, int] = {}
        self._jobs: list[int] = [0]
        self._first = 0
        self._kind_of = array("I")
        self._size_of = array("I")
        """GB of each job plus one; 0 for one without a size."""
        self._gigabytes = [0] * len(STATES)
        self._sized = [0] * len(STATES)
        """Jobs that have a size, by state."""
        self._newest: list[tuple[int, int]] = []
        self.creates: Counter[int] = Counter()
        """Create requests by interval: epoch seconds divided by `STEP`."""
        self.ends: Counter[int] = Counter()
        """Jobs that succeeded or failed, by interval, even if they were tried again later."""
        self.completed: Counter[int] = Counter()
        """Backups that completed, by epoch minute."""
        self.completed_gigabytes: Counter[int] = Counter()
        """GB of the same."""

    def see(self, glances: Iterable[Glance]) -> None:
        """Take in how these jobs are now; the first time they are all there, in plan order."""
        numbers, kind_of, jobs, first = self._kind_numbers, self._kind_of, self._jobs, self._first
        for no, state, attempts, status, code, intent_at, ended_at, size in glances:
            now = (state, attempts, status, code)
            after = numbers.get(now) or self._number(now)
            place = no - first
            if place >= len(kind_of):
                place = self._make_place(no)
                first = self._first
            before = kind_of[place]
            if size is not None or self._size_of[place]:
                self._weigh(place, self._kinds[before], state, size)
            if before == after:
                continue
            kind_of[place] = after
            jobs[before] -= 1
            jobs[after] += 1
            if intent_at is not None or ended_at is not None:
                self._compare(no, self._kinds[before], now, intent_at, ended_at, size or 0)

    def _weigh(self, place: int, before: _Kind | None, state: int, size: int | None) -> None:
        """Move the size of a job from the state that it had to the one that it has."""
        known = self._size_of[place]
        if before is not None and known:
            self._gigabytes[before[0]] -= known - 1
            self._sized[before[0]] -= 1
        if size is not None:
            self._gigabytes[state] += size
            self._sized[state] += 1
        self._size_of[place] = 0 if size is None else size + 1

    def _number(self, kind: _Kind) -> int:
        """Give a new kind its number."""
        number = self._kind_numbers[kind] = len(self._kinds)
        self._kinds.append(kind)
        self._jobs.append(0)
        return number

    def _make_place(self, no: int) -> int:
        """Allocate space for a job that is new, and for more to come."""
        if not self._kind_of:
            self._first = no
        place = no - self._first
        more = [0] * (place + ROOM - len(self._kind_of))
        self._kind_of.extend(more)
        self._size_of.extend(more)
        return place

    def _compare(
        self,
        no: int,
        before: _Kind | None,
        now: _Kind,
        intent_at: int | None,
        ended_at: int | None,
        size: int,
    ) -> None:
        """Count what must have happened since the job was seen before."""
        if intent_at is not None and (creates := _sent_since(before, now)):
            self.creates[intent_at // (1000 * STEP)] += creates
            if creates > 0:
                self._remember(intent_at, no)
        if ended_at is not None and _ended_since(before, now):
            self._ended(now[0], ended_at, size)

    def _remember(self, intent_at: int, no: int) -> None:
        newest = self._newest
        newest.append((intent_at, no))
        if len(newest) >= 4 * NEWEST:
            newest.sort()
            del newest[:-NEWEST]

    def _ended(self, state: int, ended_at: int, size: int) -> None:
        if state not in _WORKED:  # cancelled or skipped: no measure of how fast the run goes
            return
        self.ends[ended_at // (1000 * STEP)] += 1
        if state == _SUCCEEDED:
            self.completed[ended_at // 60_000] += 1
            self.completed_gigabytes[ended_at // 60_000] += size

    @property
    def counts(self) -> Mapping[JobState, int]:
        """Jobs by state; states without a job are absent."""
        counts: Counter[JobState] = Counter()
        for (state, *_), jobs in self._present():
            counts[one_of(STATES, state, "a state")] += jobs
        return dict(counts)

    @property
    def sizes(self) -> Mapping[JobState, SizeSum]:
        """GB of the jobs in each state, and how many of them have no size."""
        counts = self.counts
        return {
            state: (self._gigabytes[number], counts[state] - self._sized[number])
            for number, state in enumerate(STATES)
            if state in counts
        }

    @property
    def retrying(self) -> int:
        """Waiting jobs that were tried before."""
        present = self._present()
        return sum(jobs for (state, tried, *_), jobs in present if state == _WAITING and tried)

    @property
    def failures(self) -> list[CodeCount]:
        """HTTP status, code and number of the failed jobs, the most frequent first."""
        failed: Counter[tuple[int | None, str | None]] = Counter()
        for (state, _, status, code), jobs in self._present():
            if state == _FAILED:
                failed[status, code] += jobs
        return most_frequent(failed)

    @property
    def newest(self) -> list[int]:
        """The jobs of the newest creates, `NEWEST` at most."""
        return [no for _, no in sorted(self._newest)[-NEWEST:]]

    def _present(self) -> list[tuple[_Kind, int]]:
        pairs = zip(self._kinds, self._jobs, strict=True)
        return [(kind, jobs) for kind, jobs in pairs if kind is not None and jobs]


def _sent_since(before: _Kind | None, now: _Kind) -> int:
    """Creates since the job was seen before; of a new job only the newest one's time is known.

    Negative when a claimed job went back to waiting without being sent.
    """
    return min(now[1], 1) if before is None else now[1] - before[1]


def _ended_since(before: _Kind | None, now: _Kind) -> bool:
    if now[0] not in _ENDED:
        return False
    return before is None or before[0] not in _ENDED or now[1] > before[1]
