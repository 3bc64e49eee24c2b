"""The Volume Backup Service: creates and cloud jobs of its own, backups of native OpenStack."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx

from vbsbatch.cloud.answers import clean, read_create, usable_id, whole
from vbsbatch.cloud.backups import NativeBackups
from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.inventory import Inventory
from vbsbatch.cloud.replies import is_unknown, read_success, refusal_of
from vbsbatch.cloud.session import NoAnswerError, Session
from vbsbatch.errors import CloudUnavailable
from vbsbatch.model import Answer, Backup, BackupPage, CloudJob, CloudJobStatus, Job, Quota

_STATUSES = {status.value: status for status in CloudJobStatus}


class VbsService:
    """The `BackupService` of VBS over one session."""

    has_cloud_jobs = True

    def __init__(
        self,
        session: Session,
        endpoints: Endpoints,
        *,
        cloud_name: str | None = None,
        region: str | None = None,
    ) -> None:
        self.cloud_name = cloud_name
        self.region = region
        self.project_id = endpoints.project_id
        self.inventory = Inventory(session, endpoints)
        self._session = session
        self._native = NativeBackups(
            session, (endpoints.block_storage, endpoints.vbs), endpoints.project_id
        )
        project = quote(endpoints.project_id, safe="")
        self._jobs_url = f"{endpoints.vbs}/v1/{project}/jobs/"
        self._create_url = httpx.URL(f"{endpoints.vbs}/v2/{project}/cloudbackups")
        self._quota_url = httpx.URL(f"{endpoints.vbs}/v2/{project}/cloudbackups/quota")

    @property
    def create_calls(self) -> int:
        """Create requests that left this process."""
        return self._session.create_calls

    @property
    def read_calls(self) -> int:
        """Every other request that left this process, sign-in included."""
        return self._session.read_calls

    @property
    def clock_ahead(self) -> float:
        """Server clock minus ours in seconds; 0 until an answer told it."""
        return self._session.clock.ahead

    async def ready(self) -> None:
        """Make sure that a create can leave at once: that there is a token, not about to expire.

        Raises `SignInError` or `CloudUnavailable`.
        """
        await self._session.credentials.ready()

    async def create(self, job: Job, worker: int) -> Answer:
        """Send one create, once; without an answer, `status` is None and `message` says why."""
        body = json.dumps({"backup": create_body(job)}).encode()
        session = self._session
        try:
            reply = await session.create(worker, self._create_url, body)
        except NoAnswerError as error:
            return Answer(message=str(error), json=False)
        return read_create(reply.status, reply.headers, reply.body, session.now())

    async def renew_token(self, used_since: float) -> None:
        """Get a new token unless one was got since `used_since`; one request serves all.

        Raises `SignInError` when the credentials are refused, `CloudUnavailable` on an outage.
        """
        await self._session.credentials.ready(refused_at=used_since)

    async def backups(self, page: str | None = None) -> BackupPage:
        """One page of all backups of the project."""
        return await self._native.page(page)

    async def backup(self, backup_id: str) -> Backup | None:
        """One backup, or None when the cloud does not know it."""
        return await self._native.get(backup_id)

    async def delete_backup(self, backup_id: str) -> None:
        """Ask for the deletion of a backup; one that is gone already is no error."""
        await self._native.delete(backup_id)

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
        quotas = read_success(self._session, reply).get("quotas")
        resources = quotas.get("resources") if isinstance(quotas, dict) else None
        if not isinstance(resources, list):
            raise CloudUnavailable("the quota's answer is unreadable", status=reply.status)
        return tuple(filter(None, map(_quota, resources)))

    async def offers_vbs(self) -> bool:
        """Ask the endpoint once whether it is VBS; raises `CloudUnavailable` without an answer."""
        reply = await self._session.read("GET", self._quota_url)
        if 200 <= reply.status < 300:
            return isinstance(read_success(self._session, reply).get("quotas"), dict)
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
        status=_STATUSES.get(word) if isinstance(word, str) else None,
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
