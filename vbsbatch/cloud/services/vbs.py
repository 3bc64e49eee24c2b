"""The Volume Backup Service: creates and cloud jobs of its own, backups of native OpenStack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from vbsbatch.cloud.endpoints import EndpointKind
from vbsbatch.cloud.response_errors import is_unknown, read_success, refusal_of
from vbsbatch.cloud.response_values import clean, usable_id
from vbsbatch.cloud.service import CloudService, Found, Question, quota_of
from vbsbatch.errors import CloudUnavailable
from vbsbatch.model import Answer, CloudJob, CloudJobStatus, Job, Quota, Service, ServiceFacts

_MISSING = object()
_STATUSES = {status.value: status for status in CloudJobStatus}


class VbsService(CloudService):
    """The `BackupService` of VBS over one session.

    The plan's own rules are those of VBS: it has no objections.
    """

    facts = ServiceFacts(
        service=Service.VBS,
        label="VBS",
        usual=True,
        settle=30.0,  # of two creates of one volume it refuses the second
        backups_most=20,  # VolumeBackup.0040
    )
    endpoint_kind = EndpointKind(
        name="vbs", types=("vbs", "volume_backup", "volume-backup"), option="--vbs-endpoint"
    )
    described = "volume backup service"
    creates = "/cloudbackups"
    version = "v2"
    restores = "/cloudbackups"
    has_own_backups = True

    @property
    def _jobs_url(self) -> str:
        return f"{self._root}/v1/{self._project}/jobs/"

    @property
    def _quota_url(self) -> str:
        return f"{self._create_url}/quota"

    @staticmethod
    def create_body(job: Job) -> dict[str, Any]:
        """The `backup` object of a create request, as the API reference describes it."""
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

    def offer_checks(self, found: Found, *, wanted: bool) -> Sequence[Question]:
        """Whether block storage serves VBS too, where nothing names VBS itself."""
        return () if found.is_named(self.endpoint_kind) else (self.offers_vbs,)

    async def create(self, job: Job, worker: int) -> Answer:
        """Send one create, once; without an answer, `status` is None and `message` says why."""
        answer = await super().create(job, worker)
        if answer.cloud_job_id is not None:  # where creates arrive, queries of their jobs do, too
            path = urlsplit(self._jobs_url).path
            self._session.way.heard(f"GET {path}{answer.cloud_job_id}")
        return answer

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """One cloud job, or None when the service does not know it."""
        reply = await self._session.read("GET", self._jobs_url + quote(cloud_job_id, safe=""))
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
    kind, used, reserved, limit = map(resource.get, ("type", "used", "reserved", "quota"))
    return quota_of(clean(kind, 64), used, reserved, limit)
