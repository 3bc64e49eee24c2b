"""Reads what a cloud has, page by page, in a handful of calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Set
from functools import partial
from typing import TYPE_CHECKING

from vbsbatch.api.retrying import USUAL, Tries, ask_again, patient_pages, whole
from vbsbatch.cloud.pagination import Pages
from vbsbatch.engine.reconcile import CLOCKS_DIFFER, reaches_back
from vbsbatch.errors import (
    CloudError,
    CloudRefused,
    CloudUnavailable,
    ListChanged,
    ListIncomplete,
)
from vbsbatch.model import Backup, BackupPage, Cloud, CloudServer, CloudVolume

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudService, ProjectResources
    from vbsbatch.inventory.volumes_by_server import VolumesByServer

Count = Callable[[int], None]
"""Called with the number of volumes read so far."""


async def read_volumes(
    inventory: ProjectResources,
    count: Count,
    *,
    wanted: Collection[str] | None = None,
    tries: Tries = USUAL,
) -> list[CloudVolume]:
    """Read every volume of the project, or as many pages as it takes to find all `wanted` ones.

    Raises `CloudUnavailable` and `CloudRefused`.
    """
    return await whole(partial(_read_volumes, inventory, count, wanted, tries))


async def _read_volumes(
    inventory: ProjectResources, count: Count, wanted: Collection[str] | None, tries: Tries
) -> list[CloudVolume]:
    found: dict[str, CloudVolume] = {}
    missing = None if wanted is None else set(wanted)
    async for page in patient_pages(inventory.volumes, "volumes", tries):
        found.update((volume.id, volume) for volume in page.volumes)
        count(len(found))
        if missing is not None:
            missing.difference_update(volume.id.lower() for volume in page.volumes)
            if not missing:
                break
    return list(found.values())


async def volumes_by_id(
    inventory: ProjectResources, wanted: Collection[str]
) -> dict[str, CloudVolume]:
    """Read volumes by id until all `wanted` ones are found. Raises as `read_volumes`."""
    listed = await read_volumes(inventory, lambda _: None, wanted=wanted)
    return {volume.id: volume for volume in listed}


async def read_servers(inventory: ProjectResources) -> list[CloudServer]:
    """Read every server of the project. Raises as `read_volumes`."""
    return await whole(partial(_read_servers, inventory))


async def _read_servers(inventory: ProjectResources) -> list[CloudServer]:
    found: dict[str, CloudServer] = {}
    async for page in patient_pages(inventory.servers, "servers"):
        found.update((server.id, server) for server in page.servers)
    return list(found.values())


async def survey(inventory: ProjectResources, count: Count) -> tuple[VolumesByServer, str | None]:
    """Read volumes by server, and the reason if the servers have no names."""
    from vbsbatch.inventory.volumes_by_server import VolumesByServer

    try:
        volumes = await read_volumes(inventory, count)
    except CloudUnavailable as error:
        raise CloudUnavailable(f"cannot read the list of volumes: {error}; try later") from error
    except CloudRefused as error:
        raise CloudRefused(
            f"cannot read the list of volumes: {error}", status=error.status
        ) from error
    if not inventory.knows_servers:
        return VolumesByServer.of(volumes), "the catalog has no compute service"
    try:
        return VolumesByServer.of(volumes, await read_servers(inventory)), None
    except CloudError as error:
        return VolumesByServer.of(volumes), f"compute says: {error}"


async def listed(service: CloudService, wanted: Set[str]) -> dict[str, Backup]:
    """Find the wanted backups in the cloud's list, by id."""
    return await whole(partial(_listed, service, wanted))


async def _listed(service: CloudService, wanted: Set[str]) -> dict[str, Backup]:
    found: dict[str, Backup] = {}
    if not wanted:
        return found
    try:
        async for page in _pages(service):
            found |= {backup.id: backup for backup in page.backups if backup.id in wanted}
            if len(found) == len(wanted):
                break
    except ListIncomplete:
        return found | await _one_by_one(service, wanted - found.keys())
    return found


async def _one_by_one(service: CloudService, wanted: Set[str]) -> dict[str, Backup]:
    """Ask for each backup by itself, because the list is incomplete."""
    found = [await ask_again(partial(service.backup, each)) for each in sorted(wanted)]
    return {backup.id: backup for backup in found if backup is not None}


async def all_backups(service: CloudService) -> list[Backup]:
    """Read every backup of the project. Raises also `ListIncomplete`."""
    return await whole(partial(_all_backups, service))


async def _all_backups(service: CloudService) -> list[Backup]:
    found: dict[str, Backup] = {}
    async for page in _pages(service):
        found |= {backup.id: backup for backup in page.backups}
    return list(found.values())


async def backups_since(service: CloudService, since: Cloud) -> list[Backup]:
    """Read the pages of the list that hold every backup made since then.

    They reach back one day more, because a clock may have been set.
    """
    return await whole(partial(_backups_since, service, since))


async def _backups_since(service: CloudService, since: Cloud) -> list[Backup]:
    found: list[Backup] = []
    async for page in _pages(service):
        found.extend(page.backups)
        if reaches_back(found, since - CLOCKS_DIFFER):
            break
    return found


def _pages(service: CloudService) -> Pages[BackupPage]:
    return Pages(partial(_page, service), "backups")


async def _page(service: CloudService, page: str | None) -> BackupPage:
    """Read one page, with a few retries: a list that failed proves nothing."""
    try:
        return await ask_again(lambda: service.backups(page))
    except (ListChanged, ListIncomplete):
        raise
    except CloudUnavailable as error:
        raise CloudUnavailable(f"cannot read the list of backups: {error}; try later") from error
