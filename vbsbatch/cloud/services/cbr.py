"""Cloud Backup and Recovery: one checkpoint backs up many disks of one vault.

Facts are those of its public API reference (v3); where that leaves something open, nothing here
depends on it. A checkpoint's name is `STEM_OPERATION`: the stem is the job's `backup_name`, which
holds the run's id, and the operation is drawn for each checkpoint. With several disks the service
adds a number to each backup's name (`-0001` or `_0001`).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vbsbatch.cloud.endpoints import EndpointKind, Endpoints
from vbsbatch.cloud.response_errors import read_success
from vbsbatch.cloud.response_parser import read_checkpoint
from vbsbatch.cloud.service import CloudService, Found, Question, never
from vbsbatch.model import (
    Answer,
    BackupPage,
    BackupSettings,
    Cloud,
    CloudJob,
    Job,
    Quota,
    Service,
    ServiceFacts,
    Vault,
    plain_id,
)

if TYPE_CHECKING:
    from vbsbatch.cloud.restore_inference import RestoreLog
    from vbsbatch.cloud.session import Session

MOST = 256
"""Disks of one checkpoint, of one vault, and of one request to associate."""

DESCRIPTION_MOST = 255
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_OPERATION = 8
"""Characters of an operation's id; longer than the number that the service adds."""


class CbrService(CloudService):
    """The `BackupService` of CBR over one session."""

    facts = ServiceFacts(
        service=Service.CBR,
        label="CBR",
        # Its reference promises no guard against a second backup of a disk. So the second is sent
        # later, as on Cinder: only time distinguishes a create in a queue from one that was lost.
        settle=120.0,
        volumes_per_create=MOST,
        snapshots=False,
        restores_elsewhere=False,
    )
    endpoint_kind = EndpointKind(name="cbr", types=("cbr",), option="--cbr-endpoint")
    described = "cloud backup and recovery service"
    creates = "/checkpoints"
    create_key = "checkpoint"
    has_list_of_its_own = True
    version = "v3"

    def __init__(self, session: Session, endpoints: Endpoints, **place: str | None) -> None:
        super().__init__(session, endpoints, **place)
        from vbsbatch.cloud.backup_actions import BackupActions, OwnBackups
        from vbsbatch.cloud.cbr_lists import CbrLists

        base = f"{self._root}/{self.version}/{self._project}"
        self._lists = CbrLists(session, base)
        self._native = self._lists
        restores = OwnBackups(place=f"{base}/backups", task_of=self._lists.restore_reference)
        self.changes = BackupActions(session, endpoints, own=restores)
        self._allow_changes(None)
        self._vaults_url = f"{base}/vaults"
        session.allow("POST", f"{self._vaults_url}/*/addresources")

    @staticmethod
    def create_body(job: Job) -> dict[str, Any]:
        """What a checkpoint of this one job holds, before its operation has an id."""
        return checkpoint_body([job], "", job.backup_name)

    def offer_checks(self, found: Found, *, wanted: bool) -> Sequence[Question]:
        """The catalog or a person must name it: nothing else has its paths."""
        return () if found.is_named(self.endpoint_kind) else (never,)

    async def all_backups(self, page: str | None = None) -> BackupPage:
        """One page of all backups; those of servers with the backups of their disks."""
        return await self._lists.page_with_parts(page)

    async def create_all(self, jobs: Sequence[Job], worker: int) -> Sequence[Answer]:
        """Send one checkpoint of these jobs, once: all of one vault, with the same settings."""
        if jobs[0].settings.vault is None:
            return [_NO_VAULT for _ in jobs]
        operation = "".join(secrets.choice(_LETTERS) for _ in range(_OPERATION))
        name = f"{jobs[0].backup_name}_{operation}"
        body = json.dumps({self.create_key: checkpoint_body(jobs, operation, name)}).encode()
        told: dict[str, Answer] = {}

        def read(status: int, headers: Mapping[str, str], text: bytes, now: float) -> Answer:
            whole, disks = read_checkpoint(status, headers, text, now)
            told.update(disks)
            return whole

        whole = await self.changes.send(worker, self._create_url, body, read)
        return [_answer_for(job, whole, told) for job in jobs]

    async def create(self, job: Job, worker: int) -> Answer:
        """The same for one job."""
        (answer,) = await self.create_all([job], worker)
        return answer

    async def restore_logs(self, since: Cloud) -> Sequence[RestoreLog]:
        """The restores that began after that moment."""
        return await self._lists.restores(since)

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """The operation log of a disk in a checkpoint, of a restore, or of this id; None without
        any."""
        return await self._lists.task(cloud_job_id)

    async def vaults(self) -> tuple[Vault, ...]:
        """The project's vaults for disks, with the disks in each."""
        return await self._lists.vaults()

    async def associate(self, vault_id: str, volume_ids: Sequence[str]) -> None:
        """Put at most 256 disks that are in no vault into this one."""
        resources = [{"id": each, "type": "OS::Cinder::Volume"} for each in volume_ids]
        url = f"{self._vaults_url}/{vault_id}/addresources"
        body = json.dumps({"resources": resources}).encode()
        read_success(self._session, await self._session.read("POST", url, body))

    async def quota(self) -> tuple[Quota, ...]:
        """The room of all vaults: no call tells the quota itself."""
        vaults = await self._lists.vaults()
        known = [(vault.allocated or 0, vault.size) for vault in vaults if vault.size is not None]
        used, size = sum(each for each, _ in known), sum(each for _, each in known)
        return (Quota(kind="vault_gigabytes", used=used, limit=size),) if known else ()

    async def objections(self, wanted: Iterable[BackupSettings]) -> list[str]:
        """Tags: backups have none here."""
        if any(settings.tags for settings in wanted):
            return ["tags: CBR keeps no tags on backups: leave them out of the plan"]
        return []


def checkpoint_body(jobs: Sequence[Job], operation: str, name: str) -> dict[str, Any]:
    """The `checkpoint` object: these jobs' disks of one vault.

    The description holds the plan's own, and the run and the operation in words.
    """
    settings = jobs[0].settings
    ours = " ".join(["vbsbatch", jobs[0].backup_name, operation]).strip()
    said = f"{settings.description} ({ours})" if settings.description else ours
    parameters: dict[str, Any] = {
        "name": name,
        "description": said[:DESCRIPTION_MOST],
        "auto_trigger": False,
        "resources": [job.volume_id for job in jobs],
    }
    if settings.full is not None:
        parameters["incremental"] = not settings.full
    return {"vault_id": settings.vault, "parameters": parameters}


_NO_VAULT = Answer(status=400, code="CBR.NoVault", message="not sent: the disk is in no vault")


def _answer_for(job: Job, whole: Answer, told: Mapping[str, Answer]) -> Answer:
    """What the answer to a checkpoint means for one of its jobs.

    The disk's task is known by checkpoint and disk. If the answer accepts and does not mention the
    disk, nothing is known about it.
    """
    if whole.cloud_job_id is None:
        return whole
    answer = told.get(plain_id(job.volume_id))
    if answer is None:
        return replace(whole, cloud_job_id=None, readable=False)
    if answer.cloud_job_id is None:
        return answer
    return replace(answer, cloud_job_id=f"{answer.cloud_job_id}.{job.volume_id}")
