"""Exponential backoff with full jitter."""

from __future__ import annotations

from random import Random


def ceiling(attempt: int, *, base: float, cap: float) -> float:
    """The longest wait in seconds after attempt number `attempt` (from 1): base, 2 base, 4 base
    ... cap."""
    # A float power of two overflows at 1024; any sane cap is reached long before 64 doublings.
    return min(cap, base * 2.0 ** min(max(attempt, 1) - 1, 64))


def backoff(attempt: int, *, base: float, cap: float, random: Random) -> float:
    """Return how many seconds to wait after attempt number `attempt`: uniform between 0 and the
    ceiling.

    Full jitter spreads the retries of jobs that failed together over the whole interval.
    """
    return random.uniform(0.0, ceiling(attempt, base=base, cap=cap))
