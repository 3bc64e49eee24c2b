"""The table of jobs: a window on the source that holds the visible rows and nothing else.

The cursor stays on its job while rows move under it: a job keeps its line on the screen, and the
rows around it move, so that nobody retries the wrong one. On the first row it stays on the first
row, so that what needs attention first is always shown. (Textual's `DataTable` would hold every
row: 15 s for 100,000.)
"""

from __future__ import annotations

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from vbsbatch.model import Job
from vbsbatch.tui import bindings, formatting, frames, job_row, sorting
from vbsbatch.tui.alphabet import CURSOR, DOT, MARK
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.job_row import Column
from vbsbatch.tui.line_widgets import painted
from vbsbatch.tui.sanitize import cut
from vbsbatch.tui.screen_protocols import monitor, reading
from vbsbatch.tui.view_models import BY_STATE, FilterTerms, Overview, Source, View

_EMPTY: Line = (("   no job fits; Esc shows all again", "dim"),)


class JobTable(ScrollView, can_focus=True):
    """The jobs of one run in one view."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    JobTable { height: 1fr; width: 1fr; scrollbar-size: 0 0; overflow: hidden auto;
               background: $background; }
    """
    BINDINGS = bindings.of("move")

    class Opened(Message):
        """A row was double-clicked."""

    class Moved(Message):
        """The cursor, the rows or the marks changed."""

    def __init__(self, source: Source, run_id: str) -> None:
        super().__init__()
        self._source = source
        self._run_id = run_id
        self.view = View(sorts=BY_STATE)
        self.total = 0
        """Jobs of the run."""
        self.grouped = False
        """Whether any of them has a group."""
        self.size_of_view = 0
        self.cursor_row = 0
        self.cursor_no: int | None = None
        self.marks: set[int] = set()
        self.anchor_no: int | None = None
        """The job where a range of marks began."""
        self._anchor_row = 0
        self._at_top = True
        """Whether the cursor stays on the first row, whatever job that is."""
        self._seen = 0
        self._first = 0
        self._rows: list[Job] = []
        self._now = 0.0

    # State

    @property
    def cursor_job(self) -> Job | None:
        """The job under the cursor, None in an empty view."""
        index = self.cursor_row - self._first
        if 0 <= index < len(self._rows):
            return self._rows[index]
        found = self._source.page(self._run_id, self.view, self.cursor_row, 1)
        return found[0] if found else None

    @property
    def place(self) -> str:
        """The cursor's row in the view: `row 12 of 1,400`."""
        return f"row {min(self.cursor_row + 1, self.size_of_view):,} of {self.size_of_view:,}"

    @property
    def new_rows(self) -> int:
        """Rows that joined the view since the user last moved."""
        return max(0, self.size_of_view - self._seen)

    @property
    def shape(self) -> tuple[Column, ...]:
        """The columns, for the head above."""
        width = max(1, self.scrollable_content_region.width)
        return job_row.columns(width, self.total, grouped=self.grouped)

    # Following the source

    def follow(self, seen: Overview) -> None:
        """Use the run's figures: how many jobs, whether they have groups."""
        self.total = seen.total
        if self.grouped != seen.grouped:
            self.grouped = seen.grouped
            self.refresh()

    def show(self, view: View) -> None:
        """Show another view; the cursor stays on its job if the view has it."""
        self.view = view
        self.anchor_no = None
        self.reload()
        self._seen = self.size_of_view
        self.post_message(self.Moved())

    def reload(self) -> None:
        """Fetch the visible rows again; repaint those that changed."""
        with reading(self):
            before = self._painted()
            self._follow()
            self._fetch()
            self._repaint(before)

    def tick(self, now: float) -> None:
        """Show ages as of `now`."""
        before = self._painted()
        self._now = now
        self._repaint(before)

    def _follow(self) -> None:
        """Find the cursor's job again, on the same line of the screen if it was visible."""
        source, run_id, view = self._source, self._run_id, self.view
        self.size_of_view = source.size(run_id, view)
        row = None
        if self.cursor_no is not None and not self._at_top:
            row = source.row_of(run_id, view, self.cursor_no)
        if self.anchor_no is not None:
            anchor = source.row_of(run_id, view, self.anchor_no)
            self.anchor_no = None if anchor is None else self.anchor_no
            self._anchor_row = anchor or 0
        old, top = self.cursor_row, round(self.scroll_y)
        self.cursor_row = max(0, min(old if row is None else row, self.size_of_view - 1))
        if row is None:
            found = source.page(run_id, view, self.cursor_row, 1)
            self.cursor_no = found[0].no if found else None
        if self.virtual_size.height != self.size_of_view:
            self.virtual_size = Size(self.size.width, self.size_of_view)
        if old != self.cursor_row and top <= old < top + self._height:
            self.scroll_to(y=top + self.cursor_row - old, animate=False, force=True)

    def _fetch(self) -> None:
        self._first = round(self.scroll_y)
        self._now = monitor(self).clock()
        self._rows = self._source.page(self._run_id, self.view, self._first, self._height)

    @property
    def _height(self) -> int:
        return max(1, self.size.height)

    # Painting

    def _line(self, y: int) -> tuple[Line, bool]:
        """What screen line `y` shows, and whether the cursor is on it."""
        if not self.size_of_view and y == 0:
            return _EMPTY if self.view.terms != FilterTerms() else (), False
        index = round(self.scroll_y) + y
        at = index - self._first
        if not 0 <= at < len(self._rows):
            return (), False
        job, here = self._rows[at], index == self.cursor_row
        lead = f"{CURSOR if here else ' '}{MARK if self._is_marked(job, index) else ' '} "
        role = "strong" if lead.strip() else "plain"
        return ((lead, role), *job_row.row(job, self.shape, self._now, self.total)), here

    def _is_marked(self, job: Job, row: int) -> bool:
        low, high = sorted((self._anchor_row, self.cursor_row))
        return job.no in self.marks or (self.anchor_no is not None and low <= row <= high)

    def _painted(self) -> list[tuple[Line, bool]]:
        return [self._line(y) for y in range(self._height)]

    def _repaint(self, before: list[tuple[Line, bool]]) -> None:
        for y, old in enumerate(before):
            if self._line(y) != old:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One row, empty below the last."""
        line, here = self._line(y)
        width = self.scrollable_content_region.width
        return painted(self, line, width, "cursor" if here else "plain")

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Fetch the rows that came into view."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            with reading(self):
                self._fetch()

    def on_resize(self) -> None:
        """Fetch as many rows as there are lines now, the cursor among them."""
        self.virtual_size = Size(self.size.width, self.size_of_view)
        self._to_row(self.cursor_row)

    # Moving

    def go_to(self, row: int) -> None:
        """Put the cursor on a row, the nearest that exists, and on the job that is there."""
        self._to_row(row)
        self._at_top = self.cursor_row == 0
        self._seen = self.size_of_view
        self.post_message(self.Moved())

    def _to_row(self, row: int) -> None:
        with reading(self):
            before = self._painted()
            self.cursor_row = max(0, min(row, self.size_of_view - 1))
            top = round(self.scroll_y)
            wanted = max(self.cursor_row - self._height + 1, min(top, self.cursor_row))
            if wanted != top:
                self.scroll_to(y=wanted, animate=False, force=True)
            self._fetch()
            job = self.cursor_job
            self.cursor_no = job.no if job else None
            self._repaint(before)

    def action_move(self, by: int) -> None:
        """Move the cursor by rows, from where its job is by now."""
        with reading(self):
            no = self.cursor_no
            if no is None or self._source.row_of(self._run_id, self.view, no) != self.cursor_row:
                self.reload()
        self.go_to(self.cursor_row + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by screenfuls."""
        self.action_move(by * max(1, self._height - 1))

    def action_edge(self, last: int) -> None:
        """Move the cursor to the first or the last row."""
        self.go_to(self.size_of_view - 1 if last else 0)

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor to the job that is shown there, a double click opens it."""
        at = round(self.scroll_y) + event.y - self._first
        if 0 <= at < len(self._rows):
            before = self._painted()
            self._at_top = False
            self.cursor_row, self.cursor_no = self._first + at, self._rows[at].no
            self._repaint(before)
            self.action_move(0)
            if event.chain > 1:
                self.post_message(self.Opened())

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel moves as the keys do: the cursor stays visible."""
        self._wheel(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel moves as the keys do."""
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, by: int) -> None:
        event.prevent_default()
        event.stop()
        self.action_move(by)

    # Marks

    def mark(self) -> None:
        """Mark or unmark the cursor's job and go on; inside a range, end the range."""
        if self.anchor_no is not None:
            self.mark_range()
            return
        if self.cursor_no is not None:
            self.marks ^= {self.cursor_no}
            self.action_move(1)
            self.refresh()

    def mark_range(self) -> None:
        """Begin a range at the cursor, or mark everything from where it began to here."""
        if self.anchor_no is not None:
            self.reload()  # where the two jobs are now, if the range's first is still in the view
        if self.anchor_no is None:
            self.anchor_no, self._anchor_row = self.cursor_no, self.cursor_row
        else:
            low, high = sorted((self._anchor_row, self.cursor_row))
            with reading(self):
                self.marks |= set(
                    self._source.numbers(self._run_id, self.view, low, high - low + 1)
                )
            self.anchor_no = None
        self.refresh()
        self.post_message(self.Moved())

    def mark_all(self) -> None:
        """Mark every job of the view, or none when every one of them is."""
        with reading(self):
            found = set(self._source.numbers(self._run_id, self.view, 0, None))
            self.marks = self.marks - found if found <= self.marks else self.marks | found
        self.refresh()
        self.post_message(self.Moved())

    def drop_marks(self) -> bool:
        """Drop the range, else all marks; whether there was anything to drop."""
        had = self.anchor_no is not None or bool(self.marks)
        if self.anchor_no is None:
            self.marks = set()
        self.anchor_no = None
        self.refresh()
        self.post_message(self.Moved())
        return had


_FILTER = 44
"""Cells for the filter at most."""


def status(table: JobTable, *, waiting: str, all_events: bool, look: Line) -> tuple[Line, Line]:
    """What the table shows, for the left and the right of a frame's line.

    `waiting` says what was requested and not answered; `look` when the engine looks next.
    """
    view = table.view
    shown = f"filter {cut(view.terms.text, _FILTER)}" if view.terms.text else "all jobs"
    left: Line = ((shown, "strong"), (f" {DOT} {sorting.told(view.sorts)}", "dim"))
    parts: list[tuple[int, Line]] = []
    if waiting:
        parts.append((1, ((waiting, "warn"),)))
    if look:
        parts.append((2, look))
    if table.marks:
        parts.append((3, ((f"{len(table.marks):,} marked", "strong"),)))
    if table.anchor_no is not None:
        parts.append((3, (("range open", "warn"),)))
    if table.new_rows:
        parts.append((5, ((f"{table.new_rows:,} new", "retry"),)))
    if all_events:
        parts.append((6, (("all events", "plain"),)))
    parts.append((0, ((table.place, "plain"),)))
    return left, formatting.packed(parts, max(8, table.app.size.width - 8), f" {DOT} ")


def status_line(parts: tuple[Line, Line], width: int, *, upper: bool) -> Line:
    """The status as the upper or the lower line of a frame; the left gives way to the right."""
    left, right = parts
    room = frames.room(right, width)
    if formatting.width_of(left) > room:
        (shown, role), *_ = left
        left = ((cut(shown, room), role),) if room > 8 else ()
    return (frames.upper if upper else frames.lower)(left, right, width)
