"""Native OpenStack backups: list, look up, delete. The same on VBS and on plain Cinder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from vbsbatch.cloud.resource_list import ResourceList, block_storage_places
from vbsbatch.cloud.response_errors import check_done, is_unknown
from vbsbatch.cloud.response_values import clean, iso_time, usable_id, whole
from vbsbatch.cloud.session import Session
from vbsbatch.model import Backup, BackupPage


class NativeBackups:
    """The backups of one project, on whichever root and version answers first.

    `roots` are tried in order, each under `/v3` and then, for older regions, under `/v2`.
    """

    def __init__(self, session: Session, roots: Sequence[str], project_id: str) -> None:
        self._session = session
        places = block_storage_places(roots, project_id, "backups")
        self._collection = ResourceList(session, "backups", places, listing="detail")

    async def page(self, page: str | None = None) -> BackupPage:
        """One page of all backups; `page` is the `next` of the page before."""
        listed = await self._collection.page(page)
        return BackupPage(
            backups=tuple(filter(None, map(read_backup, listed.entries))), next=listed.next
        )

    async def get(self, backup_id: str) -> Backup | None:
        """One backup, or None when the cloud does not know it."""
        return await self._collection.entry(backup_id, "backup", read_backup)

    async def delete(self, backup_id: str) -> None:
        """Ask for a deletion; a backup that is gone already is no error."""
        # A 404 proves that it is gone only at the address of the list.
        url = f"{await self._collection.place()}/{quote(backup_id, safe='')}"
        reply = await self._session.read("DELETE", url)
        if not is_unknown(self._session, reply):
            check_done(self._session, reply)


def read_backup(entry: object) -> Backup | None:
    """Map one entry of the cloud's list, any field may be missing; None without a usable id."""
    if not isinstance(entry, dict) or (backup_id := usable_id(entry.get("id"))) is None:
        return None
    status, incremental = clean(entry.get("status"), 64), entry.get("is_incremental")
    return Backup(
        id=backup_id,
        name=clean(entry.get("name"), 255),
        volume_id=clean(entry.get("volume_id"), 64),
        status=status.lower() if status else None,
        created_at=iso_time(entry.get("created_at")),
        updated_at=iso_time(entry.get("updated_at")),
        size=whole(entry.get("size")),
        fail_reason=clean(entry.get("fail_reason")),
        progress=_progress(entry.get("service_metadata")),
        incremental=incremental if isinstance(incremental, bool) else None,
    )


def _progress(metadata: object) -> int | None:
    """Return the percentage that VBS hides in a JSON string."""
    if not isinstance(metadata, str) or "progress" not in metadata:
        return None
    try:
        document = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    percent = whole(document.get("progress")) if isinstance(document, dict) else None
    return None if percent is None else min(max(percent, 0), 100)
