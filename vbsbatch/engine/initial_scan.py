"""Finds what the cloud already has of a run, before anything is sent.

The store may be an old copy or may have been made anew. Then the cloud has backups with this run's
names that the store does not know, and their jobs are still `waiting` in the store.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from vbsbatch.engine.ledger import Ledger
from vbsbatch.engine.ports import Journal
from vbsbatch.engine.reconcile import ERRORED, Index, Snapshot, is_ours, rank
from vbsbatch.model import Backup, Elapsed, Job, JobState, as_wall

UNCERTAIN = "a backup of this name exists, but the cloud does not report its age"


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A waiting job and the backup that seems to belong to it."""

    job: Job
    backup: Backup
    certain: bool


class InitialScan:
    """Collects, page by page, the waiting jobs that have a backup."""

    def __init__(self, journal: Journal, snapshot: Snapshot) -> None:
        self._journal = journal
        self._snapshot = snapshot
        self.found: dict[int, Match] = {}
        self.leftovers: set[str] = set()
        """Backups of waiting jobs that are in error, by id: no later attempt made them."""

    async def add(self, backups: Collection[Backup]) -> None:
        """Add one page."""
        names = sorted({backup.name for backup in backups if backup.name is not None})
        if not names:
            return
        waiting = Index(await self._journal.named(names))
        for backup in backups:
            job = waiting.job_of(backup) if backup.name is not None else None
            if job is not None:
                self._consider(job, backup)

    def _consider(self, job: Job, backup: Backup) -> None:
        if backup.status in ERRORED and backup.code != "uncertain":
            self.leftovers.add(backup.id)
            return
        ours = None if backup.code == "uncertain" else is_ours(job, backup, self._snapshot)
        if ours is False:
            return
        known = self.found.get(job.no)
        match = Match(job=job, backup=backup, certain=ours is True)
        if known is None or (match.certain, *rank(backup)) > (known.certain, *rank(known.backup)):
            self.found[job.no] = match

    async def take_over(
        self, ledger: Ledger, now: Elapsed
    ) -> tuple[list[tuple[Job, Backup]], list[Match]]:
        """Move the waiting jobs whose backups are certainly theirs to running.

        Returns these jobs with their backups, and the matches that are uncertain. Jobs that no
        longer wait are left out.
        """
        async with ledger.waiting:
            names = sorted({each.job.backup_name for each in self.found.values()})
            waiting = await self._journal.named(names) if names else []
            matches = [
                replace(self.found[job.no], job=job) for job in waiting if job.no in self.found
            ]
            adopted = [
                (self._adopt(ledger, each, now), each.backup) for each in matches if each.certain
            ]
        return adopted, [each for each in matches if not each.certain]

    def _adopt(self, ledger: Ledger, match: Match, now: Elapsed) -> Job:
        job, made_at = match.job, match.backup.created_at
        sent_at = now
        if made_at is not None:
            sent_at = min(now, Elapsed(float(made_at) - self._snapshot.clock_ahead))
        return ledger.move(
            job,
            JobState.RUNNING,
            note="found in the cloud: the store did not know of it",
            backup_id=match.backup.id,
            intent_at=sent_at,
            intent_cloud_at=made_at,
            first_sent_at=job.first_sent_at or as_wall(sent_at),
            first_cloud_at=job.first_cloud_at or made_at,
            later_since=None,
            code=None,
            message=None,
            http_status=None,
        )
