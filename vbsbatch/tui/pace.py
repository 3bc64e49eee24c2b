"""How fast a run goes and when it will be done, from the store: known as soon as a screen attaches.

Pure arithmetic on a `RunStats` and on the pauses found in the run's commands.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from vbsbatch.report import Sample, eta
from vbsbatch.store.run_stats import STEP, RunStats

SHORT, LONG = 10, 60
"""Seconds that the rate looks back: the short time if enough was sent in it."""

ENOUGH = 20
"""Creates that are enough for the short time."""

LOOK_BACK = 256
"""Intervals with an end in them that an estimate may need: its window holds at most half."""

MINUTES = 30

Pause = tuple[float, float]
"""From, until."""


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


def remaining_time(
    tally: RunStats, remaining: int, now: float, started_at: float | None, pauses: Sequence[Pause]
) -> float | None:
    """Seconds until `remaining` more jobs have ended; None while it cannot be estimated."""
    return eta(_samples(tally, now, started_at, pauses), remaining)


def pauses(
    told: Sequence[tuple[float, bool]], creates: Mapping[int, int], now: float
) -> list[Pause]:
    """The times without creates: from a pause to its unpause, or to the first create after it.

    The latter ends a pause whose engine was stopped, since the next engine begins unpaused.
    """
    found: list[Pause] = []
    sent = sorted(at * STEP for at, count in creates.items() if count > 0)
    for position, (since, paused) in enumerate(told):
        if not paused or (found and since < found[-1][1]):
            continue
        unpaused = next((at for at, again in told[position:] if not again), now)
        later = bisect_right(sent, since + STEP)
        resumed = sent[later] if later < len(sent) else now
        found.append((since, min(unpaused, resumed)))
    return found


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


def _samples(
    tally: RunStats, now: float, started_at: float | None, pauses: Sequence[Pause]
) -> list[Sample]:
    """Ended jobs at the edges of the intervals in which any ended, and of the pauses.

    Nothing in between: a long silence is then one long interval, which the estimate leaves out.
    """
    intervals = sorted(tally.ends)[-LOOK_BACK:]
    if not intervals:
        return []
    edges = {at * STEP for at in intervals} | {(at + 1) * STEP for at in intervals}
    begin = max(min(edges), started_at or 0.0)
    inside = {edge for pause in pauses for edge in pause}
    points = sorted({min(max(at, begin), now) for at in edges | inside} | {now})
    until = [(at + 1) * STEP for at in intervals]
    ended = [0, *accumulate(tally.ends[at] for at in intervals)]
    return [
        Sample(
            at=at,
            ended=ended[-1] if at == now else ended[bisect_right(until, at)],
            paused=any(since <= at < up_to for since, up_to in pauses),
        )
        for at in points
    ]
