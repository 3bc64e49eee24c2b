"""Untrusted text on a terminal: cleaned, cut and padded by the cells it takes, never obeyed."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from vbsbatch.report.text import clean, harmless
from vbsbatch.tui.alphabet import MORE

_MOST = 4
"""Characters looked at for each cell wanted: enough for combining marks."""

_UNSURE = dict.fromkeys(
    (
        *(0x115F, 0x1160, 0x3164, 0xFFA0),  # letters without a shape
        *range(0xFE00, 0xFE10),  # how to draw the character before: as text or as a picture
        *range(0x1F3FB, 0x1F400),  # its colour of skin
        *(0x200D, *range(0xE0000, 0xE0080)),  # what makes one picture of several
    )
)
"""Characters left out of columns: terminals do not agree on the cells that they take, or make the
ones around them take, and what is to the right would be moved."""


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` cleaned and in exactly `width` cells, `…` where something was left out."""
    if width <= 0:
        return ""
    taken = text[: width * _MOST + 1]
    shown = clean(taken)
    if not shown.isascii():
        shown = shown.translate(_UNSURE)
    if len(taken) < len(text) or (room := width - cell_len(shown)) < 0:
        return set_cell_size(shown[: width * _MOST], width - 1) + MORE
    return " " * room + shown if right else shown + " " * room


def cut(text: str, width: int) -> str:
    """`text` cleaned and in at most `width` cells, `…` where something was left out."""
    return fit(text, width).rstrip()


class LiteralFilter(LineFilter):
    """The last filter before the terminal: no control or bidi character of any widget passes.

    Textual passes such characters through; a server's error text could then set the clipboard or
    the window's title. Only Textual's own control segments are left alone.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Replace what must not be shown, one character for one."""
        return [
            segment
            if segment.control or segment.text.isprintable()
            else Segment(harmless(segment.text), segment.style)
            for segment in segments
        ]


PUSH_TITLE = "\x1b[22;0t"
"""Keep the title that the terminal has (XTWINOPS)."""

POP_TITLE = "\x1b[23;0t"
"""Restore it."""

_LONGEST = 120


def title(text: str) -> str:
    """The sequence that sets the window's title (OSC 2), whatever the text holds."""
    return f"\x1b]2;{clean(text)[:_LONGEST]}\x1b\\"


def notice(text: str) -> str:
    """The sequence that has the terminal show a notice (OSC 9), with a bell for all others."""
    return f"\x1b]9;{clean(text)[:_LONGEST]}\x1b\\\a"
