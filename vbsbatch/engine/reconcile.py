"""Whose backup is it, and what does it mean: the cloud's list against our open jobs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from vbsbatch.model import Backup, Job, JobState, plain_id

SLACK = 2.0
"""Seconds by which `created_at` and our clock (corrected by `Date`, whole seconds) may disagree."""

CLOCKS_DIFFER = 86400.0
"""Seconds by which a clock may have been set since a create, the server's or ours: absence is not
proved by pages that end at its time, but by those a day older."""

SORTED = 10
"""So many entries in a row that are sorted newest first are no chance."""

ERRORED = frozenset({"error", "deleting", "error_deleting", "deleted"})
"""Statuses of a backup that will never be available."""

AVAILABLE = frozenset({"available", "restoring", "error_restoring"})
"""Statuses of a backup that was made; restoring from it does not unmake it."""


class Finding(StrEnum):
    """What a sweep says about one open job."""

    AVAILABLE = "available"  # its backup is there
    WORKING = "working"  # its backup is being made
    ERRORED = "errored"  # its backup ended in error
    DELETED = "deleted"  # its backup is being deleted, not by us
    ABSENT = "absent"  # the whole list was read in time and does not hold it
    UNCERTAIN = "uncertain"  # a backup of this name exists whose age the cloud does not tell
    UNSEEN = "unseen"  # nothing is known this time


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What one look at the cloud's list showed."""

    started_at: float
    """When the first request of the look was sent, by our clock."""
    clock_ahead: float
    """Server clock minus ours."""
    names_unique: bool
    """Whether a backup name belongs to one run only."""
    settle: float
    """How long a create may stay invisible."""
    readable_since: float = 0.0
    """When the cloud's lists could be read again after the last outage; 0 without one."""


class Index:
    """Finds the open job that a listed backup may belong to."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._by_id: dict[str, Job] = {}
        self._by_words: dict[tuple[str | None, str | None], Job] = {}
        for job in jobs:
            if job.backup_id is not None:
                self._by_id[plain_id(job.backup_id)] = job
            name, volume = job.backup_name, plain_id(job.volume_id)
            self._by_words |= {(name, volume): job, (name, None): job, (None, volume): job}

    def job_of(self, backup: Backup) -> Job | None:
        """The job whose backup this may be, by id or by exact name and volume; where the cloud
        does not tell one of the two, by the other.

        The cloud's own filters compare loosely (case, accents, trailing blanks), so they
        are not asked.
        """
        volume = None if backup.volume_id is None else plain_id(backup.volume_id)
        return self._by_id.get(plain_id(backup.id)) or self._by_words.get((backup.name, volume))


def is_ours(job: Job, backup: Backup, sight: Sight) -> bool | None:
    """Whether `backup`, which `Index.job_of` found for the job, was made by it; None: cannot
    tell."""
    known = job.backup_id is not None and plain_id(job.backup_id) == plain_id(backup.id)
    if job.errored_backup_id and plain_id(job.errored_backup_id) == plain_id(backup.id):
        return job.state is JobState.RUNNING and known
    if job.backup_id is not None:
        return known
    since = job.intent_at if backup.status in ERRORED else job.first_sent_at or job.intent_at
    if backup.status not in ERRORED and sight.names_unique and backup.name is not None:
        return True
    if backup.created_at is None or since is None:
        return None if backup.status not in ERRORED else False
    if backup.created_at < since + sight.clock_ahead - SLACK:
        return False
    return None if backup.name is None else True


def already_errored(job: Job) -> bool:
    """Whether an engine before us put the deletion of its backup on record: it may have asked for
    it."""
    return job.backup_id is not None and job.backup_id == job.errored_backup_id


@dataclass(slots=True)
class Sightings:
    """What the pages of one look showed of our open jobs, collected page by page."""

    index: Index
    sight: Sight
    found: dict[int, Backup] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)

    def add(self, backups: Iterable[Backup]) -> None:
        """Take one page in; of several backups of one job the better one counts."""
        for backup in backups:
            job = self.index.job_of(backup)
            if job is None:
                continue
            ours = is_ours(job, backup, self.sight)
            if ours is None:
                self.uncertain.add(job.no)
            elif ours:
                known = self.found.get(job.no)
                self.found[job.no] = backup if known is None else max(known, backup, key=_rank)

    def of(self, job: Job, *, complete: bool) -> Finding:
        """What the look says about `job`; `complete`: all that was made since its intent
        was read."""
        backup = self.found.get(job.no)
        if backup is not None:
            return status(backup)
        if not (complete and _in_time(job, self.sight)):
            return Finding.UNSEEN
        return Finding.UNCERTAIN if job.no in self.uncertain else Finding.ABSENT


def reaches_back(shown: Collection[Backup], since: float | None) -> bool:
    """Whether a list that is sorted newest first was shown back to `since` (server clock): what
    follows does not matter. A few entries may stand in that order by chance."""
    if since is None or len(shown) < SORTED:
        return False
    times = [backup.created_at for backup in shown if backup.created_at is not None]
    if len(times) < len(shown) or times != sorted(times, reverse=True):
        return False
    return times[-1] < since - SLACK


def needed_since(jobs: Collection[Job], clock_ahead: float, now: float) -> float | None:
    """Server time before which no listed backup can matter to any of `jobs`; None: all may
    matter."""
    starts = [job.first_sent_at or job.intent_at for job in jobs]
    known = [at for at in starts if at is not None]
    if not known or len(known) < len(starts):
        return None
    if max(known) > now + SLACK:  # yet to come: our clock was set back since
        return None
    doubt = CLOCKS_DIFFER if any(job.state is JobState.UNKNOWN for job in jobs) else 0.0
    return min(known) + clock_ahead - doubt


def status(backup: Backup) -> Finding:
    """What the status of a backup that is ours means."""
    if backup.status in AVAILABLE:
        return Finding.AVAILABLE
    if backup.status == "error":
        return Finding.ERRORED
    if backup.status in ERRORED:
        return Finding.DELETED
    return Finding.WORKING


def _rank(backup: Backup) -> tuple[int, float, bool]:
    """Available counts before in work, in work before errored; then the newest; of two as new,
    the one that says that it failed."""
    good = 2 if backup.status in AVAILABLE else 0 if backup.status in ERRORED else 1
    return good, backup.created_at or 0.0, backup.status == "error"


def settled_at(unknown_at: float, readable_since: float, settle: float) -> float:
    """From when on a look proves that nothing was made.

    A service that hung works off what it held back as it comes back: the settle time begins anew.
    """
    return settle + max(unknown_at, readable_since)


def _in_time(job: Job, sight: Sight) -> bool:
    """Promise 1: only a look that began after the settle time proves that nothing was made."""
    if job.state is not JobState.UNKNOWN:
        return True
    if job.unknown_at is None:
        return False
    return sight.started_at >= settled_at(job.unknown_at, sight.readable_since, sight.settle)
