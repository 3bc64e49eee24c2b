"""The top of the overview: which run, how far, and how many jobs are where."""

from __future__ import annotations

from vbsbatch.model import ENDED_STATES, JobState, RunState
from vbsbatch.report.text import span
from vbsbatch.tui import formatting
from vbsbatch.tui.formatting import MARKS, RETRY, RUN_ROLES, Line, StateMark
from vbsbatch.tui.sanitize import cut
from vbsbatch.tui.view_models import Overview

_PLAN = 24
"""Cells for the name of the plan at most."""

WITHOUT_ENGINE = ("GONE", "SILENT")
"""Words for runs that should go on and do not."""


def lines(seen: Overview, now: float, width: int, *, read_only: bool) -> list[Line]:
    """The three lines of the header in `width` cells, as they stand at `now`."""
    return [_who(seen, now, width, read_only), _how_far(seen, width), _counts(seen, width)]


def state_word(seen: Overview, now: float) -> str:
    """The run's state in one word; GONE when its engine should be there and is not, SILENT when it
    is there and gives no sign of life."""
    beat = seen.run.heartbeat_at
    gone = formatting.is_gone(seen.run, seen.holder, None if beat is None else now - float(beat))
    if gone:
        return "GONE" if seen.holder is None else "SILENT"
    return seen.run.state.value.upper()


def _who(seen: Overview, now: float, width: int, read_only: bool) -> Line:
    run = seen.run
    state = state_word(seen, now)
    parts: list[tuple[int, Line]] = [
        (3, (("vbsbatch", "title"),)),
        (0, (("run ", "dim"), (cut(run.id, 32), "strong"))),
        (1, ((f"ENGINE {state}" if state in WITHOUT_ENGINE else state, RUN_ROLES[state]),)),
        (4, (("ro" if read_only else "rw", "dim"),)),
    ]
    if run.started_at is not None:
        word, until = "up", now
        if run.state is RunState.ENDED:
            word, until = "took", float(run.ended_at or now)
        elif run.state is RunState.STOPPED:
            word, until = "ran", float(run.heartbeat_at or now)
        parts.append((5, ((f"{word} {span(until - float(run.started_at))}", "plain"),)))
    if run.heartbeat_at is not None and run.state is not RunState.ENDED:
        parts.append((2, ((f"fresh {_fine(now - float(run.heartbeat_at))}", "plain"),)))
    rest = width - sum(formatting.width_of(line) + 2 for _, line in parts)
    where: list[tuple[int, Line]] = []
    if plan := cut(run.plan, min(_PLAN, rest)):
        where.append((6, ((plan, "plain"),)))
    if cloud := "/".join(filter(None, (run.cloud, run.region))):
        where.append((9, (("on ", "dim"), (cut(cloud, _PLAN), "plain"))))
    if waves := run.settings.waves:
        name = waves[min(run.wave, len(waves) - 1)].name
        where.append((7, (("wave ", "dim"), (cut(name, _PLAN), "plain"))))
    parts[2:2] = where
    parts.append((8, ((_minute(now), "plain"),)))
    return formatting.packed(parts, width)


def _fine(seconds: float) -> str:
    return f"{max(0.0, seconds):.1f}s" if seconds < 9.95 else span(seconds)


def _minute(now: float) -> str:
    whole = int(now) // 60
    return f"{whole // 60 % 24:02d}:{whole % 60:02d}Z"


def ended(seen: Overview) -> int:
    """Jobs in a terminal state."""
    return sum(seen.counts.get(state, 0) for state in ENDED_STATES)


def _how_far(seen: Overview, width: int) -> Line:
    done, total = ended(seen), seen.total
    share = done / total if total else 0.0
    eta = "-" if seen.eta is None else f"~{span(seen.eta)}"
    parts: list[tuple[int, Line]] = [
        (0, ((f"{_percent(share)}%", "strong"),)),
        (1, ((f"{done}/{total}", "plain"),)),
        (2, ((f"{seen.rate_now:.1f}/s (limit {seen.rate_limit})", "plain"),)),
        (2, (("ETA ", "dim"), (eta, "plain"))),
    ]
    rest = width - sum(formatting.width_of(line) + 2 for _, line in parts)
    bar = _bar(share, max(5, min(60, width - 54, rest - 2)))
    return formatting.packed([(3, bar), *parts], width)


def _bar(share: float, size: int) -> Line:
    """As a rule of the same size, so that it stands still; smaller where the figures are long."""
    full = int(share * size)
    return (("[", "dim"), ("#" * full, "ok"), ("." * (size - full), "dim"), ("]", "dim"))


def _percent(share: float) -> str:
    """100.0 only when every job has ended."""
    return f"{share * 100:.1f}" if share == 1 else f"{min(share * 100, 99.9):.1f}"


def _counts(seen: Overview, width: int) -> Line:
    count = seen.counts.get
    active = count(JobState.SUBMITTING, 0) + count(JobState.RUNNING, 0)
    rows: list[tuple[int, StateMark, str, int]] = [
        (5, MARKS[JobState.WAITING], "wait", count(JobState.WAITING, 0) - seen.retrying),
        (4, MARKS[JobState.RUNNING], "active", active),
        (3, RETRY, "retry", seen.retrying),
        (2, MARKS[JobState.UNKNOWN], "unknown", count(JobState.UNKNOWN, 0)),
        (1, MARKS[JobState.SUCCEEDED], "ok", count(JobState.SUCCEEDED, 0)),
        (0, MARKS[JobState.FAILED], "FAIL", count(JobState.FAILED, 0)),
        (6, MARKS[JobState.CANCELLED], "cancelled", count(JobState.CANCELLED, 0)),
        (7, MARKS[JobState.SKIPPED], "skipped", count(JobState.SKIPPED, 0)),
    ]
    always = {"wait", "active", "retry", "ok", "FAIL"}
    full = _full(seen, active + count(JobState.UNKNOWN, 0))
    parts: list[tuple[int, Line]] = [
        (
            rank if n else rank + len(rows),
            (
                (
                    f"{mark.glyph} {word} {n}{full if word == 'active' else ''}",
                    mark.role if n else "dim",
                ),
            ),
        )
        for rank, mark, word, n in rows
        if n or word in always
    ]
    return ((" ", "plain"), *formatting.packed(parts, width - 1))


def _full(seen: Overview, open_jobs: int) -> str:
    """The in-flight cap, where it is what the next create waits for."""
    cap = seen.run.in_flight or seen.run.settings.limits.in_flight
    live = seen.run.state in (RunState.RUNNING, RunState.PAUSED)
    return f"/{cap}" if live and open_jobs >= cap else ""
