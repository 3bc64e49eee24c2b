"""What a picture of a run shows: when each volume was at work, or how many ended when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from vbsbatch.model import Job, JobState
from vbsbatch.report.data import ReportData, duration

FEW = 30
"""Up to so many volumes have a bar each."""

SLOTS = 60
"""The most slots in which ends are counted."""

MOST_TICKS = 7

DAY = 86400
_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours for hours in (1, 2, 3, 6, 12)),
    *(DAY * days for days in (1, 2, 7, 14, 28)),
)
"""Seconds between two ticks or in a slot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """When one volume was at work, in epoch seconds."""

    name: str
    """Uncleaned."""
    state: JobState
    since: float
    until: float


@dataclass(slots=True)
class Slot:
    """How many jobs ended in one slot of time that begins at `start`."""

    start: float
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """A run from `start` to `end`, in epoch seconds; it has bars, or slots of `step` seconds."""

    start: float
    end: float
    step: int
    ticks: Sequence[tuple[float, str]]
    """Times on the axis with their labels, UTC."""
    bars: Sequence[Bar] = ()
    slots: Sequence[Slot] = ()


def timeline_of(data: ReportData) -> Timeline | None:
    """The picture of a run; None before its start, and where nothing was sent."""
    took = duration(data)
    if data.run.started_at is None or took is None:
        return None
    start = float(data.run.started_at)
    end = start + max(took, 1.0)
    if data.total <= FEW:
        return _with_bars(data.jobs(), start, end)
    return _with_slots(data.jobs(), start, end)


def _with_bars(jobs: Iterable[Job], start: float, end: float) -> Timeline | None:
    bars = [
        Bar(
            name=job.volume_name,
            state=job.state,
            since=float(job.first_sent_at),
            until=max(
                float(job.first_sent_at), end if job.ended_at is None else float(job.ended_at)
            ),
        )
        for job in jobs
        if job.first_sent_at is not None
    ]
    if not bars:
        return None
    start = min([start, *(bar.since for bar in bars)])
    end = max([end, *(bar.until for bar in bars)])
    step = _step(end - start, MOST_TICKS)
    return Timeline(start=start, end=end, step=step, ticks=ticks(start, end), bars=bars)


def _with_slots(jobs: Iterable[Job], start: float, end: float) -> Timeline | None:
    """The jobs are read one by one; an end before the start or after the end is moved there."""
    step = _step(end - start, SLOTS)
    first, last = int(start) // step, int(end) // step
    slots = [Slot(place * step) for place in range(first, last + 1)]
    ended = False
    for job in jobs:
        if job.ended_at is None or job.first_sent_at is None:
            continue
        slot = slots[min(max(int(float(job.ended_at)) // step, first), last) - first]
        slot.succeeded += job.state is JobState.SUCCEEDED
        slot.failed += job.state is JobState.FAILED
        ended = True
    if not ended:
        return None
    bounds = (float(first * step), float((last + 1) * step))
    return Timeline(start=bounds[0], end=bounds[1], step=step, ticks=ticks(*bounds), slots=slots)


def ticks(start: float, end: float) -> list[tuple[float, str]]:
    """Round times between two, with their labels; the first of each day has its date."""
    step, found, day = _step(end - start, MOST_TICKS), [], ""
    for place in range(-int(-start // step), int(end // step) + 1):
        at = datetime.fromtimestamp(place * step, UTC)
        time = at.strftime("%H:%M:%S" if step < 60 else "%H:%M")
        label = f"{at:%m-%d}" if step >= DAY else time
        if step < DAY and day != f"{at:%m-%d}":
            day = f"{at:%m-%d}"
            label = f"{day} {time}"
        found.append((float(place * step), label))
    return found


def _step(seconds: float, most: int) -> int:
    """A round number of seconds of which `most` reach that far; of weeks for very long runs."""
    found = next((step for step in _STEPS if seconds / step <= most), None)
    return found or 7 * DAY * (int(seconds / most / (7 * DAY)) + 1)
