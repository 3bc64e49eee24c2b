"""Restores the backups of a run: one request overwrites one volume, and is never sent on a guess.

To restore twice could destroy the work of whoever used the volume in between. A restore whose
answer was lost is judged by what backup and volume tell (`evidence`); where they do not agree, the
job ends as `uncertain`, for a person to look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vbsbatch.cloud.backup_operation_adapter import (
    BackupOperationAdapter,
    ListSnapshot,
    RealService,
    source_of,
)
from vbsbatch.cloud.restore_inference import (
    RestoreTrace,
    confirmed,
    unconfirmed,
    untouched,
    witness,
)
from vbsbatch.model import (
    AT_ONCE,
    Answer,
    Backup,
    Cloud,
    CloudJob,
    CloudJobStatus,
    CloudVolume,
    Elapsed,
    Job,
    JobState,
    Run,
)

UNCERTAIN = (
    "a restore was asked for, its answer was lost, and the cloud does not tell whether the volume "
    "was overwritten: look at the volume before you retry"
)
EARLY, SELDOM = 3.0, 60.0
"""Seconds from a restore to the first query of its cloud job, and at most between two."""

FAILED = "the restore failed, and the volume is left in status {status}"


class Restoring(BackupOperationAdapter):
    """The `BackupService` of a run that restores backups."""

    def __init__(
        self,
        service: RealService,
        run: Run,
        jobs: Iterable[Job],
        *,
        now: Callable[[], Elapsed],
    ) -> None:
        super().__init__(service, run, jobs, now=now)
        self._asked_at: dict[int, Elapsed] = {}
        """When the cloud job of each job was asked for last."""
        self._witnessed: dict[int, int] = {}
        """The attempt of each job in which backup and volume were seen at work together."""

    async def _act(self, job: Job, backup_id: str, worker: int) -> Answer:
        return await self._service.changes.restore(backup_id, job.volume_id, worker)

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """One cloud job; one that failed names no backup, as none was left behind.

        Where it left its volume in error, no other restore of it can be accepted.
        """
        found = await self._service.cloud_job(cloud_job_id)
        if found is None or found.status is CloudJobStatus.SUCCESS:
            return found
        code, message = found.code, found.message
        failed = found.status is CloudJobStatus.FAIL
        volume = await self._target(cloud_job_id) if failed else None
        if volume is not None and (volume.status or "").startswith("error"):
            why = " ".join(filter(None, (code, message)))
            code, message = "unrestored", f"{FAILED.format(status=volume.status)}: {why}"
        return CloudJob(id=found.id, status=found.status, code=code, message=message)

    async def _target(self, cloud_job_id: str) -> CloudVolume | None:
        """The volume that a cloud job restores, None where that is not known."""
        for job in self._jobs.values():
            if job.cloud_job_id == cloud_job_id:
                return await self._service.inventory.volume(job.volume_id)
        return None

    async def _sightings(self, jobs: list[Job], look: ListSnapshot) -> tuple[Backup, ...]:
        unsure = [job for job in jobs if self._in_doubt(job, look)]
        volumes = await self._service.inventory.these({job.volume_id for job in unsure})
        found = [
            self._judged(job, look.listed.get(source_of(job)), volumes.get(job.volume_id))
            for job in unsure
        ]
        unsure_too = {job.no for job in unsure}
        found += [
            self._seen(job, "creating")
            for job in jobs
            if job.no not in unsure_too and _restoring(look.listed.get(source_of(job)))
        ]
        return tuple(backup for backup in found if backup is not None)

    def _in_doubt(self, job: Job, look: ListSnapshot) -> bool:
        """Whether a lost answer can be judged now: late enough, or while it is seen at work."""
        if job.state is not JobState.UNKNOWN:
            return False
        return self._settled(job, look) or _restoring(look.listed.get(source_of(job)))

    def _judged(self, job: Job, backup: Backup | None, volume: CloudVolume | None) -> Backup | None:
        """What became of a restore whose answer was lost; None: it never began."""
        if witness(backup, volume):
            self._witnessed[job.no] = job.attempts
        trace = self._trace(job, backup, volume)
        return None if trace is RestoreTrace.NEVER else self._told(job, trace, volume)

    def _trace(self, job: Job, backup: Backup | None, volume: CloudVolume | None) -> RestoreTrace:
        witnessed = self._witnessed.get(job.no) == job.attempts
        now = Cloud(float(self._now()) + self.clock_ahead)
        return unconfirmed(backup, volume, self._intent(job), now, witnessed=witnessed)

    def _in_question(self, job: Job) -> bool:
        """What an operator has sent back to waiting (it was tried, and has no intent any more) he
        has looked at himself."""
        return job.state is JobState.WAITING and (job.intent_at is not None or not job.attempts)

    async def _asked_before(self, waiting: list[Job], look: ListSnapshot) -> tuple[Backup, ...]:
        """What an engine that this store does not know of has restored since the run was made.

        A restore changes backup and volume: where one of them has not changed since, there was
        none.
        """
        backups = {job.no: look.listed.get(source_of(job)) for job in waiting}
        suspect = [job for job in waiting if not self._untouched(job, backups[job.no], None)]
        volumes = await self._service.inventory.these({job.volume_id for job in suspect})
        found = [
            self._judged(job, backups[job.no], volumes.get(job.volume_id))
            for job in suspect
            if not self._untouched(job, backups[job.no], volumes.get(job.volume_id))
        ]
        return tuple(each for each in found if each is not None)

    def _untouched(self, job: Job, backup: Backup | None, volume: CloudVolume | None) -> bool:
        return untouched(backup, volume, self._intent(job))

    async def _ask(self, job: Job) -> Backup:
        """How far a restore is whose backup is not (or no longer) seen at work."""
        if job.cloud_job_id is not None:
            if not self._may_ask(job):
                return self._seen(job, "creating")
            answer = await self._service.cloud_job(job.cloud_job_id)
            if answer is not None:
                return self._as_cloud_job(job, answer)
        volume = await self._service.inventory.volume(job.volume_id)
        if job.cloud_job_id is None and _accepted(job):
            return self._told(job, confirmed(volume), volume)
        backup = await self._service.backup(source_of(job))
        return self._told(job, self._trace(job, backup, volume), volume)

    def _may_ask(self, job: Job) -> bool:
        """Whether a cloud job is worth a call: not before lists had time to show its backup at
        work, and the more seldom the longer it has gone on without."""
        now, sent_at = self._now(), job.intent_at or AT_ONCE
        last = self._asked_at.get(job.no, AT_ONCE)
        due = sent_at + EARLY if last < sent_at else last + min((last - sent_at) / 2, SELDOM)
        if now < due:
            return False
        self._asked_at[job.no] = now
        return True

    def _as_cloud_job(self, job: Job, answer: CloudJob) -> Backup:
        if answer.status is CloudJobStatus.SUCCESS:
            return self._seen(job, "available")
        if answer.status is CloudJobStatus.FAIL:
            return self._seen(job, "error", answer.code, answer.message)
        return self._seen(job, "creating")

    def _told(self, job: Job, trace: RestoreTrace, volume: CloudVolume | None) -> Backup:
        match trace:
            case RestoreTrace.UNDER_WAY:
                return self._seen(job, "creating")
            case RestoreTrace.DONE:
                return self._seen(job, "available")
            case RestoreTrace.FAILED:
                status = volume.status if volume is not None else "unknown"
                return self._seen(job, "error", "unrestored", FAILED.format(status=status))
            case _:
                return self._seen(job, "error", "uncertain", UNCERTAIN)


def _restoring(backup: Backup | None) -> bool:
    return backup is not None and backup.status == "restoring"


def _accepted(job: Job) -> bool:
    """Whether the newest answer accepted the restore: then the cloud had begun before it came.

    An answer that was lost, or that could not be read, has left words behind.
    """
    return job.message is None and 200 <= (job.http_status or 0) < 300
