"""Three clocks as types that cannot be mixed, and the two clocks of this machine.

- `Elapsed`: a moment on a clock that cannot be set and that goes on while the machine sleeps. Every
  wait inside a process is measured on it.
- `Wall`: a moment on the machine's clock: for people, for windows, for records. It may be wrong,
  and it may jump.
- `Cloud`: a moment on the service's clock, as given by `Date` headers. Whatever is compared with
  `created_at` or `updated_at` is one of these.

For mypy they are three types: the difference of two moments of one type is a number of seconds, and
anything else that mixes types is an error. At run time they are plain floats.
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
        """A moment on the clock that cannot be set."""

    class Wall(_Moment):
        """A moment on the machine's clock."""

    class Cloud(_Moment):
        """A moment on the service's clock."""
else:
    Elapsed = Wall = Cloud = float

AT_ONCE = Elapsed(0.0)
"""Before every moment of any process: already due."""

LONG_AGO = Elapsed(float("-inf"))
NEVER = Elapsed(float("inf"))

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _since_boot() -> float:
    return time.clock_gettime(_BOOT)


_AT_START = time.time() - _since_boot()


def wall() -> Wall:
    """Return the machine's time: seconds since the Unix epoch (UTC)."""
    return Wall(time.time())


def elapsed() -> Elapsed:
    """Return the time on which every wait of this process is measured.

    It started at what the machine's clock showed when the process began, so that stored times mean
    something to the next process.
    """
    return Elapsed(_AT_START + _since_boot())


def elapsed_seconds() -> float:
    """Return `elapsed` as a number, for arithmetic that knows no other clock."""
    return float(elapsed())


def on_cloud_clock(
    told: Cloud | None, at: Elapsed | None, ahead: float
) -> tuple[Cloud, Cloud] | None:
    """Return the earliest and the latest time that the cloud's clock can have shown at a moment of
    ours.

    `told` is what it was taken to show then; `ahead` is how far it is ahead of our elapsed clock
    now. The two disagree when the cloud's clock has been set since. None: nothing is known.
    """
    found = [] if at is None else [Cloud(float(at) + ahead)]
    found += [] if told is None else [told]
    return (min(found), max(found)) if found else None


def as_wall(at: Elapsed) -> Wall:
    """Return a moment of an engine as wall time, for people to read.

    Correct while the machine's clock has not been set since that engine began; what the store reads
    for other processes is corrected by `Run.clock_step` already.
    """
    return Wall(float(at))
