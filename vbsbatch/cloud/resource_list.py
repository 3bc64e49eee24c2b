"""A collection of the cloud (backups, volumes, servers), page by page, at any of its addresses."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import anyio

from vbsbatch.cloud.pagination import (
    LAST,
    By,
    PageWalk,
    behind,
    next_links,
    number_in,
    overlapping,
    query_of,
    with_limit,
)
from vbsbatch.cloud.response_errors import is_unknown, read_success
from vbsbatch.cloud.response_parser import read_refusal
from vbsbatch.cloud.session import Reply, Session, may_be_too_long
from vbsbatch.errors import CloudUnavailable, ListChanged, ListIncomplete

PAGE = 1000
"""Entries a page, the most the APIs give."""

SHORTER = (200, 40, 8)
"""Entries a page, if longer pages take the cloud too long."""

_WALK = "~"  # in the `next` of a page, before the number of its walk
_WALKS = 16  # the most lists that are read at once
_VERSIONS = ("v3", "v2")

Entry = TypeVar("Entry")
_NOT_HERE = frozenset({300, 400, 404, 405, 406, 410, 501})
"""Statuses of services and gateways without this version of the API."""


def block_storage_places(roots: Sequence[str], project_id: str, name: str) -> list[str]:
    """Where a collection of block storage may be: at each root under `/v3` and under `/v2`."""
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
    """Where the next page is; None on the last."""


@dataclass(frozen=True, slots=True)
class _Page:
    """One answer, and the query that it answers."""

    document: dict[str, Any]
    entries: list[Any]
    query: str
    new: list[Any] | None = None
    """The entries after the one that the page had to show; None for all."""


class ResourceList:
    """The collection `name` of one project, at the first of `places` that answers.

    `listing` is the word after the place that asks for whole entries, if any; `query` is part of
    every question. `counted`: a `count` on a page is that of the whole list. How long pages may be
    and how they go on is remembered.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        places: Sequence[str],
        *,
        listing: str = "",
        query: str = "",
        counted: bool = False,
    ) -> None:
        self._session = session
        self._name = name
        self._places = places
        self._listing = f"/{listing}" if listing else ""
        self._query = f"{query}&" if query else ""
        self._counted = counted
        self._place: str | None = None
        self._links: bool | None = None
        """Whether pages link to the next one; None until that is known."""
        self._by = By.LINK
        self._length = PAGE
        self._too_long = 0
        """How many readings in a row needed a shorter page."""
        self._shorter = 0
        self._given_up: int | None = None
        """The length of a page whose reading was cancelled."""
        self._numbers = count(1)
        self._walks: OrderedDict[int, PageWalk] = OrderedDict()

    async def page(self, page: str | None = None) -> Entries:
        """One page; `page` is the `next` of the page before.

        Raises `CloudRefused`, and `CloudUnavailable`: as `ListChanged` if the list must be read
        from its beginning, as `ListIncomplete` if it neither goes on nor says that it is whole.
        """
        told, _, number = (page or f"limit={self._length}").partition(_WALK)
        query, _, last = told.partition(LAST)
        walk = self._walk(number)
        found = await self._read(query, last, walk) if page else await self._ask(query)
        if found is None:
            return Entries(entries=[], next=None)
        asked = number_in(found.query, "limit")
        walk.tell(found.document, self._name, asked, counted=self._counted)
        new = walk.take(found.entries if found.new is None else found.new)
        following = await self._following(found, walk)
        return Entries(entries=new, next=self._token(following, walk, number))

    def _walk(self, number: str) -> PageWalk:
        if not number:
            return PageWalk(by=self._by)
        walk = self._walks.get(int(number))
        if walk is None:
            raise self._changed()
        return walk

    def _token(self, following: str | None, walk: PageWalk, number: str) -> str | None:
        """The `next` that leads to the page that follows, and to what the walk has shown."""
        if following is None:
            return None
        if not number:
            number = str(next(self._numbers))
            self._walks[int(number)] = walk
            if len(self._walks) > _WALKS:
                self._walks.popitem(last=False)
        return f"{following}{_WALK}{number}"

    async def _read(self, query: str, last: str, walk: PageWalk) -> _Page | None:
        """A page with new entries, by whichever way works; None at the end."""
        asked: str | None = query + (LAST + last if last else "")
        by = walk.by
        while True:
            if asked is not None:
                found = await self._further(asked, walk)
                if found is not None:
                    walk.by = self._by = max(by, self._by)
                    return found
            if walk.whole or by is By.OFFSET:
                break
            by = By(by + 1)
            asked = walk.follow(number_in(query, "limit") or self._length, by)
        if walk.whole or (not walk.wanting and await self._is_unpaged(walk)):
            return None
        many = f"{walk.count} of {walk.told}" if walk.wanting else str(walk.count)
        raise ListIncomplete(
            f"the list of {self._name} is incomplete: it stops after {many} entries"
        )

    async def _further(self, asked: str, walk: PageWalk) -> _Page | None:
        """The page, with what is new on it, or None if nothing is."""
        query, _, last = asked.partition(LAST)
        found = await self._ask(query, further=True)
        if found is None or (not found.entries and walk.wanting):
            return None
        if walk.stands_still(found.entries, last):
            return None
        new = behind(last, found.entries) if found.entries or not last else None
        if new is None:
            raise self._changed()
        return replace(found, new=new)

    async def _is_unpaged(self, walk: PageWalk) -> bool:
        """Whether the service ignores limits and always gives the whole list."""
        found = None if self._links else await self._ask("limit=1")
        if found is None:
            return False
        return len(found.entries) > 1 and len(found.entries) == walk.count

    async def _following(self, found: _Page, walk: PageWalk) -> str | None:
        """Where the page after the one that was `found` is.

        A page without a link is the last one only if other pages have links: a service may give
        fewer entries than the limit, and an incomplete list would prove the absence of what it left
        out. An empty link or null says nothing. A link that leads nowhere says that more follows,
        and so does a count of more entries than were shown.
        """
        link = next(next_links(found.document, self._name), None)
        query = None if link is None else query_of(link.get("href"))
        self._links = True if link is not None else self._links
        limit = number_in(found.query, "limit") or self._length
        if not found.entries:
            return self._past_nothing(found, query, walk)
        if found.new == []:  # the page holds only the overlap
            return urlencode({"limit": limit, "offset": walk.count})
        cut_short = link is None and not walk.wanting and len(found.entries) < limit
        if cut_short and (walk.whole or await self._has_links(found)):
            return None
        if walk.by is By.LINK and query is not None and query != found.query:
            return overlapping(query, found.query, found.entries)
        return walk.follow(limit, max(walk.by, By.MARKER)) or walk.follow(limit, By.OFFSET)

    def _past_nothing(self, found: _Page, query: str | None, walk: PageWalk) -> str | None:
        """An empty page may lead on: the service may have filtered all of its entries."""
        if query is not None and query != found.query and walk.by is By.LINK:
            if not walk.bored():
                return query
        elif not walk.wanting:
            return None
        raise ListIncomplete(f"the list of {self._name} is incomplete: it has no entries")

    async def _has_links(self, found: _Page) -> bool:
        """Find out once, with a page that is too short for a list of two or more."""
        if self._links is None and len(found.entries) > 1:
            document = read_success(self._session, await self._list("limit=1"))
            if document.get(self._name):
                self._links = next(next_links(document, self._name), None) is not None
        return bool(self._links)

    async def place(self) -> str:
        """The URL below which single entries are; reads a short list to find out."""
        if self._place is None:
            read_success(self._session, await self._list("limit=1"))
        assert self._place is not None
        return self._place

    async def entry(
        self, entry_id: str, one: str, read: Callable[[object], Entry | None]
    ) -> Entry | None:
        """One entry by its id, or None when the cloud does not know it; raises likewise.

        `one` is the word for it in an answer. A 404 proves its absence only at the address of the
        list, so that is found out first.
        """
        reply = await self._session.read("GET", f"{await self.place()}/{quote(entry_id, safe='')}")
        if is_unknown(self._session, reply):
            return None
        document = read_success(self._session, reply)
        entry = read(document.get(one))
        if entry is None and document.get(one, "") is not None:
            raise CloudUnavailable(f"the {one}'s answer is unreadable", status=reply.status)
        return entry

    # How long a page may be ---------------------------------------------------------------------

    async def _ask(self, query: str, *, further: bool = False) -> _Page | None:
        """A page, or a shorter one if that takes the cloud too long.

        None for a further page whose query the cloud refuses.
        """
        limit = number_in(query, "limit") or 0
        if self._given_up != limit:
            try:
                found = await self._document(query, further=further)
            except anyio.get_cancelled_exc_class():
                self._given_up = limit
                raise
            except CloudUnavailable as error:
                if error.retry_after or not may_be_too_long(error):
                    raise
                return await self._ask_less(query, limit, error, further=further)
            self._too_long = 0 if limit == self._length else self._too_long
            return found
        self._given_up = None
        return await self._ask_less(query, limit, None, further=further)

    async def _ask_less(
        self, query: str, limit: int, error: CloudUnavailable | None, *, further: bool
    ) -> _Page | None:
        """Ask once for a shorter page. If that works twice while a longer one does not, pages stay
        short. Raises `error` if it does not work."""
        lengths = [length for length in SHORTER if length < limit]
        length = lengths[self._shorter % len(lengths)] if lengths else 0
        shorter = with_limit(query, length) if length else None
        if shorter is None:
            if error is not None:
                raise error
            return await self._document(query, further=further)
        try:
            found = await self._document(shorter, further=further)
        except CloudUnavailable as another:
            self._shorter += 1
            raise error or another from another
        self._too_long += 1
        if self._too_long > 1:
            self._length, self._too_long, self._shorter = length, 0, 0
        return found

    async def _document(self, query: str, *, further: bool) -> _Page | None:
        reply = await self._list(query)
        if further and self._lacks_marker(reply):
            raise self._changed()
        if further and reply.status == 400:
            return None
        document = read_success(self._session, reply)
        entries = document.get(self._name, "")
        if entries is None:
            entries = []
        if not isinstance(entries, list):
            raise CloudUnavailable(f"the list of {self._name} is unreadable", status=200)
        return _Page(document, entries, query)

    def _lacks_marker(self, reply: Reply) -> bool:
        """Whether the service says that the last entry of the page before is gone: block storage
        with 404, compute with 400."""
        if reply.status == 400:
            return b"marker" in reply.body.lower()
        if reply.status != 404:
            return False
        return read_refusal(reply.headers, reply.body, self._session.now()).spoken

    def _changed(self) -> ListChanged:
        return ListChanged(f"the list of {self._name} changed while it was read")

    async def _list(self, query: str) -> Reply:
        """Read a page at the place that answers; the first page finds out which one does."""
        first: Reply | None = None
        for place in [self._place] if self._place else self._places:
            reply = await self._session.read("GET", f"{place}{self._listing}?{self._query}{query}")
            if 200 <= reply.status < 300:
                self._place = place
            if reply.status not in _NOT_HERE:
                return reply
            first = first or reply
        assert first is not None
        return first
