"""What CBR lists: backups, operation logs and vaults of a project.

A backup's progress, and the reason of a failure, are not in the backup but in its operation log.
One page of them tells those of up to 1000 backups.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from vbsbatch.cloud.pagination import Pages
from vbsbatch.cloud.resource_list import Entries, ResourceList
from vbsbatch.cloud.response_errors import check_done, is_unknown, read_success
from vbsbatch.cloud.response_values import clean, iso_time, usable_id, whole
from vbsbatch.cloud.restore_inference import RestoreLog
from vbsbatch.cloud.session import Session
from vbsbatch.model import (
    Backup,
    BackupPage,
    Cloud,
    CloudJob,
    CloudJobStatus,
    Vault,
    VaultVolume,
    plain_id,
)

_NAME = re.compile(
    r"(?P<stem>.*[0-9]{8}-[0-9]{4}-[0-9a-z]{4})_[0-9a-z]{8}(?:[-_][0-9]{1,5})?", re.ASCII
)
"""The name of a backup of ours: a stem that ends in the run's id, the operation, and a number
that the service adds."""

_WORDS = {
    "waiting_protect": "creating",
    "protecting": "creating",
    "waiting_restore": "restoring",
    "waiting_delete": "deleting",
}
"""Words of statuses that are others in the engine."""

_TASKS = {
    "waiting": CloudJobStatus.INIT,
    "running": CloudJobStatus.RUNNING,
    "success": CloudJobStatus.SUCCESS,
    "failed": CloudJobStatus.FAIL,
    "timeout": CloudJobStatus.FAIL,
    "skipped": CloudJobStatus.FAIL,
}
_RESTORE = "restore"
_EARLIER = 120.0
"""Seconds by which a log may be older than its backup."""
_SLACK = 2.0
"""Seconds by which the time of a log and our clock, corrected by `Date`, may differ."""
_LOGS_LATE = 300.0
"""Seconds after a restore began until its log must be there."""
_PROGRESS_EVERY = 60.0
"""Seconds between two pages of logs that are read for progress alone."""
_REASONS = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One operation log; any field but the id may be missing."""

    id: str
    status: CloudJobStatus | None
    backup_id: str | None
    checkpoint_id: str | None
    volume_id: str | None
    started_at: Cloud | None
    progress: int | None
    code: str | None
    message: str | None

    def as_cloud_job(self, cloud_job_id: str) -> CloudJob:
        """The same in the engine's terms."""
        return CloudJob(
            id=cloud_job_id,
            status=self.status,
            backup_id=self.backup_id,
            code=self.code,
            message=self.message,
        )


class CbrLists:
    """The lists of one project; `base` is the address up to the project."""

    def __init__(self, session: Session, base: str) -> None:
        self._session = session
        self._backups_url = f"{base}/backups"
        self._logs_url = f"{base}/operation-logs"
        self._backups = ResourceList(
            session, "backups", [self._backups_url], query="sort=created_at%3Adesc", counted=True
        )
        self._vaults = ResourceList(session, "vaults", [f"{base}/vaults"], counted=True)
        self._known: Mapping[str, Task] = {}
        """The tasks of the page of logs that was read last, by backup."""
        self._read_at = -math.inf
        self._reasons: OrderedDict[str, Task] = OrderedDict()
        """Why backups ended in error, as far as their logs were read."""

    # Backups --------------------------------------------------------------------------------------

    async def page(self, page: str | None = None) -> BackupPage:
        """One page of all backups, newest first; with their progress and the reasons of errors."""
        listed = await self._backups.page(page)
        found = [backup for backup in map(read_backup, listed.entries) if backup is not None]
        if page is None:
            found = await self._with_tasks(found, listed.entries)
        return BackupPage(backups=tuple(found), next=listed.next)

    async def page_with_parts(self, page: str | None = None) -> BackupPage:
        """One page without progress and reasons; a backup of a server with those of its disks."""
        listed = await self._backups.page(page)
        entries = [part for entry in listed.entries for part in (entry, *_parts(entry))]
        return BackupPage(backups=tuple(filter(None, map(read_backup, entries))), next=listed.next)

    async def get(self, backup_id: str) -> Backup | None:
        """One backup, or None when the cloud does not know it."""
        return await self._backups.entry(backup_id, "backup", read_backup)

    async def delete(self, backup_id: str) -> None:
        """Ask for a deletion; a backup that is gone already is no error."""
        url = f"{self._backups_url}/{quote(backup_id, safe='')}"
        reply = await self._session.read("DELETE", url)
        if not is_unknown(self._session, reply):
            check_done(self._session, reply)

    async def _with_tasks(self, backups: list[Backup], entries: Iterable[Any]) -> list[Backup]:
        """The backups, with what the logs say about those of ours that need it."""
        ours = {entry["id"] for entry in entries if _is_ours(entry)}
        asked = [each for each in backups if each.id in ours and self._needs_task(each)]
        times = [float(each.created_at) for each in asked if each.created_at is not None]
        fresh = bool(times) and self._worth_a_page(asked)
        if fresh:
            query = {"operation_type": "backup", "start_time": _zulu(min(times) - _EARLIER)}
            tasks = await self._tasks(query)
            self._known = {task.backup_id: task for task in tasks if task.backup_id}
            self._read_at = self._session.now()
        return [self._explained(each, fresh=fresh) for each in backups]

    def _needs_task(self, backup: Backup) -> bool:
        if backup.status == "creating":
            return backup.progress is None
        return backup.status == "error" and backup.id not in self._reasons

    def _worth_a_page(self, asked: Iterable[Backup]) -> bool:
        """Whether a page is read now: for a reason always, for progress alone now and then."""
        if any(backup.status == "error" for backup in asked):
            return True
        return self._session.now() - self._read_at >= _PROGRESS_EVERY

    def _explained(self, backup: Backup, *, fresh: bool) -> Backup:
        """The backup with its progress, if that was read just now, and why it failed."""
        task = self._known.get(backup.id)
        making = backup.status == "creating" and backup.progress is None
        if making and fresh and task is not None:
            return replace(backup, progress=task.progress)
        if backup.status != "error":
            return backup
        if task is not None and task.status is CloudJobStatus.FAIL:
            self._reasons[backup.id] = task
            if len(self._reasons) > _REASONS:
                self._reasons.popitem(last=False)
        reason = self._reasons.get(backup.id)
        if reason is None:
            return backup
        return replace(backup, code=reason.code, fail_reason=reason.message)

    # Operation logs -------------------------------------------------------------------------------

    async def task(self, reference: str) -> CloudJob | None:
        """The operation log that a reference means; None without any.

        It is `CHECKPOINT.DISK`, `restore.DISK.SECONDS` for the first restore of a disk since then,
        or the id of a log.
        """
        first, _, rest = reference.partition(".")
        if not rest:
            return await self._log(reference)
        if first == _RESTORE:
            disk, _, since = rest.partition(".")
            return await self._restore(reference, disk, float(since))
        query = {"operation_type": "backup", "resource_id": rest}
        for task in await self._tasks(query):
            # A list may ignore what it is asked for, and show the checkpoint's other disks too.
            of_disk = plain_id(task.volume_id or rest) == plain_id(rest)
            if of_disk and task.checkpoint_id and plain_id(task.checkpoint_id) == plain_id(first):
                return task.as_cloud_job(reference)
        return None

    def restore_reference(self, volume_id: str) -> str:
        """What `task` takes for a restore of this disk that begins now."""
        now = self._session.now() + self._session.clock.ahead
        return f"{_RESTORE}.{volume_id}.{int(now)}"

    async def _log(self, log_id: str) -> CloudJob | None:
        reply = await self._session.read("GET", f"{self._logs_url}/{quote(log_id, safe='')}")
        if is_unknown(self._session, reply):
            return None
        task = read_task(read_success(self._session, reply).get("operation_log"))
        return None if task is None else task.as_cloud_job(log_id)

    async def _restore(self, reference: str, disk: str, since: float) -> CloudJob | None:
        tasks = await self._tasks({"operation_type": _RESTORE, "resource_id": disk})
        later = [
            task
            for task in tasks
            if float(task.started_at or 0.0) >= since - _SLACK
            and plain_id(task.volume_id or disk) == plain_id(disk)
        ]
        if later:
            first = min(later, key=lambda task: float(task.started_at or 0.0))
            return first.as_cloud_job(reference)
        late = self._session.now() + self._session.clock.ahead - since < _LOGS_LATE
        return CloudJob(id=reference, status=CloudJobStatus.INIT) if late else None

    async def restores(self, since: Cloud) -> tuple[RestoreLog, ...]:
        """The restores that began after that moment, as far as one page tells them."""
        query = {"operation_type": _RESTORE, "start_time": _zulu(float(since) - _SLACK)}
        return tuple(
            RestoreLog(
                volume_id=task.volume_id,
                backup_id=task.backup_id,
                began_at=task.started_at,
                status=task.status,
                code=task.code,
                message=task.message,
            )
            for task in await self._tasks(query)
            if task.volume_id is not None and task.started_at is not None
        )

    async def _tasks(self, query: dict[str, str]) -> list[Task]:
        """The tasks on the first page of the logs that fit."""
        url = f"{self._logs_url}?{urlencode(query | {'limit': '1000'})}"
        document = read_success(self._session, await self._session.read("GET", url))
        entries = document.get("operation_logs")
        return [
            task
            for entry in (entries if isinstance(entries, list) else [])
            if (task := read_task(entry)) is not None
        ]

    # Vaults ---------------------------------------------------------------------------------------

    async def vaults(self) -> tuple[Vault, ...]:
        """All vaults for disks; raises what reads raise."""
        found: list[Vault] = []
        async for page in Pages(self._vault_page, "vaults"):
            found += [vault for entry in page.entries if (vault := read_vault(entry)) is not None]
        return tuple(found)

    async def _vault_page(self, page: str | None) -> Entries:
        return await self._vaults.page(page)


def stem_of(name: str | None) -> str | None:
    """The stem of a name of ours; any other name as it is."""
    found = _NAME.fullmatch(name) if name is not None else None
    return found["stem"] if found else name


def _is_ours(entry: object) -> bool:
    """Whether the name of an entry looks like one of ours."""
    name = entry.get("name") if isinstance(entry, dict) else None
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def read_backup(entry: object) -> Backup | None:
    """Map one entry of the list, any field may be missing; None without a usable id.

    The name is the stem alone, which is what a job knows.
    """
    if not isinstance(entry, dict) or (backup_id := usable_id(entry.get("id"))) is None:
        return None
    word = (clean(entry.get("status"), 64) or "").lower()
    extra = entry.get("extend_info")
    progress = whole(extra.get("progress")) if isinstance(extra, dict) else None
    making = word == "protecting" and progress is not None
    return Backup(
        id=backup_id,
        name=stem_of(clean(entry.get("name"), 255)),
        volume_id=clean(entry.get("resource_id"), 64),
        status=_WORDS.get(word, word) or None,
        created_at=iso_time(entry.get("created_at")),
        updated_at=iso_time(entry.get("updated_at")),
        size=whole(entry.get("resource_size")),
        progress=_percent(progress) if making else None,
    )


def _parts(entry: object) -> list[Any]:
    """The backups of a server's disks."""
    children = entry.get("children") if isinstance(entry, dict) else None
    return children if isinstance(children, list) else []


def read_task(entry: object) -> Task | None:
    """Map one operation log; None without a usable id."""
    if not isinstance(entry, dict) or (task_id := usable_id(entry.get("id"))) is None:
        return None
    extra, error = _map(entry.get("extra_info")), _map(entry.get("error_info"))
    resource, common = _map(extra.get("resource")), _map(extra.get("common"))
    return Task(
        id=task_id,
        status=_TASKS.get((clean(entry.get("status"), 64) or "").lower()),
        backup_id=usable_id(_map(extra.get("backup")).get("backup_id")),
        checkpoint_id=usable_id(entry.get("checkpoint_id")),
        volume_id=usable_id(resource.get("id")),
        started_at=iso_time(entry.get("started_at")),
        progress=_percent(whole(common.get("progress"))),
        code=clean(error.get("code"), 64),
        message=clean(error.get("message")),
    )


def read_vault(entry: object) -> Vault | None:
    """Map one vault; None without a usable id, or for one that is not for disks."""
    if not isinstance(entry, dict) or (vault_id := usable_id(entry.get("id"))) is None:
        return None
    billing = _map(entry.get("billing"))
    if clean(billing.get("object_type"), 64) not in (None, "disk"):
        return None
    resources = entry.get("resources")
    volumes = map(_vault_volume, resources if isinstance(resources, list) else [])
    return Vault(
        id=vault_id,
        name=clean(entry.get("name"), 255),
        status=clean(billing.get("status"), 64),
        size=whole(billing.get("size")),
        allocated=whole(billing.get("allocated")),
        used=whole(billing.get("used")),
        auto_expand=entry.get("auto_expand") is True,
        volumes=tuple(filter(None, volumes)),
    )


def _vault_volume(entry: object) -> VaultVolume | None:
    if not isinstance(entry, dict) or (volume_id := usable_id(entry.get("id"))) is None:
        return None
    return VaultVolume(
        id=volume_id,
        name=clean(entry.get("name"), 255),
        size=whole(entry.get("size")),
        status=clean(entry.get("protect_status"), 64),
    )


def _map(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _percent(number: int | None) -> int | None:
    return None if number is None else min(max(number, 0), 100)


def _zulu(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
