"""The overview of one run: how far it is, what failed, its jobs, what happened lately."""

from __future__ import annotations

from dataclasses import replace

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from vbsbatch.model import JobState, RunState
from vbsbatch.store.ports import NO_CODE
from vbsbatch.tui import bindings, frames, header, job_row, job_table
from vbsbatch.tui.detail import DetailScreen
from vbsbatch.tui.event_pane import EventPane
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.header import Banner
from vbsbatch.tui.job_table import JobTable
from vbsbatch.tui.jobs_screen import FilterLine, JobsScreen
from vbsbatch.tui.line_widgets import KeyLine, Lines
from vbsbatch.tui.panes import Failures, SidePane
from vbsbatch.tui.screen_protocols import reading
from vbsbatch.tui.steering_actions import NONE_FAILED
from vbsbatch.tui.view_models import BY_STATE, FilterTerms, Overview, Panes, View

_PANES_EVERY = 2
"""Seconds between two reads of the figures of the side pane."""


_BOXED = 30
"""Lines of a terminal that has room for frames around jobs and events."""

_INSET = 4
"""Cells that the sides of the frame around the header take."""


class OverviewScreen(JobsScreen):
    """One run."""

    WHERE = "overview"
    BINDINGS = bindings.of("overview")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 (Textual's own type)
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        *((0, "-h0"), (8, "-h8"), (14, "-h14"), (22, "-h22"), (_BOXED, "-boxed")),
    ]
    DEFAULT_CSS = """
    OverviewScreen { layout: vertical; overflow: hidden; }
    OverviewScreen .rule { height: 1; }
    OverviewScreen .framed { border-left: round $frame; border-right: round $frame;
                             padding: 0 1; height: auto; }
    OverviewScreen #header { height: 3; }
    OverviewScreen #head { height: 1; }
    OverviewScreen #middle, OverviewScreen #jobs { height: 1fr; }
    OverviewScreen .boxed { display: none; }
    OverviewScreen.-boxed .boxed { display: block; }
    OverviewScreen.-boxed .side { border-left: round $frame; border-right: round $frame; }
    OverviewScreen #table { height: 1fr; }
    OverviewScreen #events, OverviewScreen #newest { height: auto; }
    OverviewScreen #events.-empty { display: none; }
    OverviewScreen SidePane { display: none; }
    OverviewScreen.-wide SidePane { display: block; }
    OverviewScreen.-h8 #header { height: 2; }
    OverviewScreen.-h8 #head, OverviewScreen.-h0 #head { display: none; }
    OverviewScreen.-h0 #header { height: 1; }
    OverviewScreen.-h0 Failures, OverviewScreen.-h0 .rule { display: none; }
    OverviewScreen.-h0 .framed { border: none; padding: 0; }
    OverviewScreen.-h0.-typing .framed { display: none; }
    OverviewScreen.-log #middle { display: none; }
    OverviewScreen.-log #events, OverviewScreen.-log #newest { height: 1fr; }
    OverviewScreen.-log EventPane { height: 1fr; }
    """

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.seen: Overview | None = None
        self._behind = True
        self._panes = Panes()
        self._panes_due = 0.0
        self._fault = ""
        self._wrong = ""

    def compose(self) -> ComposeResult:
        """The widgets from top to bottom; docs and tests show the layout at 80x24."""
        yield Lines([frames.upper(((self.run_id, "strong"),), (), 80)], id="title", classes="rule")
        with Vertical(classes="framed"):
            yield Lines(id="header")
            yield Banner()
            yield Failures()
        yield Lines(id="status", classes="rule")
        with Horizontal(id="middle"):
            with Vertical(id="jobs"):
                yield Lines(id="jobs-title", classes="rule boxed")
                with Vertical(id="table", classes="side"):
                    yield Lines(id="head")
                    yield JobTable(self.source, self.run_id)
                yield Lines(id="jobs-end", classes="rule boxed")
            yield SidePane()
        with Vertical(id="events"):
            yield Lines(id="events-title", classes="rule boxed")
            with Vertical(id="newest", classes="side"):
                yield EventPane(self.source, self.run_id)
            yield Lines(id="events-end", classes="rule boxed")
        yield FilterLine()
        yield self.key_line()

    def on_mount(self) -> None:
        """Read everything once, the jobs first; after this only what changed.

        The figures of a large run take a moment: the jobs are shown before them.
        """
        self.set_focus(self.table)
        self.table.show(View(sorts=BY_STATE))
        self.table.total = self.table.size_of_view
        self._draw_status()
        self.ready = False
        self.call_after_refresh(self.run_worker, self._begin_to_look(), name="prepare")

    async def _begin_to_look(self) -> None:
        await self.prepare(self.run_id)
        self._look_at_run()

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
            events.reload()
            self.query_one("#events").set_class(not events.lines, "-empty")
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
        pane.follow(self._panes, seen, self.now)

    def _draw_header(self) -> None:
        if self.seen is None:
            return
        seen, now, width = self.seen, self.now, max(1, self.size.width)
        title = header.title(seen, now, width, read_only=self.source.read_only)
        self.query_one("#title", Lines).show([title])
        inner = max(1, width - _INSET)
        if self.has_class("-h0"):
            found = [header.one_line(seen, now, width)]
        elif self.has_class("-h8"):
            found = [header.how_far(seen, inner), header.counts(seen, inner)]
        else:
            found = header.lines(seen, now, inner)
        self.query_one("#header", Lines).show(found)
        self._draw_banner()

    def banner(self, text: str) -> None:
        """Show what is wrong with the store; an empty text removes it."""
        self._fault = text
        self._draw_banner()

    def _draw_banner(self) -> None:
        words = header.of_engine(self.monitor, self.run_id, self.seen, self.now)
        self.query_one(Banner).say(self._fault or self._wrong or words)

    def _draw_status(self) -> None:
        small = self.has_class("-h8")
        parts = job_table.status(
            self.table,
            waiting=self.steering.requests.waiting,
            all_events=self.query_one(EventPane).every,
            look=header.next_look(self.seen, self.now) if small and self.seen else (),
        )
        width, boxed = max(1, self.size.width), self.has_class("-boxed")
        closed = frames.lower((), (), width)
        status = closed if boxed else job_table.status_line(parts, width, upper=False)
        self._rule("#status", status)
        jobs = max(1, self.query_one("#jobs").size.width)
        self._rule("#jobs-title", job_table.status_line(parts, jobs, upper=True))
        self._rule("#jobs-end", frames.lower((), (), jobs))
        self._rule("#events-title", frames.upper((("events", "title"),), (), width))
        self._rule("#events-end", frames.lower((), (), width))
        head = job_row.head(self.table.shape, self.table.view.sorts)
        self.query_one("#head", Lines).show([head])

    def _rule(self, name: str, line: Line) -> None:
        """Show one of the lines between the panes."""
        self.query_one(name, Lines).show([line])

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self._panes_due = 0.0
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        if self.focused is None:  # its widget is hidden: there is too little room
            self.set_focus(self.table)
        self._draw_header()
        self._draw_status()
        if self.seen is not None:
            with reading(self):
                self._look_at_panes(self.seen)

    @on(JobTable.Moved)
    def _table_moved(self) -> None:
        self._draw_status()

    # Details

    @on(JobTable.Opened)
    def action_open(self) -> None:
        """Open the cursor's job."""
        no = self.table.cursor_no
        if no is not None:
            self.app.push_screen(DetailScreen(self.run_id, no, self.table.view))

    def action_up(self) -> None:
        """Drop the range, the filter or the marks; without any, go up to the runs."""
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
        pane = self.query_one(EventPane)
        pane.large = self.has_class("-log")
        pane.reload()
        self.set_focus(pane if pane.large else self.table)
        self._show_keys()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No action on jobs while the events hide them."""
        if action in bindings.ON_JOBS and self.has_class("-log"):
            return False
        return super().check_action(action, parameters)

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _show_keys(self) -> None:
        """Show the keys of the focused part in the footer."""
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
        if self.seen is None or not self.seen.failures:
            self.say(NONE_FAILED)
        elif failures.has_focus or not failures.display:
            self.set_focus(self.table)
        else:
            self.set_focus(failures)

    @on(FilterLine.Wrong)
    def _filter_wrong(self, event: FilterLine.Wrong) -> None:
        self._wrong = event.text
        self._draw_banner()

    @on(Failures.Wanted)
    def _failure_wanted(self, event: Failures.Wanted) -> None:
        status, code, _ = event.failure
        if self.has_class("-log"):
            self.action_log()
        self.show_terms(
            FilterTerms(
                states=frozenset({JobState.FAILED}),
                statuses=frozenset({status or 0}),
                codes=(code or NO_CODE,),
            )
        )
        self.set_focus(self.table)

    def requested(self, what: str) -> None:
        """Show in the status line what is requested until it is answered."""
        self._draw_status()

    def action_resume(self) -> None:
        """Continue a run whose engine is gone."""
        super().action_resume()
        self._draw_banner()
