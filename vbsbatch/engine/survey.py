"""What the cloud has of a run already, before anything is sent.

A store may be an old copy, or made anew: then backups bear this run's names that it knows nothing
of, and the jobs that they belong to seem to wait.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from vbsbatch.engine.ports import Journal
from vbsbatch.engine.reconcile import ERRORED, Index, Sight, is_ours, rank
from vbsbatch.model import Backup, Job

UNCERTAIN = "a backup of this name exists, but the cloud does not tell its age"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """A waiting job and the backup that seems to be its own."""

    job: Job
    backup: Backup
    certain: bool


class Survey:
    """The waiting jobs that have a backup, collected page by page."""

    def __init__(self, journal: Journal, sight: Sight) -> None:
        self._journal = journal
        self._sight = sight
        self.found: dict[int, Claimed] = {}
        self.left: set[str] = set()
        """Backups of waiting jobs that are in error: no later attempt made them."""

    async def add(self, backups: Collection[Backup]) -> None:
        """Take one page in."""
        names = sorted({backup.name for backup in backups if backup.name is not None})
        waiting = Index(await self._journal.named(names)) if names else None
        for backup in backups if waiting is not None else ():
            assert waiting is not None
            job = waiting.job_of(backup) if backup.name is not None else None
            if job is not None:
                self._weigh(job, backup)

    def _weigh(self, job: Job, backup: Backup) -> None:
        if backup.status in ERRORED and backup.code != "uncertain":
            self.left.add(backup.id)
            return
        ours = None if backup.code == "uncertain" else is_ours(job, backup, self._sight)
        if ours is False:
            return
        claimed, known = (
            Claimed(job=job, backup=backup, certain=ours is True),
            self.found.get(job.no),
        )
        if known is None or (claimed.certain, *rank(backup)) > (known.certain, *rank(known.backup)):
            self.found[job.no] = claimed
