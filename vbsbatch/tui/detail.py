"""The screen of one job: its ids, times and reason, then attempts, events, exchange, timeline."""

from __future__ import annotations

from textual.app import ComposeResult

from vbsbatch.tui import bindings, detail_text
from vbsbatch.tui.clipboard import pick_and_copy
from vbsbatch.tui.key_line import KeyLine
from vbsbatch.tui.lines import Lines, Rows
from vbsbatch.tui.literal import cut
from vbsbatch.tui.live import reading
from vbsbatch.tui.steered import Chosen, SteeredScreen
from vbsbatch.tui.values import Detail, Overview, View
from vbsbatch.tui.words import Line


class DetailScreen(SteeredScreen):
    """One job, followed while it lives."""

    WHERE = "job"
    BINDINGS = bindings.of("job")
    VERTICAL_BREAKPOINTS = [(0, "-h0"), (16, "-h16")]  # noqa: RUF012 (Textual's own type)
    DEFAULT_CSS = """
    DetailScreen { layout: vertical; overflow: hidden; }
    DetailScreen #job { height: auto; max-height: 60%; }
    DetailScreen #banner { height: 1; display: none; }
    DetailScreen #parts { height: 1; margin: 1 0 0 0; }
    DetailScreen.-h0 #job { max-height: 1; }
    DetailScreen.-h0 #parts { margin: 0; }
    """

    def __init__(self, run_id: str, no: int, view: View, seen: Overview | None) -> None:
        super().__init__(run_id)
        self._no = no
        self._view = view
        self._seen = seen
        self._part = 0
        self._detail: Detail | None = None

    def compose(self) -> ComposeResult:
        """What the job is, the parts' names, one part."""
        yield Lines(id="banner")
        yield Lines(id="job")
        yield Lines(id="parts")
        yield Rows(cursor=False)
        app = self.monitor
        yield KeyLine("job", read_only=self.source.read_only, keymap=app.keymap)

    def on_mount(self) -> None:
        """Read the job."""
        self.steering.seen = self._seen
        self.query_one(Rows).focus()
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
        width = max(1, self.size.width)
        queued = self._seen.run.created_at if self._seen else None
        self.query_one("#job", Lines).show(
            detail_text.head(self._detail, self.now, width, queued_at=queued)
        )
        self.query_one("#parts", Lines).show([self._tabs()])
        name = detail_text.PARTS[self._part]
        self.query_one(Rows).show(detail_text.part(name, self._detail, self.now, width))

    def _tabs(self) -> Line:
        line: Line = ()
        for index, name in enumerate(detail_text.PARTS):
            here = index == self._part
            line += ((f"[{name}]" if here else f" {name} ", "chosen" if here else "dim"),)
        return line

    def banner(self, text: str) -> None:
        """Say what is wrong with the store."""
        widget = self.query_one("#banner", Lines)
        widget.display = bool(text)
        widget.show([((cut(f"! {text}", max(1, self.size.width)), "warn"),)])

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
            self.run_worker(pick_and_copy(self, detail_text.ids(self._detail)), name="copy")

    def action_up(self) -> None:
        """Back to the run."""
        self.dismiss()
