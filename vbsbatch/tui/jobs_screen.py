"""A screen over the jobs of a run: the table with its filter, order and marks, and the actions."""

from __future__ import annotations

from dataclasses import replace

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from vbsbatch.model import JobState
from vbsbatch.tui import bindings, detail_text, exporting, filter_syntax, job_row, sorting
from vbsbatch.tui.exporting import pick_and_copy
from vbsbatch.tui.job_table import JobTable
from vbsbatch.tui.line_widgets import Lines
from vbsbatch.tui.screen_protocols import TypedLine, reading
from vbsbatch.tui.sorting import SortBy, Sorts
from vbsbatch.tui.steering_actions import Chosen, SteerableScreen
from vbsbatch.tui.view_models import FilterTerms, Source, View

_HINT = "words  state:fail,retry  status:503  code:VB.09  group:db01  any:db01,db02"


class FilterInput(TypedLine):
    """Takes several lines as alternatives."""

    def joined(self, lines: list[str]) -> tuple[str, int]:
        """A term that any of the lines fits."""
        return filter_syntax.of_lines(lines)


class FilterLine(Horizontal):
    """Hidden until `open`; Enter keeps the filter, Esc goes back to the one before."""

    DEFAULT_CSS = """
    FilterLine { height: 1; display: none; background: $panel; }
    FilterLine Lines { width: 2; background: $panel; }
    FilterLine Input { width: 1fr; background: $panel; }
    """
    BINDINGS = bindings.hidden("escape leave")

    class Typed(Message):
        """A valid filter."""

        def __init__(self, found: FilterTerms) -> None:
            super().__init__()
            self.terms = found

    class Wrong(Message):
        """What is wrong with the typed filter; empty when it is valid again."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """The line is hidden again."""

    def __init__(self) -> None:
        super().__init__()
        self._before = FilterTerms()

    def compose(self) -> ComposeResult:
        """A slash and the line."""
        yield Lines([(("/ ", "title"),)])
        yield FilterInput(placeholder=_HINT, select_on_focus=False, compact=True)

    def open(self, before: FilterTerms) -> None:
        """Show the current filter, ready for one more term."""
        self._before = before
        text = f"{before.text} " if before.text else ""
        self.display = True
        line = self.query_one(Input)
        with self.prevent(Input.Changed):
            line.value = text
        line.cursor_position = len(text)
        self.screen.set_focus(line)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.display:
            self._try(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._try(event.value):
            self._close()

    def _try(self, text: str) -> bool:
        try:
            found = filter_syntax.parse(text.strip())
        except ValueError as error:
            self.post_message(self.Wrong(str(error)))
            return False
        self.post_message(self.Wrong(""))
        self.post_message(self.Typed(found))
        return True

    def action_leave(self) -> None:
        """Back to the filter before."""
        self.post_message(self.Wrong(""))
        self.post_message(self.Typed(self._before))
        self._close()

    def keep(self) -> None:
        """Close it as Enter does, or as Esc does if the typed filter is not valid."""
        if self._try(self.query_one(Input).value):
            self._close()
        else:
            self.action_leave()

    def _close(self) -> None:
        self.display = False
        self.post_message(self.Closed())


class JobsScreen(SteerableScreen):
    """A screen with a `JobTable`, a `FilterLine`, and a line `#head` over the columns."""

    _before_failures: View | None = None

    @property
    def table(self) -> JobTable:
        """The jobs."""
        return self.query_one(JobTable)

    def action_failure(self, by: int) -> None:
        """To the next failed job of the view, or the one before."""
        with reading(self):
            table = self.table
            table.reload()
            row = next_failure(self.source, self.run_id, table.view, table.cursor_row, by)
            if row is None:
                self.say("no failed job in that direction")
            else:
                table.go_to(row)

    # Filter and order

    def action_filter(self) -> None:
        """Type a filter; the table follows each key."""
        line = self.query_one(FilterLine)
        self.add_class("-typing")
        line.open(self.table.view.terms)

    @on(FilterLine.Typed)
    def _filter_typed(self, event: FilterLine.Typed) -> None:
        self.table.show(replace(self.table.view, terms=event.terms))

    @on(FilterLine.Closed)
    def _filter_closed(self) -> None:
        self.remove_class("-typing")
        self.set_focus(self.table)

    def show_terms(self, wanted: FilterTerms) -> None:
        """Filter by these criteria; the filter line gets their text."""
        named = replace(wanted, text=filter_syntax.text(wanted))
        self.table.show(replace(self.table.view, terms=named))

    def action_failures(self) -> None:
        """Show failed jobs only, or again what was shown before."""
        view = self.table.view
        if self._before_failures is not None and view.terms.states == {JobState.FAILED}:
            self.table.show(self._before_failures)
            self._before_failures = None
        else:
            self._before_failures = view
            self.show_terms(FilterTerms(states=frozenset({JobState.FAILED})))

    def action_sort(self) -> None:
        """Choose what to sort by."""
        self.begin(self._sort())

    async def _sort(self) -> None:
        self._sort_by(await self.put(SortBy(self.table.view.sorts, self._sort_by)))

    def _sort_by(self, sorts: Sorts | None) -> None:
        if sorts is not None:
            self.table.show(replace(self.table.view, sorts=sorts))

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._sort_by(sorting.turned(self.table.view.sorts))

    def on_click(self, event: events.Click) -> None:
        """A click on a column's head sorts by it; a second one turns it round."""
        if event.widget is self.query_one("#head"):
            by = job_row.column_at(self.table.shape, event.x)
            if by is not None:
                self._sort_by(sorting.clicked(self.table.view.sorts, by))

    # Marks

    def action_mark(self) -> None:
        """Mark the cursor's job, or end a range."""
        self.table.mark()

    def action_mark_range(self) -> None:
        """Begin or end a range."""
        self.table.mark_range()

    def action_mark_all(self) -> None:
        """Mark all filtered jobs."""
        self.table.mark_all()

    # The jobs that an action applies to

    def chosen(self) -> Chosen | None:
        """The marked jobs, or the cursor's."""
        table = self.table
        if table.marks:
            return table.view, set(table.marks), f"{len(table.marks)} marked"
        if table.cursor_no is None:
            return None
        return table.view, {table.cursor_no}, f"job {table.cursor_no:05d}"

    def asked(self) -> None:
        """Drop the marks: they were used."""
        self.table.drop_marks()

    def filtered(self) -> Chosen:
        """Every job of the view."""
        text = self.table.view.terms.text
        return self.table.view, None, f"all jobs that fit {text!r}" if text else "all jobs"

    def action_copy(self) -> None:
        """Copy one of the ids of the cursor's job."""
        with reading(self):
            if self.table.cursor_no is not None:
                found = self.source.detail(self.run_id, self.table.cursor_no)
                self.begin(pick_and_copy(self, detail_text.ids(found)))

    def action_export(self) -> None:
        """Write the filtered jobs, or the picture, to a file."""
        self.begin(exporting.export(self, self.run_id, self.table.view))


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
