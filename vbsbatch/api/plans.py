"""Loads plans, compares them with a cloud, and chooses the volumes of a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vbsbatch.api.cloud_lists import Count, survey
from vbsbatch.api.sessions import choice_for_plan, place_line
from vbsbatch.cloud import CloudService, connect
from vbsbatch.errors import UsageError
from vbsbatch.inventory.filters import check_servers, chosen, usable
from vbsbatch.inventory.plan_diff import PlanDifference, differences
from vbsbatch.inventory.plan_writer import Heading, plan_text
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import CloudVolume
from vbsbatch.plan import Plan, VolumeSelection, load
from vbsbatch.plan.volume_collector import shown_name


def load_plan(
    path: str | Path, *, volumes: str | Path | None = None, stdin: BinaryIO | None = None
) -> Plan:
    """Load and check the plan in a YAML or JSON file; `-` is standard input.

    `volumes` names a list of volumes that replaces the plan's own. Raises `PlanError` with the
    first fifty `problems`, each with file, line, column and text. Sends nothing to the cloud.
    """
    return load(path, volumes=volumes, stdin=stdin)


async def diff_plan(
    plan: Plan,
    *,
    cloud: str | None = None,
    vbs_endpoint: str | None = None,
    cbr_endpoint: str | None = None,
    block_storage_endpoint: str | None = None,
) -> list[PlanDifference]:
    """List the volumes that are gone, new in the cloud, or changed since the plan was written."""
    choice = choice_for_plan(
        plan, cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint, service="auto"
    )
    async with connect(choice, workers=1) as service:
        found, _ = await compare_plan(plan, service)
    return found


async def compare_plan(
    plan: Plan, service: CloudService, count: Count = lambda _: None
) -> tuple[list[PlanDifference], int]:
    """Do the same in a session that is open already; also the number of volumes in the cloud."""
    found, _ = await survey(service.inventory, count)
    return differences(plan, found), len(found.volumes)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanContents:
    """The volumes for a new plan."""

    found: VolumesByServer
    """Every volume of the project."""
    volumes: Mapping[str, CloudVolume]
    """The chosen volumes that can be backed up, by id."""
    left_out: Mapping[str, CloudVolume]
    """The chosen volumes that cannot be backed up in their present state."""
    nameless: str | None
    """Why servers have no names, if that matters."""

    @property
    def gigabytes(self) -> int:
        """The total size of the volumes whose size is known."""
        return sum(volume.size or 0 for volume in self.volumes.values())


async def choose_volumes(
    service: CloudService, selection: VolumeSelection, count: Count = lambda _: None
) -> PlanContents:
    """Choose a project's volumes for a new plan; raises `UsageError` if there are none."""
    found, nameless = await survey(service.inventory, count)
    check_servers(found, selection.server, names_known=nameless is None)
    fitting = chosen(found, selection)
    volumes = usable(fitting, selection)
    if not volumes:
        raise UsageError(_nothing(len(found.volumes), len(fitting)))
    named = nameless is None or not any(volume.server_ids for volume in volumes.values())
    return PlanContents(
        found=found,
        volumes=volumes,
        left_out={key: volume for key, volume in fitting.items() if key not in volumes},
        nameless=None if named else nameless,
    )


def plan_lines(
    contents: PlanContents, selection: VolumeSelection, service: CloudService, file: str | None
) -> list[str]:
    """The lines of a new plan, named after its file or, without one, after the cloud."""
    cloud = None if service.cloud_name == "envvars" else service.cloud_name
    name = shown_name(cloud if file is None else Path(file).stem)[:64].strip() or "fleet"
    heading = Heading(name=name, cloud=cloud, selection=selection, place=place_line(service))
    return list(plan_text(contents.found, contents.volumes, heading, left_out=contents.left_out))


def _nothing(known: int, fitting: int) -> str:
    if not known:
        return "the cloud has no volumes in this project"
    if fitting:
        return f"no matching volume can be backed up ({fitting} are in error or being deleted)"
    return f"none of the cloud's {known} volumes matches all of these options"
