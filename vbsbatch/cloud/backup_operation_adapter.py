"""Lets the engine drive a run that restores or deletes backups as if it made them.

The engine sends creates to a `BackupService` and finds the results in its list. The adapters here
are such services and use the real one: a create restores or deletes the backup that the job
names, and the list shows the progress as if a backup were being made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vbsbatch.cloud.backup_actions import BackupActions
from vbsbatch.cloud.pagination import Pages
from vbsbatch.cloud.project_resources import ProjectResources
from vbsbatch.cloud.restore_inference import RestoreLog
from vbsbatch.errors import CloudRefused, ListIncomplete
from vbsbatch.model import (
    AT_ONCE,
    Answer,
    Backup,
    BackupPage,
    Cloud,
    CloudJob,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Run,
    RunNoted,
    left_open,
    on_cloud_clock,
)

_TRACKED = (JobState.RUNNING, JobState.UNKNOWN)


class RealService(Protocol):
    """What the adapters need of the service that does the work."""

    changes: BackupActions
    inventory: ProjectResources

    @property
    def create_calls(self) -> int: ...  # noqa: D102 - as in `BackupService`
    @property
    def read_calls(self) -> int: ...  # noqa: D102
    @property
    def clock_ahead(self) -> float: ...  # noqa: D102
    async def ready(self) -> None: ...  # noqa: D102
    async def renew_token(self, used_since: Elapsed) -> None: ...  # noqa: D102
    async def backups(self, page: str | None = None) -> BackupPage: ...  # noqa: D102
    async def backup(self, backup_id: str) -> Backup | None: ...  # noqa: D102
    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None: ...  # noqa: D102
    async def restore_logs(self, since: Cloud) -> Sequence[RestoreLog]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True, slots=True)
class ListSnapshot:
    """What one reading of the cloud's list showed, and when it began."""

    began_at: Elapsed
    listed: dict[str, Backup]
    """The backups that jobs name, by id; the cloud's list does not have the others."""


class BackupOperationAdapter(ABC):
    """A `BackupService` whose creates restore or delete backups.

    `jobs` are all jobs of the run as the store has them; `hear` keeps them up to date.
    `now` is the elapsed clock.
    """

    def __init__(
        self,
        service: RealService,
        run: Run,
        jobs: Iterable[Job],
        *,
        now: Callable[[], Elapsed],
    ) -> None:
        self._service = service
        self._run = run
        self._now = now
        self._began_at = now()
        self._settle = run.settings.retry.settle
        self._pages = 0
        """How many pages the last reading of the list took."""
        self._jobs = {
            job.settings.source_backup_id or "": left_open(job, self._began_at) for job in jobs
        }

    def hear(self, event: JobMoved | RunNoted) -> None:
        """Take an event of the engine; this method is one of its listeners."""
        if isinstance(event, JobMoved):
            self._keep(event.job)

    @property
    def create_calls(self) -> int:
        """Restores or deletions that left this process."""
        return self._service.create_calls

    @property
    def read_calls(self) -> int:
        """Every other request that left this process, sign-in included."""
        return self._service.read_calls

    @property
    def clock_ahead(self) -> float:
        """Server clock minus the elapsed one in seconds; 0 before the first answer."""
        return self._service.clock_ahead

    async def ready(self) -> None:
        """Make sure that a request can leave at once."""
        await self._service.ready()

    async def renew_token(self, used_since: Elapsed) -> None:
        """Get a new token unless one was got since `used_since`."""
        await self._service.renew_token(used_since)

    async def create_all(self, jobs: Sequence[Job], worker: int) -> Sequence[Answer]:
        """Send the one request of the one job; never raises for the cloud."""
        (job,) = jobs
        self._keep(job)
        return [await self._act(job, source_of(job), worker)]

    async def backups(self, page: str | None = None) -> BackupPage:
        """The state of every job that the engine follows, all on one page."""
        jobs = [job for job in self._jobs.values() if job.state in _TRACKED]
        look = await self._look({source_of(job) for job in jobs})
        return BackupPage(backups=await self._sightings(jobs, look))

    async def initial_scan(self, page: str | None = None) -> BackupPage:
        """The same, and what an engine that this store does not know may have requested for waiting
        jobs."""
        jobs = [job for job in self._jobs.values() if job.state in _TRACKED]
        waiting = [job for job in self._jobs.values() if self._in_question(job)]
        look = await self._look({source_of(job) for job in (*jobs, *waiting)})
        found = await self._sightings(jobs, look)
        return BackupPage(backups=(*found, *await self._asked_before(waiting, look)))

    async def backup(self, backup_id: str) -> Backup | None:
        """The state of the job that names this backup; None without such a job."""
        job = self._jobs.get(backup_id)
        return None if job is None else await self._ask(job)

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """One cloud job, or None when the cloud does not know it."""
        return await self._service.cloud_job(cloud_job_id)

    async def delete_backup(self, backup_id: str) -> None:
        """Always refused: the engine would delete a backup that somebody wants to keep."""
        raise CloudRefused(f"backup {backup_id} was not made by this run")

    @abstractmethod
    async def _act(self, job: Job, backup_id: str, worker: int) -> Answer: ...

    @abstractmethod
    async def _sightings(self, jobs: list[Job], look: ListSnapshot) -> tuple[Backup, ...]: ...

    @abstractmethod
    async def _ask(self, job: Job) -> Backup: ...

    def _in_question(self, job: Job) -> bool:
        """Whether another engine may have sent the request of a waiting job.

        It does not matter where sending it twice does no harm.
        """
        return False

    async def _asked_before(self, waiting: list[Job], look: ListSnapshot) -> tuple[Backup, ...]:
        """The state of those jobs that are in question."""
        return ()

    def _keep(self, job: Job) -> None:
        self._jobs[source_of(job)] = job

    async def _look(self, wanted: set[str]) -> ListSnapshot:
        """Read the cloud's list until it has shown all wanted backups, or ends.

        What an incomplete list has not shown is looked up one by one, and so are all where they are
        fewer than the pages of the last reading.
        """
        began_at, found = self._now(), dict[str, Backup]()
        if wanted and len(wanted) <= self._pages:
            return ListSnapshot(began_at=began_at, listed=await self._each(wanted))
        pages = Pages(self._service.backups, "backups")
        try:
            async for page in pages:
                found |= {backup.id: backup for backup in page.backups if backup.id in wanted}
                if len(found) == len(wanted):
                    break
        except ListIncomplete:
            found |= await self._each(wanted - found.keys())
        if wanted:
            self._pages = pages.count
        return ListSnapshot(began_at=began_at, listed=found)

    async def _each(self, wanted: set[str]) -> dict[str, Backup]:
        """Those of the backups that there are, asked for one by one."""
        found = {backup_id: await self._service.backup(backup_id) for backup_id in sorted(wanted)}
        return {backup_id: backup for backup_id, backup in found.items() if backup is not None}

    def _settled(self, job: Job, look: ListSnapshot) -> bool:
        """Whether a reading began late enough to prove something about an unknown job."""
        return look.began_at >= (job.unknown_at or AT_ONCE) + self._settle

    def _seen(
        self, job: Job, status: str, code: str | None = None, reason: str | None = None
    ) -> Backup:
        """A backup that tells the engine how far the job's newest request is."""
        return Backup(
            id=source_of(job),
            name=job.backup_name,
            volume_id=job.volume_id,
            status=status,
            code=code,
            fail_reason=reason,
        )

    def _intent(self, job: Job) -> tuple[Cloud, Cloud]:
        """The earliest and the latest time that the cloud's clock can have shown just before the
        job's newest request, or, where none was sent, when the run was made."""
        run, ahead = self._run, self.clock_ahead
        made_at = Elapsed(float(run.created_at))
        found = on_cloud_clock(job.intent_cloud_at, job.intent_at, ahead)
        found = found or on_cloud_clock(run.created_cloud_at, made_at, ahead)
        assert found is not None
        return found


def source_of(job: Job) -> str:
    """The id of the backup that the job restores or deletes."""
    assert job.settings.source_backup_id is not None
    return job.settings.source_backup_id
