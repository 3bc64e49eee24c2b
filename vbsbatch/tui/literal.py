"""Text of strangers on a terminal: cleaned, cut and padded by the cells it takes, never obeyed."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from vbsbatch.report.text import clean

_MOST = 4
"""Characters looked at for each cell wanted: enough for combining marks, and never thousands."""


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` cleaned and in exactly `width` cells, `~` where something was left out."""
    if width <= 0:
        return ""
    shown = clean(text[: width * _MOST + 1])
    if len(shown) < len(text) or (room := width - cell_len(shown)) < 0:
        return set_cell_size(shown[: width * _MOST], width - 1) + "~"
    return " " * room + shown if right else shown + " " * room


def cut(text: str, width: int) -> str:
    """`text` cleaned and in at most `width` cells, `~` where something was left out."""
    return fit(text, width).rstrip()


class LiteralFilter(LineFilter):
    """The last wall before the terminal: no control or bidi character of any widget gets out.

    Textual passes such characters through; a server's error text could then set the clipboard or
    the window's title. Only Textual's own control segments are left alone.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Replace what must not be shown, one character for one."""
        return [
            segment
            if segment.control or segment.text.isprintable()
            else Segment(clean(segment.text), segment.style)
            for segment in segments
        ]
