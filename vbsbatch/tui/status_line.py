"""The line below the jobs: which of them are shown, how sorted, where the cursor is, what waits."""

from __future__ import annotations

from vbsbatch.tui import formatting, sorting
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.job_table import JobTable
from vbsbatch.tui.sanitize import cut

_FILTER = 44
"""Cells for the filter at most."""


def line(table: JobTable, width: int, *, waiting: str, all_events: bool) -> Line:
    """The line in `width` cells; `waiting` says what was asked and not answered."""
    view = table.view
    parts: list[tuple[int, Line]] = []
    if waiting:
        parts.append((1, ((waiting, "warn"),)))
    parts += [
        (3, (("view ", "dim"), (cut(view.terms.text or "all", _FILTER), "plain"))),
        (4, (("sort ", "dim"), (sorting.told(view.sorts), "plain"))),
    ]
    if table.marks:
        parts.append((2, ((f"{len(table.marks)} marked", "strong"),)))
    if table.anchor_no is not None:
        parts.append((2, (("range open", "warn"),)))
    parts.append((0, ((f"{table.place} of {table.total}", "plain"),)))
    if all_events:
        parts.append((6, (("all events", "plain"),)))
    if table.new_rows:
        parts.append((5, ((f"new rows: {table.new_rows}", "retry"),)))
    return formatting.packed(parts, width)
