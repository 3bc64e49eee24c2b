"""Which volumes of a fleet a selection means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from vbsbatch.errors import UsageError
from vbsbatch.inventory.volumes_by_server import VolumesByServer, is_hopeless
from vbsbatch.model import CloudVolume
from vbsbatch.plan import VolumeSelection
from vbsbatch.plan.checks import volume_uuid


def chosen(fleet: VolumesByServer, selection: VolumeSelection) -> dict[str, CloudVolume]:
    """The volumes that fit, by id, whatever their state unless the selection names states."""
    servers = _servers(fleet, selection.server)
    excluded = frozenset(filter(None, map(_uuid, selection.exclude)))
    return {
        volume_id: volume
        for volume_id, volume in fleet.volumes.items()
        if volume_id not in excluded
        and _fits(volume, selection)
        and (not selection.server or not servers.isdisjoint(volume.server_ids))
    }


def usable(volumes: dict[str, CloudVolume], selection: VolumeSelection) -> dict[str, CloudVolume]:
    """Those that a plan may hold: who names states means them, else hopeless ones are left out."""
    if selection.status:
        return volumes
    return {key: volume for key, volume in volumes.items() if not is_hopeless(volume.status)}


def check_servers(fleet: VolumesByServer, wanted: Sequence[str], *, names_known: bool) -> None:
    """Raise `UsageError` for a server that nobody knows, with what could be meant."""
    attached = {each for volume in fleet.volumes.values() for each in volume.server_ids}
    for word in wanted:
        if _matching(fleet, word) or word in attached:
            continue
        if not names_known:
            raise UsageError(
                f"--server {word}: no volume is attached to a server of this id, and the cloud "
                "told no names of servers: give the server's id"
            )
        close = get_close_matches(word, fleet.names.values(), 1)
        hint = f": did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"--server {word}: no server has this name or id{hint}")


def _servers(fleet: VolumesByServer, wanted: Collection[str]) -> frozenset[str]:
    """Ids of the servers that are meant; a word that is no name is an id."""
    return frozenset(each for word in wanted for each in (*_matching(fleet, word), word))


def _matching(fleet: VolumesByServer, word: str) -> list[str]:
    """Every server of this name (several may share it), or with this label or id."""
    return [
        server_id
        for server_id, label in fleet.names.items()
        if word in (server_id, label) or label == f"{word} ({server_id[:8]})"
    ]


def _fits(volume: CloudVolume, selection: VolumeSelection) -> bool:
    return (
        _one_of(volume.status, [word.lower() for word in selection.status])
        and _one_of(volume.zone, selection.az)
        and _one_of(volume.volume_type, selection.type)
        and (not selection.name or _matches(volume.name, selection.name))
        and not _matches(volume.name, selection.exclude)
        and _sized(volume.size, selection)
        and _tagged(volume, selection)
    )


def _one_of(value: str | None, wanted: Sequence[str]) -> bool:
    return not wanted or value in wanted


def _matches(name: str | None, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name or "", pattern) for pattern in patterns)


def _sized(size: int | None, selection: VolumeSelection) -> bool:
    low, high = selection.min_size, selection.max_size
    if low is None and high is None:
        return True
    return size is not None and (low or 0) <= size and (high is None or size <= high)


def _tagged(volume: CloudVolume, selection: VolumeSelection) -> bool:
    found = dict(volume.metadata)
    wanted: dict[str, set[str]] = {}
    for key, value in selection.metadata:
        wanted.setdefault(key, set()).add(value)
    return all(key in found and found[key] in values for key, values in wanted.items())


def _uuid(text: str) -> str | None:
    try:
        return volume_uuid(text)
    except ValueError:
        return None
