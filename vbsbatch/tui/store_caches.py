"""What is kept of the store between two reads: whole-run figures, and the order of a view's jobs.

Figures are brought up to date by what changed; every job is read only the first time.

An order is the numbers of the jobs, four bytes each. To sort or filter 100,000 jobs takes SQLite
some 50 ms, too long for every paint. While the run changes, an order is made again at most twice a
second, and at most so often that it takes a twentieth of the time. The jobs in it are always read
fresh.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vbsbatch.model import JobState
from vbsbatch.report.progress import LOUD_NOTES
from vbsbatch.store import Event, ReadPosition
from vbsbatch.store.ports import FIXED_SORTS, ScreenReader, SizeSum
from vbsbatch.store.run_stats import RunStats
from vbsbatch.tui.view_models import FilterTerms, Sort, SortKey, View

FOLLOWED = 8
"""Runs that are followed at a time."""

LIMITER_KINDS = ("limiter", "breaker")
LIMITER_NOTES = 20

LOUD_EVENTS = 1000
"""Events that matter, remembered of each run."""


@dataclass(kw_only=True, slots=True)
class Followed:
    """What is known of a run so far."""

    tally: RunStats = field(default_factory=RunStats)
    mark: ReadPosition | None = None
    grouped: bool = False
    """Whether any job has a group."""
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=LOUD_EVENTS))
    """The newest that the plain output shows too: failures, control, limiter."""
    limiter: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=LIMITER_NOTES))
    """The newest notes of limiter and breaker, oldest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A run's figures in the list of runs."""

    counts: Mapping[JobState, int]
    failures: Sequence[tuple[int | None, str | None, int]]
    sizes: Mapping[JobState, SizeSum]


class RunStatsCache:
    """The runs that a screen follows, and summaries of those that it only lists."""

    def __init__(self, screen: ScreenReader) -> None:
        self._screen = screen
        self._followed: dict[str, Followed] = {}
        self._summaries: dict[str, tuple[int, Summary]] = {}

    def follow(self, run_id: str) -> Followed:
        """What is known of the run, brought up to date."""
        followed = self._followed.pop(run_id, None) or Followed()
        before = followed.mark
        if before is None or self._screen.rev(run_id) != before.rev:
            mark = self._screen.follow(run_id, followed.tally, before)
            if before is None:
                followed.grouped = self._screen.has_groups(run_id)
            after = 0 if before is None else before.event
            events = self._screen.loud_events(
                run_id, LOUD_NOTES, after=after, until=mark.event, limit=LOUD_EVENTS
            )
            followed.events.extend(events)
            notes = [event for event in events if event.kind in LIMITER_KINDS]
            followed.limiter.extend((note.at, note.text or "") for note in notes)
            followed.mark = mark
        self._followed[run_id] = followed
        if len(self._followed) > FOLLOWED:
            del self._followed[next(iter(self._followed))]
        return followed

    def adopt(self, other: RunStatsCache) -> None:
        """Take over what another reader of the same store has read."""
        self._followed.update(other._followed)
        self._summaries.update(other._summaries)

    def summary(self, run_id: str, *, live: bool) -> Summary:
        """From its tally for a run that changes all the time; counted once for any other."""
        rev = self._screen.rev(run_id)
        known = self._summaries.get(run_id)
        if known is None or known[0] != rev:
            by_tally = live or run_id in self._followed
            known = (rev, self._tallied(run_id) if by_tally else self._counted(run_id))
            self._summaries[run_id] = known
        return known[1]

    def _tallied(self, run_id: str) -> Summary:
        tally = self.follow(run_id).tally
        return Summary(counts=tally.counts, failures=tally.failures, sizes=tally.sizes)

    def _counted(self, run_id: str) -> Summary:
        return Summary(
            counts=self._screen.counts(run_id),
            failures=self._screen.failures(run_id),
            sizes=self._screen.sizes(run_id),
        )


REST = 0.5
"""Seconds for which an order is used at least."""

SHARE = 20
"""An order is used for this many times the seconds it took to make."""

KEPT = 6
"""Orders that are remembered."""

EVERYTHING = FilterTerms()

IN_PLAN_ORDER = Sort(SortKey.NUMBER)


@dataclass(kw_only=True, slots=True)
class _Order:
    numbers: Sequence[int]
    rev: int
    """The state of the run that it shows."""
    good_until: float
    fixed: bool
    """Whether no change of the run can change it."""


class RowOrders:
    """The orders of the views that were shown last. `clock` is monotonic, in seconds."""

    def __init__(self, screen: ScreenReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._clock = clock
        self._orders: dict[tuple[str, View], _Order] = {}

    def numbers(self, run_id: str, view: View) -> Sequence[int]:
        """The numbers of the view's jobs, row by row."""
        key = (run_id, replace(view, terms=replace(view.terms, text="")))
        order = self._orders.pop(key, None)
        if order is None or self._outdated(order, run_id):
            order = self._made(*key)
        self._orders[key] = order
        if len(self._orders) > KEPT:
            del self._orders[next(iter(self._orders))]
        return order.numbers

    def _outdated(self, order: _Order, run_id: str) -> bool:
        if order.fixed or self._clock() < order.good_until:
            return False
        return self._screen.rev(run_id) != order.rev

    def _made(self, run_id: str, view: View) -> _Order:
        before = self._clock()
        rev = self._screen.rev(run_id)
        numbers = self._read(run_id, view)
        now = self._clock()
        return _Order(
            numbers=numbers,
            rev=rev,
            good_until=now + max(REST, SHARE * (now - before)),
            fixed=view.terms == EVERYTHING and FIXED_SORTS.issuperset(s.key for s in view.sorts),
        )

    def _read(self, run_id: str, view: View) -> Sequence[int]:
        first = view.sorts[0] if view.sorts else IN_PLAN_ORDER
        if view.terms == EVERYTHING and first.key is SortKey.NUMBER:
            numbers = self._screen.all_numbers(run_id)
            return numbers[::-1] if first.descending else numbers
        sorts = [(sort.key.value, sort.descending) for sort in view.sorts]
        return self._screen.numbers(run_id, view.terms, sorts=sorts)
