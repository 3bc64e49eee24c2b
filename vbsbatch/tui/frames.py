"""The frames around the panes: thin lines with rounded corners, and a title in the upper one."""

from __future__ import annotations

from vbsbatch.tui import formatting
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.sanitize import cut

_UPPER, _LOWER, _BETWEEN = "╭╮", "╰╯", "├┤"
_LEAST = 10
"""Cells below which there is no frame, only text."""

INSET = 4
"""Cells that the sides of a frame take of a line, with a blank on either side."""


def upper(left: Line, right: Line, width: int) -> Line:
    """The upper line of a frame, `left` and `right` in it; `left` gives way where both are long."""
    return _rule(left, right, width, _UPPER)


def lower(left: Line, right: Line, width: int) -> Line:
    """The lower line."""
    return _rule(left, right, width, _LOWER)


def between(left: Line, width: int) -> Line:
    """A line inside a frame that parts it."""
    return _rule(left, (), width, _BETWEEN)


def room(right: Line, width: int) -> int:
    """Cells that are left for the text at the left of a frame's line."""
    taken = formatting.width_of(right)
    return max(0, width - 6 - (taken + 3 if taken else 0))


def _rule(left: Line, right: Line, width: int, corners: str) -> Line:
    if width < _LEAST:
        return left
    begin, end = _framed(left, f"{corners[0]}─"), _framed(right, "")
    fill = width - 2 - formatting.width_of(begin) - formatting.width_of(end)
    if fill < 0 and left:
        return _rule((), right, width, corners)
    return (*begin, ("─" * max(0, fill), "frame"), *end, (f"─{corners[1]}", "frame"))


def _framed(text: Line, before: str) -> Line:
    """The text with a blank at either side, `before` in front of it."""
    found: Line = ((before, "frame"),) if before else ()
    return (*found, (" ", "plain"), *text, (" ", "plain")) if text else found


def box(title: str, body: list[Line], width: int) -> list[Line]:
    """A whole frame in `width` cells around lines that fit into `width - INSET`; none if empty."""
    if not body:
        return []
    inner = max(1, width - INSET)
    lines: list[Line] = [upper(((cut(title, width - 6), "title"),), (), width)]
    for line in body:
        blank = " " * max(0, inner - formatting.width_of(line))
        lines.append((("│ ", "frame"), *line, (f"{blank} │", "frame")))
    return [*lines, lower((), (), width)]
