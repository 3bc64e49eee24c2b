"""What a follower of one run keeps in memory: figures that would cost a look at every job.

Four bytes a job, and counters by intervals of time: the tally is told of the jobs that changed, as
rows of `screen.GLANCES` or `CHANGED_GLANCES`, and never asks.
"""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from vbsbatch.model import ENDED_STATES, JobState
from vbsbatch.store.schema import STATES

STEP = 5
"""Seconds of an interval in which creates and ends are counted."""

NEWEST = 500
"""So many of the newest creates are remembered by the numbers of their jobs."""

Glance: TypeAlias = tuple[int, int, int, int | None, str | None, int | None, int | None]
"""number, state, attempts, HTTP status and code if failed, intent and end in milliseconds."""


_Kind: TypeAlias = tuple[int, int, int | None, str | None]
"""What is counted apart: state, attempts, and HTTP status and code if failed."""

_ENDED = frozenset(number for number, state in enumerate(STATES) if state in ENDED_STATES)
_WAITING, _SUCCEEDED, _FAILED = map(
    STATES.index, (JobState.WAITING, JobState.SUCCEEDED, JobState.FAILED)
)


class Tally:
    """Counts by state, failures by code, creates and ends over time."""

    def __init__(self) -> None:
        self._kinds: list[_Kind | None] = [None]
        self._kind_numbers: dict[_Kind, int] = {}
        self._jobs: list[int] = [0]
        self._first: int | None = None
        self._kind_of = array("I")
        self._newest: list[tuple[int, int]] = []
        self.creates: Counter[int] = Counter()
        """Create requests by interval: epoch seconds divided by `STEP`."""
        self.ends: Counter[int] = Counter()
        """Jobs that ended, by interval, whatever became of them later."""
        self.completed: Counter[int] = Counter()
        """Backups that completed, by epoch minute."""

    def see(self, glances: Iterable[Glance]) -> None:
        """Take in how these jobs are now; the first time they are all there, in plan order."""
        for no, state, attempts, status, code, intent_at, ended_at in glances:
            now = (state, attempts, status, code)
            before = self._replace(no, now)
            if before == now:
                continue
            if intent_at is not None:
                self._sent(no, intent_at, _sent_since(before, now))
            if ended_at is not None and _ended_since(before, now):
                self._ended(state, ended_at)

    def _replace(self, no: int, now: _Kind) -> _Kind | None:
        """Remember how the job is now; returns how it was."""
        if self._first is None:
            self._first = no
        place = no - self._first
        if place >= len(self._kind_of):
            self._kind_of.extend([0] * (place + 1 - len(self._kind_of)))
        before = self._kind_of[place]
        after = self._kind_numbers.get(now)
        if after is None:
            after = self._kind_numbers[now] = len(self._kinds)
            self._kinds.append(now)
            self._jobs.append(0)
        self._kind_of[place] = after
        self._jobs[before] -= 1
        self._jobs[after] += 1
        return self._kinds[before]

    def _sent(self, no: int, intent_at: int, creates: int) -> None:
        if not creates:
            return
        self.creates[intent_at // (1000 * STEP)] += creates
        newest = (intent_at, no)
        if len(self._newest) < NEWEST:
            heapq.heappush(self._newest, newest)
        elif creates > 0 and newest > self._newest[0]:
            heapq.heapreplace(self._newest, newest)

    def _ended(self, state: int, ended_at: int) -> None:
        self.ends[ended_at // (1000 * STEP)] += 1
        if state == _SUCCEEDED:
            self.completed[ended_at // 60_000] += 1

    @property
    def counts(self) -> Mapping[JobState, int]:
        """Jobs by state; states without a job are absent."""
        counts: Counter[JobState] = Counter()
        for (state, *_), jobs in self._present():
            counts[STATES[state]] += jobs
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
        return [no for _, no in self._newest]

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
