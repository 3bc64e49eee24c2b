"""Reads what a cloud has, page by page, in a handful of calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from vbsbatch.cli.retrying import USUAL, Tries, ask_again, whole
from vbsbatch.errors import CloudError, CloudRefused, CloudUnavailable
from vbsbatch.model import CloudServer, CloudVolume

if TYPE_CHECKING:
    from vbsbatch.cloud import ProjectResources
    from vbsbatch.inventory.volumes_by_server import VolumesByServer

PAGES = 1000
"""More than this is no list but a fault: a page holds a thousand, or what a cloud gives."""

Count = Callable[[int], None]
"""Told how many volumes are there so far."""


async def read_volumes(
    inventory: ProjectResources,
    count: Count,
    *,
    wanted: Collection[str] | None = None,
    tries: Tries = USUAL,
) -> list[CloudVolume]:
    """Every volume of the project, or pages of them until all that are `wanted` were among them.

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
    """The volumes of the project by id, those that are `wanted` among them. Raises likewise."""
    listed = await read_volumes(inventory, lambda _: None, wanted=wanted)
    return {volume.id: volume for volume in listed}


async def read_servers(inventory: ProjectResources) -> list[CloudServer]:
    """Every server of the project; none where nobody can be asked. Raises likewise."""
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
    """The fleet, and why no server has a name in it, if that is so."""
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


@contextmanager
def counting(what: str) -> Iterator[Count]:
    """A bar on a terminal that tells how much was read; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn(f"reading {what}"),
        BarColumn(),
        TextColumn("{task.completed}"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done: progress.update(task, completed=done)
