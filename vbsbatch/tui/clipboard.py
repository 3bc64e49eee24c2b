"""The clipboard of the terminal: OSC 52, and through tmux, which swallows that by default."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from vbsbatch.report.text import clean
from vbsbatch.tui.dialogs import Pick
from vbsbatch.tui.screen_protocols import LiveScreen

_PATIENCE = 2.0
"""Seconds for tmux to take the text."""


def copy(screen: LiveScreen, text: str) -> None:
    """Put `text`, cleaned, into the clipboard, and say so."""
    text = clean(text)
    screen.app.copy_to_clipboard(text)
    how = " (and tmux)" if _to_tmux(text) else ""
    screen.say(f"copied{how}: {text}")


def _to_tmux(text: str) -> bool:
    """Hand the text to tmux, which sets the outer terminal's clipboard; whether it took it."""
    tmux = shutil.which("tmux")
    if not os.environ.get("TMUX") or tmux is None:
        return False
    try:
        done = subprocess.run(  # noqa: S603 (fixed words; the text goes in by standard input)
            [tmux, "load-buffer", "-w", "-"],
            input=text.encode(),
            timeout=_PATIENCE,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


async def pick_and_copy(screen: LiveScreen, ids: Sequence[tuple[str, str | None]]) -> None:
    """Copy one of these (name, id) that the user chooses; the only one without a question."""
    there = [(name, value) for name, value in ids if value]
    if not there:
        screen.say("nothing to copy")
        return
    picked: int | None = 0
    if len(there) > 1:
        options = [f"{name:<13} {clean(value)}" for name, value in there]
        picked = await screen.put(Pick(["Copy"], options))
    if picked is not None:
        copy(screen, there[picked][1])
