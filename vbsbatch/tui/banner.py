"""The line above everything else: what is wrong, and what can be done about it."""

from __future__ import annotations

import math
import textwrap
from shlex import quote

from vbsbatch.model import RunState
from vbsbatch.report.text import clean, span
from vbsbatch.tui import bindings, formatting, header
from vbsbatch.tui.line_widgets import Lines
from vbsbatch.tui.sanitize import cut
from vbsbatch.tui.screen_protocols import Monitor
from vbsbatch.tui.view_models import Overview

_ROOMY = 14
"""Lines of a terminal that has room for two lines of a banner."""

_LONGEST = 1000


class Banner(Lines):
    """Not there unless there is something to say."""

    DEFAULT_CSS = "Banner { height: auto; display: none; }"

    def say(self, text: str) -> None:
        """Say it; the empty text takes it back."""
        width, height = self.app.size
        pieces = [text]
        if height >= _ROOMY:
            first, *more = textwrap.wrap(clean(text[:_LONGEST]), max(9, width - 2)) or [text]
            pieces = [first, *filter(None, [" ".join(more)])]
        self.display = bool(text)
        self.show([((cut(f"! {piece}", max(1, width)), "warn"),) for piece in pieces])


def of_engine(monitor: Monitor, run_id: str, seen: Overview | None, now: float) -> str:
    """What is wrong with the run's engine or what it waits for, empty when nothing is."""
    if seen is None or not needs_engine(seen, now):
        monitor.started.pop(run_id, None)
        return waits_for(seen)
    if run_id in monitor.starting:
        return "starting a new engine"
    if now < monitor.started.get(run_id, -math.inf) + formatting.GONE_AFTER:
        return "waiting for the new engine's first sign of life"
    if monitor.source.read_only:
        return without_engine(seen, now, f"type vbsbatch resume {quote(run_id)}")
    key = bindings.names(monitor.keymap)["resume"]
    return without_engine(seen, now, f"press {key} to resume")


def needs_engine(seen: Overview, now: float) -> bool:
    """Whether the run is unfinished and nothing drives it."""
    stopped = seen.run.state is RunState.STOPPED and seen.holder is None
    return stopped or header.state_word(seen, now) in header.WITHOUT_ENGINE


def without_engine(seen: Overview, now: float, how: str) -> str:
    """Why nothing drives the run, and `how` to change that."""
    run = seen.run
    if run.state is RunState.STOPPED:
        return f"stopped: {run.reason or 'no reason recorded'}; {how}"
    if run.heartbeat_at is None:
        return f"engine gone, resume? it never gave a sign of life; {how}"
    ago = span(now - float(run.heartbeat_at))
    if seen.holder is not None:
        there = (
            f"its {seen.holder.who.removeprefix('a ')} is still there: wait, or end it and {how}"
        )
        if seen.holder.doubt is not None:
            there = f"whether it is gone cannot be told: {seen.holder.doubt}"
        return f"engine silent, last sign of life {ago} ago; {there}"
    return f"engine gone, resume? last sign of life {ago} ago; {how}"


def waits_for(seen: Overview | None) -> str:
    """What a live run waits for before it sends more: its window, a gate between waves, the
    service."""
    if seen is None or seen.run.state not in (RunState.RUNNING, RunState.PAUSED):
        return ""
    return seen.run.reason or ""
