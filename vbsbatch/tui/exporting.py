"""What leaves the screen: jobs (CSV, JSON) and pictures (SVG) into files, ids into the clipboard.

The clipboard is the terminal's (OSC 52). It is also set through tmux, which swallows OSC 52 by
default.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from vbsbatch.errors import VbsbatchError
from vbsbatch.report.output import opened
from vbsbatch.report.text import clean
from vbsbatch.tui import formatting
from vbsbatch.tui.dialogs import Pick, Typed
from vbsbatch.tui.screen_protocols import LiveScreen
from vbsbatch.tui.view_models import View

_FONTS = re.compile(r"\s*@font-face\s*\{[^}]*\}")

_FORMS = (
    ("csv", "the filtered jobs as CSV"),
    ("json", "the filtered jobs as JSON"),
    ("svg", "a picture of the screen as SVG"),
)


async def export(screen: LiveScreen, run_id: str, view: View) -> None:
    """Ask what and where to, write it, say how much."""
    options = [words for _, words in _FORMS]
    picked = await screen.put(Pick(["Export"], options))
    if picked is None:
        return
    form = _FORMS[picked][0]
    path = await _path(screen, f"vbsbatch-{run_id}.{form}")
    if path is None:
        return
    try:
        if form == "svg":
            write_picture(screen, path)
            screen.say(f"picture written to {path}")
        else:
            screen.monitor.typed_ahead.release()  # nothing more is asked
            count = await asyncio.to_thread(screen.source.export, run_id, view, form, path)
            screen.say(f"{formatting.jobs(count)} written to {path}")
    except (VbsbatchError, OSError) as error:
        screen.say(f"not written: {error}", error=True)


async def export_picture(screen: LiveScreen, name: str) -> None:
    """Ask where to, write the picture of the screen."""
    path = await _path(screen, f"vbsbatch-{name}.svg")
    if path is None:
        return
    try:
        write_picture(screen, path)
    except (VbsbatchError, OSError) as error:
        screen.say(f"not written: {error}", error=True)
    else:
        screen.say(f"picture written to {path}")


async def _path(screen: LiveScreen, proposed: str) -> str | None:
    if screen.app.is_web:
        screen.say("a browser cannot write files on this machine: use vbsbatch jobs or report")
        return None
    dialog = Typed(["Write to"], value=proposed, fault=_fault)
    typed = await screen.put(dialog)
    return None if typed is None else os.path.expanduser(typed.strip())  # noqa: ASYNC240 (no I/O)


def _fault(text: str) -> str | None:
    if text.strip() in ("", "-"):
        return "type the name of a file"
    try:
        path = Path(text.strip()).expanduser()
        if path.is_dir():
            return "that is a folder"
        return "there is such a file already: type another name" if path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return "that cannot be the name of a file"


def write_picture(screen: LiveScreen, path: str) -> None:
    """Write the screen as SVG; `UsageError` or `OSError` when that cannot be done.

    It loads no font from the network: any font of fixed width will do.
    """
    picture = _FONTS.sub("", screen.app.export_screenshot(title="vbsbatch"))
    with opened(path) as stream:
        stream.write(picture)


_PATIENCE = 2.0
"""Seconds for tmux to take the text."""


def copy(screen: LiveScreen, text: str) -> None:
    """Put `text`, cleaned, into the clipboard, and say so."""
    text = clean(text)
    screen.app.copy_to_clipboard(text)
    how = " (and tmux)" if _to_tmux(text) else ""
    screen.say(f"copied{how}: {text}")


def _to_tmux(text: str) -> bool:
    """Give the text to tmux, which sets the outer terminal's clipboard; whether that worked."""
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
