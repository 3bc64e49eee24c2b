"""The values of a run's progress lines, and the estimate of its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vbsbatch.model import JobMoved, JobState, Run, RunNoted
from vbsbatch.report.sizes import Sizes

LOUD_NOTES = frozenset({"limiter", "breaker", "command", "session", "run", "retention", "notify"})
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
    sizes: Sizes = Sizes()
    """GB done and of all, and per hour since the run's start."""
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


def wanted(event: JobMoved | RunNoted, *, verbose: bool) -> bool:
    """Whether the plain output prints `event`: failures and events of the run, or everything."""
    if verbose:
        return True
    if isinstance(event, JobMoved):
        return event.job.state is JobState.FAILED
    return event.kind in LOUD_NOTES
