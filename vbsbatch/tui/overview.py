"""The overview of one run: how far it is, what failed, its jobs, what happened lately."""

from __future__ import annotations

from dataclasses import replace

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from vbsbatch.model import JobState, RunState
from vbsbatch.store.screen_queries import NO_CODE
from vbsbatch.tui import (
    banner,
    bindings,
    detail_text,
    exporting,
    filter_syntax,
    header,
    job_row,
    sorting,
    status_line,
)
from vbsbatch.tui.banner import Banner
from vbsbatch.tui.clipboard import pick_and_copy
from vbsbatch.tui.detail import DetailScreen
from vbsbatch.tui.event_pane import EventPane
from vbsbatch.tui.failure_search import next_failure
from vbsbatch.tui.failures import Failures
from vbsbatch.tui.filter_line import FilterLine
from vbsbatch.tui.job_table import JobTable
from vbsbatch.tui.key_line import KeyLine
from vbsbatch.tui.line_widgets import Lines, RuleLine
from vbsbatch.tui.panes import SidePane
from vbsbatch.tui.screen_protocols import reading
from vbsbatch.tui.sorting import SortBy, Sorts
from vbsbatch.tui.steerable_screen import Chosen, SteerableScreen
from vbsbatch.tui.steering_actions import NONE_FAILED
from vbsbatch.tui.view_models import FilterTerms, Overview, Panes, View

_PANES_EVERY = 2
"""Seconds between two looks at the figures of the side pane."""


class OverviewScreen(SteerableScreen):
    """One run."""

    WHERE = "overview"
    BINDINGS = bindings.of("overview")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 (Textual's own type)
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        *((0, "-h0"), (8, "-h8"), (14, "-h14"), (22, "-h22"), (36, "-h36")),
    ]
    DEFAULT_CSS = """
    OverviewScreen { layout: vertical; overflow: hidden; }
    OverviewScreen #header { height: 3; }
    OverviewScreen #head, OverviewScreen #status { height: 1; }
    OverviewScreen #middle { height: 1fr; }
    OverviewScreen SidePane { display: none; }
    OverviewScreen.-wide SidePane { display: block; }
    OverviewScreen.-h36 EventPane { height: 8; }
    OverviewScreen.-h0 #header { height: 1; }
    OverviewScreen.-h0 Failures, OverviewScreen.-h8 Failures { display: none; }
    OverviewScreen.-h0 RuleLine, OverviewScreen.-h8 RuleLine { display: none; }
    OverviewScreen.-h14 #rule-events { display: none; }
    OverviewScreen.-h0 EventPane, OverviewScreen.-h8 EventPane { display: none; }
    OverviewScreen.-h14 EventPane { display: none; }
    OverviewScreen.-h0 #head, OverviewScreen.-h0 #status { display: none; }
    OverviewScreen.-typing #status { display: none; }
    OverviewScreen.-h0.-typing #header { display: none; }
    OverviewScreen.-log JobTable, OverviewScreen.-log #head { display: none; }
    OverviewScreen.-log #rule-events { display: none; }
    OverviewScreen.-log EventPane { display: block; height: 1fr; }
    """

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.seen: Overview | None = None
        self._behind = True
        self._panes = Panes()
        self._panes_due = 0.0
        self._fault = ""
        self._wrong = ""
        self._before_failures: View | None = None

    def compose(self) -> ComposeResult:
        """The widgets from top to bottom; the layout is drawn in docs and tests at 80x24."""
        yield Lines([(("vbsbatch  ", "title"), (f"run {self.run_id}", "plain"))], id="header")
        yield Banner()
        yield Failures()
        yield RuleLine()
        with Horizontal(id="middle"):
            with Vertical():
                yield Lines(id="head")
                yield JobTable(self.source, self.run_id)
                yield RuleLine(id="rule-events")
                yield EventPane(self.source, self.run_id)
            yield SidePane()
        yield Lines(id="status")
        yield FilterLine()
        app = self.monitor
        yield KeyLine("overview", read_only=self.source.read_only, keymap=app.keymap)

    def on_mount(self) -> None:
        """Read everything once, the jobs first; after this only what changed.

        The figures of a large run take the source a moment: the jobs are there before them.
        """
        self.set_focus(self.table)
        self.table.show(View())
        self.table.total = self.table.size_of_view
        self._draw_status()
        self.ready = False
        self.call_after_refresh(self.run_worker, self._begin_to_look(), name="prepare")

    async def _begin_to_look(self) -> None:
        await self.prepare(self.run_id)
        self._look_at_run()

    @property
    def table(self) -> JobTable:
        """The jobs."""
        return self.query_one(JobTable)

    # Following the run

    def look(self, changed: bool, second: bool) -> None:
        """Fetch the rows and events that changed; the run's figures at most twice a second."""
        self._behind |= changed
        if changed:
            self.table.reload()
        elif second:
            self.table.tick(self.now)
        if self.ready and (second or (self._behind and self.monitor.even)):
            self._look_at_run()
        if changed or self.steering.requests.waiting:
            with reading(self):
                self.steering.look()
        self._draw_status()

    def _look_at_run(self) -> None:
        with reading(self):
            before = self.seen.run if self.seen else None
            seen = self.source.overview(self.run_id)
            self.seen = self.monitor.seen[self.run_id] = seen
            events = self.query_one(EventPane)
            self.table.follow(seen)
            events.total = seen.total
            events.reload()
            failures = self.query_one(Failures)
            failures.follow(seen.failures)
            if failures.has_focus and not seen.failures:
                self.set_focus(self.table)
            self._behind = False
            paused = seen.run.state is RunState.PAUSED
            self.query_one(KeyLine).call("pause", "Go on" if paused else "Pause")
            self._draw_header()
            self._look_at_panes(seen)
            self.monitor.follow_run(seen, before)

    def _look_at_panes(self, seen: Overview) -> None:
        pane = self.query_one(SidePane)
        if not pane.display:
            return
        if self.now >= self._panes_due:
            self._panes_due = self.now + _PANES_EVERY
            self._panes = self.source.panes(self.run_id)
        pane.follow(self._panes, seen.failures, self.now)

    def _draw_header(self) -> None:
        if self.seen is None:
            return
        widget = self.query_one("#header", Lines)
        width = max(1, self.size.width)
        found = header.lines(self.seen, self.now, width, read_only=self.source.read_only)
        if self.has_class("-h0"):
            found = found[:1]
        widget.show(found)
        self._draw_banner()

    def banner(self, text: str) -> None:
        """Say what is wrong with the store; the empty text takes it back."""
        self._fault = text
        self._draw_banner()

    def _draw_banner(self) -> None:
        words = banner.of_engine(self.monitor, self.run_id, self.seen, self.now)
        self.query_one(Banner).say(self._fault or self._wrong or words)

    def _draw_status(self) -> None:
        shown = status_line.line(
            self.table,
            max(1, self.size.width),
            waiting=self.steering.requests.waiting,
            all_events=self.query_one(EventPane).every,
        )
        self.query_one("#status", Lines).show([shown])
        head = job_row.head(self.table.shape, self.table.view.sorts)
        self.query_one("#head", Lines).show([head])

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self._panes_due = 0.0
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        if self.focused is None:  # what had the focus is hidden in so little room
            self.set_focus(self.table)
        self._draw_header()
        self._draw_status()
        if self.seen is not None:
            with reading(self):
                self._look_at_panes(self.seen)

    @on(JobTable.Moved)
    def _table_moved(self) -> None:
        self._draw_status()

    # Looking closer

    @on(JobTable.Opened)
    def action_open(self) -> None:
        """Open the cursor's job."""
        no = self.table.cursor_no
        if no is not None:
            self.app.push_screen(DetailScreen(self.run_id, no, self.table.view))

    def action_up(self) -> None:
        """Drop the range, the filter or the marks; with none of them, go up to the runs."""
        table = self.table
        if self.has_class("-log"):
            self.action_log()
        elif table.anchor_no is not None:
            table.drop_marks()
        elif table.view.terms != FilterTerms():
            table.show(replace(table.view, terms=FilterTerms()))
        elif not table.drop_marks():
            self.monitor.show_runs(self.run_id)

    def action_log(self) -> None:
        """The events over the whole height, or the jobs again."""
        self.toggle_class("-log")
        self.set_focus(self.query_one(EventPane) if self.has_class("-log") else self.table)
        self._show_keys()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is done to jobs that the events hide."""
        if action in bindings.ON_JOBS and self.has_class("-log"):
            return False
        return super().check_action(action, parameters)

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _show_keys(self) -> None:
        """The keys of the place that has the focus in the footer."""
        here = None
        line = self.query_one(FilterLine)
        if line.display and self.focused is not None and not line.has_focus_within:
            line.keep()  # the mouse went elsewhere
        if self.has_class("-log"):
            here = bindings.IN_THE_LOG
        elif line.has_focus_within:
            here = bindings.IN_THE_FILTER
        elif self.query_one(Failures).has_focus:
            here = bindings.ON_THE_FAILURES
        self.query_one(KeyLine).show_keys(here)

    def action_verbose(self) -> None:
        """Every move of every job in the events, or what matters."""
        pane = self.query_one(EventPane)
        pane.every = not pane.every
        pane.reload()
        self._draw_status()

    def action_codes(self) -> None:
        """Between the jobs and the failures by code."""
        failures = self.query_one(Failures)
        if failures.has_focus or not failures.display:
            self.set_focus(self.table)
        elif self.seen is None or not self.seen.failures:
            self.say(NONE_FAILED)
        else:
            self.set_focus(failures)

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

    @on(FilterLine.Wrong)
    def _filter_wrong(self, event: FilterLine.Wrong) -> None:
        self._wrong = event.text
        self._draw_banner()

    @on(Failures.Wanted)
    def _failure_wanted(self, event: Failures.Wanted) -> None:
        status_line, code, _ = event.failure
        if self.has_class("-log"):
            self.action_log()
        self._show_terms(
            FilterTerms(
                states=frozenset({JobState.FAILED}),
                statuses=frozenset({status_line or 0}),
                codes=(code or NO_CODE,),
            )
        )
        self.set_focus(self.table)

    def _show_terms(self, wanted: FilterTerms) -> None:
        named = replace(wanted, text=filter_syntax.text(wanted))
        self.table.show(replace(self.table.view, terms=named))

    def action_failures(self) -> None:
        """Failed jobs only; again: what was shown before."""
        view = self.table.view
        if self._before_failures is not None and view.terms.states == {JobState.FAILED}:
            self.table.show(self._before_failures)
            self._before_failures = None
        else:
            self._before_failures = view
            self._show_terms(FilterTerms(states=frozenset({JobState.FAILED})))

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

    # What steering, copying and exporting are about

    def chosen(self) -> Chosen | None:
        """The marked jobs, or the cursor's."""
        table = self.table
        if table.marks:
            return table.view, set(table.marks), f"{len(table.marks)} marked"
        if table.cursor_no is None:
            return None
        return table.view, {table.cursor_no}, f"job {table.cursor_no:05d}"

    def requested(self, what: str) -> None:
        """The status line says what is requested until it is answered."""
        self._draw_status()

    def asked(self) -> None:
        """The marks have served."""
        self.table.drop_marks()

    def filtered(self) -> Chosen:
        """Every job of the view."""
        text = self.table.view.terms.text
        return self.table.view, None, f"all jobs that fit {text!r}" if text else "all jobs"

    def action_resume(self) -> None:
        """Continue a run whose engine is gone."""
        super().action_resume()
        self._draw_banner()

    def action_copy(self) -> None:
        """Copy one of the ids of the cursor's job."""
        with reading(self):
            if self.table.cursor_no is not None:
                found = self.source.detail(self.run_id, self.table.cursor_no)
                self.begin(pick_and_copy(self, detail_text.ids(found)))

    def action_export(self) -> None:
        """Write the filtered jobs, or the picture, to a file."""
        self.begin(exporting.export(self, self.run_id, self.table.view))
