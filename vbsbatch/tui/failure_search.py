"""The next failed job of a view, found in a few questions however many rows lie between."""

from __future__ import annotations

from dataclasses import replace

from vbsbatch.model import JobState
from vbsbatch.tui.view_models import Source, View


def next_failure(source: Source, run_id: str, view: View, row: int, by: int) -> int | None:
    """The row of the next failed job after (`by` 1) or before (-1) `row`; None without one.

    The failed jobs of the view are a view of their own, in the same order: a binary search over it
    asks for about twenty single rows.
    """
    if view.terms.states and JobState.FAILED not in view.terms.states:
        return None
    terms = replace(view.terms, states=frozenset({JobState.FAILED}), retrying=False)
    failed = replace(view, terms=terms)

    def row_of(index: int) -> int:
        found = source.page(run_id, failed, index, 1)
        at = source.row_of(run_id, view, found[0].no) if found else None
        return -1 if at is None else at

    low, high = 0, source.size(run_id, failed)
    while low < high:
        middle = (low + high) // 2
        if row_of(middle) > row if by > 0 else row_of(middle) >= row:
            high = middle
        else:
            low = middle + 1
    index = low if by > 0 else low - 1
    if not 0 <= index < source.size(run_id, failed):
        return None
    return row_of(index)
