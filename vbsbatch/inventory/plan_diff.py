"""A plan held against the fleet as it is now: volumes gone, new, changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vbsbatch.inventory.filters import chosen, usable
from vbsbatch.inventory.volumes_by_server import VolumesByServer, is_hopeless, is_ready
from vbsbatch.model import CloudVolume
from vbsbatch.plan import Plan, PlanVolume, VolumeSelection
from vbsbatch.plan.volume_collector import shown_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One fact about a volume that is not as the plan says; None where there is none."""

    what: str
    """`name`, `size`, `status`, `type` or `server`."""
    was: str | None
    now: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanDifference:
    """One volume that is `gone`, `new` or `changed`."""

    kind: str
    volume_id: str
    name: str
    group: str | None = None
    size: int | None = None
    """GB."""
    changes: tuple[Change, ...] = ()


def differences(plan: Plan, fleet: VolumesByServer) -> list[PlanDifference]:
    """Gone and changed volumes in the order of the plan, then new ones by server and name.

    New is what fits the plan's `selection` (everything, where it has none) and can be backed up.
    """
    planned = {volume.id: volume for volume in plan.volumes}
    found = [each for volume in plan.volumes if (each := _compared(volume, fleet)) is not None]
    selection = plan.selection or VolumeSelection()
    fitting = usable(chosen(fleet, selection), selection)
    return found + sorted(_new(fitting, planned, fleet), key=_place)


def _compared(volume: PlanVolume, fleet: VolumesByServer) -> PlanDifference | None:
    now = fleet.volumes.get(volume.id)
    if now is None:
        return PlanDifference(
            kind="gone", volume_id=volume.id, name=volume.name, group=volume.group
        )
    changes = tuple(_changes(volume, now, fleet))
    if not changes:
        return None
    return PlanDifference(
        kind="changed",
        volume_id=volume.id,
        name=volume.name,
        group=volume.group,
        size=now.size,
        changes=changes,
    )


def _new(
    fitting: Mapping[str, CloudVolume], planned: Mapping[str, PlanVolume], fleet: VolumesByServer
) -> Iterator[PlanDifference]:
    for volume_id, volume in fitting.items():
        if volume_id not in planned:
            yield PlanDifference(
                kind="new",
                volume_id=volume_id,
                name=shown_name(volume.name) or volume_id,
                group=fleet.group(volume),
                size=volume.size,
            )


def _changes(volume: PlanVolume, now: CloudVolume, fleet: VolumesByServer) -> Iterator[Change]:
    """What the plan knows is compared; what it does not say cannot have changed."""
    name, seen = shown_name(now.name) or volume.id, volume.seen
    nameless = seen is None and volume.name == volume.id
    if name != volume.name and not nameless:
        yield Change(what="name", was=volume.name, now=name)
    if seen is None:
        if is_hopeless(now.status):
            yield Change(what="status", was=None, now=now.status)
        return
    if seen.size is not None and now.size is not None and seen.size != now.size:
        yield Change(what="size", was=f"{seen.size} GB", now=f"{now.size} GB")
    if _other_state(seen.status, now.status):
        yield Change(what="status", was=seen.status, now=now.status)
    kind = shown_name(now.volume_type)
    if seen.type is not None and kind and seen.type != kind:
        yield Change(what="type", was=seen.type, now=kind)
    if seen.server is None and now.server_ids and seen.status is not None:
        yield Change(what="server", was=None, now=fleet.group(now))
    elif seen.server is not None and seen.server not in now.server_ids:
        yield Change(what="server", was=fleet.label(seen.server), now=fleet.group(now))


def _other_state(was: str | None, now: str | None) -> bool:
    """A state that passes by itself (`backing-up`) is no change that anybody asked about."""
    passing = not is_ready(now) and not is_hopeless(now)
    return was is not None and now is not None and was != now and not passing


def _place(difference: PlanDifference) -> tuple[bool, str, str, str]:
    group = difference.group or ""
    return not group, group.casefold(), difference.name.casefold(), difference.volume_id
