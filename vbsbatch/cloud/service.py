"""What VBS and Cinder have in common: one session, native backups, and what is counted.

A service of its own kind adds how a create is sent and read, its cloud jobs if it has any, and
its quota: `vbs.py` and `cinder.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import httpx

from vbsbatch.cloud.backup_actions import BackupActions
from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.native_backups import NativeBackups
from vbsbatch.cloud.project_resources import ProjectResources
from vbsbatch.cloud.response_errors import on_its_way, redirection, refusal_of
from vbsbatch.cloud.response_parser import is_page, read_create
from vbsbatch.cloud.session import NO_HEADERS, Headers, NoAnswerError, Session
from vbsbatch.model import (
    Answer,
    Backup,
    BackupPage,
    BackupSettings,
    CloudJob,
    Elapsed,
    Job,
    Quota,
    Service,
    Target,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SignInEnd:
    """The end of a sign-in that cannot be renewed."""

    signed_in_with: str
    """In words: `a one-time passcode`."""
    at: float | None
    """Epoch seconds of our clock; None where the identity service does not say."""


class CloudService(ABC):
    """One backup service of one cloud over one session: what the engine's `BackupService` asks for,
    and what the command line wants to know beside it."""

    kind: ClassVar[Service]
    project_name: str | None = None
    endpoint: str | None = None
    """The root of the backup service's address."""
    ends: SignInEnd | None = None
    """When the sign-in ends for good; None where it can be renewed."""
    _create_url: httpx.URL

    def __init__(
        self,
        session: Session,
        endpoints: Endpoints,
        *,
        roots: Iterable[str],
        cloud_name: str | None = None,
        region: str | None = None,
    ) -> None:
        self.cloud_name = cloud_name
        self.region = region
        self.warnings: tuple[str, ...] = ()
        """What a person should know about the way to the cloud: that it is not safe, say."""
        self.project_id = endpoints.project_id
        self.inventory = ProjectResources(session, endpoints)
        self.changes = BackupActions(session, endpoints)
        self._session = session
        self._native = NativeBackups(session, tuple(roots), endpoints.project_id)

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
        """Server clock minus our elapsed one in seconds; 0 until an answer told it."""
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

    @abstractmethod
    async def create(self, job: Job, worker: int) -> Answer:
        """Send one create, once; without an answer, `status` is None and `message` says why."""

    @abstractmethod
    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """One cloud job, or None when the service does not know it."""

    @abstractmethod
    async def quota(self) -> tuple[Quota, ...]:
        """What the project may keep and what it keeps; kinds without a number are left out."""

    @abstractmethod
    async def objections(self, wanted: Iterable[BackupSettings]) -> list[str]:
        """What of these settings the service cannot do, each in words for a person.

        Asked before a run is stored. Raises what reads raise.
        """

    async def why_no_creates(self) -> str | None:
        """Why no create can arrive, asked with one that names no volume; None where one does.

        Raises what reads raise.
        """
        reply = await self._session.read("POST", self._create_url, b"{}")
        if reply.status in (404, 405, 410, 501) or 300 <= reply.status < 400:
            return str(refusal_of(self._session, reply))
        return "a page instead of an answer" if is_page(reply.body) else None

    async def backups(self, page: str | None = None) -> BackupPage:
        """One page of all backups of the project."""
        return await self._native.page(page)

    async def survey(self, page: str | None = None) -> BackupPage:
        """The same: the list shows whatever any engine has had made."""
        return await self._native.page(page)

    async def backup(self, backup_id: str) -> Backup | None:
        """One backup, or None when the cloud does not know it."""
        return await self._native.get(backup_id)

    async def delete_backup(self, backup_id: str) -> None:
        """Ask for the deletion of a backup; one that is gone already is no error."""
        await self._native.delete(backup_id)

    async def _send(
        self, worker: int, url: httpx.URL, body: bytes, headers: Headers = NO_HEADERS
    ) -> Answer:
        """Send a create on the connection of `worker` and read what comes back."""
        session = self._session
        try:
            reply = await session.create(worker, url, body, headers)
        except NoAnswerError as error:
            return Answer(message=str(error), json=False)
        if where := redirection(reply):
            answer = Answer(status=reply.status, message=where, json=False)
        else:
            answer = read_create(reply.status, reply.headers, reply.body, session.now())
        return on_its_way(session, reply, answer)
