"""Matches the cloud's list with our open jobs: which backup belongs to which job, and what it
means. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from vbsbatch.model import AT_ONCE, Backup, Cloud, Elapsed, Job, JobState, on_cloud_clock, plain_id

SLACK = 2.0
"""Seconds by which `created_at` and our clock (corrected by `Date`, whole seconds) may differ."""

FUTURE = 300.0
"""Seconds by which a backup may be newer than the start of the sweep that shows it: a sweep may
take a while."""

CLOCKS_DIFFER = 86400.0
"""Seconds by which the server's clock or ours may have been set since a create. Pages that end at
the time of the create do not prove absence; the pages must go back a day further."""

SORTED = 10
"""This many entries in a row that are sorted newest first are not sorted by chance."""

ERRORED = frozenset({"error", "deleting", "error_deleting", "deleted"})
"""Statuses of a backup that will never be available."""

IN_ERROR = frozenset({"error", "error_deleting"})
"""Statuses of a failed backup that cannot be restored from but still counts against its volume's
20."""

AVAILABLE = frozenset({"available", "restoring", "error_restoring"})
"""Statuses of a backup that was completed; a restore from it does not change that."""


class Observed(StrEnum):
    """What a sweep shows about one open job."""

    AVAILABLE = "available"  # its backup is available
    WORKING = "working"  # its backup is being made
    ERRORED = "errored"  # its backup ended in error
    DELETED = "deleted"  # its backup is being deleted, not by us
    ABSENT = "absent"  # the whole list was read in time and does not contain it
    UNCERTAIN = "uncertain"  # a backup of this name exists, but the cloud does not give its age
    UNSEEN = "unseen"  # nothing is known this time


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The conditions of one sweep of the cloud's list."""

    started_at: Elapsed
    """When the first request of the sweep was sent."""
    clock_ahead: float
    """Server clock minus our elapsed clock."""
    names_unique: bool
    """Whether a backup name belongs to one run only."""
    settle: float
    """How long a create may stay invisible, in seconds."""
    readable_since: Elapsed = AT_ONCE
    """When the cloud's lists became readable after the last outage; `AT_ONCE` without one."""
    began_at: Elapsed = AT_ONCE
    """When the engine began."""
    resumed: bool = False
    """Another engine may have driven the run before, from this store or from a copy of it."""
    scanning: bool = False
    """This engine has not sent anything yet: a backup of ours that the store does not know was made
    by another engine."""
    run_since: tuple[Cloud, Cloud] | None = None
    """The earliest and the latest time that the cloud's clock can have shown when the run was
    created."""
    leftovers: Collection[str] = ()
    """Backups in error that earlier attempts are known to have left behind, by id."""

    @property
    def cloud_now(self) -> Cloud:
        """What the cloud's clock showed when the sweep began."""
        return Cloud(float(self.started_at) + self.clock_ahead)

    @property
    def first_engine(self) -> bool:
        """No engine has driven the run before, and this one has sent nothing: the cloud cannot have
        any of its backups."""
        return self.scanning and not self.resumed

    @property
    def conclusive(self) -> bool:
        """Whether the sweep proves absence for the whole run.

        Creates of another engine may have been under way when this one began, and may have stayed
        invisible for `settle`.
        """
        settled = settled_at(self.began_at, self.readable_since, self.settle)
        return not (self.scanning and self.resumed) or self.started_at >= settled


class Index:
    """Finds the open job that a listed backup may belong to."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._by_id: dict[str, Job] = {}
        self._by_words: dict[tuple[str | None, str | None], Job] = {}
        known = list(jobs)
        self._bearers: defaultdict[str, list[Job]] = defaultdict(list)
        for job in known:
            self._bearers[job.backup_name].append(job)
        for job in known:
            if job.backup_id is not None:
                self._by_id[plain_id(job.backup_id)] = job
            name, volume = job.backup_name, plain_id(job.volume_id)
            self._by_words |= {(name, volume): job, (None, volume): job}
            if len(self._bearers[name]) == 1:  # jobs of one create share their name
                self._by_words[name, None] = job

    def job_of(self, backup: Backup) -> Job | None:
        """Return the job that may own this backup, by id or by exact name and volume; if the cloud
        leaves one of these two out, by the other.

        The cloud's own filters compare loosely (case, accents, trailing blanks), so they are not
        used.
        """
        volume = None if backup.volume_id is None else plain_id(backup.volume_id)
        return self._by_id.get(plain_id(backup.id)) or self._by_words.get((backup.name, volume))

    def possible(self, backup: Backup) -> list[Job]:
        """The jobs of which one may own a backup that names no volume: all that share its name."""
        if backup.volume_id is not None or backup.name is None:
            return []
        return self._bearers.get(backup.name, [])


def is_ours(job: Job, backup: Backup, snapshot: Snapshot) -> bool | None:
    """Whether the job made `backup`, which `Index.job_of` found for it; None: unknown."""
    if job.settings.source_backup_id == backup.id:
        return True  # reported for this job by a service that restores or deletes
    known = job.backup_id is not None and plain_id(job.backup_id) == plain_id(backup.id)
    if job.errored_backup_id and plain_id(job.errored_backup_id) == plain_id(backup.id):
        return job.state is JobState.RUNNING and known
    errored = backup.status in ERRORED
    if job.backup_id is not None and (known or errored or not snapshot.scanning):
        return known
    if errored and backup.id in snapshot.leftovers:
        return False
    if not errored and snapshot.names_unique and backup.name is not None:
        return True
    if errored:
        return made_since(backup, newest_intent(job, snapshot), snapshot) is True
    # Any of its creates may have made it; the cloud's clock may have been set back between two of
    # them.
    since = {made_since(backup, span, snapshot) for span in _intents(job, snapshot)}
    return True if True in since else None if None in since else False


Span = tuple[Cloud, Cloud]
"""The earliest and the latest time that the cloud's clock can have shown at one moment."""


def newest_intent(job: Job, snapshot: Snapshot) -> Span | None:
    """When the job's newest create was about to be sent."""
    return on_cloud_clock(job.intent_cloud_at, job.intent_at, snapshot.clock_ahead)


def first_intent(job: Job, snapshot: Snapshot) -> Span | None:
    """When the job's first create was about to be sent; if the store knows of none, when the run
    was created."""
    newest = newest_intent(job, snapshot)
    if job.first_cloud_at is None:
        if job.first_sent_at is None:
            return newest or snapshot.run_since
        return on_cloud_clock(None, Elapsed(float(job.first_sent_at)), snapshot.clock_ahead)
    if newest is None or job.intent_cloud_at is None:
        return job.first_cloud_at, job.first_cloud_at
    # The least and the most by which the cloud's clock was set since the newest create.
    before, after = (at - job.intent_cloud_at for at in newest)
    return job.first_cloud_at + before, job.first_cloud_at + after


def _intents(job: Job, snapshot: Snapshot) -> list[Span | None]:
    first, newest = first_intent(job, snapshot), newest_intent(job, snapshot)
    return [first] if newest is None else [first, newest]


def made_since(backup: Backup, since: Span | None, snapshot: Snapshot) -> bool | None:
    """Whether the backup was made after that moment; None: unknown.

    Unknown, for example, if the cloud's clock was set back and has not yet reached the backup's
    time again.
    """
    if backup.created_at is None or since is None:
        return None
    earliest, latest = since
    if backup.created_at < earliest - SLACK:
        return False
    told = latest - SLACK <= backup.created_at <= snapshot.cloud_now + FUTURE
    return True if told and backup.name is not None else None


def already_errored(job: Job) -> bool:
    """Whether an earlier engine recorded the intent to delete the job's backup, and so may have
    requested it."""
    return job.backup_id is not None and job.backup_id == job.errored_backup_id


@dataclass(slots=True)
class Observations:
    """What the pages of one sweep show about our open jobs, collected page by page."""

    index: Index
    snapshot: Snapshot
    found: dict[int, Backup] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)

    def add(self, backups: Iterable[Backup]) -> None:
        """Add one page; of several backups of one job the best one counts."""
        for backup in backups:
            job = self.index.job_of(backup)
            if job is None:
                self.uncertain |= {each.no for each in self.index.possible(backup)}
                continue
            ours = is_ours(job, backup, self.snapshot)
            if ours is None:
                self.uncertain.add(job.no)
            elif ours:
                known = self.found.get(job.no)
                self.found[job.no] = backup if known is None else max(known, backup, key=rank)

    def of(self, job: Job, *, complete: bool) -> Observed:
        """What the sweep shows about `job`; `complete`: it read everything that was made since the
        job's intent."""
        backup = self.found.get(job.no)
        if backup is not None:
            return status(backup)
        complete = complete and self.snapshot.conclusive
        if not (complete and _in_time(job, self.snapshot)):
            return Observed.UNSEEN
        return Observed.UNCERTAIN if job.no in self.uncertain else Observed.ABSENT


def reaches_back(shown: Collection[Backup], since: Cloud | None) -> bool:
    """Whether a list that is sorted newest first was read back to `since` (server clock), so that
    the rest does not matter. A few entries may be in that order by chance."""
    if since is None or len(shown) < SORTED:
        return False
    times = [backup.created_at for backup in shown if backup.created_at is not None]
    if len(times) < len(shown) or times != sorted(times, reverse=True):
        return False
    return times[-1] < since - SLACK


def needed_since(jobs: Collection[Job], snapshot: Snapshot) -> Cloud | None:
    """Server time before which no listed backup can matter to any of `jobs`, or to the run while
    this engine has sent nothing; None: all may matter."""
    spans = [span for job in jobs for span in _intents(job, snapshot)]
    spans += [snapshot.run_since] if snapshot.scanning else []
    known = [earliest for span in spans if span is not None for earliest in span[:1]]
    if not known or len(known) < len(spans):
        return None
    unsure = snapshot.scanning or any(job.state is JobState.UNKNOWN for job in jobs)
    return min(known) - (CLOCKS_DIFFER if unsure else 0.0)


def status(backup: Backup) -> Observed:
    """What the status of a backup of ours means."""
    if backup.status in AVAILABLE:
        return Observed.AVAILABLE
    if backup.status == "error":
        return Observed.ERRORED
    if backup.status in ERRORED:
        return Observed.DELETED
    return Observed.WORKING


def rank(backup: Backup) -> tuple[int, float, bool]:
    """Sort key: available before in progress, in progress before errored; then the newest; of two
    equally new ones, the one that reports an error."""
    good = 2 if backup.status in AVAILABLE else 0 if backup.status in ERRORED else 1
    return good, float(backup.created_at or 0.0), backup.status == "error"


def settled_at(unknown_at: Elapsed, readable_since: Elapsed, settle: float) -> Elapsed:
    """From when on a sweep proves absence.

    A service that hung works through its backlog as it comes back, so the settle time starts again.
    """
    return max(unknown_at, readable_since) + settle


def _in_time(job: Job, snapshot: Snapshot) -> bool:
    """Promise 1: only a sweep that began after the settle time proves absence."""
    if job.state is not JobState.UNKNOWN:
        return True
    if job.unknown_at is None:
        return False
    return snapshot.started_at >= settled_at(
        job.unknown_at, snapshot.readable_since, snapshot.settle
    )
