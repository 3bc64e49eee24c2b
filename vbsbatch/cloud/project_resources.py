"""The volumes of a project, and the names of the servers that use them."""

from __future__ import annotations

from collections.abc import Set
from urllib.parse import quote

from vbsbatch.cloud.endpoints import Endpoints, versioned_root_of
from vbsbatch.cloud.pagination import Pages
from vbsbatch.cloud.resource_list import ResourceList, block_storage_places
from vbsbatch.cloud.response_values import clean, iso_time, usable_id, whole
from vbsbatch.cloud.session import Session
from vbsbatch.errors import SignInError
from vbsbatch.model import CloudServer, CloudVolume, ServerPage, VolumePage

_COMPUTE_VERSIONS = ("v2.1", "v2")
_METADATA_MOST = 200  # entries of one volume; more than that is no metadata


class ProjectResources:
    """The volumes of one project, and its servers where the catalog has compute."""

    def __init__(self, session: Session, endpoints: Endpoints) -> None:
        self._session = session
        places = block_storage_places(endpoints.with_volumes, endpoints.project_id, "volumes")
        self._volumes = ResourceList(session, "volumes", places, listing="detail")
        places = _compute_places(endpoints)
        self._servers = ResourceList(session, "servers", places) if places else None

    @property
    def knows_servers(self) -> bool:
        """Whether there is a compute service to be asked for names."""
        return self._servers is not None

    async def volumes(self, page: str | None = None) -> VolumePage:
        """One page of all volumes; `page` is the `next` of the page before.

        Raises `CloudUnavailable` and `CloudRefused`.
        """
        listed = await self._volumes.page(page)
        found = tuple(filter(None, map(read_volume, listed.entries)))
        return VolumePage(volumes=found, next=listed.next)

    async def volume(self, volume_id: str) -> CloudVolume | None:
        """One volume, or None when the cloud does not know it; raises likewise."""
        return await self._volumes.entry(volume_id, "volume", read_volume)

    async def these(self, wanted: Set[str]) -> dict[str, CloudVolume]:
        """Those of the wanted volumes that the cloud knows, by id; raises likewise."""
        found: dict[str, CloudVolume] = {}
        if not wanted:
            return found
        async for page in Pages(self.volumes, "volumes"):
            found |= {volume.id: volume for volume in page.volumes if volume.id in wanted}
            if len(found) == len(wanted):
                break
        return found

    async def servers(self, page: str | None = None) -> ServerPage:
        """One page of all servers, none where there is no compute service; raises likewise."""
        if self._servers is None:
            return ServerPage(servers=())
        listed = await self._servers.page(page)
        found = tuple(filter(None, map(read_server, listed.entries)))
        return ServerPage(servers=found, next=listed.next)


def read_volume(entry: object) -> CloudVolume | None:
    """Map one entry of the cloud's list, any field may be missing; None without a usable id."""
    if not isinstance(entry, dict) or (volume_id := usable_id(entry.get("id"))) is None:
        return None
    status = clean(entry.get("status"), 64)
    return CloudVolume(
        id=volume_id,
        name=clean(entry.get("name") or entry.get("display_name"), 255),
        size=whole(entry.get("size")),
        status=status.lower() if status else None,
        volume_type=clean(entry.get("volume_type"), 255),
        zone=clean(entry.get("availability_zone"), 255),
        server_ids=_server_ids(entry.get("attachments")),
        metadata=_metadata(entry.get("metadata")),
        created_at=iso_time(entry.get("created_at")),
        updated_at=iso_time(entry.get("updated_at")),
    )


def read_server(entry: object) -> CloudServer | None:
    """Map one entry of the cloud's list; None without a usable id."""
    if not isinstance(entry, dict) or (server_id := usable_id(entry.get("id"))) is None:
        return None
    return CloudServer(id=server_id, name=clean(entry.get("name"), 255))


def _server_ids(attachments: object) -> tuple[str, ...]:
    entries = attachments if isinstance(attachments, list) else ()
    ids = (usable_id(entry.get("server_id")) for entry in entries if isinstance(entry, dict))
    return tuple(dict.fromkeys(filter(None, ids)))


def _metadata(entries: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(entries, dict):
        return ()
    pairs = ((clean(key, 255), clean(value) or "") for key, value in entries.items())
    return tuple((key, value) for key, value in pairs if key)[:_METADATA_MOST]


def _compute_places(endpoints: Endpoints) -> list[str]:
    """Where the servers may be: catalogs have a version or not, and the project or not."""
    if endpoints.compute is None:
        return []
    try:
        root, named = versioned_root_of(endpoints.compute, endpoints.project_id)
    except SignInError:
        return []
    project = quote(endpoints.project_id, safe="")
    versions = [named] if named else _COMPUTE_VERSIONS
    return [
        f"{root}/{version}{part}/servers" for version in versions for part in (f"/{project}", "")
    ]
