"""How fast a run goes, from the store: known as soon as a screen attaches. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vbsbatch.store.run_stats import STEP, RunStats

SHORT, LONG = 10, 60
"""Seconds that the rate looks back: the short time if enough was sent in it."""

ENOUGH = 20
"""Creates that are enough for the short time."""

MINUTES = 30


def rate(tally: RunStats, now: float, started_at: float | None) -> float:
    """Creates a second, lately."""
    recent = 0.0
    for seconds in (SHORT, LONG):
        first = int(now - seconds) // STEP
        creates = sum(tally.creates.get(at, 0) for at in range(first, int(now) // STEP + 1))
        since = max(first * STEP, started_at or 0.0)
        recent = max(0, creates) / max(now - since, 1.0)
        if creates >= ENOUGH:
            break
    return recent


def per_minute(completed: Mapping[int, int], now: float) -> list[int]:
    """Completed in each of the last `MINUTES`, oldest first; the last one is still going on."""
    last = int(now) // 60
    return [completed.get(minute, 0) for minute in range(last + 1 - MINUTES, last + 1)]


def per_hour(completed: Mapping[int, int], now: float, started_at: float | None) -> float | None:
    """How much completed in an hour, at the pace of the last `MINUTES`; None in the first minute.

    `completed` is by epoch minute.
    """
    since = max(now - 60 * MINUTES, started_at or 0.0)
    if now - since < 60:
        return None
    first = int(since) // 60
    done = sum(amount for minute, amount in completed.items() if first <= minute)
    return 3600 * done / (now - since)


def percentiles(took: Sequence[float]) -> tuple[float, float, float] | None:
    """The median, the 95th percentile and the maximum, by nearest rank; None of nothing."""
    if not took:
        return None
    ranked = sorted(took)

    def at(percent: int) -> float:
        return ranked[-(-percent * len(ranked) // 100) - 1]

    return at(50), at(95), at(100)
