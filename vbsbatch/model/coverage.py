"""Which volumes of a project have a good backup that is young enough, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from vbsbatch.model.clocks import Cloud
from vbsbatch.model.cloud import Backup


class Uncovered(StrEnum):
    """Why a volume is not covered, the worst first."""

    NONE = "none"  # it has no backup
    FAILED = "failed"  # all its backups have failed
    UNFINISHED = "unfinished"  # its first good backup is being made
    UNDATED = "undated"  # the cloud does not tell when its good backups were made
    OLD = "old"  # its newest good backup is older than allowed


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeCoverage:
    """One volume and its backups."""

    volume_id: str
    name: str | None = None
    size: int | None = None
    """GB."""
    status: str | None = None
    servers: tuple[str, ...] = ()
    """The servers that it is attached to, by name where that is known."""
    reason: Uncovered | None = None
    """Why it is not covered; None if it is."""
    newest: Backup | None = None
    """Its newest good backup."""
    service: str | None = None
    """The service that has that backup."""
    age: float | None = None
    """Seconds since that backup was made, by the cloud's clock."""
    failed: int = 0
    """Failed backups that are newer than that one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """The chosen volumes of a project, the worst first."""

    place: str
    """The cloud and project, in words."""
    services: tuple[str, ...]
    """The services whose backups were read."""
    now: Cloud
    max_age: float
    """Seconds."""
    volumes: Sequence[VolumeCoverage]
    nameless: str | None = None
    """Why servers are named by their ids; None if they have names."""

    @property
    def uncovered(self) -> list[VolumeCoverage]:
        """The volumes without a good backup that is young enough."""
        return [each for each in self.volumes if each.reason is not None]

    @property
    def covered(self) -> int:
        """How many volumes have one."""
        return len(self.volumes) - len(self.uncovered)
