"""How a list goes on after a page, and whether a page takes it any further.

`Pages` gives a list page by page to whoever reads it. The rest of this module is pure: a walk reads
one list from its beginning. Its next page may be asked for by the cloud's own link, by the last
entry (`marker`), or by how many were seen (`offset`): where one of them leads nowhere, another may.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Generic, Protocol, Self, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from vbsbatch.cloud.response_values import usable_id, whole
from vbsbatch.errors import CloudUnavailable

LAST = "#"
"""In the `next` of a page: the id of an entry that the next page has to show follows."""

_TOTALS = ("total_count", "totalcount", "total")
_EMPTY_AT_MOST = 20  # empty pages in a list that goes on; more than that is a fault


PAGES = 1000
"""A list of more pages than this is no list but a fault: its links go in a circle, say."""


class _HasNext(Protocol):
    @property
    def next(self) -> str | None: ...


Page = TypeVar("Page", bound=_HasNext)


class Pages(Generic[Page]):
    """The pages of a list, one after the other: ``async for page in Pages(service.backups, ...)``.

    `read` reads one page, with the `next` of the page before or None for the first. `of` is what
    the list holds, for errors. Raises what `read` raises, and `CloudUnavailable` for a list of more
    than `PAGES` pages.
    """

    def __init__(self, read: Callable[[str | None], Awaitable[Page]], of: str) -> None:
        self._read = read
        self._of = of
        self._next: str | None = None
        self.count = 0
        """Pages that were read so far."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page:
        if self.count and self._next is None:
            raise StopAsyncIteration
        if self.count == PAGES:
            raise CloudUnavailable(f"the list of {self._of} has more than {PAGES} pages")
        page = await self._read(self._next)
        self._next = page.next
        self.count += 1
        return page


class By(IntEnum):
    """How to ask for the next page, in the order in which it is tried."""

    LINK = 0
    MARKER = 1
    OFFSET = 2


@dataclass(slots=True)
class PageWalk:
    """What one reading of a list has shown so far."""

    by: By = By.LINK
    first: str | None = None
    """The id of the first entry of all."""
    last: str | None = None
    seen: set[str] = field(default_factory=set)
    count: int = 0
    """Entries so far, those without an id too."""
    told: int | None = None
    """How many entries the cloud says there are: the least of what its pages said."""
    exact: bool = False
    """Whether that number is certainly of the whole list."""
    empty: int = 0

    def tell(
        self, document: dict[str, Any], name: str, asked: int | None, *, counted: bool = False
    ) -> None:
        """Take the number of entries that a page names; `counted`: `count` is that number."""
        for key, value in document.items():
            plain = key.lower()
            exact = plain in (*_TOTALS, f"total_{name}", *(["count"] if counted else []))
            number = whole(value) if exact or plain in ("count", f"{name}_count") else None
            # A bare count may be of this page, or repeat the limit.
            if number is not None and number >= 0 and (exact or number != asked):
                self.told = number if self.told is None else min(self.told, number)
                self.exact |= exact

    @property
    def wanting(self) -> bool:
        """Whether the cloud says that there are more entries than it has shown."""
        return self.told is not None and self.told > self.count

    @property
    def whole(self) -> bool:
        """Whether the cloud says that it has shown all."""
        return self.exact and self.told is not None and self.told <= self.count

    def take(self, entries: list[Any]) -> list[Any]:
        """The new entries; from now on they count as seen."""
        new = [entry for entry in entries if id_of(entry) not in self.seen]
        ids = ids_of(new)
        if ids:
            self.first = self.first or ids[0]
            self.last = ids[-1]
        self.seen.update(ids)
        self.count += len(new)
        return new

    def follow(self, limit: int, by: By) -> str | None:
        """The query of the next page by marker or offset; None if that is impossible."""
        if by is By.MARKER:
            return (
                None
                if self.last is None
                else f"{urlencode({'limit': limit})}&" + urlencode({"marker": self.last})
            )
        if self.count < 2 or self.last is None:
            return urlencode({"limit": limit, "offset": self.count}) if self.count else None
        return urlencode({"limit": limit, "offset": self.count - 1}) + LAST + self.last

    def bored(self) -> bool:
        """Count an empty page that leads on; true when there have been too many."""
        self.empty += 1
        return self.empty > _EMPTY_AT_MOST

    def stands_still(self, entries: list[Any], last: str) -> bool:
        """Whether a further page shows only entries that were seen already.

        A page that overlaps by `last` may end there. One that begins anew ignores its offset.
        """
        ids = ids_of(entries)
        if not ids or any(each not in self.seen for each in ids):
            return bool(last) and self.count > 1 and self.first in ids
        return not last or self.first in ids


def id_of(entry: Any) -> str | None:
    """The id of an entry; None if it has no usable one."""
    return usable_id(entry.get("id")) if isinstance(entry, dict) else None


def ids_of(entries: list[Any]) -> list[str]:
    """The ids of those entries that have one."""
    return [each for each in map(id_of, entries) if each is not None]


def behind(last: str, entries: list[Any]) -> list[Any] | None:
    """The entries after the one with the id `last`, all if that is empty; None if it is missing."""
    places = (place for place, entry in enumerate(entries) if id_of(entry) == last)
    begin = next(places, None) if last else -1
    return None if begin is None else entries[begin + 1 :]


def overlapping(query: str, asked: str, entries: list[Any]) -> str:
    """Make a page at an `offset` begin with the last of the `entries` before it.

    A deletion between two such pages moves all older entries up, and one of them would be on
    neither page. A page that does not show the entry named after `LAST` reveals that. An offset
    that does not count entries stays as it is.
    """
    ids, offset = ids_of(entries), number_in(query, "offset")
    asked_at = number_in(asked, "offset") or 0
    if "marker=" in query or len(ids) < 2 or offset != asked_at + len(entries):
        return query
    return urlencode(dict(parse_qsl(query)) | {"offset": offset - 1}) + LAST + ids[-1]


def number_in(query: str, name: str) -> int | None:
    """A number of a query; None if it has none of this name."""
    told = dict(parse_qsl(query)).get(name, "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 10 else None


def with_limit(query: str, limit: int) -> str | None:
    """The same page with another length; None if its position is counted in pages."""
    pairs = dict(parse_qsl(query))
    if set(pairs) - {"limit", "marker", "offset"}:
        return None
    return urlencode(pairs | {"limit": limit})


def next_links(document: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """The links of a page to the next one, followable or not."""
    links = document.get(f"{name}_links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "next":
            yield link


def query_of(href: object) -> str | None:
    """The query of the next page, or None if the cloud's link has none.

    It is used with our own host and path: a link may name any host, and the token must not be sent
    there.
    """
    if not isinstance(href, str):
        return None
    try:
        pairs = parse_qsl(urlsplit(href[:2000]).query)
    except ValueError:
        return None
    return urlencode(pairs) or None
