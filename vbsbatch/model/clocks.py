"""The three clocks, as types that cannot be mixed, and this machine's two of them.

- `Elapsed`: a moment on a clock that nobody sets and that goes on while the machine sleeps. Every
  wait inside a process is measured on it.
- `Wall`: a moment on the machine's clock: for people, for windows, for records. It may be wrong,
  and it may jump.
- `Cloud`: a moment on the service's clock, as its `Date` tells it. Whatever is compared with
  `created_at` or `updated_at` is one of these.

For mypy they are three kinds of moment: the difference of two of a kind is a number of seconds, and
anything else that mixes kinds is an error. When the program runs they are plain floats.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Self, overload

    class _Moment:
        def __init__(self, seconds: float, /) -> None: ...
        def __float__(self) -> float: ...
        def __add__(self, seconds: float, /) -> Self: ...
        @overload
        def __sub__(self, other: Self, /) -> float: ...
        @overload
        def __sub__(self, seconds: float, /) -> Self: ...
        def __sub__(self, other: Any, /) -> Any: ...
        def __lt__(self, other: Self, /) -> bool: ...
        def __le__(self, other: Self, /) -> bool: ...
        def __gt__(self, other: Self, /) -> bool: ...
        def __ge__(self, other: Self, /) -> bool: ...

    class Elapsed(_Moment):
        """A moment on the clock that nobody sets."""

    class Wall(_Moment):
        """A moment on the machine's clock."""

    class Cloud(_Moment):
        """A moment on the service's clock."""
else:
    Elapsed = Wall = Cloud = float

AT_ONCE = Elapsed(0.0)
"""Before every moment of any process: due already."""

LONG_AGO = Elapsed(float("-inf"))
NEVER = Elapsed(float("inf"))

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _since_boot() -> float:
    return time.clock_gettime(_BOOT)


_AT_START = time.time() - _since_boot()


def wall() -> Wall:
    """The machine's clock: seconds since the Unix epoch (UTC)."""
    return Wall(time.time())


def elapsed() -> Elapsed:
    """The clock of every wait in this process: it counts on from what the machine's clock showed
    when the process began, so that what is stored of it means something to the next process."""
    return Elapsed(_AT_START + _since_boot())


def elapsed_seconds() -> float:
    """`elapsed` as a number, for arithmetic that knows no other clock."""
    return float(elapsed())


def on_cloud_clock(
    told: Cloud | None, at: Elapsed | None, ahead: float
) -> tuple[Cloud, Cloud] | None:
    """The earliest and the latest that the cloud's clock can have shown at a moment of ours.

    `told` is what it was taken to show then, `ahead` how far it is ahead of our elapsed clock now:
    the two disagree when the cloud's clock has been set since. None: nothing is known.
    """
    found = [] if at is None else [Cloud(float(at) + ahead)]
    found += [] if told is None else [told]
    return (min(found), max(found)) if found else None


def as_wall(at: Elapsed, step: float = 0.0) -> Wall:
    """The wall time of a moment of an engine, for people to read; `step` is by how many seconds the
    machine's clock was set since that engine began (`Run.clock_step`)."""
    return Wall(float(at) + step)
