"""Decides when jobs may go at all: the gate between two waves, and the plan's window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vbsbatch.engine.run_context import RunContext
from vbsbatch.model import ENDED_STATES, JobState, Wall, Wave, Window
from vbsbatch.policy import window as clocks

Counts = Mapping[int, Mapping[JobState, int]]
"""Number of jobs by wave index and state."""

RECHECK = 60.0
"""A wait for the window is rechecked after this many seconds: the machine may have slept."""


def last_open(waves: Sequence[Wave], last: int, counts: Counts) -> tuple[int, int | None]:
    """Return the last wave that may start now, given that it was `last` before; and the number of
    failures, if they keep the next wave closed."""
    while last < len(waves) - 1:
        if any(_left(counts.get(wave, {})) for wave in range(last + 1)):
            return last, None
        failed = counts.get(last, {}).get(JobState.FAILED, 0)
        if failed > waves[last].max_failures:
            return last, failed
        last += 1
    return last, None


def _left(states: Mapping[JobState, int]) -> bool:
    return any(jobs for state, jobs in states.items() if state not in ENDED_STATES)


class Waves:
    """Opens one wave after the other; until then the journal lets no job of a later wave be
    claimed."""

    def __init__(self, work: RunContext) -> None:
        self._ledger = work.ledger
        self._journal = work.journal
        self._waves = work.settings.waves
        self._last = work.run.wave
        self._checked_at = -1
        self.blocked: str | None = None
        """Why the next wave does not start although all earlier ones have ended, in words."""

    async def check(self) -> None:
        """Open every wave that may start; asks the journal only when something has changed."""
        if self._last >= len(self._waves) - 1:
            return
        if self._ledger.open or not self._ledger.counts[JobState.WAITING]:
            self.blocked = None
        elif self._checked_at != self._ledger.moves:
            moves = self._ledger.moves
            counts = await self._journal.wave_counts()
            last, failed = last_open(self._waves, self._last, counts)
            if last != self._last:
                await self._open(last, "")
            self._checked_at = moves
            self.blocked = None if failed is None else self._words(failed)

    async def open_next(self) -> str:
        """Start the next wave despite the failures; returns the result in words."""
        self.blocked = None
        await self._open(self._last + 1, " despite the failures")
        return f"continuing with wave {self._waves[self._last].name}"

    async def _open(self, last: int, how: str) -> None:
        await self._journal.open_wave(last)
        before, after = self._waves[last - 1].name, self._waves[last].name
        self._last, self._checked_at = last, -1  # that wave may be empty or already over
        self._ledger.note("run", f"wave {before} has ended: wave {after} starts{how}")
        self._ledger.claim_again()

    def _words(self, failed: int) -> str:
        before, after = self._waves[self._last], self._waves[self._last + 1]
        return (
            f"wave {before.name} ended with {failed} failed, {before.max_failures} are allowed: "
            f"wave {after.name} waits (retry those that failed, or unpause to continue anyway)"
        )


class Hours:
    """The plan's window, cached because the engine asks often."""

    def __init__(self, window: Window | None) -> None:
        self._window = window
        self._open = True
        self._since, self._until = Wall(float("inf")), Wall(float("-inf"))

    def wait(self, now: Wall) -> float:
        """Seconds until creates may be sent; 0 inside the window."""
        if self._window is None:
            return 0.0
        if not self._since <= now < self._until:
            self._since = now
            self._open = clocks.is_open(self._window, float(now))
            self._until = Wall(clocks.changes_at(self._window, float(now)))
        return 0.0 if self._open else self._until - now

    def describe(self, now: Wall) -> str | None:
        """When the window opens, in words; None while it is open."""
        wait = self.wait(now)
        if self._window is None or not wait:
            return None
        opens = clocks.local_time(self._window, float(now) + wait)
        return f"window opens {opens} ({self._window})"
