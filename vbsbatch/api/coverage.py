"""Finds the volumes of a project that have no good backup that is young enough."""

from __future__ import annotations

import os

from vbsbatch.api.cloud_lists import Count, every_backup, survey
from vbsbatch.api.sessions import place_line
from vbsbatch.cloud import CloudChoice, CloudService
from vbsbatch.cloud.connection import connect_all
from vbsbatch.errors import CloudUnavailable, UsageError
from vbsbatch.inventory.coverage import OwnedBackup, coverage_of
from vbsbatch.inventory.filters import check_servers, chosen
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import Cloud, CloudVolume, Coverage, Service
from vbsbatch.model.clocks import elapsed_seconds
from vbsbatch.plan import VolumeSelection

DAY = 86400.0

_ALL = VolumeSelection()


async def coverage(
    *,
    cloud: str | None = None,
    selection: VolumeSelection = _ALL,
    max_age: float = DAY,
    service: Service | str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
) -> Coverage:
    """Compare the volumes of a project with its backups, whoever made them.

    `cloud` is an entry of clouds.yaml, `max_age` is in seconds. Without `service` the backups of
    all services of the cloud count. Raises `SignInError`, `CloudUnavailable` and `CloudRefused`,
    also for a list that is incomplete, and `UsageError` if no volume matches the selection.
    """
    choice = CloudChoice(
        cloud=cloud or os.environ.get("OS_CLOUD"),
        service=None if service in (None, "auto") else Service(service),
        vbs_endpoint=vbs_endpoint,
        cbr_endpoint=cbr_endpoint,
        block_storage_endpoint=block_storage_endpoint,
    )
    async with connect_all(choice, workers=1) as services:
        return await look(services, selection, max_age)


async def look(
    services: tuple[CloudService, ...],
    selection: VolumeSelection,
    max_age: float,
    count: Count = lambda _: None,
) -> Coverage:
    """Do the same in a session that is open already; `count` gets the number of volumes so far."""
    # Backups first: a volume that is made meanwhile has none, and that is told.
    backups: list[OwnedBackup] = []
    for service in services:
        label = service.facts.label
        backups += [(label, backup) for backup in await every_backup(service)]
    fleet, volumes, nameless = await _volumes(services[0], selection, count)
    now = Cloud(elapsed_seconds() + services[0].clock_ahead)
    return Coverage(
        place=place_line(services[0]),
        services=tuple(service.facts.label for service in services),
        now=now,
        max_age=max_age,
        volumes=coverage_of(fleet, volumes, backups, now=now, max_age=max_age),
        nameless=nameless,
    )


async def _volumes(
    service: CloudService, selection: VolumeSelection, count: Count
) -> tuple[VolumesByServer, dict[str, CloudVolume], str | None]:
    """All volumes of the project, those that are chosen, and why servers have no names."""
    listed = 0

    def counted(number: int) -> None:
        nonlocal listed
        listed = number
        count(number)

    fleet, nameless = await survey(service.inventory, counted)
    if listed > len(fleet.volumes):
        raise CloudUnavailable(
            f"{listed - len(fleet.volumes)} of the {listed} volumes that the cloud lists have ids"
            " that are no UUIDs: whether they have backups cannot be told"
        )
    check_servers(fleet, selection.server, names_known=nameless is None)
    volumes = chosen(fleet, selection)
    if not fleet.volumes:
        raise UsageError("the cloud has no volumes in this project")
    if not volumes:
        raise UsageError(
            f"none of the cloud's {len(fleet.volumes)} volumes matches all of these options"
        )
    return fleet, volumes, nameless
