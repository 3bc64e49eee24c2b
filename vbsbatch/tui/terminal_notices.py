"""What the terminal itself is told: its title, and a notice when a run ends or stops."""

from __future__ import annotations

from vbsbatch.report.text import clean

PUSH_TITLE = "\x1b[22;0t"
"""Keep the title that the terminal has (XTWINOPS)."""

POP_TITLE = "\x1b[23;0t"
"""Give it back."""

_LONGEST = 120


def title(text: str) -> str:
    """The sequence that sets the window's title (OSC 2), whatever the text holds."""
    return f"\x1b]2;{clean(text)[:_LONGEST]}\x1b\\"


def notice(text: str) -> str:
    """The sequence that has the terminal show a notice (OSC 9), with a bell for all others."""
    return f"\x1b]9;{clean(text)[:_LONGEST]}\x1b\\\a"
