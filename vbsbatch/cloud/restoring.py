"""Restores the backups of a run: one request overwrites one volume, and is never sent on a guess.

A second restore could destroy what was written to the volume since the first. When the answer to a
restore is lost, backup and volume show what happened (`restore_inference`). Where they disagree,
the job ends as `uncertain`, and a person has to check.
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
    "a restore was requested, its answer was lost, and the cloud does not report whether the "
    "volume was overwritten: check the volume before you retry"
)
EARLY, SELDOM = 3.0, 60.0
"""Seconds from a restore to the first query of its cloud job, and the most between two queries."""

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
        """When the cloud job of each job was queried last."""
        self._witnessed: dict[int, int] = {}
        """The attempt of each job in which backup and volume were both seen being restored."""

    async def _act(self, job: Job, backup_id: str, worker: int) -> Answer:
        return await self._service.changes.restore(backup_id, job.volume_id, worker)

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """One cloud job. One that failed names no backup, because none was left behind.

        If it left its volume in error, the cloud accepts no other restore onto it.
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
        """The volume that a cloud job restores; None if it is not known."""
        for job in self._jobs.values():
            if job.cloud_job_id == cloud_job_id:
                return await self._service.inventory.volume(job.volume_id)
        return None

    async def _sightings(self, jobs: list[Job], look: ListSnapshot) -> tuple[Backup, ...]:
        unsure = [job for job in jobs if self._in_doubt(job, look)]
        logged = await self._logged(unsure)
        silent = {job.volume_id for job in unsure if job.no not in logged}
        volumes = await self._service.inventory.these(silent)
        found = [
            logged.get(job.no)
            or self._judged(job, look.listed.get(source_of(job)), volumes.get(job.volume_id))
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
        """Whether a lost answer can be judged now: it is late enough, or the restore is visible."""
        if job.state is not JobState.UNKNOWN:
            return False
        return self._settled(job, look) or _restoring(look.listed.get(source_of(job)))

    def _judged(self, job: Job, backup: Backup | None, volume: CloudVolume | None) -> Backup | None:
        """The result of a restore whose answer was lost; None if it never began."""
        if witness(backup, volume):
            self._witnessed[job.no] = job.attempts
        trace = self._trace(job, backup, volume)
        return None if trace is RestoreTrace.NEVER else self._told(job, trace, volume)

    def _trace(self, job: Job, backup: Backup | None, volume: CloudVolume | None) -> RestoreTrace:
        witnessed = self._witnessed.get(job.no) == job.attempts
        now = Cloud(float(self._now()) + self.clock_ahead)
        return unconfirmed(backup, volume, self._intent(job), now, witnessed=witnessed)

    def _in_question(self, job: Job) -> bool:
        """False for a job that an operator has sent back to waiting, after a check: it was tried,
        and has no intent any more."""
        return job.state is JobState.WAITING and (job.intent_at is not None or not job.attempts)

    async def _asked_before(self, waiting: list[Job], look: ListSnapshot) -> tuple[Backup, ...]:
        """What an engine that this store does not know has restored since the run was made.

        A restore changes backup and volume. If one of them has not changed since then, there was
        no restore.
        """
        logged = await self._logged(waiting)
        waiting = [job for job in waiting if job.no not in logged]
        backups = {job.no: look.listed.get(source_of(job)) for job in waiting}
        suspect = [job for job in waiting if not self._untouched(job, backups[job.no], None)]
        volumes = await self._service.inventory.these({job.volume_id for job in suspect})
        found = [
            self._judged(job, backups[job.no], volumes.get(job.volume_id))
            for job in suspect
            if not self._untouched(job, backups[job.no], volumes.get(job.volume_id))
        ]
        return (*logged.values(), *(each for each in found if each is not None))

    async def _logged(self, jobs: list[Job]) -> dict[int, Backup]:
        """What the service's own log says about the newest request of each job, by its number.

        A log proves that a restore began; without one, backup and volume are asked.
        """
        if not jobs:
            return {}
        since = {job.no: self._intent(job) for job in jobs}
        logs = await self._service.restore_logs(min(span[0] for span in since.values()))
        newest = sorted(logs, key=lambda log: log.began_at)
        return {
            job.no: self._as_cloud_job(job, log.as_cloud_job())
            for log in newest
            for job in jobs
            if log.is_of(job, since[job.no])
        }

    def _untouched(self, job: Job, backup: Backup | None, volume: CloudVolume | None) -> bool:
        return untouched(backup, volume, self._intent(job))

    async def _ask(self, job: Job) -> Backup:
        """The state of a restore whose backup is not, or no longer, `restoring`."""
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
        """Whether to query a cloud job: not before lists had time to show the restore, and less
        often the longer they do not."""
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
    """Whether the newest answer accepted the restore: then it had begun before the answer came.

    An answer that was lost or unreadable has left a message in the job.
    """
    return job.message is None and 200 <= (job.http_status or 0) < 300
