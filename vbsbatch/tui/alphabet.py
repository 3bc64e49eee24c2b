"""The two alphabets of the screen: Unicode, and ASCII in the same cells.

Everything is drawn in Unicode. Where the terminal cannot show that, a filter replaces each
character of ours by one of ASCII, so both have the same layout.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

FULL = "█"
"""A full cell of a bar."""

EIGHTHS = " ▏▎▍▌▋▊▉"
"""A cell of a bar by the eighths that are filled from the left."""

LEVELS = " ▁▂▃▄▅▆▇█"
"""A cell of a chart by the eighths that are filled from below."""

CURSOR, MARK, MORE, TIMES, DOT, ARROW = "❯", "●", "…", "×", "·", "→"

_OURS = {
    CURSOR: ">",
    MARK: "*",
    MORE: "~",
    TIMES: "x",
    DOT: ".",
    ARROW: ">",
    "✓": "+",
    "✗": "x",
    "↻": "~",
    "▶": ">",
    "↑": "^",
    "↓": "v",
    **dict(zip(EIGHTHS, "    ####", strict=True)),
    **dict(zip(LEVELS, " _.:-=+*#", strict=True)),
}

_ASCII_TERMINALS = ("linux", "dumb", "vt")
"""Beginnings of `TERM` of terminals whose font has ASCII for certain, and not much more."""


def _drawing(character: str) -> str:
    """The ASCII character for one of Unicode's lines and blocks."""
    name = unicodedata.name(character)
    if "BLOCK" in name or "SHADE" in name or "QUADRANT" in name:
        return "#"
    horizontal = "HORIZONTAL" in name or "LEFT" in name or "RIGHT" in name
    vertical = "VERTICAL" in name or "UP" in name or "DOWN" in name
    return "+" if horizontal and vertical else "|" if vertical else "-"


TO_ASCII: Mapping[int, str] = {
    **{point: _drawing(chr(point)) for point in range(0x2500, 0x25A0)},
    **{ord(character): ascii_one for character, ascii_one in _OURS.items()},
}
"""Code point -> the one ASCII character that replaces it."""


class AsciiFilter(LineFilter):
    """Replaces lines, blocks and signs by ASCII, one character for one."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments in ASCII; other text stays as it is."""
        return [
            segment
            if segment.control or segment.text.isascii()
            else Segment(segment.text.translate(TO_ASCII), segment.style)
            for segment in segments
        ]


def needs_ascii(environment: Mapping[str, str]) -> bool:
    """Whether the locale or the terminal of this environment shows ASCII only."""
    if environment.get("TERM", "").startswith(_ASCII_TERMINALS):
        return True
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    locale = next((found for name in names if (found := environment.get(name))), "C")
    return "utf" not in locale.lower()


def bar(share: float, size: int) -> tuple[str, str]:
    """The filled and the empty part of a bar of `size` cells, filled to `share` (0 to 1)."""
    eighths = int(max(0.0, min(1.0, share)) * size * 8)
    full, part = divmod(eighths, 8)
    filled = FULL * full + (EIGHTHS[part] if part else "")
    return filled, " " * (size - len(filled))


def sparkline(values: list[int]) -> str:
    """One cell for each value, as high as its share of the largest; 0 is the lowest mark."""
    most = max(values, default=0) or 1
    return "".join(LEVELS[max(1, -(-value * 8 // most))] for value in values)
