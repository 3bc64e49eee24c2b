"""How many GB a run is about, where the sizes of its volumes are known. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from vbsbatch.model import JobState

SizeSum: TypeAlias = tuple[int, int]
"""GB of some jobs together, and how many of them have no size."""

LEAST = 60.0
"""Seconds that must have passed before amounts per time mean anything."""

_LEFT_OUT = (JobState.CANCELLED, JobState.SKIPPED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How large the volumes of a run are, in GB; jobs that have no size are not counted in."""

    done: int = 0
    """Of jobs that succeeded."""
    total: int | None = None
    """Of all jobs but those that are skipped or cancelled; None when no job has a size."""
    unsized: int = 0
    """Jobs without a size."""
    per_hour: float | None = None
    """None until there is enough to tell."""


def sizes_of(found: Mapping[JobState, SizeSum], per_hour: float | None = None) -> Sizes:
    """The sizes of a run, of what a store found for each state."""
    counted = [pair for state, pair in found.items() if state not in _LEFT_OUT]
    done, _ = found.get(JobState.SUCCEEDED, (0, 0))
    total = sum(gigabytes for gigabytes, _ in counted)
    unsized = sum(jobs for _, jobs in counted)
    return Sizes(done=done, total=total or None, unsized=unsized, per_hour=per_hour)


def sizes_after(found: Mapping[JobState, SizeSum], seconds: float | None) -> Sizes:
    """The same, with the GB per hour of a run that has taken so long; None: it has not started."""
    if seconds is None or seconds < LEAST:
        return sizes_of(found)
    done, _ = found.get(JobState.SUCCEEDED, (0, 0))
    return sizes_of(found, 3600 * done / seconds)


def in_bytes(size: int) -> str:
    """`812 bytes`, `14.2 KB`, `3.1 MB`: of files, in powers of 1000."""
    if size < 1000:
        return f"{size} bytes"
    value, units = size / 1000, ["KB", "MB", "GB", "TB"]
    while value >= 999.95 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}"


def in_gigabytes(sizes: Sizes) -> str:
    """`1,080 of 1,280 GB, 540 GB an hour (3 jobs without a size)`; `-` where no size is known."""
    if sizes.total is None:
        return "-"
    pace = f", {sizes.per_hour:,.0f} GB an hour" if sizes.per_hour else ""
    unsized = "1 job" if sizes.unsized == 1 else f"{sizes.unsized:,} jobs"
    rest = f" ({unsized} without a size)" if sizes.unsized else ""
    return f"{sizes.done:,} of {sizes.total:,} GB{pace}{rest}"
