"""Two runs side by side: their figures, and the volumes that differ."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical

from vbsbatch.model import Job, JobState
from vbsbatch.report import comparison
from vbsbatch.report.comparison import RunComparison
from vbsbatch.tui import bindings, formatting, frames
from vbsbatch.tui.alphabet import DOT
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.line_widgets import Lines, Rows
from vbsbatch.tui.sanitize import cut, fit
from vbsbatch.tui.screen_protocols import LiveScreen

_WITH_MESSAGE = 100
"""From this width on there is room for a message."""


def comparison_lines(found: RunComparison, width: int) -> list[Line]:
    """The figures, then each list of volumes."""
    lines = [*_figures(found, width), ()]
    heads = _cells("VOLUME", found.left.run.id, found.right.run.id, "MESSAGE", width)
    for title, pairs in comparison.volume_lists(found):
        lines.append(((f"{title}: {len(pairs):,}", "title"),))
        if pairs:
            lines.append(((heads, "dim"),))
        lines += [_row(left, right, width) for left, right in pairs]
        lines.append(())
    return lines


def _figures(found: RunComparison, width: int) -> list[Line]:
    cells = max(7, min(26, width // 3 - 5))
    ids = ("", found.left.run.id, found.right.run.id, "DIFFERENCE")
    heads: Line = ((_figure_cells(ids, cells), "dim"),)
    rows = comparison.figure_rows(found)
    return [heads, *(((_figure_cells(row, cells), "plain"),) for row in rows)]


def _figure_cells(row: Sequence[str], cells: int) -> str:
    label, *values = row
    return f"{fit(label, 10)}{''.join(' ' + fit(value, cells, right=True) for value in values)}"


def _row(left: Job | None, right: Job | None, width: int) -> Line:
    job = left or right
    if job is None:
        return ()
    text = _cells(job.volume_name, _outcome(left), _outcome(right), job.message or "", width)
    return ((text, "plain"),)


def _outcome(job: Job | None) -> str:
    if job is None:
        return ""
    failed = job.state is JobState.FAILED
    return formatting.failure(job.http_status, job.code) if failed else str(job.state)


def _cells(volume: str, left: str, right: str, message: str, width: int) -> str:
    name = fit(volume, max(8, min(40, width - 39)))
    cells = f"{name} {fit(left, 18)} {fit(right, 18)}"
    return cut(f"{cells} {message}" if width >= _WITH_MESSAGE else cells, width)


class ComparisonScreen(LiveScreen):
    """A comparison, as of the moment it was requested."""

    WHERE = "comparison"
    BINDINGS = bindings.of("comparison")
    DEFAULT_CSS = """
    ComparisonScreen { layout: vertical; overflow: hidden; }
    ComparisonScreen Lines { height: 1; }
    ComparisonScreen #list { height: 1fr; border-left: round $frame; border-right: round $frame;
                             padding: 0 1; }
    """

    def __init__(self, found: RunComparison) -> None:
        super().__init__()
        self._found = found

    def compose(self) -> ComposeResult:
        """A title, the figures and lists, the keys."""
        yield Lines(id="title")
        with Vertical(id="list"):
            yield Rows(cursor=False)
        yield Lines(id="end")
        yield self.key_line()

    def on_mount(self) -> None:
        """Move with the keys at once."""
        self.set_focus(self.query_one(Rows))

    def on_resize(self) -> None:
        """Fit the lines to the width."""
        width = max(1, self.size.width)
        ids = f"{self._found.left.run.id} and {self._found.right.run.id}"
        ids = cut(f" {DOT} {ids}", max(0, width - 13))
        title: Line = (("compare", "title"), (ids, "strong"))
        self.query_one("#title", Lines).show([frames.upper(title, (), width)])
        self.query_one("#end", Lines).show([frames.lower((), (), width)])
        inner = max(1, width - frames.INSET)
        self.query_one(Rows).show(comparison_lines(self._found, inner))

    def look(self, changed: bool, second: bool) -> None:
        """A comparison does not change."""

    def banner(self, text: str) -> None:
        """A comparison reads nothing."""

    def action_up(self) -> None:
        """Back to the runs."""
        self.dismiss()
