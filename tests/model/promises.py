"""What must hold at the end of every night, whatever its schedule."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tests.model.night import PER, Night
from vbsbatch.model import Job, JobState

LATENESS = 1e-3
"""Seconds that rounding may cost."""

DOUBTFUL = frozenset(
    {"lost-before", "lost-after", "late", "kill", "kill-sent", "first-copy", "last-copy"}
) | {"command-orphaned"}
"""After these steps a restore may have to be left to a person."""


def broken(night: Night) -> list[str]:
    """Return the promises that a night broke, in words."""
    return [
        *night.cloud.twice,
        *_ended(night),
        *(words for job in night.jobs for words in _about(job, night)),
        *_too_fast(night),
        *_stopped(night),
    ]


def _ended(night: Night) -> Iterator[str]:
    if night.unended:
        yield "the run does not end"
    elif night.late > 0:
        yield f"the run ended after {night.due + night.late:.0f} s, {night.due:.0f} s were due"


def _about(job: Job, night: Night) -> Iterator[str]:
    match job.state:
        case JobState.SUCCEEDED:
            yield from _succeeded(job, night)
        case JobState.FAILED:
            if not _may_fail(job, night):
                yield f"job {job.no} failed without cause: {job.code} {job.message}"
        case JobState.CANCELLED:
            yield f"job {job.no} was cancelled by a command that was told as failed"
    allowed = night.earned.get(job.volume_id, 0) + (job.state is not JobState.FAILED)
    if job.charged > allowed:
        yield f"job {job.no} is charged {job.charged} attempts, {allowed} are its own"


def _succeeded(job: Job, night: Night) -> Iterator[str]:
    if night.how.operation == "restore":
        if not night.cloud.disks[job.volume_id].restored:
            yield f"job {job.no} succeeded, and {job.volume_id} was never restored"
        return
    made = [b.id for b in night.cloud.backups if b.volume == job.volume_id and b.live]
    if len(made) != 1:
        yield f"job {job.no} succeeded with {made}"
    elif job.backup_id not in (None, *made):
        yield f"job {job.no} names {job.backup_id}, {made[0]} is there"


def _may_fail(job: Job, night: Night) -> bool:
    """Only an undecidable job may fail: everything else could be retried."""
    doubt = bool(DOUBTFUL & set(night.steps))
    by_age = night.how.plain_names or night.how.operation == "restore"
    return job.code == "uncertain" and doubt and by_age


def _too_fast(night: Night) -> Iterator[str]:
    times = [at for at, _ in night.cloud.creates]
    for one, other in pairwise(times):
        if other - one < PER - LATENESS:
            yield f"two creates within {other - one:.2f} s, at {other - night.began:.1f} s"


def _stopped(night: Night) -> Iterator[str]:
    """A run may stop only if its token was refused repeatedly."""
    if night.steps.count("unauthorized") < 2:
        yield from (f"the run stopped: {reason}" for reason in night.stops)
