"""What a follower of one run keeps in memory: figures that would cost a look at every job.

Four bytes a job, and counters by intervals of time: the tally is told of the jobs that changed, as
rows of `screen.GLANCES` or `CHANGED_GLANCES`, and never asks.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from vbsbatch.model import ENDED_STATES, JobState
from vbsbatch.store.row_checks import one_of
from vbsbatch.store.schema import STATES

STEP = 5
"""Seconds of an interval in which creates and ends are counted."""

NEWEST = 500
"""So many of the newest creates are remembered by the numbers of their jobs."""

ROOM = 1024
"""Places that are made at a time."""

Glance: TypeAlias = tuple[int, int, int, int | None, str | None, int | None, int | None]
"""number, state, attempts, HTTP status and code if failed, intent and end in milliseconds."""


_Kind: TypeAlias = tuple[int, int, int | None, str | None]
"""What is counted apart: state, attempts, and HTTP status and code if failed."""

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
        self._newest: list[tuple[int, int]] = []
        self.creates: Counter[int] = Counter()
        """Create requests by interval: epoch seconds divided by `STEP`."""
        self.ends: Counter[int] = Counter()
        """Jobs that succeeded or failed, by interval, whatever became of them later."""
        self.completed: Counter[int] = Counter()
        """Backups that completed, by epoch minute."""

    def see(self, glances: Iterable[Glance]) -> None:
        """Take in how these jobs are now; the first time they are all there, in plan order."""
        numbers, kind_of, jobs, first = self._kind_numbers, self._kind_of, self._jobs, self._first
        for no, state, attempts, status, code, intent_at, ended_at in glances:
            now = (state, attempts, status, code)
            after = numbers.get(now) or self._number(now)
            place = no - first
            if place >= len(kind_of):
                place = self._make_place(no)
                first = self._first
            before = kind_of[place]
            if before == after:
                continue
            kind_of[place] = after
            jobs[before] -= 1
            jobs[after] += 1
            if intent_at is not None or ended_at is not None:
                self._compare(no, self._kinds[before], now, intent_at, ended_at)

    def _number(self, kind: _Kind) -> int:
        """The number of a kind that has none yet."""
        number = self._kind_numbers[kind] = len(self._kinds)
        self._kinds.append(kind)
        self._jobs.append(0)
        return number

    def _make_place(self, no: int) -> int:
        """Make room for the kind of a job that was never seen, and of more to come."""
        if not self._kind_of:
            self._first = no
        place = no - self._first
        self._kind_of.extend([0] * (place + ROOM - len(self._kind_of)))
        return place

    def _compare(
        self, no: int, before: _Kind | None, now: _Kind, intent_at: int | None, ended_at: int | None
    ) -> None:
        """Count what must have happened between two looks at the job."""
        if intent_at is not None and (creates := _sent_since(before, now)):
            self.creates[intent_at // (1000 * STEP)] += creates
            if creates > 0:
                self._remember(intent_at, no)
        if ended_at is not None and _ended_since(before, now):
            self._ended(now[0], ended_at)

    def _remember(self, intent_at: int, no: int) -> None:
        newest = self._newest
        newest.append((intent_at, no))
        if len(newest) >= 4 * NEWEST:
            newest.sort()
            del newest[:-NEWEST]

    def _ended(self, state: int, ended_at: int) -> None:
        if state not in _WORKED:  # taken back or left out: tells nothing of how fast the run goes
            return
        self.ends[ended_at // (1000 * STEP)] += 1
        if state == _SUCCEEDED:
            self.completed[ended_at // 60_000] += 1

    @property
    def counts(self) -> Mapping[JobState, int]:
        """Jobs by state; states without a job are absent."""
        counts: Counter[JobState] = Counter()
        for (state, *_), jobs in self._present():
            counts[one_of(STATES, state, "a state")] += jobs
        return dict(counts)

    @property
    def retrying(self) -> int:
        """Waiting jobs that were tried before."""
        present = self._present()
        return sum(jobs for (state, tried, *_), jobs in present if state == _WAITING and tried)

    @property
    def failures(self) -> list[tuple[int | None, str | None, int]]:
        """HTTP status, code and number of the failed jobs, the most frequent first."""
        failed: Counter[tuple[int | None, str | None]] = Counter()
        for (state, _, status, code), jobs in self._present():
            if state == _FAILED:
                failed[status, code] += jobs
        rows = [(status, code, jobs) for (status, code), jobs in failed.items()]
        return sorted(rows, key=lambda row: (-row[2], row[0] or 0, row[1] or ""))

    @property
    def newest(self) -> list[int]:
        """The jobs of the newest creates, `NEWEST` at most."""
        return [no for _, no in sorted(self._newest)[-NEWEST:]]

    def _present(self) -> list[tuple[_Kind, int]]:
        pairs = zip(self._kinds, self._jobs, strict=True)
        return [(kind, jobs) for kind, jobs in pairs if kind is not None and jobs]


def _sent_since(before: _Kind | None, now: _Kind) -> int:
    """Creates between two looks; of a job never seen before only the newest one's time is known.

    Less than none when a claimed job was given back unsent.
    """
    return min(now[1], 1) if before is None else now[1] - before[1]


def _ended_since(before: _Kind | None, now: _Kind) -> bool:
    if now[0] not in _ENDED:
        return False
    return before is None or before[0] not in _ENDED or now[1] > before[1]
