"""A collection of the cloud (backups, volumes, servers), page by page, wherever it lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx

from vbsbatch.cloud.answers import usable_id
from vbsbatch.cloud.replies import read_success
from vbsbatch.cloud.session import Reply, Session
from vbsbatch.errors import CloudUnavailable, ListChanged

PAGE = 1000
"""Entries a page, the most the APIs give."""

PAGES = 1000
"""A list of more pages than this is no list but a fault: its links go in a circle, say."""

_LAST = "#"
"""In the `next` of a page, before the id of an entry that the next page has to show."""

_VERSIONS = ("v3", "v2")
_NOT_HERE = frozenset({300, 400, 404, 405, 406, 410, 501})
"""How services and gateways say that they have no such version of the API."""


def block_storage_places(roots: Sequence[str], project_id: str, name: str) -> list[str]:
    """Where a collection of block storage may live: each root under `/v3` and under `/v2`."""
    project = quote(project_id, safe="")
    return [
        f"{root}/{version}/{project}/{name}"
        for root in dict.fromkeys(roots)
        for version in _VERSIONS
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entries:
    """One page as the cloud wrote it."""

    entries: list[Any]
    next: str | None
    """The query of the next page; None on the last."""


class Collection:
    """The collection `name` of one project, at the first of `places` that answers.

    `listing` is the word behind the place that asks for whole entries, if there is one.
    """

    def __init__(
        self, session: Session, name: str, places: Sequence[str], *, listing: str = ""
    ) -> None:
        self._session = session
        self._name = name
        self._places = places
        self._listing = f"/{listing}" if listing else ""
        self._place: str | None = None
        self._links: bool | None = None
        """Whether pages say that more follow; None until that is known."""

    async def page(self, page: str | None = None) -> Entries:
        """One page; `page` is the `next` of the page before.

        Raises `CloudUnavailable`, as `ListChanged` where only a list from its beginning helps, and
        `CloudRefused`.
        """
        query, _, last = (page or f"limit={PAGE}").partition(_LAST)
        reply = await self._list(query)
        changed = ListChanged(f"the list of {self._name} changed while it was read")
        if page is not None and _lacks_marker(reply):
            raise changed
        document = read_success(self._session, reply)
        entries = document.get(self._name)
        if not isinstance(entries, list):
            raise CloudUnavailable(f"the list of {self._name} is unreadable", status=200)
        if (new := _behind(last, entries)) is None:
            raise changed
        following = await self._following(document, entries, query)
        same = following is not None and following.partition(_LAST)[0] == query
        return Entries(entries=new, next=None if same else following)

    async def _following(
        self, document: dict[str, Any], entries: list[Any], asked: str
    ) -> str | None:
        """Return the query of the page after the one that was `asked` for.

        A page without a link is the last one only where pages have been seen to have links: a
        service may give fewer entries than asked for, and a list cut short would prove the absence
        of what it left out. Links that are there but empty or null say nothing, and one that leads
        nowhere says that more follows.
        """
        ids = _ids(entries)
        if not ids:
            return None
        link = self._next_link(document)
        if link is not None:
            self._links = True
            query = _query_of(link.get("href"))
            if query is not None:
                return _overlapping(query, asked, entries)
        elif len(entries) < PAGE and (len(entries) == 1 or await self._has_links()):
            return None
        return urlencode({"limit": PAGE, "marker": ids[-1]})

    def _next_link(self, document: dict[str, Any]) -> dict[str, Any] | None:
        """The link to the next page, followable or not; None where the page has none."""
        links = document.get(f"{self._name}_links")
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("rel") == "next":
                return link
        return None

    async def _has_links(self) -> bool:
        """Find out, once, with a page that is too short for a list of two or more."""
        if self._links is None:
            document = read_success(self._session, await self._list("limit=1"))
            if document.get(self._name):
                self._links = self._next_link(document) is not None
        return bool(self._links)

    async def place(self) -> str:
        """The URL under which single entries live; asks for a short list to find out."""
        if self._place is None:
            read_success(self._session, await self._list("limit=1"))
        assert self._place is not None
        return self._place

    async def _list(self, query: str) -> Reply:
        """Ask for a page at the place that answers; the first page finds out which."""
        first: Reply | None = None
        for place in [self._place] if self._place else self._places:
            url = httpx.URL(f"{place}{self._listing}?{query}")
            reply = await self._session.read("GET", url)
            if 200 <= reply.status < 300:
                self._place = place
            if reply.status not in _NOT_HERE:
                return reply
            first = first or reply
        assert first is not None
        return first


def _id(entry: Any) -> str | None:
    return usable_id(entry.get("id")) if isinstance(entry, dict) else None


def _ids(entries: list[Any]) -> list[str]:
    return [each for each in map(_id, entries) if each is not None]


def _behind(last: str, entries: list[Any]) -> list[Any] | None:
    """What follows the entry with the id `last`, all if that is empty; None where it is missing."""
    places = (place for place, entry in enumerate(entries) if _id(entry) == last)
    begin = next(places, None) if last else -1
    return None if begin is None else entries[begin + 1 :]


def _overlapping(query: str, asked: str, entries: list[Any]) -> str:
    """Let a page that begins at an `offset` begin with the last of the `entries` before it.

    What is deleted between two such pages moves up all that is older, and the first of it would be
    on neither. A page that does not show the entry named behind `_LAST` tells. An offset that does
    not count entries is left as it is.
    """
    ids, offset = _ids(entries), _offset(query)
    if "marker=" in query or len(ids) < 2 or offset != (_offset(asked) or 0) + len(entries):
        return query
    return urlencode(dict(parse_qsl(query)) | {"offset": offset - 1}) + _LAST + ids[-1]


def _offset(query: str) -> int | None:
    told = dict(parse_qsl(query)).get("offset", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 10 else None


def _lacks_marker(reply: Reply) -> bool:
    """Whether the last entry of the page before is gone: 404 of block storage, 400 of compute."""
    return reply.status == 404 or (reply.status == 400 and b"marker" in reply.body.lower())


def _query_of(href: object) -> str | None:
    """The query of the next page, or None where the cloud's link names none.

    It is used against our own host and path: a link may name a host inside the cloud, or anybody's,
    and the token goes nowhere else.
    """
    if not isinstance(href, str):
        return None
    try:
        pairs = parse_qsl(urlsplit(href[:2000]).query)
    except ValueError:
        return None
    return urlencode(pairs) or None
