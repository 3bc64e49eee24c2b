"""Deletes the backups of a run: `DELETE` for every create, and gone means done.

A deletion may be repeated. It must never hit another backup, so each backup is checked before its
deletion is requested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from vbsbatch.cloud.backup_actions import not_sent
from vbsbatch.cloud.backup_operation_adapter import (
    BackupOperationAdapter,
    ListSnapshot,
    RealService,
    source_of,
)
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import AT_ONCE, Answer, Backup, Elapsed, Job, JobState, Run, plain_id

UNMOVED = 60.0
"""A backup that is not `deleting` after so many seconds was not deleted, whatever was answered."""

KEPT = "the cloud accepted the deletion but still has the backup"

_BUSY = frozenset({"creating", "restoring"})
_DEPENDANTS = re.compile(r"incremental backups? exist|dependent backup", re.IGNORECASE)


class Pruning(BackupOperationAdapter):
    """The `BackupService` of a run that deletes backups.

    `refuses` is asked before each deletion, and gives a code of ours where it must not be sent.
    """

    def __init__(
        self,
        service: RealService,
        run: Run,
        jobs: Iterable[Job],
        *,
        now: Callable[[], Elapsed],
        refuses: Callable[[Job], str | None] | None = None,
    ) -> None:
        super().__init__(service, run, jobs, now=now)
        self._refuses = refuses

    async def _act(self, job: Job, backup_id: str, worker: int) -> Answer:
        try:
            backup = await self._service.backup(backup_id)
            objection = _objection(job, backup) or await self._safeguard(job)
        except (CloudUnavailable, CloudRefused) as error:
            return not_sent(error)
        if objection:
            return Answer(code=objection, backup_id=backup_id)
        answer = await self._service.changes.delete(backup_id, worker)
        if answer.status == 400 and _DEPENDANTS.search(answer.message or ""):
            return replace(answer, code="dependants")
        if answer.status == 404:
            return replace(answer, backup_id=backup_id)
        return answer

    async def _safeguard(self, job: Job) -> str | None:
        """Why the backup must be kept, as a code of ours; the answer is as old as one read."""
        if self._refuses is not None and (refused := self._refuses(job)):
            return refused
        if job.settings.keeper_id is None:
            return None
        keeper = await self._service.backup(job.settings.keeper_id)
        return None if keeper is not None and keeper.status == "available" else "last-good"

    async def _sightings(self, jobs: list[Job], look: ListSnapshot) -> tuple[Backup, ...]:
        found = (self._sighting(job, look) for job in jobs)
        return tuple(backup for backup in found if backup is not None)

    def _sighting(self, job: Job, look: ListSnapshot) -> Backup | None:
        backup = look.listed.get(source_of(job))
        moving = backup is None or (backup.status or "").endswith("deleting")
        if job.state is JobState.UNKNOWN and not moving:
            return None  # it was not deleted; once that is certain, the request is repeated
        return self._standing(job, backup, look.began_at)

    async def _ask(self, job: Job) -> Backup:
        backup = await self._service.backup(source_of(job))
        return self._standing(job, backup, self._now())

    def _standing(self, job: Job, backup: Backup | None, at: Elapsed) -> Backup:
        if backup is None:
            return self._seen(job, "available")
        if backup.status == "error_deleting":
            return self._seen(job, "error", "undeleted", backup.fail_reason)
        since = max(job.intent_at or AT_ONCE, self._began_at)
        late = at >= since + max(UNMOVED, self._settle)
        if backup.status != "deleting" and late:
            return self._seen(job, "error", "never-begun", KEPT)
        return self._seen(job, "creating")


def _objection(job: Job, backup: Backup | None) -> str | None:
    """Why the deletion must not or need not be sent, as a code of ours."""
    if backup is None:
        return "gone"
    same_volume = plain_id(backup.volume_id or "") == plain_id(job.volume_id)
    if not same_volume or (backup.name or "").strip() != job.backup_name.strip():
        return "not-ours"
    if backup.status in _BUSY:
        return "backup-busy"
    return "deleting" if backup.status == "deleting" else None
