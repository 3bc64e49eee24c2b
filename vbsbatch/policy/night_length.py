"""How long it takes until all volumes have been through the places that there are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heapreplace
from random import Random

from vbsbatch.policy.durations import Curves, Kind

MOST = 2000
"""With more volumes waiting than this, whole rounds of places are counted, not played."""


def night_length(
    running: Iterable[float], waiting: Sequence[float], *, places: int, per_second: float
) -> float:
    """Seconds until the last backup has ended.

    `running` are the seconds that each backup under way still takes, `waiting` those of the volumes
    that follow in this order; a place is given to the next as soon as it is free, at most
    `per_second` of them a second.
    """
    free = sorted(running)[-places:]
    free = [0.0] * (places - len(free)) + free if len(free) < places else free
    heapify(free)
    last, sent = max(free, default=0.0), -1.0 / per_second
    for seconds in waiting:
        sent = max(free[0], sent + 1.0 / per_second)
        last = max(last, sent + seconds)
        heapreplace(free, sent + seconds)
    return last


def expected_length(
    running: Iterable[tuple[Kind, float]],
    waiting: Sequence[Kind],
    curves: Curves,
    *,
    places: int,
    per_second: float,
    idle: float = 0.0,
) -> float:
    """Seconds until the last backup is expected to end.

    `running` has class and age of each backup under way, `waiting` the class of each volume that
    follows, in their order; `idle` is the share of its time for which a place stays empty.
    """
    random = Random(1)  # noqa: S311 - no secret
    left: list[float] = []
    for kind, ages in _by_kind(running).items():
        shares = [(n + 0.5) / len(ages) for n in range(len(ages))]
        random.shuffle(shares)
        left += (
            curves.quantile(kind, share, age) - age for share, age in zip(shares, ages, strict=True)
        )
    rounds = max(0, len(waiting) - MOST) // places
    played = waiting[rounds * places :]
    found = night_length(
        left, _durations(played, curves, random), places=places, per_second=per_second
    )
    skipped = rounds * places
    return (found + max(rounds * curves.mean(), skipped / per_second)) * (1 + idle)


def _durations(kinds: Sequence[Kind], curves: Curves, random: Random) -> list[float]:
    stock: dict[Kind, list[float]] = {}
    for kind in set(kinds):
        count = kinds.count(kind)
        stock[kind] = [curves.quantile(kind, (n + 0.5) / count) for n in range(count)]
        random.shuffle(stock[kind])
    return [stock[kind].pop() for kind in kinds]


def _by_kind(running: Iterable[tuple[Kind, float]]) -> dict[Kind, list[float]]:
    found: dict[Kind, list[float]] = {}
    for kind, age in running:
        found.setdefault(kind, []).append(age)
    return found
