"""The screen of one job: its ids, times and reason, then attempts, events, exchange, timeline."""

from __future__ import annotations

import asyncio

from textual.app import ComposeResult
from textual.containers import Vertical

from vbsbatch.tui import bindings, detail_text, frames, header
from vbsbatch.tui.exporting import pick_and_copy
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.header import Banner
from vbsbatch.tui.line_widgets import Lines, Rows
from vbsbatch.tui.screen_protocols import reading
from vbsbatch.tui.steering_actions import Chosen, SteerableScreen
from vbsbatch.tui.view_models import Detail, Sent, View


class DetailScreen(SteerableScreen):
    """One job, followed while it lives."""

    WHERE = "job"
    BINDINGS = bindings.of("job")
    VERTICAL_BREAKPOINTS = [(0, "-h0"), (16, "-h16")]  # noqa: RUF012 (Textual's own type)
    DEFAULT_CSS = """
    DetailScreen { layout: vertical; overflow: hidden; }
    DetailScreen .rule { height: 1; }
    DetailScreen .side { border-left: round $frame; border-right: round $frame; }
    DetailScreen #about { height: auto; max-height: 60%; }
    DetailScreen #job { height: auto; }
    DetailScreen #part { height: 1fr; }
    DetailScreen.-h0 #about { max-height: 1; }
    """

    def __init__(self, run_id: str, no: int, view: View) -> None:
        super().__init__(run_id)
        self._no = no
        self._view = view
        self._part = 0
        self._detail: Detail | None = None
        self._sent: tuple[int, Sent | None] = (no, None)
        """The number of a job, and its request."""
        self._fault = ""

    def compose(self) -> ComposeResult:
        """The job, the names of the parts, one part."""
        yield Lines(id="title", classes="rule")
        with Vertical(id="about", classes="side"):
            yield Banner()
            yield Lines(id="job")
        yield Lines(id="parts", classes="rule")
        with Vertical(id="part", classes="side"):
            yield Rows(cursor=False)
        yield Lines(id="end", classes="rule")
        yield self.key_line()

    def on_mount(self) -> None:
        """Read the job."""
        self.set_focus(self.query_one(Rows))
        self.call_after_refresh(self._load)

    def look(self, changed: bool, second: bool) -> None:
        """Follow the job."""
        if changed or second:
            self._load()
        if changed or self.steering.requests.waiting:
            with reading(self):
                self.steering.look()

    def _load(self) -> None:
        with reading(self):
            self._detail = self.source.detail(self.run_id, self._no)
            self._draw()

    def _draw(self) -> None:
        if self._detail is None or not self.is_mounted:
            return
        full = max(1, self.size.width)
        self.query_one("#title", Lines).show([detail_text.title(self._detail.job, full)])
        self.query_one("#parts", Lines).show([frames.between(self._tabs(), full)])
        self.query_one("#end", Lines).show([frames.lower((), (), full)])
        width = max(1, self.query_one(Rows).size.width)
        self.query_one("#job", Lines).show(detail_text.head(self._detail, self.now, width))
        self._draw_banner()
        name = detail_text.PARTS[self._part]
        if name == "exchange":
            self._look_up_request(self._detail)
        sent = self._sent[1] if self._sent[0] == self._no else None
        self.query_one(Rows).show(detail_text.part(name, self._detail, self.now, width, sent))

    def _look_up_request(self, detail: Detail) -> None:
        """Find out what the job sends, on a thread: the first time it takes a moment."""
        if self._sent[0] != detail.job.no or self._sent[1] is None:
            self.run_worker(self._looking_up(detail), name="request", group="request")

    async def _looking_up(self, detail: Detail) -> None:
        found = await asyncio.to_thread(self.source.request, detail)
        if self._sent != (detail.job.no, found):
            self._sent = (detail.job.no, found)
            self._draw()

    def _tabs(self) -> Line:
        """The names of the parts; on a narrow screen that of the chosen one."""
        names = detail_text.PARTS
        if sum(len(name) + 2 for name in names) > self.size.width - frames.INSET - 2:
            return ((names[self._part], "chosen"),)
        line: Line = ()
        for index, name in enumerate(names):
            here = index == self._part
            line += ((f"[{name}]" if here else f" {name} ", "chosen" if here else "dim"),)
        return line

    def banner(self, text: str) -> None:
        """Show what is wrong with the store; an empty text removes it."""
        self._fault = text
        self._draw_banner()

    def _draw_banner(self) -> None:
        self.query_one(Banner).say(self._fault or self._engine_words())

    def _engine_words(self) -> str:
        """What is wrong with the engine of the run, which the screen below follows."""
        seen = self.monitor.seen.get(self.run_id)
        if seen is None or not header.needs_engine(seen, self.now):
            return ""
        return header.without_engine(seen, self.now, "go back to the run to resume it")

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self.call_after_refresh(self._draw)

    def chosen(self) -> Chosen | None:
        """This job."""
        return View(), {self._no}, f"job {self._no:05d}"

    def filtered(self) -> Chosen:
        """This job."""
        return View(), {self._no}, f"job {self._no:05d}"

    def action_part(self, by: int) -> None:
        """Another part."""
        self._part = (self._part + by) % len(detail_text.PARTS)
        self.query_one(Rows).top = 0
        self._draw()

    def action_job(self, by: int) -> None:
        """The next job of the view, or the one before."""
        with reading(self):
            row = self.source.row_of(self.run_id, self._view, self._no)
            found = (
                []
                if row is None or row + by < 0
                else self.source.page(self.run_id, self._view, row + by, 1)
            )
            if found:
                self._no = found[0].no
                self._load()
            else:
                self.say("no job in that direction")

    def action_copy(self) -> None:
        """Copy one of the ids."""
        if self._detail is not None:
            self.begin(pick_and_copy(self, detail_text.ids(self._detail)))

    def action_up(self) -> None:
        """Back to the run."""
        self.dismiss()
