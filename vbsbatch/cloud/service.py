"""What all backup services have in common: one session, native backups, and what is counted.

Everything that differs between them is in their classes, one file for each, in
`vbsbatch/cloud/services`. This module and those files import no HTTP library before a service is
made: reports and screens read the facts of a service without paying for the network.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import quote

from vbsbatch.cloud.endpoints import EndpointKind, Endpoints
from vbsbatch.cloud.response_errors import refusal_of
from vbsbatch.cloud.response_parser import is_page
from vbsbatch.cloud.response_values import whole
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import (
    Answer,
    Backup,
    BackupPage,
    BackupSettings,
    Cloud,
    CloudJob,
    Elapsed,
    Job,
    Quota,
    ServiceFacts,
    Target,
    Vault,
)

if TYPE_CHECKING:
    from vbsbatch.cloud.restore_inference import RestoreLog
    from vbsbatch.cloud.session import Headers, Reply, Session

Question = Callable[[], Awaitable[bool]]
"""Something that a service is asked; raises what reads raise."""

_NOT_THERE = frozenset({404, 405, 410, 501})
"""How services and gateways say that there is no such API."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignInEnd:
    """The end of a sign-in that cannot be renewed."""

    signed_in_with: str
    """In words: `a one-time passcode`."""
    at: float | None
    """Epoch seconds of our clock; None where the identity service does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The endpoints to use, and which of them are only a guess."""

    endpoints: Endpoints
    supposed: frozenset[str] = frozenset()
    """Names of endpoint kinds that neither the catalog nor a person names."""

    def is_named(self, kind: EndpointKind) -> bool:
        """Whether the catalog or a person says where such an endpoint is."""
        return kind.name not in self.supposed


class BackupList(Protocol):
    """The backups of a project, wherever the service has them."""

    async def page(self, page: str | None = None) -> BackupPage:
        """One page; `page` is the `next` of the page before."""
        ...

    async def get(self, backup_id: str) -> Backup | None:
        """One backup, or None when the cloud does not know it."""
        ...

    async def delete(self, backup_id: str) -> None:
        """Ask for a deletion; a backup that is gone already is no error."""
        ...


class CloudService(ABC):
    """One backup service of one cloud over one session: what the engine's `BackupService` asks for,
    and what else the command line needs."""

    facts: ClassVar[ServiceFacts]
    endpoint_kind: ClassVar[EndpointKind]
    described: ClassVar[str]
    """What messages call it where a catalog lacks it: `volume backup service`."""
    creates: ClassVar[str]
    """Where creates are sent, below the project."""
    version: ClassVar[str]
    """The version of the API in the path of a create."""
    create_key: ClassVar[str] = "backup"
    """The key of a create's body that holds everything else."""
    restores: ClassVar[str | None] = None
    """Where restores are sent, below the project; None for the native backups."""
    has_list_of_its_own: ClassVar[bool] = False
    """Its backups are not among those of block storage."""
    has_own_backups: ClassVar[bool] = False
    """It may serve native backups at its own endpoint, where block storage has none."""

    project_name: str | None = None
    endpoint: str | None = None
    """The root of the backup service's address, once that was found."""
    ends: SignInEnd | None = None
    """When the sign-in ends for good; None where it can be renewed."""

    def __init__(
        self,
        session: Session,
        endpoints: Endpoints,
        *,
        cloud_name: str | None = None,
        region: str | None = None,
    ) -> None:
        from vbsbatch.cloud.backup_actions import BackupActions
        from vbsbatch.cloud.native_backups import NativeBackups
        from vbsbatch.cloud.project_resources import ProjectResources

        self.cloud_name = cloud_name
        self.region = region
        self.warnings: tuple[str, ...] = ()
        """What a person should know about the way to the cloud: that it is not safe, say."""
        self.project_id = endpoints.project_id
        self._session = session
        self._root = endpoints.roots[self.endpoint_kind.name]
        self._project = quote(endpoints.project_id, safe="")
        base = f"{self._root}/{self.version}/{self._project}"
        self._create_url = base + self.creates
        self.inventory = ProjectResources(session, endpoints)
        restores = None if self.restores is None else base + self.restores
        roots = (endpoints.block_storage, *([self._root] if self.has_own_backups else ()))
        self._native: BackupList = NativeBackups(session, roots, endpoints.project_id)
        self.changes = BackupActions(session, endpoints, restores=restores)
        session.allow("POST", self._create_url)
        self._allow_changes(restores)

    def _allow_changes(self, restores: str | None) -> None:
        """Allow restores and deletions of single backups; creates are allowed already."""
        places = self.changes.places
        for place in places if restores is None else [restores]:
            self._session.allow("POST", f"{place}/*/restore")
        for place in places:
            self._session.allow("DELETE", f"{place}/*")

    @property
    def place(self) -> Target:
        """Which cloud this is."""
        return Target(
            cloud=None if self.cloud_name == "envvars" else self.cloud_name,
            region=self.region,
            project_id=self.project_id,
            project_name=self.project_name,
            endpoint=self.endpoint,
        )

    @property
    def create_calls(self) -> int:
        """Create requests that left this process."""
        return self._session.create_calls

    @property
    def read_calls(self) -> int:
        """Every other request that left this process, sign-in included."""
        return self._session.read_calls

    @property
    def clock_ahead(self) -> float:
        """Server clock minus our elapsed one in seconds; 0 before the first answer."""
        return self._session.clock.ahead

    def worked_before(self) -> None:
        """The service answered an earlier process at this endpoint: a page or a bare 404 in its
        place is an outage until it lasts."""
        self._session.way.worked_before()

    async def ready(self) -> None:
        """Make sure that a create can leave at once: that there is a token, not about to expire.

        Raises `SignInError` or `CloudUnavailable`.
        """
        await self._session.credentials.ready()

    async def renew_token(self, used_since: Elapsed) -> None:
        """Get a new token unless one was got since `used_since`; one request serves all.

        Raises `SignInError` when the credentials are refused, `CloudUnavailable` on an outage.
        """
        await self._session.credentials.ready(refused_at=float(used_since))

    # What a service says of itself ----------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def create_body(job: Job) -> dict[str, Any]:
        """What a create request of this one job holds, as the API reference describes it."""

    @abstractmethod
    def offer_checks(self, found: Found, *, wanted: bool) -> Sequence[Question]:
        """What to ask before the service is used; it is offered if every answer is yes.

        `wanted`: the plan or a run names it; else it is tried because nothing was named.
        """

    @abstractmethod
    async def quota(self) -> tuple[Quota, ...]:
        """What the project may keep and what it keeps; kinds without a number are left out."""

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """One cloud job, or None when the service does not know it, as one without any does."""
        return None

    async def restore_logs(self, since: Cloud) -> Sequence[RestoreLog]:
        """What the service's own log says about restores that began after that moment; nothing on a
        service without such a log. Raises what reads raise.
        """
        return ()

    async def vaults(self) -> tuple[Vault, ...]:
        """The project's vaults with their volumes; none on a service without vaults.

        Raises what reads raise.
        """
        return ()

    async def associate(self, vault_id: str, volume_ids: Sequence[str]) -> None:
        """Put volumes that are in no vault into this one; raises what reads raise.

        A request whose answer was lost may have done it: read the vaults before asking again.
        """
        raise CloudRefused(f"{self.facts.label} has no vaults")

    async def objections(self, wanted: Iterable[BackupSettings]) -> list[str]:
        """What of these settings the service cannot do, each in words for a person.

        Asked before a run is stored. Raises what reads raise.
        """
        return []

    # What is the same for all ---------------------------------------------------------------------

    async def create_all(self, jobs: Sequence[Job], worker: int) -> Sequence[Answer]:
        """Send one create for these jobs, once: an answer for each, in their order.

        They are one job, unless the service takes several.
        """
        (job,) = jobs
        return [await self.create(job, worker)]

    async def create(self, job: Job, worker: int) -> Answer:
        """Send one create, once; without an answer, `status` is None and `message` says why."""
        body = json.dumps({self.create_key: self.create_body(job)}).encode()
        return await self.changes.create(worker, self._create_url, body, self._create_headers(job))

    def _create_headers(self, job: Job) -> Headers:
        """Headers that the create of this job needs besides the usual ones."""
        return ()

    async def why_no_creates(self) -> str | None:
        """Why no create can arrive, asked with one that names no volume; None where one does.

        Raises what reads raise.
        """
        reply = await self._session.read("POST", self._create_url, b"{}")
        if not _is_there(reply):
            return str(refusal_of(self._session, reply))
        return "a web page instead of an API answer" if is_page(reply.body) else None

    async def backups(self, page: str | None = None) -> BackupPage:
        """One page of all backups of the project."""
        return await self._native.page(page)

    async def all_backups(self, page: str | None = None) -> BackupPage:
        """The same with backups that are parts of others, such as those of a whole server."""
        return await self._native.page(page)

    async def initial_scan(self, page: str | None = None) -> BackupPage:
        """The same: the list shows the backups of all engines."""
        return await self._native.page(page)

    async def backup(self, backup_id: str) -> Backup | None:
        """One backup, or None when the cloud does not know it."""
        return await self._native.get(backup_id)

    async def delete_backup(self, backup_id: str) -> None:
        """Ask for the deletion of a backup; one that is gone already is no error."""
        await self._native.delete(backup_id)

    async def _answers(self, method: str, url: str, body: bytes = b"") -> bool:
        """Whether there is such an API; raises `CloudUnavailable` if that cannot be found out."""
        reply = await self._session.read(method, url, body)
        error = None if reply.status < 300 else refusal_of(self._session, reply)
        if isinstance(error, CloudUnavailable):
            raise error
        return _is_there(reply)


def quota_of(kind: str | None, used: object, reserved: object, limit: object) -> Quota | None:
    """One quota as a service writes its numbers; None without a kind or a number that is used."""
    used, most = whole(used), whole(limit)
    if kind is None or used is None:
        return None
    return Quota(
        kind=kind,
        used=used,
        reserved=whole(reserved) or 0,
        limit=None if most is None or most < 0 else most,
    )


async def never() -> bool:
    """The answer of a service that cannot be where it is supposed to be."""
    return False


def _is_there(reply: Reply) -> bool:
    return reply.status not in _NOT_THERE and not 300 <= reply.status < 400
