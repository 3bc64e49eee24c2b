"""The values of a run's progress lines, and the estimate of its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vbsbatch.model import JobMoved, JobState, Run, RunNoted

WINDOW = 600.0
"""Seconds of unpaused time that an estimate looks back."""

ENOUGH_JOBS = 5
ENOUGH_SECONDS = 10.0

LOUD_NOTES = frozenset({"limiter", "breaker", "command", "session", "run"})
"""Kinds of `RunNoted` that are printed by default."""

Outcome: TypeAlias = Literal["done", "partial", "refused", "stopped", "aborted", "failed"]

OUTCOMES: Mapping[int, Outcome] = {
    0: "done",
    1: "partial",
    2: "refused",
    3: "stopped",
    130: "aborted",
}
"""What an exit code means, in one word; any other means `failed`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """How many jobs had succeeded or failed at one instant, and whether the run was paused from
    then on. Cancelled or skipped jobs took no time, and say nothing about the pace."""

    at: float
    ended: int
    paused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """The run at one instant."""

    at: float
    counts: Mapping[JobState, int]
    retry: int
    """How many of the waiting jobs have been tried before."""
    rate: float
    """Creates a second, lately."""
    eta: float | None
    """Seconds until the end; None: not known yet."""
    waits_for: str | None = None
    """What must happen before another create is sent: the plan's window, a gate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How an engine's work on a run ended."""

    at: float
    run: Run
    counts: Mapping[JobState, int]
    exit_code: int
    next: str | None
    """The command to type next."""


def eta(samples: Sequence[Sample], remaining: int) -> float | None:
    """Seconds until `remaining` more jobs have ended, at the pace of the last `WINDOW` seconds.

    `samples` are in order of time. Paused intervals do not count; a job that an operator retried
    counts as remaining. None until enough jobs have ended over enough time.
    """
    if remaining <= 0:
        return 0.0
    seconds, jobs = _pace(samples)
    if jobs < ENOUGH_JOBS or seconds < ENOUGH_SECONDS:
        return None
    return remaining * seconds / jobs


def _pace(samples: Sequence[Sample]) -> tuple[float, int]:
    """Unpaused seconds within the window and the jobs that ended in them."""
    seconds, jobs = 0.0, 0
    for index in range(len(samples) - 1, 0, -1):
        before, after = samples[index - 1], samples[index]
        took = after.at - before.at
        if before.paused or took <= 0:  # a clock that was set back gives no pace
            continue
        if seconds + took > WINDOW and jobs:
            break
        seconds += took
        jobs += max(0, after.ended - before.ended)
    return seconds, jobs


def wanted(event: JobMoved | RunNoted, *, verbose: bool) -> bool:
    """Whether the plain output prints `event`: failures and events of the run, or everything."""
    if verbose:
        return True
    if isinstance(event, JobMoved):
        return event.job.state is JobState.FAILED
    return event.kind in LOUD_NOTES
