"""The clocks of this machine; tests of whole nights pass others."""

from __future__ import annotations

from typing import Protocol

from vbsbatch.model import Elapsed, Wall
from vbsbatch.model.clocks import elapsed, wall


class Clock(Protocol):
    """The two clocks of a machine."""

    def elapsed(self) -> Elapsed:
        """The clock that no one sets."""
        ...

    def wall(self) -> Wall:
        """The clock that people read."""
        ...


class SystemClock:
    """The machine's two clocks."""

    elapsed = staticmethod(elapsed)
    wall = staticmethod(wall)


SYSTEM_CLOCK = SystemClock()
