"""Reads what a cloud has, page by page, in a handful of calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Set
from functools import partial
from typing import TYPE_CHECKING

from vbsbatch.api.retrying import USUAL, Tries, ask_again, whole
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

PAGES = 1000
"""A longer list is a fault: a page holds up to a thousand entries."""

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
    page = None
    for _ in range(PAGES):
        listed = await ask_again(partial(inventory.volumes, page), tries)
        found.update((volume.id, volume) for volume in listed.volumes)
        count(len(found))
        if missing is not None:
            missing.difference_update(volume.id.lower() for volume in listed.volumes)
        if listed.next is None or missing == set():
            return list(found.values())
        page = listed.next
    raise CloudUnavailable(f"the list of volumes does not end within {PAGES} pages")


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
    page = None
    for _ in range(PAGES):
        listed = await ask_again(partial(inventory.servers, page))
        found.update((server.id, server) for server in listed.servers)
        if listed.next is None:
            return list(found.values())
        page = listed.next
    raise CloudUnavailable(f"the list of servers does not end within {PAGES} pages")


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
    page = None
    for _ in range(PAGES):
        if len(found) == len(wanted):
            return found
        try:
            shown = await _page(service, page)
        except ListIncomplete:
            return found | await _one_by_one(service, wanted - found.keys())
        found |= {backup.id: backup for backup in shown.backups if backup.id in wanted}
        page = shown.next
        if page is None:
            return found
    raise _endless()


async def _one_by_one(service: CloudService, wanted: Set[str]) -> dict[str, Backup]:
    """Ask for each backup by itself, because the list is incomplete."""
    found = [await ask_again(partial(service.backup, each)) for each in sorted(wanted)]
    return {backup.id: backup for backup in found if backup is not None}


async def backups_since(service: CloudService, since: Cloud) -> list[Backup]:
    """Read the pages of the list that hold every backup made since then.

    They reach back one day more, because a clock may have been set.
    """
    return await whole(partial(_backups_since, service, since))


async def _backups_since(service: CloudService, since: Cloud) -> list[Backup]:
    found: list[Backup] = []
    page = None
    for _ in range(PAGES):
        listed = await _page(service, page)
        found.extend(listed.backups)
        if listed.next is None or reaches_back(found, since - CLOCKS_DIFFER):
            return found
        page = listed.next
    raise _endless()


def _endless() -> CloudUnavailable:
    return CloudUnavailable(f"the list of backups does not end within {PAGES} pages")


async def _page(service: CloudService, page: str | None) -> BackupPage:
    """Read one page, with a few retries: a list that failed proves nothing."""
    try:
        return await ask_again(lambda: service.backups(page))
    except (ListChanged, ListIncomplete):
        raise
    except CloudUnavailable as error:
        raise CloudUnavailable(f"cannot read the list of backups: {error}; try later") from error
