"""What the cloud has, according to its answers: backups, cloud jobs, volumes, servers, quotas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from vbsbatch.model.clocks import Cloud

_DIGITS = re.compile(r"[0-9a-fA-F]{32}")


def plain_id(identifier: str) -> str:
    """Return one spelling for all forms of a UUID, for comparisons; other text stays as it is."""
    bare = identifier.strip().replace("-", "")
    return bare.lower() if _DIGITS.fullmatch(bare) else identifier


class CloudJobStatus(StrEnum):
    """The status of the service's own asynchronous job, in the service's words."""

    INIT = "INIT"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """A backup, as one entry of the cloud's list; any field but the id may be missing."""

    id: str
    name: str | None = None
    volume_id: str | None = None
    status: str | None = None
    """The service's word, lower case: `creating`, `available`, `error`, ..."""
    created_at: Cloud | None = None
    """By the server's clock."""
    updated_at: Cloud | None = None
    size: int | None = None
    """GB."""
    fail_reason: str | None = None
    code: str | None = None
    """Why it is in `error`, if a code is known."""
    progress: int | None = None
    incremental: bool | None = None
    """Whether it builds on an older one; None where the cloud does not tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudJob:
    """The service's own job, as one query shows it."""

    id: str
    status: CloudJobStatus | None
    """None for a status that the service's reference does not list."""
    backup_id: str | None = None
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupPage:
    """One page of the cloud's list of backups."""

    backups: tuple[Backup, ...]
    next: str | None = None
    """An opaque address of the next page; None on the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudVolume:
    """A disk, as one entry of the cloud's list; any field but the id may be missing."""

    id: str
    name: str | None = None
    size: int | None = None
    """GB."""
    status: str | None = None
    """The service's word, lower case: `available`, `in-use`, `error`, ..."""
    volume_type: str | None = None
    zone: str | None = None
    server_ids: tuple[str, ...] = ()
    """The servers it is attached to."""
    metadata: tuple[tuple[str, str], ...] = ()
    created_at: Cloud | None = None
    """By the server's clock."""
    updated_at: Cloud | None = None
    """When any of its fields last changed, including its status."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumePage:
    """One page of the cloud's list of volumes."""

    volumes: tuple[CloudVolume, ...]
    next: str | None = None
    """An opaque address of the next page; None on the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudServer:
    """A virtual machine, with the fields that backups need."""

    id: str
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerPage:
    """One page of the cloud's list of servers."""

    servers: tuple[CloudServer, ...]
    next: str | None = None
    """An opaque address of the next page; None on the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultVolume:
    """A volume that is associated with a vault; any field but the id may be missing."""

    id: str
    name: str | None = None
    size: int | None = None
    """GB."""
    status: str | None = None
    """The service's word: `available`, `protecting`, `restoring`, `removing`, `error`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vault:
    """A container with a capacity, to which volumes are associated; their backups are kept in it.

    Any field but the id may be missing.
    """

    id: str
    name: str | None = None
    status: str | None = None
    """The service's word: `available`, `lock`, `frozen`, `deleting`, `error`."""
    size: int | None = None
    """GB."""
    allocated: int | None = None
    """GB: the sizes of its volumes together."""
    used: int | None = None
    """MB that its backups take."""
    auto_expand: bool = False
    """It is enlarged by itself when it is full."""
    volumes: tuple[VaultVolume, ...] = ()

    @property
    def title(self) -> str:
        """Its name, or its id."""
        return self.name or self.id

    @property
    def free(self) -> int | None:
        """GB that are left for backups."""
        if self.size is None or self.used is None:
            return None
        return max(self.size - self.used // 1024, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """One limit of the project: `backups` in pieces or `backup_gigabytes` in GB."""

    kind: str
    used: int
    reserved: int = 0
    limit: int | None = None
    """None means without limit."""
