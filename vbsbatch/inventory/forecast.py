"""How long a run will take, and how many calls: a guess from the cloud's newest backups."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from vbsbatch.inventory.plan_writer import counted
from vbsbatch.model import Backup, Order
from vbsbatch.plan import Plan
from vbsbatch.policy.durations import Durations, kind_of, took
from vbsbatch.policy.night_length import expected_length


def in_unit(seconds: float) -> str:
    """Seconds in the largest unit of which there are two: `90 s`, `90 min`, `2.5 h`."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"


def in_words(ahead: Forecast) -> str:
    """The forecast as one line for a person."""
    size = f"{ahead.gigabytes} GB"
    if ahead.unsized:
        size += f" and {ahead.unsized} of unknown size"
    text = f"{counted(ahead.volumes, 'volume')}, {size}, about {ahead.calls} calls"
    if ahead.seconds is None or ahead.each is None:
        text += f", at least {in_unit(ahead.submitting)}"
    else:
        pace = f"{ahead.samples} backups lately took {in_unit(ahead.each)} in the median"
        text += f", about {in_unit(ahead.seconds)} ({pace})"
    return text + (f", not counting its {', '.join(ahead.uncounted)}" if ahead.uncounted else "")


_IDLE = 0.05
"""The share of its time for which a place stays empty until the end of its backup is seen."""
_LOOKS, _LOOKS_A_ROUND, _LOOKS_MOST = 4, 6, 50
"""About how many list pages a run reads, how many more in each round in which all places are filled
once more, and how many at most until the last backups have ended: one each ten seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a run of so many volumes will need."""

    volumes: int
    gigabytes: int
    unsized: int
    """Volumes of unknown size."""
    calls: int
    """About; retries not counted."""
    submitting: float
    """Seconds until the last create has left, however fast the cloud is."""
    each: float | None = None
    """Median seconds of recent backups; None where not known."""
    samples: int = 0
    seconds: float | None = None
    """The whole run at that pace."""
    uncounted: tuple[str, ...] = ()
    """Parts of the plan that may make it take longer still."""


def forecast(
    plan: Plan, sizes: Sequence[int | None], backups: Iterable[Backup], together: int = 1
) -> Forecast:
    """The forecast for volumes of these sizes in GB; `backups` are the project's, newest first.

    `together` is how many volumes one create may be for.
    """
    count, limits = len(sizes), plan.settings.limits
    lately, creates = tuple(backups), math.ceil(count / together)
    durations = Durations()
    durations.told_before(lately)
    rate, seconds, each = limits.rate.per_second, None, None
    if durations.enough and count:
        curves = durations.curves([])
        each = median(seconds for seconds, _ in took(lately))
        if plan.order is Order.LARGEST_FIRST:
            sizes = sorted(sizes, key=lambda size: -(size or 0))
        seconds = expected_length(
            [],
            [kind_of(None, size) for size in sizes],
            curves,
            places=limits.in_flight,
            per_second=rate * together,
            idle=_IDLE,
        )
    return Forecast(
        volumes=count,
        gigabytes=sum(size or 0 for size in sizes),
        unsized=sum(size is None for size in sizes),
        calls=creates + _looks(count, limits.in_flight, each) if count else 0,
        submitting=max(creates - 1, 0) / rate,
        each=each,
        samples=durations.told,
        seconds=seconds,
    )


def _looks(count: int, places: int, each: float | None) -> int:
    """About how many list pages a run of so many volumes reads."""
    rounds = max(0.0, count / places - 1)
    last = 10.0 if each is None else min(each / 10, _LOOKS_MOST)
    return math.ceil(_LOOKS + _LOOKS_A_ROUND * rounds + last)
