"""What the table of jobs is sorted by: one column, or several in order, chosen in a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from vbsbatch.tui import bindings
from vbsbatch.tui.dialogs import Listed
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.line_widgets import Rows
from vbsbatch.tui.view_models import Sort, SortKey

Sorts = tuple[Sort, ...]
"""As in `View.sorts`."""

_FIRST: dict[SortKey, str] = {
    SortKey.NUMBER: "as in the plan",
    SortKey.STATE: "failed first, ended last",
    SortKey.VOLUME: "by name",
    SortKey.GROUP: "by name",
    SortKey.HTTP: "lowest first",
    SortKey.CODE: "by name",
    SortKey.ATTEMPTS: "fewest first",
    SortKey.AGE: "newest create or end first",
    SortKey.DUE: "soonest first",
    SortKey.SIZE: "largest first",
}


def turned(sorts: Sorts) -> Sorts:
    """The same in the other direction; plan order is the empty order."""
    if not sorts:
        return (Sort(SortKey.NUMBER, True),)
    if sorts == (Sort(SortKey.NUMBER, True),):
        return ()
    return tuple(replace(sort, descending=not sort.descending) for sort in sorts)


def alone(key: SortKey) -> Sorts:
    """Sorted by this and nothing else."""
    return () if key is SortKey.NUMBER else (Sort(key),)


def clicked(sorts: Sorts, key: SortKey) -> Sorts:
    """The order after a click on a column's head: by this alone, or turned round."""
    first = sorts[0] if sorts else Sort(SortKey.NUMBER)
    return turned(sorts[:1]) if first.key is key else alone(key)


def stepped(sorts: Sorts, key: SortKey) -> Sorts:
    """The next step for `key`: sorted by it last, then descending, then not at all."""
    if Sort(key) in sorts:
        return tuple(replace(sort, descending=True) if sort.key is key else sort for sort in sorts)
    if Sort(key, True) in sorts:
        return tuple(sort for sort in sorts if sort.key is not key)
    return (*sorts, Sort(key))


def told(sorts: Sequence[Sort]) -> str:
    """As the status line shows it: `by state, age reversed`."""
    names = (f"{sort.key} reversed" if sort.descending else str(sort.key) for sort in sorts)
    return f"by {', '.join(names)}" if sorts else "in plan order"


class SortBy(Listed[Sorts]):
    """The things to sort by; the table behind the list follows each step."""

    BINDINGS = bindings.hidden("enter take", "space step", "q refuse")

    def __init__(self, before: Sorts, show: Callable[[Sorts], None]) -> None:
        super().__init__(["Sort by", "Enter: by this only. Space: add, reverse, remove."])
        self._before = before
        self._sorts = before
        self._stepped = False
        self._show = show

    def on_mount(self) -> None:
        """Begin at the column that is sorted by first."""
        rows = self.query_one(Rows)
        here = self._sorts[0].key if self._sorts else SortKey.NUMBER
        rows.show(self.options(), list(SortKey).index(here))
        self.set_focus(rows)

    def options(self) -> list[Line]:
        """Each column, and its place in the order."""
        places = {sort.key: (place, sort) for place, sort in enumerate(self._sorts, 1)}
        lines: list[Line] = []
        for key in SortKey:
            place, sort = places.get(key, (None, None))
            sign = "  " if sort is None else f"{place}{'-' if sort.descending else '+'}"
            role = "plain" if sort is None else "strong"
            order = _FIRST[key] + (", reversed" if sort and sort.descending else "")
            lines.append(((f"{sign} {key:<9}", role), (f" {order}", "dim")))
        return lines

    @property
    def _here(self) -> SortKey:
        return list(SortKey)[self.query_one(Rows).cursor]

    def action_step(self) -> None:
        """Sort by this too, then descending, then not."""
        self._stepped = True
        self._sorts = stepped(self._sorts, self._here)
        self.query_one(Rows).show(self.options())
        self._show(self._sorts)

    def action_take(self) -> None:
        """Keep the steps; without any, sort by the row alone."""
        self.dismiss(self._sorts if self._stepped else alone(self._here))

    def action_refuse(self) -> None:
        """As it was before."""
        self._show(self._before)
        self.dismiss(None)
