"""Creates, restores and deletions: requests that are sent once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote

from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.resource_list import ResourceList, block_storage_places
from vbsbatch.cloud.response_errors import on_its_way, redirection
from vbsbatch.cloud.response_parser import read_change, read_create
from vbsbatch.cloud.session import NO_HEADERS, Headers, NoAnswerError, Session
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import BLOCKED, Answer, is_too_fast


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnBackups:
    """The backups of a service that has its own, and accepts a restore without a word."""

    place: str
    """The address of the collection."""
    task_of: Callable[[str], str]
    """What to ask for as the cloud job of a restore of this volume that is about to be sent."""


class BackupActions:
    """What makes, restores and deletes backups, for all services alike.

    `restores` is the collection to which restores are sent where that is not block storage: VBS
    answers there with a cloud job. `own` is for a service whose backups are not those of block
    storage.
    """

    def __init__(
        self,
        session: Session,
        endpoints: Endpoints,
        *,
        restores: str | None = None,
        own: OwnBackups | None = None,
    ) -> None:
        self._session = session
        self._restores = restores if own is None else own.place
        self._own = own
        found = block_storage_places(endpoints.with_volumes, endpoints.project_id, "backups")
        self.places = found if own is None else [own.place]
        """Where backups may be: below them they are restored and deleted."""
        self._backups = ResourceList(session, "backups", self.places, listing="detail")

    async def create(
        self, worker: int, url: str, body: bytes, headers: Headers = NO_HEADERS
    ) -> Answer:
        """Send a create on the connection of `worker` and read its answer."""
        return await self.send(worker, url, body, read_create, headers=headers)

    async def restore(self, backup_id: str, volume_id: str, worker: int) -> Answer:
        """Ask once for `volume_id` to be overwritten with the backup; never raises for the cloud.

        Where there is no cloud job, an accepted one names the backup that it restores.
        """
        url = await self._place(self._restores, f"{_word(backup_id)}/restore")
        if isinstance(url, Answer):
            return url
        body = json.dumps({"restore": {"volume_id": volume_id}}).encode()
        read = partial(read_change, restores=backup_id, silent=self._own is not None)
        task = None if self._own is None else self._own.task_of(volume_id)
        answer = await self.send(worker, url, body, read)
        accepted = answer.backup_id is not None and answer.cloud_job_id is None
        return replace(answer, cloud_job_id=task) if accepted else answer

    async def delete(self, backup_id: str, worker: int) -> Answer:
        """Ask once for the deletion of a backup; never raises for the cloud."""
        place = None if self._own is None else self._own.place
        url = await self._place(place, _word(backup_id))
        if isinstance(url, Answer):
            return url
        read = partial(read_change, deletes=backup_id)
        return await self.send(worker, url, b"", read, method="DELETE")

    async def _place(self, place: str | None, path: str) -> str | Answer:
        """The URL of `path` below `place`, by default where the backups are; an answer that says
        why that cannot be found."""
        try:
            return f"{place or await self._backups.place()}/{path}"
        except (CloudUnavailable, CloudRefused) as error:
            return not_sent(error)

    async def send(
        self,
        worker: int,
        url: str,
        body: bytes,
        read: Callable[[int, Mapping[str, str], bytes, float], Answer],
        *,
        headers: Headers = NO_HEADERS,
        method: str = "POST",
    ) -> Answer:
        """Send a request once and `read` what comes back; never raises for the cloud."""
        session = self._session
        try:
            reply = await session.create(worker, url, body, headers, method=method)
        except NoAnswerError as error:
            return Answer(message=str(error), json=False)
        if where := redirection(reply):
            answer = Answer(status=reply.status, message=where, json=False)
        else:
            answer = read(reply.status, reply.headers, reply.body, session.now())
        return on_its_way(session, reply, answer)


def not_sent(error: CloudUnavailable | CloudRefused) -> Answer:
    """The answer to a request that was not sent, because a read that it needs went wrong."""
    words = f"not sent: {error}"
    if isinstance(error, CloudRefused):
        return Answer(status=error.status, message=words, json=False)
    # What a read takes for passing is no verdict on a request that was not even sent.
    passing = error.status is not None and 300 <= error.status < 500 and not _is_slow(error)
    return Answer(
        status=error.status,
        message=words,
        retry_after=error.retry_after,
        json=False,
        passing=passing,
    )


def _is_slow(error: CloudUnavailable) -> bool:
    """Whether a status says by itself that this is throttling, or a service that gave up."""
    return error.status in (408, 413, BLOCKED) or is_too_fast(error.status, None, str(error))


def _word(identifier: str) -> str:
    return quote(identifier, safe="")
