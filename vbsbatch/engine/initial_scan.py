"""What the cloud has of a run already, before anything is sent.

A store may be an old copy, or made anew: then backups bear this run's names that it knows nothing
of, and the jobs that they belong to seem to wait.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from vbsbatch.engine.ledger import Ledger
from vbsbatch.engine.ports import Journal
from vbsbatch.engine.reconcile import ERRORED, Index, Snapshot, is_ours, rank
from vbsbatch.model import Backup, Elapsed, Job, JobState, as_wall

UNCERTAIN = "a backup of this name exists, but the cloud does not tell its age"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """A waiting job and the backup that seems to be its own."""

    job: Job
    backup: Backup
    certain: bool


class InitialScan:
    """The waiting jobs that have a backup, collected page by page."""

    def __init__(self, journal: Journal, sight: Snapshot) -> None:
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

    async def take_over(
        self, ledger: Ledger, now: Elapsed
    ) -> tuple[list[tuple[Job, Backup]], list[Claimed]]:
        """Make running jobs of the waiting ones whose backups are certainly theirs, with these;
        and those of which that cannot be told. What was found may not wait any more."""
        async with ledger.waiting:
            names = sorted({each.job.backup_name for each in self.found.values()})
            waiting = await self._journal.named(names) if names else []
            claimed = [
                replace(self.found[job.no], job=job) for job in waiting if job.no in self.found
            ]
            adopted = [
                (self._adopt(ledger, each, now), each.backup) for each in claimed if each.certain
            ]
        return adopted, [each for each in claimed if not each.certain]

    def _adopt(self, ledger: Ledger, claimed: Claimed, now: Elapsed) -> Job:
        job, made_at = claimed.job, claimed.backup.created_at
        sent_at = now
        if made_at is not None:
            sent_at = min(now, Elapsed(float(made_at) - self._sight.clock_ahead))
        return ledger.move(
            job,
            JobState.RUNNING,
            note="found in the cloud: the store did not know of it",
            backup_id=claimed.backup.id,
            intent_at=sent_at,
            intent_cloud_at=made_at,
            first_sent_at=job.first_sent_at or as_wall(sent_at),
            first_cloud_at=job.first_cloud_at or made_at,
            later_since=None,
            code=None,
            message=None,
            http_status=None,
        )
