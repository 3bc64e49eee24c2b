"""The volumes and servers that a cloud returned, each once, and the names of the servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vbsbatch.model import CloudServer, CloudVolume
from vbsbatch.plan.units import volume_uuid
from vbsbatch.plan.volume_collector import shown_name

_READY = frozenset({"available", "in-use"})
_GONE = frozenset({"deleting", "deleted"})
_LABEL_MOST = 200


def is_ready(status: str | None) -> bool:
    """True when a volume in this state can be backed up now; an unknown state counts as ready."""
    return status is None or status in _READY


def is_hopeless(status: str | None) -> bool:
    """True when waiting does not help: the volume cannot be backed up from this state.

    These are block storage's states. Those that begin with `error` stay until somebody acts.
    """
    return status is not None and (status in _GONE or status.startswith("error"))


@dataclass(frozen=True, slots=True)
class VolumesByServer:
    """Volumes by id (spelled as in a plan), server names by id."""

    volumes: Mapping[str, CloudVolume]
    names: Mapping[str, str]

    @classmethod
    def of(
        cls, volumes: Iterable[CloudVolume], servers: Iterable[CloudServer] = ()
    ) -> VolumesByServer:
        """These volumes, each once. One without a UUID is left out: no plan can name it."""
        by_id: dict[str, CloudVolume] = {}
        for volume in volumes:
            try:
                by_id.setdefault(volume_uuid(volume.id), volume)
            except ValueError:
                continue
        return cls(by_id, _labels(servers))

    @property
    def sizes(self) -> Mapping[str, int]:
        """GB by volume id, where the cloud told it."""
        return {
            volume_id: volume.size
            for volume_id, volume in self.volumes.items()
            if volume.size is not None
        }

    def group(self, volume: CloudVolume) -> str | None:
        """The server that the volume is attached to, by name; its id where it has none.

        Of several servers the first by name, so that the volumes of one stay together.
        """
        return min((self.label(server_id) for server_id in volume.server_ids), default=None)

    def label(self, server_id: str) -> str:
        """The server's name, else its id."""
        return self.names.get(server_id, server_id)

    def server_id(self, volume: CloudVolume) -> str | None:
        """The id of the server that gives the volume its group."""
        group = self.group(volume)
        return min((each for each in volume.server_ids if self.label(each) == group), default=None)


def _labels(servers: Iterable[CloudServer]) -> dict[str, str]:
    """Names by id; to equal names the beginning of the id is added."""
    shown = {server.id: shown_name(server.name)[:_LABEL_MOST] for server in servers}
    often = Counter(shown.values())
    return {
        server_id: name if often[name] == 1 else f"{name} ({server_id[:8]})"
        for server_id, name in shown.items()
        if name
    }
