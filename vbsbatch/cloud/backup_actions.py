"""Restores and deletions: requests about one backup that are sent once, as a create is."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx

from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.resource_list import ResourceList, block_storage_places
from vbsbatch.cloud.response_errors import on_its_way, redirection
from vbsbatch.cloud.response_parser import read_change
from vbsbatch.cloud.session import NoAnswerError, Reply, Session
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import BLOCKED, Answer, is_too_fast


class BackupActions:
    """What changes or takes away what backups keep, for VBS and Cinder alike.

    `restores` is the collection that is asked for restores where block storage is not: VBS answers
    there with a cloud job.
    """

    def __init__(
        self, session: Session, endpoints: Endpoints, *, restores: str | None = None
    ) -> None:
        self._session = session
        self._restores = restores
        # As for reads: block storage first, then what may serve the same at the root of VBS.
        roots = (endpoints.block_storage, endpoints.vbs)
        places = block_storage_places(roots, endpoints.project_id, "backups")
        self._backups = ResourceList(session, "backups", places, listing="detail")

    async def restore(self, backup_id: str, volume_id: str, worker: int) -> Answer:
        """Ask once for `volume_id` to be overwritten with the backup; never raises for the cloud.

        Where there is no cloud job, an accepted one names the backup that it restores.
        """
        body = json.dumps({"restore": {"volume_id": volume_id}}).encode()
        path = f"{_word(backup_id)}/restore"
        reply = await self._send("POST", self._restores, path, body, worker)
        if isinstance(reply, Answer):
            return reply
        now = self._session.now()
        answer = read_change(reply.status, reply.headers, reply.body, now, restores=backup_id)
        return on_its_way(self._session, reply, answer)

    async def delete(self, backup_id: str, worker: int) -> Answer:
        """Ask once for the deletion of a backup; never raises for the cloud."""
        reply = await self._send("DELETE", None, _word(backup_id), b"", worker)
        if isinstance(reply, Answer):
            return reply
        now = self._session.now()
        answer = read_change(reply.status, reply.headers, reply.body, now, deletes=backup_id)
        return on_its_way(self._session, reply, answer)

    async def _send(
        self, method: str, place: str | None, path: str, body: bytes, worker: int
    ) -> Reply | Answer:
        """Send a request below `place`, by default where the backups are; without a reply, the
        answer that says why."""
        try:
            url = f"{place or await self._backups.place()}/{path}"
            reply = await self._session.create(worker, httpx.URL(url), body, method=method)
        except NoAnswerError as error:
            return Answer(message=str(error), json=False)
        except (CloudUnavailable, CloudRefused) as error:
            return not_sent(error)
        if where := redirection(reply):
            answer = Answer(status=reply.status, message=where, json=False)
            return on_its_way(self._session, reply, answer)
        return reply


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
