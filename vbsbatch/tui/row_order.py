"""The order of a view's jobs: their numbers, four bytes each, made anew when the run has changed.

To sort or to filter 100,000 jobs takes SQLite some 50 ms: not at every paint. A view that is looked
at again while the run goes on is made anew at most twice a second, and at most so often that it
takes a twentieth of the time; the jobs in it are always read fresh.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vbsbatch.store.screen_queries import FIXED_SORTS, ScreenQueries
from vbsbatch.tui.view_models import FilterTerms, Sort, SortKey, View

REST = 0.5
"""Seconds that an order is good for at least."""

SHARE = 20
"""An order that took a second to make is good for so many."""

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
    """Nothing that happens to the run can change it."""


class RowOrders:
    """The orders of the views that were looked at last. `clock` is monotonic, in seconds."""

    def __init__(self, screen: ScreenQueries, clock: Callable[[], float] = time.monotonic) -> None:
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
