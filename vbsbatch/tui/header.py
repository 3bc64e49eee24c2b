"""The top of a screen: which run, how far, how many jobs are where; above it what is wrong."""

from __future__ import annotations

import math
import textwrap
from shlex import quote

from vbsbatch.model import JobState, RunState
from vbsbatch.report.data import REQUESTS, ended
from vbsbatch.report.text import clean, in_words
from vbsbatch.tui import alphabet, bindings, formatting, frames
from vbsbatch.tui.alphabet import DOT
from vbsbatch.tui.formatting import MARKS, RETRY, RUN_ROLES, Line, StateMark
from vbsbatch.tui.line_widgets import Lines
from vbsbatch.tui.sanitize import cut
from vbsbatch.tui.screen_protocols import Monitor
from vbsbatch.tui.view_models import Overview

_PLAN = 32
"""Cells for the name of the plan, or of the cloud, at most."""

_WORDY = 90
"""Cells from which on the rate says of what it is."""

_GAP, _BETWEEN = "   ", f" {DOT} "

_LIVE = (RunState.RUNNING, RunState.PAUSED)

WITHOUT_ENGINE = ("GONE", "SILENT")
"""States of runs that should go on and do not."""


def state_word(seen: Overview, now: float) -> str:
    """The run's state in one word; GONE when it should have an engine and has none, SILENT when its
    engine sends no heartbeat."""
    beat = seen.run.heartbeat_at
    gone = formatting.is_gone(seen.run, seen.holder, None if beat is None else now - float(beat))
    if gone:
        return "GONE" if seen.holder is None else "SILENT"
    return seen.run.state.value.upper()


def _state(seen: Overview, now: float) -> Line:
    state = state_word(seen, now)
    return ((f"ENGINE {state}" if state in WITHOUT_ENGINE else state, RUN_ROLES[state]),)


def title(seen: Overview, now: float, width: int, *, read_only: bool) -> Line:
    """The upper line of the frame: which run, and how it stands."""
    run = seen.run
    parts: list[tuple[int, Line]] = [(0, _state(seen, now))]
    if read_only:
        parts.append((2, (("read-only", "warn"),)))
    if run.started_at is not None:
        parts.append((3, ((_how_long(seen, now, float(run.started_at)), "plain"),)))
    if run.heartbeat_at is not None and run.state is not RunState.ENDED:
        parts.append((1, ((f"updated {_ago(now - float(run.heartbeat_at))}", "plain"),)))
    parts.append((4, ((_minute(now), "dim"),)))
    names = _names(seen)
    least = formatting.width_of(formatting.packed(names[:2], width, _BETWEEN))
    right = formatting.packed(parts, max(8, width - 9 - least), _BETWEEN)
    left = formatting.packed(names, frames.room(right, width), _BETWEEN)
    return frames.upper(left, right, width)


def _names(seen: Overview) -> list[tuple[int, Line]]:
    run = seen.run
    found: list[tuple[int, Line]] = [
        (2, ((cut(run.plan, _PLAN), "title"),)),
        (1, ((cut(run.id, _PLAN), "strong"),)),
    ]
    if waves := run.settings.waves:
        name = waves[min(run.wave, len(waves) - 1)].name
        found.append((3, ((f"wave {cut(name, _PLAN)}", "plain"),)))
    if cloud := "/".join(filter(None, (run.cloud, run.region))):
        found.append((4, ((f"on {cut(cloud, _PLAN)}", "dim"),)))
    return found


def _how_long(seen: Overview, now: float, started_at: float) -> str:
    run = seen.run
    if run.state is RunState.ENDED:
        return f"took {in_words(float(run.ended_at or now) - started_at)}"
    if run.state is RunState.STOPPED:
        return f"ran {in_words(float(run.heartbeat_at or now) - started_at)}"
    return in_words(now - started_at)


def _ago(seconds: float) -> str:
    return "just now" if seconds < 3 else f"{in_words(seconds)} ago"


def _minute(now: float) -> str:
    whole = int(now) // 60
    return f"{whole // 60 % 24:02d}:{whole % 60:02d} UTC"


def lines(seen: Overview, now: float, width: int) -> list[Line]:
    """How far the run is, its pace, and how many jobs are where, in `width` cells."""
    return [how_far(seen, width), pace(seen, now, width), counts(seen, width)]


def how_far(seen: Overview, width: int) -> Line:
    """The bar of the jobs that have ended, with its figures."""
    done, total = ended(seen.counts), seen.total
    share = done / total if total else 0.0
    eta = "-" if seen.eta is None else f"~{in_words(seen.eta)}"
    parts: list[tuple[int, Line]] = [
        (0, ((f"{_percent(share):>5} %", "strong"),)),
        (1, ((f"{done:,} of {total:,}", "plain"),)),
    ]
    if seen.run.state is not RunState.ENDED:
        parts.append((2, (("ETA ", "dim"), (eta, "plain"))))
    figures = sum(formatting.width_of(line) + len(_GAP) for _, line in parts)
    filled, empty = alphabet.bar(share, max(4, width - max(figures, 44)))
    bar: Line = ((filled, "bar"), (empty, "track"))
    return formatting.packed([(3, bar), *parts], width, _GAP)


def _percent(share: float) -> str:
    """100.0 only when every job has ended."""
    return f"{share * 100:.1f}" if share == 1 else f"{min(share * 100, 99.9):.1f}"


def pace(seen: Overview, now: float, width: int) -> Line:
    """Sizes, the rate, when the cloud is asked next, and what the run waits for."""
    parts = [(1, amounts(seen))]
    if seen.run.state in _LIVE and seen.holder is not None:
        rate = f"{seen.rate_now:.1f}/s of {seen.rate_limit}"
        if width >= _WORDY:
            rate += f" {REQUESTS[seen.run.settings.operation]}"
        parts.append((3, ((rate, "plain"),)))
        parts.append((0, next_look(seen, now)))
        parts.append((2, ((waits(seen), "plain"),)))
    return formatting.packed([part for part in parts if part[1]], width, _GAP)


def amounts(seen: Overview) -> Line:
    """GB done, of how many, and per hour; `-` where nobody tells a size."""
    sizes = seen.sizes
    if sizes.total is None:
        return (("size -", "dim"),)
    text = formatting.share_of(sizes.done, sizes.total)
    if sizes.per_hour:
        text += f"{_BETWEEN}{formatting.size(sizes.per_hour)}/h"
    unsized = f" ({formatting.jobs(sizes.unsized)} without a size)" if sizes.unsized else ""
    return ((text, "strong"), (unsized, "dim"))


def next_look(seen: Overview, now: float) -> Line:
    """When the engine looks at the cloud next; empty when nothing is under way."""
    if seen.run.next_look_at is None or seen.run.state not in _LIVE or seen.holder is None:
        return ()
    rest = float(seen.run.next_look_at) - now
    text = f"next look in {in_words(rest)}" if rest >= 0.5 else "looking now"
    return ((text, "run"),)


def waits(seen: Overview) -> str:
    """What a run without another reason waits for, in a few words."""
    count = seen.counts.get
    under_way = sum(count(s, 0) for s in (JobState.SUBMITTING, JobState.RUNNING, JobState.UNKNOWN))
    fresh = count(JobState.WAITING, 0) - seen.retrying
    if seen.run.state is RunState.PAUSED:
        return "sends nothing"
    if not fresh and not seen.retrying:
        return "all sent" if under_way else ""
    if under_way >= _cap(seen):
        return "cap reached"
    return "sending" if fresh else "waits to retry"


def counts(seen: Overview, width: int) -> Line:
    """Jobs by state, failures first."""
    count = seen.counts.get
    active = count(JobState.SUBMITTING, 0) + count(JobState.RUNNING, 0)
    rows: list[tuple[int, StateMark, str, int]] = [
        (0, MARKS[JobState.FAILED], "FAIL", count(JobState.FAILED, 0)),
        (3, MARKS[JobState.UNKNOWN], "unknown", count(JobState.UNKNOWN, 0)),
        (4, RETRY, "retry", seen.retrying),
        (1, MARKS[JobState.RUNNING], "active", active),
        (5, MARKS[JobState.WAITING], "wait", count(JobState.WAITING, 0) - seen.retrying),
        (2, MARKS[JobState.SUCCEEDED], "ok", count(JobState.SUCCEEDED, 0)),
        (6, MARKS[JobState.CANCELLED], "cancelled", count(JobState.CANCELLED, 0)),
        (7, MARKS[JobState.SKIPPED], "skipped", count(JobState.SKIPPED, 0)),
    ]
    always = {"wait", "active", "retry", "ok", "FAIL"}
    full = _full(seen, active + count(JobState.UNKNOWN, 0))
    parts: list[tuple[int, Line]] = []
    for rank, mark, word, n in rows:
        if n or word in always:
            text = f"{mark.glyph} {word} {n:,}{full if word == 'active' else ''}"
            keeps = n or word in ("active", "FAIL")
            parts.append(
                (rank if keeps else rank + len(rows), ((text, mark.role if n else "dim"),))
            )
    gap = _GAP if formatting.width_of(formatting.packed(parts, 999, _GAP)) <= width else "  "
    return formatting.packed(parts, width, gap)


def _cap(seen: Overview) -> int:
    """How many jobs may be under way at once."""
    return seen.run.in_flight or seen.run.settings.limits.in_flight


def _full(seen: Overview, open_jobs: int) -> str:
    """The in-flight cap, if the next create waits for it."""
    cap = _cap(seen)
    return f" of {cap}" if seen.run.state in _LIVE and open_jobs >= cap else ""


def one_line(seen: Overview, now: float, width: int) -> Line:
    """The whole header of a terminal that has no room for more."""
    share = ended(seen.counts) / seen.total if seen.total else 0.0
    percent: Line = ((f"{_percent(share)} %", "strong"),)
    rest = counts(seen, max(8, width - 16))
    return formatting.packed([(1, _state(seen, now)), (0, percent), (2, rest)], width)


_ROOMY = 14
"""Lines of a terminal that has room for two lines of a banner."""

_LONGEST = 1000


class Banner(Lines):
    """Hidden while there is nothing to say."""

    DEFAULT_CSS = "Banner { height: auto; display: none; }"

    _text = ""

    def say(self, text: str) -> None:
        """Show a text; an empty one hides the banner."""
        self._text = text
        self.display = bool(text)
        width, height = self.size.width or self.app.size.width, self.app.size.height
        pieces = [text]
        if height >= _ROOMY:
            first, *more = textwrap.wrap(clean(text[:_LONGEST]), max(9, width - 2)) or [text]
            pieces = [first, *filter(None, [" ".join(more)])]
        self.show([((cut(f"! {piece}", max(1, width)), "warn"),) for piece in pieces])

    def on_resize(self) -> None:
        """Break the text for the new width."""
        self.say(self._text)


def of_engine(monitor: Monitor, run_id: str, seen: Overview | None, now: float) -> str:
    """What is wrong with the run's engine or what it waits for, empty when nothing is."""
    if seen is None or not needs_engine(seen, now):
        monitor.started.pop(run_id, None)
        return waits_for(seen)
    if run_id in monitor.starting:
        return "starting a new engine"
    if now < monitor.started.get(run_id, -math.inf) + formatting.GONE_AFTER:
        return "waiting for the new engine's first heartbeat"
    if monitor.source.read_only:
        return without_engine(seen, now, f"type vbsbatch resume {quote(run_id)}")
    key = bindings.names(monitor.keymap)["resume"]
    return without_engine(seen, now, f"press {key} to resume")


def needs_engine(seen: Overview, now: float) -> bool:
    """Whether the run is unfinished and nothing drives it."""
    stopped = seen.run.state is RunState.STOPPED and seen.holder is None
    return stopped or state_word(seen, now) in WITHOUT_ENGINE


def without_engine(seen: Overview, now: float, how: str) -> str:
    """Why nothing drives the run, and `how` to change that."""
    run = seen.run
    if run.state is RunState.STOPPED:
        return f"stopped: {run.reason or 'no reason recorded'}; {how}"
    if run.heartbeat_at is None:
        return f"engine gone, resume? it never sent a heartbeat; {how}"
    ago = in_words(now - float(run.heartbeat_at))
    if seen.holder is not None:
        there = (
            f"its {seen.holder.who.removeprefix('a ')} is still there: wait, or end it and {how}"
        )
        if seen.holder.doubt is not None:
            there = f"whether it is gone is not known: {seen.holder.doubt}"
        return f"engine silent, last heartbeat {ago} ago; {there}"
    return f"engine gone, resume? last heartbeat {ago} ago; {how}"


def waits_for(seen: Overview | None) -> str:
    """What a live run waits for before it sends more: its window, a gate between waves, the
    service."""
    if seen is None or seen.run.state not in _LIVE:
        return ""
    return seen.run.reason or ""
