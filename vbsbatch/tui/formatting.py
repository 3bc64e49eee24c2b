"""The screen's words: each state as a glyph and a word, codes short enough for a column, ages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rich.cells import cell_len

from vbsbatch.model import Holder, Job, JobState, Run, RunState, as_wall
from vbsbatch.report.text import span

GONE_AFTER = 10.0
"""Seconds without a heartbeat after which an engine counts as gone."""

_LONGEST_CODE = 40

Piece = tuple[str, str]
"""A text and the role (see `themes`) that colours it; colour only repeats the text."""

Line = tuple[Piece, ...]
"""One line of the screen."""


class StateMark(NamedTuple):
    """How a state looks: a glyph, a word of at most seven characters, a role."""

    glyph: str
    word: str
    role: str


MARKS: Mapping[JobState, StateMark] = {
    JobState.WAITING: StateMark("·", "WAIT", "plain"),
    JobState.SUBMITTING: StateMark("▶", "SEND", "run"),
    JobState.UNKNOWN: StateMark("?", "UNKNOWN", "unknown"),
    JobState.RUNNING: StateMark("▶", "RUN", "run"),
    JobState.SUCCEEDED: StateMark("✓", "OK", "ok"),
    JobState.FAILED: StateMark("✗", "FAIL", "fail"),
    JobState.CANCELLED: StateMark("-", "CANCEL", "dim"),
    JobState.SKIPPED: StateMark("-", "SKIP", "dim"),
}
RETRY = StateMark("↻", "RETRY", "retry")
"""Waiting, and tried before."""

RUN_ROLES: Mapping[str, str] = {
    "RUNNING": "run",
    "PAUSED": "warn",
    "STOPPED": "warn",
    "ENDED": "ok",
    "GONE": "fail",
    "SILENT": "fail",
}


def mark_of(job: Job) -> StateMark:
    """The mark of a job's state; a retry differs from a first wait."""
    return RETRY if job.state is JobState.WAITING and job.attempts else MARKS[job.state]


def short_code(code: str | None) -> str:
    """A code as a column has room for it: `VolumeBackup.` is written `VB.`, none is `-`."""
    return "-" if code is None else code.replace("VolumeBackup.", "VB.", 1)


def failure(status: int | None, code: str | None) -> str:
    """A kind of failure in one or two words: `503 VB.0900`, `500`, `deadline`, `no answer`."""
    if status is None:
        return "no answer" if code is None else short_code(code)[:_LONGEST_CODE]
    return str(status) if code is None else f"{status} {short_code(code)[:_LONGEST_CODE]}"


def age(job: Job, now: float) -> str:
    """Time since the job's end, or else since its newest create; empty before the first."""
    since = job.ended_at
    if since is None and job.intent_at is not None:
        since = as_wall(job.intent_at)
    return "" if since is None else span(now - float(since))


def next_step(job: Job, now: float) -> str:
    """What comes next for the job: a time, how much is done, a check in the cloud."""
    match job.state:
        case JobState.WAITING if job.attempts:
            due = float(as_wall(job.due_at))
            return f"in {span(due - now)}" if due > now else "due"
        case JobState.RUNNING:
            return "" if job.progress is None else f"{job.progress} %"
        case JobState.UNKNOWN:
            return "checking"
        case _:
            return ""


def is_gone(run: Run, holder: Holder | None, age: float | None) -> bool:
    """Whether a run that should have an engine has none, or one without a recent heartbeat."""
    if run.state not in (RunState.RUNNING, RunState.PAUSED):
        return False
    return holder is None or (age is not None and age > GONE_AFTER)


def number(no: int, total: int) -> str:
    """A job's number, as wide as the run's largest, five digits at least."""
    return f"{no:0{max(5, len(str(total)))}d}"


def jobs(count: int) -> str:
    """`1 job`, `2 jobs`, `1,200 jobs`."""
    return "1 job" if count == 1 else f"{count:,} jobs"


def size(gigabytes: float) -> str:
    """A size in GB, or in TB from 1,000 GB on."""
    if gigabytes < 1000:
        return f"{gigabytes:,.0f} GB"
    return f"{gigabytes / 1000:,.1f} TB"


def share_of(done: float, total: float) -> str:
    """Two sizes in the unit of the larger: `41.2 of 66.0 TB`."""
    if total < 1000:
        return f"{done:,.0f} of {size(total)}"
    return f"{done / 1000:,.1f} of {size(total)}"


def width_of(line: Line) -> int:
    """Cells that a line takes."""
    return sum(cell_len(text) for text, _ in line)


def packed(parts: list[tuple[int, Line]], width: int, gap: str = "  ") -> Line:
    """The parts that fit into `width` cells, in their order; those of the highest rank go first."""
    kept = list(range(len(parts)))

    def length() -> int:
        between = len(gap) * max(0, len(kept) - 1)
        return sum(width_of(parts[i][1]) for i in kept) + between

    while len(kept) > 1 and length() > width:
        kept.remove(max(kept, key=lambda i: (parts[i][0], i)))
    line: list[Piece] = []
    for index, i in enumerate(kept):
        if index:
            line.append((gap, "dim"))
        line.extend(parts[i][1])
    return tuple(line)
