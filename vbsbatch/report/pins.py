"""Pins in words, and which of them holds a backup."""

from __future__ import annotations

from collections.abc import Iterable

from vbsbatch.model import Job, JobState, Pin, plain_id
from vbsbatch.report.text import moment


def pin_words(pin: Pin) -> str:
    """`pinned until 2027-01-31 23:00:00Z`, or `pinned`."""
    return "pinned" if pin.until is None else f"pinned until {moment(pin.until)}"


def pin_of_job(pins: Iterable[Pin], job: Job) -> Pin | None:
    """The pin that holds the backup of a job longest, of the pins of its run."""
    if job.state is not JobState.SUCCEEDED or job.settings.source_backup_id is not None:
        return None
    found = [
        pin
        for pin in pins
        if pin.backup_id is None or plain_id(pin.backup_id) == plain_id(job.backup_id or "")
    ]
    return max(found, key=_end, default=None)


def _end(pin: Pin) -> float:
    return float("inf") if pin.until is None else float(pin.until)
