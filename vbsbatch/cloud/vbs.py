"""The Volume Backup Service: creates and cloud jobs of its own, backups of native OpenStack."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import httpx

from vbsbatch.cloud.backup_actions import BackupActions
from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.response_errors import is_unknown, read_success, refusal_of
from vbsbatch.cloud.response_parser import clean, usable_id, whole
from vbsbatch.cloud.service import CloudService
from vbsbatch.cloud.session import Session
from vbsbatch.errors import CloudUnavailable
from vbsbatch.model import Answer, BackupSettings, CloudJob, CloudJobStatus, Job, Quota, Service

_MISSING = object()
_STATUSES = {status.value: status for status in CloudJobStatus}


class VbsService(CloudService):
    """The `BackupService` of VBS over one session."""

    kind = Service.VBS

    def __init__(
        self,
        session: Session,
        endpoints: Endpoints,
        *,
        cloud_name: str | None = None,
        region: str | None = None,
    ) -> None:
        roots = (endpoints.block_storage, endpoints.vbs)
        super().__init__(session, endpoints, roots=roots, cloud_name=cloud_name, region=region)
        project = quote(endpoints.project_id, safe="")
        self._jobs_url = f"{endpoints.vbs}/v1/{project}/jobs/"
        self._create_url = httpx.URL(f"{endpoints.vbs}/v2/{project}/cloudbackups")
        self.changes = BackupActions(session, endpoints, restores=str(self._create_url))
        self._quota_url = httpx.URL(f"{endpoints.vbs}/v2/{project}/cloudbackups/quota")

    async def create(self, job: Job, worker: int) -> Answer:
        """Send one create, once; without an answer, `status` is None and `message` says why."""
        body = json.dumps({"backup": create_body(job)}).encode()
        answer = await self._send(worker, self._create_url, body)
        if answer.cloud_job_id is not None:  # where creates arrive its queries do, too
            self._session.way.heard(f"GET {httpx.URL(self._jobs_url).path}{answer.cloud_job_id}")
        return answer

    async def objections(self, wanted: Iterable[BackupSettings]) -> list[str]:
        """None: the plan's own rules are those of VBS."""
        return []

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """One cloud job, or None when the service does not know it."""
        url = httpx.URL(self._jobs_url + quote(cloud_job_id, safe=""))
        reply = await self._session.read("GET", url)
        if is_unknown(self._session, reply):
            return None
        return _cloud_job(cloud_job_id, read_success(self._session, reply))

    async def quota(self) -> tuple[Quota, ...]:
        """What the project may keep and what it keeps; kinds without a number are left out."""
        reply = await self._session.read("GET", self._quota_url)
        document = read_success(self._session, reply)
        quotas = document.get("quotas", _MISSING)
        resources = quotas.get("resources") if isinstance(quotas, dict) else quotas
        if resources is None:
            return ()
        if not isinstance(resources, list):
            raise CloudUnavailable("the quota's answer is unreadable", status=reply.status)
        return tuple(filter(None, map(_quota, resources)))

    async def offers_vbs(self) -> bool:
        """Ask the endpoint once whether it is VBS; raises `CloudUnavailable` without an answer."""
        reply = await self._session.read("GET", self._quota_url)
        if 200 <= reply.status < 300:
            quotas = read_success(self._session, reply).get("quotas", _MISSING)
            return quotas is None or isinstance(quotas, dict)
        error = refusal_of(self._session, reply)
        if isinstance(error, CloudUnavailable):
            raise error
        return (error.code or "").startswith("VolumeBackup.")


def create_body(job: Job) -> dict[str, Any]:
    """Return the `backup` object of a create request, as the API reference sets it out."""
    settings = job.settings
    body: dict[str, Any] = {"volume_id": job.volume_id, "name": job.backup_name}
    if settings.snapshot_id is not None:
        body["snapshot_id"] = settings.snapshot_id
    if settings.description is not None:
        body["description"] = settings.description
    if settings.tags:
        body["tags"] = [{"key": key, "value": value} for key, value in settings.tags]
    if settings.full is not None:
        body["extend_param"] = {"FullBackup": "true" if settings.full else "false"}
    return body


def _cloud_job(cloud_job_id: str, document: dict[str, Any]) -> CloudJob:
    word = document.get("status")
    entities = document.get("entities")
    return CloudJob(
        id=cloud_job_id,
        status=_STATUSES.get(word.upper()) if isinstance(word, str) else None,
        backup_id=usable_id(entities.get("backup_id")) if isinstance(entities, dict) else None,
        code=clean(document.get("error_code"), 64),
        message=clean(document.get("fail_reason")),
    )


def _quota(resource: object) -> Quota | None:
    if not isinstance(resource, dict):
        return None
    kind, used, limit = (
        clean(resource.get("type"), 64),
        whole(resource.get("used")),
        whole(resource.get("quota")),
    )
    if kind is None or used is None:
        return None
    return Quota(
        kind=kind,
        used=used,
        reserved=whole(resource.get("reserved")) or 0,
        limit=None if limit is None or limit < 0 else limit,
    )
