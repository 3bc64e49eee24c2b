"""Plain OpenStack block storage: a create answers with the backup itself, which is polled.

Facts are those of a real Cinder 29 and of its API reference: `docs/architecture.md` names the ones
that shaped the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vbsbatch.cloud.endpoints import BLOCK_STORAGE
from vbsbatch.cloud.response_errors import read_success
from vbsbatch.cloud.service import CloudService, Found, Question, never, quota_of
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import NO_PARENT, BackupSettings, Job, Quota, Service, ServiceFacts

if TYPE_CHECKING:
    from vbsbatch.cloud.session import Headers

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

    facts = ServiceFacts(
        service=Service.CINDER,
        label="Cinder",
        # It makes both of two creates of one volume. So the second is sent later: only time
        # distinguishes a create in a queue of the cloud from one that never arrived.
        settle=120.0,
        refuses_in_use=True,
        needs_parent=True,
        chains=True,
    )
    endpoint_kind = BLOCK_STORAGE
    described = "block storage with backups"
    creates = "/backups"
    version = "v3"

    @staticmethod
    def create_body(job: Job) -> dict[str, Any]:
        """The `backup` object of a create request, as the API reference describes it.

        `full: false` asks for an increment; where that was refused because there is no parent,
        and the plan allows it, the next create asks for a full backup.
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

    def offer_checks(self, found: Found, *, wanted: bool) -> Sequence[Question]:
        """Whether block storage has backups, which a catalog does not say.

        Where a backup service of its own is named there may be the list without the create. Such a
        service wins, unless Cinder is `wanted`.
        """
        if not wanted:
            return (self.offers_backups,)
        if not found.is_named(self.endpoint_kind):
            return (never,)
        others = set(found.endpoints.roots) - found.supposed - {self.endpoint_kind.name}
        return (self.offers_backups, *([self.makes_backups] if others else ()))

    async def offers_backups(self) -> bool:
        """Ask once for the shortest list of backups; raises `CloudUnavailable` without an answer.

        False when there is no such list. A refusal of another kind is the engine's to deal with.
        """
        return await self._answers("GET", f"{self._create_url}?limit=1")

    async def makes_backups(self) -> bool:
        """Ask once whether there is a create, with one that names no volume; raises likewise."""
        return await self._answers("POST", self._create_url, b"{}")

    def _create_headers(self, job: Job) -> Headers:
        return _WITH_METADATA if job.settings.tags else ()

    async def quota(self) -> tuple[Quota, ...]:
        """What the project may keep and what it keeps; nothing where this user may not ask."""
        url = f"{self._root}/v3/{self._project}/os-quota-sets/{self._project}?usage=True"
        reply = await self._session.read("GET", url)
        if reply.status in (403, 404):
            return ()
        found = read_success(self._session, reply).get("quota_set", _MISSING)
        if found is None:
            return ()
        if not isinstance(found, dict):
            raise CloudUnavailable("the quota's answer is unreadable", status=reply.status)
        return tuple(filter(None, (_quota(kind, found.get(kind)) for kind in _QUOTAS)))

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
        reply = await self._session.read("GET", f"{self._root}/v3/")
        try:
            versions = read_success(self._session, reply).get("versions")
        except CloudRefused:
            return (3, 0)
        except CloudUnavailable as error:
            why = "cannot find out whether block storage offers the microversion that tags need"
            raise CloudUnavailable(f"{why}: {error}", status=error.status) from error
        found = [_version(entry) for entry in versions] if isinstance(versions, list) else []
        return max([(3, 0), *found])


def _unkept(tags: Iterable[tuple[str, str]], texts: Iterable[str]) -> list[str]:
    keys = sorted({key for key, _ in tags if not _METADATA_KEY.fullmatch(key)})
    characters = sorted({c for text in texts for c in text if ord(c) > _LAST_OF_THREE_BYTES})
    return [
        *(
            f'tag "{k}": a key may contain only ASCII letters, digits, spaces and - _ : .'
            for k in keys
        ),
        *(
            f"a description or tag contains U+{ord(character):04X}, which block storage may not"
            " be able to store: leave it out of the plan"
            for character in characters
        ),
    ]


def _quota(kind: str, entry: object) -> Quota | None:
    if not isinstance(entry, dict):
        return None
    return quota_of(kind, entry.get("in_use"), entry.get("reserved"), entry.get("limit"))


def _version(entry: object) -> tuple[int, int]:
    text = entry.get("version") if isinstance(entry, dict) else None
    found = _VERSION.fullmatch(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else (0, 0)
