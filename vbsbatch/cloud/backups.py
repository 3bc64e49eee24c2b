"""Native OpenStack backups: list, look up, delete. The same on VBS and on plain Cinder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx

from vbsbatch.cloud.answers import (
    clean,
    iso_time,
    read_object,
    read_refusal,
    usable_id,
    whole,
)
from vbsbatch.cloud.session import Reply, Session
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import Backup, BackupPage

PAGE = 1000
"""Backups a page, the most the API gives."""

_VERSIONS = ("v3", "v2")
_AGAIN_LATER = frozenset({408, 429})
_NOT_HERE = frozenset({300, 404, 405, 410})


class NativeBackups:
    """The backups of one project, on whichever root and version answers first.

    `roots` are tried in order, each under `/v3` and then, for older regions, under `/v2`.
    """

    def __init__(self, session: Session, roots: Sequence[str], project_id: str) -> None:
        self._session = session
        project = quote(project_id, safe="")
        self._places = [
            f"{root}/{version}/{project}/backups"
            for root in dict.fromkeys(roots)
            for version in _VERSIONS
        ]
        self._place: str | None = None

    async def page(self, page: str | None = None) -> BackupPage:
        """One page of all backups; `page` is the `next` of the page before."""
        query = page or f"limit={PAGE}"
        document = read_success(self._session, await self._list(query))
        entries = document.get("backups")
        if not isinstance(entries, list):
            raise CloudUnavailable("the list of backups is unreadable", status=200)
        found = tuple(filter(None, map(read_backup, entries)))
        following = _next_query(document, len(entries), found)
        return BackupPage(backups=found, next=None if following == query else following)

    async def get(self, backup_id: str) -> Backup | None:
        """One backup, or None when the cloud does not know it."""
        reply = await self._session.read("GET", await self._url(backup_id))
        if is_unknown(self._session, reply):
            return None
        document = read_success(self._session, reply)
        backup = read_backup(document.get("backup"))
        if backup is None:
            raise CloudUnavailable("the backup's answer is unreadable", status=reply.status)
        return backup

    async def delete(self, backup_id: str) -> None:
        """Ask for a deletion; a backup that is gone already is no error."""
        reply = await self._session.read("DELETE", await self._url(backup_id))
        if not 200 <= reply.status < 300 and not is_unknown(self._session, reply):
            raise refusal_of(self._session, reply)

    async def _list(self, query: str) -> Reply:
        """Ask for a page at the place that answers; the first page finds out which."""
        first: Reply | None = None
        for place in [self._place] if self._place else self._places:
            reply = await self._session.read("GET", httpx.URL(f"{place}/detail?{query}"))
            if 200 <= reply.status < 300:
                self._place = place
            if reply.status not in _NOT_HERE:
                return reply
            first = first or reply
        assert first is not None
        return first

    async def _url(self, backup_id: str) -> httpx.URL:
        if self._place is None:
            # A 404 for one backup proves its absence only where the list is known to live.
            read_success(self._session, await self._list("limit=1"))
        return httpx.URL(f"{self._place}/{quote(backup_id, safe='')}")


def read_success(session: Session, reply: Reply) -> dict[str, Any]:
    """Return the JSON object of a 2xx; raises `CloudUnavailable` or `CloudRefused` otherwise."""
    if not 200 <= reply.status < 300:
        raise refusal_of(session, reply)
    document = read_object(reply.body)
    if document is None:
        raise CloudUnavailable("the answer is no JSON object", status=reply.status)
    return document


def is_unknown(session: Session, reply: Reply) -> bool:
    """True when the service itself says that it does not know the thing asked for.

    A 404 of a proxy (no JSON) or of the gateway (no such API) says nothing about the thing.
    """
    if reply.status not in (400, 404):
        return False
    refusal = read_refusal(reply.headers, reply.body, session.now())
    if refusal.code == "common.0011":
        return True
    gateway = (refusal.code or "").startswith("APIG")
    return reply.status == 404 and refusal.json and not gateway and refusal.message is not None


def refusal_of(session: Session, reply: Reply) -> CloudRefused | CloudUnavailable:
    """Return the error that an answer to a read is: 408, 429 and 5xx are asked again later."""
    refusal = read_refusal(reply.headers, reply.body, session.now())
    said = " ".join(filter(None, (refusal.code, refusal.message))) or "no reason given"
    text = f"{reply.status}: {said}"
    if refusal.request_id:
        text += f" (request {refusal.request_id})"
    if reply.status in _AGAIN_LATER or reply.status >= 500:
        return CloudUnavailable(text, status=reply.status, retry_after=refusal.retry_after)
    if 300 <= reply.status < 400:
        target = clean(reply.headers.get("location"), 200) or "nowhere"
        text = f"{reply.status}: a redirect to {target}: the endpoint is not the service's"
    return CloudRefused(text, status=reply.status, code=refusal.code)


def read_backup(entry: object) -> Backup | None:
    """Map one entry of the cloud's list, any field may be missing; None without a usable id."""
    if not isinstance(entry, dict) or (backup_id := usable_id(entry.get("id"))) is None:
        return None
    status = clean(entry.get("status"), 64)
    return Backup(
        id=backup_id,
        name=clean(entry.get("name"), 255),
        volume_id=clean(entry.get("volume_id"), 64),
        status=status.lower() if status else None,
        created_at=iso_time(entry.get("created_at")),
        updated_at=iso_time(entry.get("updated_at")),
        size=whole(entry.get("size")),
        fail_reason=clean(entry.get("fail_reason")),
        progress=_progress(entry.get("service_metadata")),
    )


def _progress(metadata: object) -> int | None:
    """Return the percentage that VBS hides in a JSON string."""
    if not isinstance(metadata, str) or "progress" not in metadata:
        return None
    try:
        document = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    percent = whole(document.get("progress")) if isinstance(document, dict) else None
    return None if percent is None else min(max(percent, 0), 100)


def _next_query(document: dict[str, Any], entries: int, found: tuple[Backup, ...]) -> str | None:
    """Return the query of the next page.

    Of the cloud's link only the query is used, against our own host and path: a link may name a
    host inside the cloud, or anybody's, and the token goes nowhere else.
    """
    if not found:
        return None
    links = document.get("backups_links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "next":
            return _query_of(link.get("href"))
    if links is None and entries >= PAGE:
        return urlencode({"limit": PAGE, "marker": found[-1].id})
    return None


def _query_of(href: object) -> str | None:
    if not isinstance(href, str):
        return None
    try:
        pairs = parse_qsl(urlsplit(href[:2000]).query)
    except ValueError:
        return None
    return urlencode(pairs) or None
