"""Orders jobs so that those which one create can start stand together. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import replace

from vbsbatch.model import Job, JobState


def in_batches(jobs: Iterable[Job], size: int) -> list[Job]:
    """The jobs with ranks that keep up to `size` jobs of the same settings and name together.

    A batch takes the place of its first job; waves and priorities stay in force. Without these
    ranks each free place would cost a create of its own: places become free one by one, and the
    next jobs of the plan would be of many vaults.
    """
    listed = list(jobs)
    if size == 1:
        return listed
    order = sorted(
        (job for job in listed if job.state is JobState.WAITING),
        key=lambda job: (job.wave, job.rank, -job.priority, job.no),
    )
    count = Counter[Hashable]()
    rank_of_batch: dict[Hashable, int] = {}
    rank_of_job: dict[int, int] = {}
    for job in order:
        kind = (job.wave, job.priority, job.settings, job.backup_name)
        batch = (kind, count[kind] // size)
        count[kind] += 1
        rank_of_job[job.no] = rank_of_batch.setdefault(batch, len(rank_of_batch))
    return [replace(job, rank=rank_of_job.get(job.no, job.rank)) for job in listed]
