"""How a simulated cloud behaves: frozen values, from a faults file or from code.

All durations are seconds. A `Span` is a range that a seeded generator draws from uniformly.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Span = tuple[float, float]
"""Least and most of something drawn uniformly; equal ends for a fixed value."""


class Kind(StrEnum):
    """Kinds of requests, as faults and the ledger name them."""

    CREATE = "create"
    LIST = "list"
    BACKUP = "backup"
    JOB = "job"
    DELETE = "delete"
    RESTORE = "restore"
    VAULTS = "vaults"
    ASSOCIATE = "associate"
    TOKEN = "token"  # noqa: S105 - a kind of request, no secret
    QUOTA = "quota"
    VOLUMES = "volumes"
    SERVERS = "servers"
    OTHER = "other"


class Do(StrEnum):
    """What a fault does to a request."""

    STATUS = "status"  # answer this status, code and message; nothing is committed unless `after`
    THROTTLE = "throttle"  # the gateway's 429 APIG.0308
    DROP_BEFORE = "drop_before"  # reset the connection, nothing is committed
    DROP_AFTER = "drop_after"  # commit, then reset the connection
    HANG = "hang"  # never answer, nothing is committed
    HANG_AFTER = "hang_after"  # commit, then never answer
    GARBAGE = "garbage"  # commit, then answer 200 with a body that is no JSON
    HTML = "html"  # a proxy's 502 page; nothing is committed unless `after`
    CUT = "cut"  # commit, then break off in the middle of the answer's body
    DELAY = "delay"  # commit, and answer this much later
    REFUSE = "refuse"  # an outage: no connection at all
    REVOKE = "revoke"  # revoke every token first, then handle the request
    REVOKE_KEYS = "revoke_keys"  # delete every access key first, then handle the request
    REDIRECT = "redirect"  # send the client to `to`; nothing is committed unless `after`
    BOMB = "bomb"  # commit, then answer a little gzip that unpacks to gigabytes
    ENDLESS = "endless"  # commit, then answer a body without an end
    DRIP = "drip"  # commit, then answer byte by byte, one `every` so long
    NULL = "null"  # commit, and answer null where a list, a map or a text would be empty
    NO_MARKER = "no_marker"  # answer a list as if it had not been asked for what follows a marker
    NO_PAGING = "no_paging"  # the same, and as if it had not been asked for an offset either
    FAIL = "fail"  # accept the create or restore; its cloud job fails with `code`


_COMMITTING = frozenset(
    {Do.DROP_AFTER, Do.HANG_AFTER, Do.GARBAGE, Do.CUT, Do.DELAY, Do.BOMB, Do.ENDLESS, Do.DRIP}
    | {Do.NULL, Do.NO_MARKER, Do.NO_PAGING}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that goes wrong. The first fault that matches a request is applied."""

    on: Kind | None
    """The kind of request it strikes; None for any."""
    do: Do
    share: float = 1.0
    """The share of matching requests that it strikes, 0 to 1."""
    between: Span | None = None
    """Only in this window, counted from the start of the cloud (or of the newest faults)."""
    volumes: frozenset[str] | None = None
    """Only creates for these volumes (ids in lower case with hyphens)."""
    first: int | None = None
    """Only the first N matching requests: of each volume when `volumes` is given, else of all."""
    status: int | None = None
    """None for what fits: 503 for `status`, 502 for `html`, 200 for `garbage`, 302 for
    `redirect`."""
    code: str | None = None
    message: str | None = None
    after: bool | None = None
    """Commit before answering; None for what `do` says."""
    retry_after: str | None = None
    """Sent literally as `Retry-After`: seconds or a date."""
    retry_after_key: str | None = None
    """With `status`: `retry_after` is in the body under this key, and not in a header."""
    longer: int | None = None
    """Only lists that are asked for more entries than this."""
    delay: Span = (0.0, 0.0)
    """How long the answer takes beyond the usual latency."""
    to: str | None = None
    """With `redirect`: where the client is sent, to the same path if it ends with a slash."""
    every: float = 1.0
    """With `drip`: seconds between two bytes."""
    early: bool = False
    """With `fail`: the cloud job fails before a backup becomes visible."""

    @property
    def commits(self) -> bool:
        """True when the cloud does what was asked before the fault strikes."""
        return self.do in _COMMITTING if self.after is None else self.after


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupScript:
    """How backups are made."""

    duration: Span = (4.0, 8.0)
    """From the accepted create to the end of the cloud job."""
    visible_after: Span = (1.0, 1.0)
    """From the accepted create until lists show the backup."""
    listed_after: Span = (0.0, 0.0)
    """From the end of a backup until lists show it; until then they show what was just before."""
    fail: float = 0.0
    """The share of backups that end in `error`."""
    fail_early: float = 0.0
    """The share of cloud jobs that fail before a backup is visible."""
    fail_code: str = "VolumeBackup.0064"
    delete: Span = (1.0, 2.0)
    """From the accepted deletion until the backup is gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayLimit:
    """A sliding window in front of the service, answering 429 beyond it."""

    count: int
    per: float = 1.0
    retry_after: bool = True
    on: Kind | None = Kind.CREATE


@dataclass(frozen=True, kw_only=True, slots=True)
class SimQuota:
    """How much the project may keep; -1 for no limit."""

    backups: int = -1
    gigabytes: int = -1


class Services(StrEnum):
    """Which backup services the catalog names and the host answers."""

    VBS = "vbs"
    CBR = "cbr"
    CINDER = "cinder"
    BOTH = "both"  # VBS and Cinder
    ALL = "all"


class Busy(StrEnum):
    """What CBR does with a disk whose backup is being made."""

    DISK = "disk"  # it skips the disk
    VAULT = "vault"  # it refuses the whole checkpoint while any disk of the vault is busy
    NOTHING = "nothing"  # it makes a second backup


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultScript:
    """How CBR's vaults are filled, and what its reference leaves open."""

    number: int | None = None
    """Disk vaults; the disks are distributed in turn. None for as many as hold them all."""
    loose: int = 0
    """So many disks, the last ones, are in no vault."""
    size: int = 10_485_760
    """GB of each vault."""
    status: str = "available"
    """`available`, `lock`, `frozen`, `deleting` or `error`."""
    auto_expand: bool = False
    busy: Busy = Busy.DISK
    busy_code: str = "BackupService.6203"
    busy_status: int = 400
    """Of the refusal of a whole checkpoint."""
    refuses_all: bool = False
    """A checkpoint in which every disk would be skipped is refused as a whole (400, `0001`)."""
    silent: float = 0.0
    """The share of disks that the answer leaves out although they are backed up."""
    suffix: str = "-"
    """What comes before the number that each name of a checkpoint of several disks ends in."""
    as_text: bool = False
    """Numbers and `extra_info` come as strings."""
    zone: bool = False
    """Times end in `+00:00`."""
    logs_after: Span = (0.0, 0.0)
    """How long after a task began the operation logs show it."""
    progress: bool = False
    """A backup in the making tells its progress."""
    restore_job: bool = False
    """The answer to a restore names its operation log."""
    restores_at_once: bool = False
    """Several restores of one vault may run at the same time."""
    hides_restores: bool = False
    """A backup that is being restored stays `available`, and its `updated_at` as it was."""
    associates_rest: bool = False
    """A disk that is in another vault does not refuse the whole call to associate."""
    policy_locked: bool = False
    """Backups cannot be deleted by hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """Everything about a simulated cloud that is not its volumes."""

    backups: BackupScript = BackupScript()
    token_life: float = 24 * 3600.0
    revoked_after: float = 0.0
    """How long a revoked token is still accepted."""
    limit: GatewayLimit | None = None
    latency: Span = (0.0, 0.0)
    services: Services = Services.VBS
    microversion: int = 71
    """The newest microversion of block storage: 3.this."""
    busy_after: float = 0.0
    """For so long after a create Cinder does not see a busy volume, and accepts another create."""
    clock_ahead: float = 0.0
    """The server's clock minus the true one."""
    clock_steps: tuple[tuple[float, float], ...] = ()
    """When the server's clock is set, in seconds since the cloud began, and by how many seconds."""
    quota: SimQuota = SimQuota()
    vaults: VaultScript = VaultScript()
    catalog: str | None = None
    """Scheme and host that the catalog gives every service but identity; None for our own."""
    page: int = 1000
    """The most entries of a page, whatever is asked for."""
    links: bool = True
    """Whether a full page links to the next one."""
    faults: tuple[Fault, ...] = ()

    def ahead(self, passed: float) -> float:
        """The server's clock minus the true one, `passed` seconds after the cloud began."""
        return self.clock_ahead + sum(by for after, by in self.clock_steps if after <= passed)
