"""Two runs side by side: what failed in both, and what failed in one of them only."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from vbsbatch.model import Job
from vbsbatch.tui import bindings, formatting
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.key_line import KeyLine
from vbsbatch.tui.line_widgets import Lines, Rows
from vbsbatch.tui.sanitize import cut, fit
from vbsbatch.tui.screen_protocols import LiveScreen
from vbsbatch.tui.view_models import Comparison

_WITH_MESSAGE = 100
"""Cells from which on there is room for a message."""


def lines(found: Comparison, width: int) -> list[Line]:
    """The three lists, one after another."""
    left, right = found.left.id, found.right.id
    both: list[Line] = [
        _row(one, width, formatting.failure(one.http_status, one.code), _short(other))
        for one, other in found.failed_in_both
    ]
    heads = _cells("VOLUME", left, right, "MESSAGE of the first", width)
    return [
        *_titled(f"failed in both: {len(both)}", [((heads, "dim"),), *both] if both else []),
        *_titled(f"failed only in {left}: {len(found.failed_only_left)}", _rows(found, 0, width)),
        *_titled(f"failed only in {right}: {len(found.failed_only_right)}", _rows(found, 1, width)),
    ]


def _rows(found: Comparison, side: int, width: int) -> list[Line]:
    jobs: Sequence[Job] = (found.failed_only_left, found.failed_only_right)[side]
    return [_row(job, width, _short(job), "") for job in jobs]


def _short(job: Job) -> str:
    return formatting.failure(job.http_status, job.code)


def _row(job: Job, width: int, left: str, right: str) -> Line:
    return ((_cells(job.volume_name, left, right, job.message or "", width), "plain"),)


def _cells(volume: str, left: str, right: str, message: str, width: int) -> str:
    name = fit(volume, max(8, min(40, width - 40)))
    cells = f" {name} {fit(left, 18)} {fit(right, 18)}"
    return cut(f"{cells} {message}" if width >= _WITH_MESSAGE else cells, width)


def _titled(title: str, body: list[Line]) -> list[Line]:
    return [((title, "title"),), *(body or [((" none", "dim"),)]), ()]


class ComparisonScreen(LiveScreen):
    """A comparison, as it stood when it was asked for."""

    WHERE = "comparison"
    BINDINGS = bindings.of("comparison")
    DEFAULT_CSS = """
    ComparisonScreen { layout: vertical; overflow: hidden; }
    ComparisonScreen #title { height: 1; }
    """

    def __init__(self, found: Comparison) -> None:
        super().__init__()
        self._found = found

    def compose(self) -> ComposeResult:
        """A title, the lists, the keys."""
        yield Lines(id="title")
        yield Rows(cursor=False)
        app = self.monitor
        yield KeyLine("comparison", read_only=self.source.read_only, keymap=app.keymap)

    def on_mount(self) -> None:
        """Move with the keys at once."""
        self.set_focus(self.query_one(Rows))

    def on_resize(self) -> None:
        """Fit the lines to the width."""
        width = max(1, self.size.width)
        text = cut(f"{self._found.left.id} and {self._found.right.id}", max(1, width - 10))
        title: Line = (("compare   ", "title"), (text, "strong"))
        self.query_one("#title", Lines).show([title])
        self.query_one(Rows).show(lines(self._found, width))

    def look(self, changed: bool, second: bool) -> None:
        """Nothing moves here."""

    def banner(self, text: str) -> None:
        """Nothing is read here."""

    def action_up(self) -> None:
        """Back to the runs."""
        self.dismiss()
