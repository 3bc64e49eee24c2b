"""Notices that the machine slept, or that its clock was set."""

from __future__ import annotations

import anyio

from vbsbatch.engine.ports import Clock

NOTICED = 2.0
"""Seconds by which a clock must have moved to be spoken of: less is the drift that is corrected all
the time."""


class ClockWatch:
    """Compares the clocks with one another. The event loop's own stands still while the machine
    sleeps, the wall clock jumps when it is set; the elapsed clock does neither."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told = self.step
        self._loop_behind: float | None = None

    @property
    def step(self) -> float:
        """By how many seconds the wall clock has been set since the engine began."""
        return float(self._clock.wall()) - float(self._clock.elapsed())

    def look(self) -> str | None:
        """What has happened to the clocks since the last look, in words."""
        told = [*self._slept(), *self._set()]
        return "; ".join(told) or None

    def _slept(self) -> list[str]:
        behind = float(self._clock.elapsed()) - anyio.current_time()
        before, self._loop_behind = self._loop_behind, behind
        slept = 0.0 if before is None else behind - before
        return [f"the machine slept for {slept:.0f} s"] if slept > NOTICED else []

    def _set(self) -> list[str]:
        by, step = self.step - self._told, self.step
        if abs(by) < NOTICED:
            return []
        self._told = step
        way = "forward" if by > 0 else "back"
        return [f"the machine's clock was set {way} by {abs(by):.0f} s: no wait depends on it"]
