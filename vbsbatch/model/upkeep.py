"""What a store knows beside its runs: starts that made no run, and what a compaction removed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vbsbatch.model.clocks import Wall


class MissedKind(StrEnum):
    """Why a start of a plan did not happen, or not when it should."""

    SKIPPED = "skipped"
    """An earlier run of the plan was still going on."""
    MISSED = "missed"
    """Nothing was started: the machine was off, or the timer was."""
    LATE = "late"
    """It was started later than the schedule says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MissedStart:
    """A start of a plan that made no run, or made it late."""

    plan: str
    at: Wall
    """When it was tried (`skipped`), or when the schedule wanted it."""
    kind: MissedKind
    run_id: str | None = None
    """The run that was going on (`skipped`), or that was started (`late`)."""
    text: str | None = None
    """The reason, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compaction:
    """What a compaction removed from a store, or would remove. Sizes are bytes."""

    runs: tuple[str, ...] = ()
    """The runs whose history is gone, oldest first."""
    events: int = 0
    attempts: int = 0
    commands: int = 0
    starts: int = 0
    """Missed starts that were older, too."""
    size_before: int = 0
    """The store with its write-ahead log."""
    size_after: int = 0
    unused: int = 0
    """Bytes inside the file that the next runs use before it grows."""
    kept_because: str | None = None
    """Why the file was not made smaller; None if it was, or nothing was to be gained."""
