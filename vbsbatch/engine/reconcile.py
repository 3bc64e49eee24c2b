"""Whose backup is it, and what does it mean: the cloud's list against our open jobs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from vbsbatch.model import AT_ONCE, Backup, Cloud, Elapsed, Job, JobState, on_cloud_clock, plain_id

SLACK = 2.0
"""Seconds by which `created_at` and our clock (corrected by `Date`, whole seconds) may disagree."""

FUTURE = 300.0
"""Seconds by which a backup may be younger than the beginning of the look that shows it: a look may
take a while."""

CLOCKS_DIFFER = 86400.0
"""Seconds by which a clock may have been set since a create, the server's or ours: absence is not
proved by pages that end at its time, but by those a day older."""

SORTED = 10
"""So many entries in a row that are sorted newest first are no chance."""

ERRORED = frozenset({"error", "deleting", "error_deleting", "deleted"})
"""Statuses of a backup that will never be available."""

AVAILABLE = frozenset({"available", "restoring", "error_restoring"})
"""Statuses of a backup that was made; restoring from it does not unmake it."""


class Observed(StrEnum):
    """What a sweep says about one open job."""

    AVAILABLE = "available"  # its backup is there
    WORKING = "working"  # its backup is being made
    ERRORED = "errored"  # its backup ended in error
    DELETED = "deleted"  # its backup is being deleted, not by us
    ABSENT = "absent"  # the whole list was read in time and does not hold it
    UNCERTAIN = "uncertain"  # a backup of this name exists whose age the cloud does not tell
    UNSEEN = "unseen"  # nothing is known this time


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What one look at the cloud's list showed."""

    started_at: Elapsed
    """When the first request of the look was sent."""
    clock_ahead: float
    """Server clock minus our elapsed clock."""
    names_unique: bool
    """Whether a backup name belongs to one run only."""
    settle: float
    """How long a create may stay invisible."""
    readable_since: Elapsed = AT_ONCE
    """When the cloud's lists could be read again after the last outage; `AT_ONCE` without one."""
    began_at: Elapsed = AT_ONCE
    """When the engine began."""
    resumed: bool = False
    """Another engine may have driven the run until then, on this store or on a copy of it."""
    surveying: bool = False
    """This engine has sent nothing yet: what is ours, but not in the store, was made by another."""
    run_since: tuple[Cloud, Cloud] | None = None
    """The earliest and the latest that the cloud's clock can have shown when the run was made."""
    leftovers: Collection[str] = ()
    """What earlier attempts are known to have left behind in error, by id."""

    @property
    def cloud_now(self) -> Cloud:
        """What the cloud's clock showed when the look began."""
        return Cloud(float(self.started_at) + self.clock_ahead)

    @property
    def first_of_all(self) -> bool:
        """No engine has driven the run before, nor sent anything: nothing of it can be there."""
        return self.surveying and not self.resumed

    @property
    def conclusive(self) -> bool:
        """Whether it proves for the whole run what is not there. Creates of another engine may have
        been under way when this one began, and may have been invisible for `settle`."""
        settled = settled_at(self.began_at, self.readable_since, self.settle)
        return not (self.surveying and self.resumed) or self.started_at >= settled


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


def is_ours(job: Job, backup: Backup, sight: Snapshot) -> bool | None:
    """Whether `backup`, which `Index.job_of` found for the job, was made by it; None: cannot
    tell."""
    if job.settings.source_backup_id == backup.id:
        return True  # told of this very job, by a service that restores or deletes
    known = job.backup_id is not None and plain_id(job.backup_id) == plain_id(backup.id)
    if job.errored_backup_id and plain_id(job.errored_backup_id) == plain_id(backup.id):
        return job.state is JobState.RUNNING and known
    errored = backup.status in ERRORED
    if job.backup_id is not None and (known or errored or not sight.surveying):
        return known
    if errored and backup.id in sight.leftovers:
        return False
    if not errored and sight.names_unique and backup.name is not None:
        return True
    if errored:
        return made_since(backup, newest_intent(job, sight), sight) is True
    # Any of its creates may have made it; the cloud's clock may have been set back between two.
    since = {made_since(backup, span, sight) for span in _intents(job, sight)}
    return True if True in since else None if None in since else False


Span = tuple[Cloud, Cloud]
"""The earliest and the latest that the cloud's clock can have shown at one moment."""


def newest_intent(job: Job, sight: Snapshot) -> Span | None:
    """When the job's newest create was about to be sent."""
    return on_cloud_clock(job.intent_cloud_at, job.intent_at, sight.clock_ahead)


def first_intent(job: Job, sight: Snapshot) -> Span | None:
    """When its first create was; for a job that has sent none as far as the store knows, when the
    run was made."""
    newest = newest_intent(job, sight)
    if job.first_cloud_at is None:
        if job.first_sent_at is None:
            return newest or sight.run_since
        return on_cloud_clock(None, Elapsed(float(job.first_sent_at)), sight.clock_ahead)
    if newest is None or job.intent_cloud_at is None:
        return job.first_cloud_at, job.first_cloud_at
    # By as much as the cloud's clock was set since the newest, at least and at most.
    before, after = (at - job.intent_cloud_at for at in newest)
    return job.first_cloud_at + before, job.first_cloud_at + after


def _intents(job: Job, sight: Snapshot) -> list[Span | None]:
    first, newest = first_intent(job, sight), newest_intent(job, sight)
    return [first] if newest is None else [first, newest]


def made_since(backup: Backup, since: Span | None, sight: Snapshot) -> bool | None:
    """Whether the backup was made after that moment; None: cannot tell, as of one from a time that
    the cloud's clock has yet to reach, which was set back since."""
    if backup.created_at is None or since is None:
        return None
    earliest, latest = since
    if backup.created_at < earliest - SLACK:
        return False
    told = latest - SLACK <= backup.created_at <= sight.cloud_now + FUTURE
    return True if told and backup.name is not None else None


def already_errored(job: Job) -> bool:
    """Whether an engine before us put the deletion of its backup on record: it may have asked for
    it."""
    return job.backup_id is not None and job.backup_id == job.errored_backup_id


@dataclass(slots=True)
class Observations:
    """What the pages of one look showed of our open jobs, collected page by page."""

    index: Index
    sight: Snapshot
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
                self.found[job.no] = backup if known is None else max(known, backup, key=rank)

    def of(self, job: Job, *, complete: bool) -> Observed:
        """What the look says about `job`; `complete`: all that was made since its intent
        was read."""
        backup = self.found.get(job.no)
        if backup is not None:
            return status(backup)
        complete = complete and self.sight.conclusive
        if not (complete and _in_time(job, self.sight)):
            return Observed.UNSEEN
        return Observed.UNCERTAIN if job.no in self.uncertain else Observed.ABSENT


def reaches_back(shown: Collection[Backup], since: Cloud | None) -> bool:
    """Whether a list that is sorted newest first was shown back to `since` (server clock): what
    follows does not matter. A few entries may stand in that order by chance."""
    if since is None or len(shown) < SORTED:
        return False
    times = [backup.created_at for backup in shown if backup.created_at is not None]
    if len(times) < len(shown) or times != sorted(times, reverse=True):
        return False
    return times[-1] < since - SLACK


def needed_since(jobs: Collection[Job], sight: Snapshot) -> Cloud | None:
    """Server time before which no listed backup can matter to any of `jobs`, nor, as long as this
    engine has sent nothing, to the run; None: all may matter."""
    spans = [span for job in jobs for span in _intents(job, sight)]
    spans += [sight.run_since] if sight.surveying else []
    known = [earliest for span in spans if span is not None for earliest in span[:1]]
    if not known or len(known) < len(spans):
        return None
    unsure = sight.surveying or any(job.state is JobState.UNKNOWN for job in jobs)
    return min(known) - (CLOCKS_DIFFER if unsure else 0.0)


def status(backup: Backup) -> Observed:
    """What the status of a backup that is ours means."""
    if backup.status in AVAILABLE:
        return Observed.AVAILABLE
    if backup.status == "error":
        return Observed.ERRORED
    if backup.status in ERRORED:
        return Observed.DELETED
    return Observed.WORKING


def rank(backup: Backup) -> tuple[int, float, bool]:
    """Available counts before in work, in work before errored; then the newest; of two as new,
    the one that says that it failed."""
    good = 2 if backup.status in AVAILABLE else 0 if backup.status in ERRORED else 1
    return good, float(backup.created_at or 0.0), backup.status == "error"


def settled_at(unknown_at: Elapsed, readable_since: Elapsed, settle: float) -> Elapsed:
    """From when on a look proves that nothing was made.

    A service that hung works off what it held back as it comes back: the settle time begins anew.
    """
    return max(unknown_at, readable_since) + settle


def _in_time(job: Job, sight: Snapshot) -> bool:
    """Promise 1: only a look that began after the settle time proves that nothing was made."""
    if job.state is not JobState.UNKNOWN:
        return True
    if job.unknown_at is None:
        return False
    return sight.started_at >= settled_at(job.unknown_at, sight.readable_since, sight.settle)
