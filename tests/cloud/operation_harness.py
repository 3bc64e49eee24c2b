"""A cloud in memory for restores and deletions, with a record of its requests."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

from vbsbatch.cloud.restore_inference import RestoreLog
from vbsbatch.errors import CloudUnavailable, ListChanged
from vbsbatch.model import (
    Answer,
    Backup,
    BackupPage,
    BackupSettings,
    Cloud,
    CloudJob,
    CloudVolume,
    Elapsed,
    Job,
    JobState,
    Operation,
    Retry,
    Run,
    RunState,
    Settings,
)

NOW = 10_000.0
SETTLE = 30.0


def a_run(operation: Operation = Operation.RESTORE, **changes: Any) -> Run:
    known: dict[str, Any] = {
        "id": "20261118-1200-aaaa",
        "plan": "p",
        "cloud": "c",
        "state": RunState.RUNNING,
        "settings": Settings(operation=operation, retry=Retry(settle=SETTLE)),
        "created_at": NOW - 3600.0,
    }
    return Run(**{**known, **changes})


def a_job(no: int = 1, **changes: Any) -> Job:
    known: dict[str, Any] = {
        "no": no,
        "volume_id": f"v{no}",
        "volume_name": f"db{no}",
        "backup_name": f"night-{no}",
        "settings": BackupSettings(source_backup_id=f"b{no}"),
        "state": JobState.RUNNING,
        "attempts": 1,
        "intent_at": NOW - 600.0,
    }
    return Job(**{**known, **changes})


def a_backup(no: int = 1, **changes: Any) -> Backup:
    known: dict[str, Any] = {
        "id": f"b{no}",
        "name": f"night-{no}",
        "volume_id": f"v{no}",
        "status": "available",
        "updated_at": NOW - 86400.0,
    }
    return Backup(**{**known, **changes})


def a_volume(no: int = 1, **changes: Any) -> CloudVolume:
    known: dict[str, Any] = {"id": f"v{no}", "status": "available", "updated_at": NOW - 86400.0}
    return CloudVolume(**{**known, **changes})


@dataclass
class FakeCloud:
    """A `RealService`, its `changes` and its `inventory` in one."""

    has: list[Backup] = field(default_factory=list)
    disks: list[CloudVolume] = field(default_factory=list)
    cloud_jobs: dict[str, CloudJob] = field(default_factory=dict)
    reply: Answer = Answer(status=202)
    logs: tuple[RestoreLog, ...] = ()
    page: int = 1000
    gone_pages: bool = False
    """The marker of every page but the first is deleted meanwhile."""
    down: bool = False
    asked: list[str] = field(default_factory=list)
    now: float = NOW
    changes: Any = field(init=False, repr=False)
    inventory: Any = field(init=False, repr=False)

    create_calls = 0
    read_calls = 0
    clock_ahead = 5.0

    def __post_init__(self) -> None:
        self.changes = self.inventory = self

    async def ready(self) -> None:
        self.asked.append("ready")

    async def renew_token(self, used_since: Elapsed) -> None:
        self.asked.append(f"renew {used_since}")

    async def backups(self, page: str | None = None) -> BackupPage:
        self._ask(f"list {page}")
        if page is not None and self.gone_pages:
            raise ListChanged("the list of backups changed while it was read")
        start = int(page or 0)
        end = start + self.page
        more = str(end) if end < len(self.has) else None
        return BackupPage(backups=tuple(self.has[start:end]), next=more)

    async def backup(self, backup_id: str) -> Backup | None:
        self._ask(f"backup {backup_id}")
        return next((each for each in self.has if each.id == backup_id), None)

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        self._ask(f"job {cloud_job_id}")
        return self.cloud_jobs.get(cloud_job_id)

    async def restore_logs(self, since: Cloud) -> tuple[RestoreLog, ...]:
        return self.logs

    async def these(self, wanted: Set[str]) -> dict[str, CloudVolume]:
        self._ask(f"volumes {len(wanted)}")
        return {each.id: each for each in self.disks if each.id in wanted}

    async def volume(self, volume_id: str) -> CloudVolume | None:
        self._ask(f"volume {volume_id}")
        return next((each for each in self.disks if each.id == volume_id), None)

    async def restore(self, backup_id: str, volume_id: str, worker: int) -> Answer:
        self._ask(f"restore {backup_id} {volume_id}")
        return self.reply

    async def delete(self, backup_id: str, worker: int) -> Answer:
        self._ask(f"delete {backup_id}")
        return self.reply

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise CloudUnavailable("503: down", status=503, retry_after=3.0)
