"""Plain OpenStack block storage: a create answers with the backup itself, which is polled.

Facts are those of a real Cinder 29 and of its API reference: `docs/architecture.md` names the ones
that shaped the engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import httpx

from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.response_errors import read_success, refusal_of
from vbsbatch.cloud.response_parser import whole
from vbsbatch.cloud.service import CloudService
from vbsbatch.cloud.session import NO_HEADERS, Reply, Session
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import NO_PARENT, Answer, BackupSettings, CloudJob, Job, Quota, Service

METADATA_SINCE = (3, 43)
"""The microversion from which on a create takes `metadata`; without any, 3.0 is spoken."""

_WITH_METADATA = ((b"OpenStack-API-Version", b"volume 3.43"),)
_MISSING = object()
_QUOTAS = ("backups", "backup_gigabytes")
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})", re.ASCII)
_LAST_OF_THREE_BYTES = 0xFFFF
_METADATA_KEY = re.compile(r"[a-zA-Z0-9_:. -]{1,255}", re.ASCII)


class CinderService(CloudService):
    """The `BackupService` of Cinder over one session."""

    kind = Service.CINDER

    def __init__(
        self,
        session: Session,
        endpoints: Endpoints,
        *,
        cloud_name: str | None = None,
        region: str | None = None,
    ) -> None:
        root = endpoints.block_storage
        super().__init__(session, endpoints, roots=(root,), cloud_name=cloud_name, region=region)
        project = quote(endpoints.project_id, safe="")
        self._versions_url = httpx.URL(f"{root}/v3/")
        self._create_url = httpx.URL(f"{root}/v3/{project}/backups")
        self._quota_url = httpx.URL(f"{root}/v3/{project}/os-quota-sets/{project}?usage=True")

    async def create(self, job: Job, worker: int) -> Answer:
        """Send one create, once; without an answer, `status` is None and `message` says why."""
        body = json.dumps({"backup": create_body(job)}).encode()
        headers = _WITH_METADATA if job.settings.tags else NO_HEADERS
        return await self._send(worker, self._create_url, body, headers)

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """None: there are no cloud jobs here."""
        return None

    async def quota(self) -> tuple[Quota, ...]:
        """What the project may keep and what it keeps; nothing where this user may not ask."""
        reply = await self._session.read("GET", self._quota_url)
        if reply.status in (403, 404):
            return ()
        found = read_success(self._session, reply).get("quota_set", _MISSING)
        if found is None:
            return ()
        if not isinstance(found, dict):
            raise CloudUnavailable("the quota's answer is unreadable", status=reply.status)
        return tuple(filter(None, (_quota(kind, found.get(kind)) for kind in _QUOTAS)))

    async def offers_backups(self) -> bool:
        """Ask once for the shortest list of backups; raises `CloudUnavailable` without an answer.

        False when there is no such list. A refusal of another kind is the engine's to deal with.
        """
        url = httpx.URL(f"{self._create_url}?limit=1")
        return self._is_there(await self._session.read("GET", url))

    async def makes_backups(self) -> bool:
        """Ask once whether there is a create, with one that names no volume; raises likewise.

        A cloud with VBS may have the list without the create.
        """
        return self._is_there(await self._session.read("POST", self._create_url, b"{}"))

    def _is_there(self, reply: Reply) -> bool:
        error = None if reply.status < 300 else refusal_of(self._session, reply)
        if isinstance(error, CloudUnavailable):
            raise error
        return reply.status not in (404, 405, 410, 501) and not 300 <= reply.status < 400

    async def objections(self, wanted: Iterable[BackupSettings]) -> list[str]:
        """What of these settings Cinder cannot do: tags before 3.43, characters it would not keep.

        A character of four bytes is answered with 500 by a database that cannot hold it, and leaves
        the volume in `backing-up`: it is never sent.
        """
        settings = set(wanted)
        tags = {pair for each in settings for pair in each.tags}
        texts = {each.description or "" for each in settings}
        found = _unkept(tags, texts.union(*tags))
        if tags and (newest := await self._newest_version()) < METADATA_SINCE:
            said = ".".join(map(str, newest))
            found.append(
                f"tags need microversion 3.43 of block storage, which offers {said}: "
                "leave tags out of the plan"
            )
        return found

    async def _newest_version(self) -> tuple[int, int]:
        """The newest microversion that the version document names; 3.0 where it names none."""
        reply = await self._session.read("GET", self._versions_url)
        try:
            versions = read_success(self._session, reply).get("versions")
        except CloudRefused:
            return (3, 0)
        except CloudUnavailable as error:
            why = "cannot find out whether block storage offers the microversion that tags need"
            raise CloudUnavailable(f"{why}: {error}", status=error.status) from error
        found = [_version(entry) for entry in versions] if isinstance(versions, list) else []
        return max([(3, 0), *found])


def create_body(job: Job) -> dict[str, Any]:
    """Return the `backup` object of a create request, as the API reference sets it out.

    `full: false` asks for an increment; where that was refused for want of a parent and the plan
    allows it, the next create asks for a full backup.
    """
    settings = job.settings
    body: dict[str, Any] = {"volume_id": job.volume_id, "name": job.backup_name}
    if settings.snapshot_id is not None:
        body["snapshot_id"] = settings.snapshot_id
    if settings.description is not None:
        body["description"] = settings.description
    if settings.tags:
        body["metadata"] = dict(settings.tags)
    if settings.full is not None:
        parentless = settings.full_if_no_parent and job.code == NO_PARENT
        body["incremental"] = not settings.full and not parentless
    if settings.force:
        body["force"] = True
    return body


def _unkept(tags: Iterable[tuple[str, str]], texts: Iterable[str]) -> list[str]:
    keys = sorted({key for key, _ in tags if not _METADATA_KEY.fullmatch(key)})
    characters = sorted({c for text in texts for c in text if ord(c) > _LAST_OF_THREE_BYTES})
    return [
        *(
            f'tag "{k}": a key may hold ASCII letters, digits, blanks and - _ : . here'
            for k in keys
        ),
        *(
            f"a description or tag holds U+{ord(character):04X}, which block storage may not be"
            " able to keep: leave it out of the plan"
            for character in characters
        ),
    ]


def _quota(kind: str, entry: object) -> Quota | None:
    if not isinstance(entry, dict) or (used := whole(entry.get("in_use"))) is None:
        return None
    limit = whole(entry.get("limit"))
    return Quota(
        kind=kind,
        used=used,
        reserved=whole(entry.get("reserved")) or 0,
        limit=None if limit is None or limit < 0 else limit,
    )


def _version(entry: object) -> tuple[int, int]:
    text = entry.get("version") if isinstance(entry, dict) else None
    found = _VERSION.fullmatch(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else (0, 0)
