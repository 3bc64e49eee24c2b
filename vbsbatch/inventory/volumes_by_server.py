"""The volumes and servers that a cloud showed, each once, and what the servers are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vbsbatch.model import CloudServer, CloudVolume
from vbsbatch.plan.checks import volume_uuid
from vbsbatch.plan.volume_collector import shown_name

_READY = frozenset({"available", "in-use"})
_GONE = frozenset({"deleting", "deleted"})
_LABEL_MOST = 200


def is_ready(status: str | None) -> bool:
    """True when a volume in this state can be backed up now; a state not told counts as such."""
    return status is None or status in _READY


def is_hopeless(status: str | None) -> bool:
    """True when no waiting makes a volume in this state one that can be backed up.

    Block storage's own words: `error` and all that begin like it stay until somebody acts.
    """
    return status is not None and (status in _GONE or status.startswith("error"))


@dataclass(frozen=True, slots=True)
class VolumesByServer:
    """What the cloud showed: volumes by id (the one spelling of a plan), server names by id."""

    volumes: Mapping[str, CloudVolume]
    names: Mapping[str, str]

    @classmethod
    def of(
        cls, volumes: Iterable[CloudVolume], servers: Iterable[CloudServer] = ()
    ) -> VolumesByServer:
        """The fleet of these; volumes that were listed twice, or without a UUID, count once or not
        at all: no plan can name the latter."""
        by_id: dict[str, CloudVolume] = {}
        for volume in volumes:
            try:
                by_id.setdefault(volume_uuid(volume.id), volume)
            except ValueError:
                continue
        return cls(by_id, _labels(servers))

    def group(self, volume: CloudVolume) -> str | None:
        """The server that the volume is attached to, by name; its id where it has none.

        Of several servers the first by name, so that the volumes of one stay together.
        """
        return min((self.label(server_id) for server_id in volume.server_ids), default=None)

    def label(self, server_id: str) -> str:
        """What people call the server."""
        return self.names.get(server_id, server_id)

    def server_id(self, volume: CloudVolume) -> str | None:
        """The id of the server that gives the volume its group."""
        group = self.group(volume)
        return min((each for each in volume.server_ids if self.label(each) == group), default=None)


def _labels(servers: Iterable[CloudServer]) -> dict[str, str]:
    """Names by id; servers of the same name are told apart by the beginning of their ids."""
    shown = {server.id: shown_name(server.name)[:_LABEL_MOST] for server in servers}
    often = Counter(shown.values())
    return {
        server_id: name if often[name] == 1 else f"{name} ({server_id[:8]})"
        for server_id, name in shown.items()
        if name
    }
