"""How much a run is going to be: gigabytes, calls, and how long it takes at least or about."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from vbsbatch.model import Backup, Limits

_SAMPLES = 50
_ENOUGH = 3
_LONGEST = 2 * 86400.0  # a backup that took longer was changed long after it was made
# The engine's budget of list pages, and how far its looks are apart beyond it: docs/operations.md.
_PAGES, _PAGES_EACH, _APART = 20, 0.12, 90.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a run of so many volumes will need."""

    volumes: int
    gigabytes: int
    unsized: int
    """Volumes whose size nobody told."""
    calls: int
    """About, with as many looks as the budget has; retries not counted."""
    submitting: float
    """Seconds until the last create has left, however fast the cloud is."""
    each: float | None = None
    """Seconds that a backup took lately, in the median; None where that is not known."""
    samples: int = 0
    seconds: float | None = None
    """The whole run at that pace."""
    uncounted: tuple[str, ...] = ()
    """What of the plan may make it take longer still."""


def forecast(sizes: Sequence[int | None], limits: Limits, backups: Iterable[Backup]) -> Forecast:
    """The forecast for volumes of these sizes in GB; `backups` are the project's, newest first."""
    count, rate = len(sizes), limits.rate.per_second
    took = _took(backups)
    each = median(took) if len(took) >= _ENOUGH else None
    submitting = max(count - 1, 0) / rate
    if each is None or not count:
        seconds = None
    else:
        # In a steady state a place is freed every `each / in_flight` seconds.
        seconds = max(submitting, (math.ceil(count / limits.in_flight) - 1) * each) + each
    return Forecast(
        volumes=count,
        gigabytes=sum(size or 0 for size in sizes),
        unsized=sum(size is None for size in sizes),
        calls=count + math.ceil(max(_PAGES + _PAGES_EACH * count, (seconds or 0.0) / _APART))
        if count
        else 0,
        submitting=submitting,
        each=each,
        samples=len(took),
        seconds=seconds,
    )


def _took(backups: Iterable[Backup]) -> list[float]:
    """How long the newest finished backups took, as far as the cloud tells it."""
    found = []
    for backup in backups:
        if backup.status != "available" or backup.created_at is None or backup.updated_at is None:
            continue
        seconds = backup.updated_at - backup.created_at
        if 0 < seconds <= _LONGEST:
            found.append(seconds)
        if len(found) == _SAMPLES:
            break
    return found
