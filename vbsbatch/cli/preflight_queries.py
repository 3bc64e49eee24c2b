"""Looks at a project before a run: three questions at once, each in as few pages as it takes."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

import anyio

from vbsbatch.cli.cloud_queries import Count, read_volumes
from vbsbatch.cli.engine_process import reach
from vbsbatch.cli.retrying import BRIEF, ask_again, whole
from vbsbatch.cloud import CloudService
from vbsbatch.errors import CloudError, CloudRefused, CloudUnavailable, SignInError
from vbsbatch.inventory.cloud_snapshot import CloudSnapshot, Gap
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import Backup, CloudVolume, Quota

PAGES = 20
"""Pages of backups that are read, newest first."""

_NOT_OFFERED = frozenset({501, 505})


@dataclass(kw_only=True)
class _ProjectQueries:
    """What has been answered so far."""

    quotas: tuple[Quota, ...] | None = None
    volumes: list[CloudVolume] | None = None
    backups: list[Backup] | None = None
    whole: bool = True
    gaps: list[Gap] = field(default_factory=list)
    unreachable: SignInError | None = None

    def note(self, what: str, error: CloudError) -> None:
        """Remember that a question has no answer."""
        refused = isinstance(error, CloudRefused) or (
            isinstance(error, CloudUnavailable) and error.status in _NOT_OFFERED
        )
        self.gaps.append(Gap(what=what, why=str(error), refused=refused))


async def take_sight(service: CloudService, wanted: Collection[str], count: Count) -> CloudSnapshot:
    """One look at the project of `service` for the volumes `wanted`.

    Raises `SignInError` when nobody answers at all; everything else that cannot be found out is a
    gap in what is seen.
    """
    seen = _ProjectQueries()
    async with anyio.create_task_group() as group:
        group.start_soon(_see_quotas, service, seen, name="quota")
        group.start_soon(_see_volumes, service, wanted, count, seen, name="volumes")
        group.start_soon(_see_backups, service, seen, name="backups")
    if seen.unreachable is not None:
        raise seen.unreachable
    return CloudSnapshot(
        service=service.kind,
        now=time.time() + service.clock_ahead,
        fleet=None if seen.volumes is None else VolumesByServer.of(seen.volumes),
        backups=seen.backups,
        whole=seen.whole,
        quotas=seen.quotas,
        gaps=tuple(sorted(seen.gaps, key=lambda gap: gap.what)),
    )


async def _see_quotas(service: CloudService, seen: _ProjectQueries) -> None:
    try:
        said = await reach(service)
    except SignInError as error:
        seen.unreachable = error
        return
    if isinstance(said, CloudError):
        seen.note("quota", said)
    elif not said:
        seen.gaps.append(Gap(what="quota", why="the cloud does not tell it", refused=True))
    else:
        seen.quotas = said


async def _see_volumes(
    service: CloudService, wanted: Collection[str], count: Count, seen: _ProjectQueries
) -> None:
    try:
        seen.volumes = await read_volumes(service.inventory, count, wanted=wanted, tries=BRIEF)
    except CloudError as error:
        seen.note("volumes", error)


async def _see_backups(service: CloudService, seen: _ProjectQueries) -> None:
    try:
        seen.backups, seen.whole = await whole(partial(_read_backups, service))
    except CloudError as error:
        seen.note("backups", error)


async def _read_backups(service: CloudService) -> tuple[list[Backup], bool]:
    """The newest backups of the project, and whether they are all there are."""
    found: dict[str, Backup] = {}
    page = None
    for _ in range(PAGES):
        listed = await ask_again(partial(service.backups, page), BRIEF)
        found.update((backup.id, backup) for backup in listed.backups)
        if listed.next is None:
            return list(found.values()), True
        page = listed.next
    return list(found.values()), False
