"""How a list goes on after a page, and whether a page takes it any further. Pure.

A walk reads one list from its beginning. Its next page may be asked for by the cloud's own link, by
the last entry (`marker`), or by how many were seen (`offset`): where one of them leads nowhere,
another may.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from vbsbatch.cloud.response_parser import usable_id, whole

LAST = "#"
"""In the `next` of a page, before the id of an entry that the next page has to show."""

_TOTALS = ("total_count", "totalcount", "total")
_EMPTY_AT_MOST = 20  # pages without an entry that lead on; more are no list but a fault


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
    """How many the cloud says that there are: the least that any page said."""
    exact: bool = False
    """Whether that is said of the whole list for sure."""
    empty: int = 0

    def tell(self, document: dict[str, Any], name: str, asked: int | None) -> None:
        """Hear how many entries a page says that there are."""
        for key, value in document.items():
            plain = key.lower()
            exact = plain in (*_TOTALS, f"total_{name}")
            number = whole(value) if exact or plain in ("count", f"{name}_count") else None
            # A bare count may be the page's own, or repeat what was asked for.
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
        """The entries that are new, which count as seen from now on."""
        new = [entry for entry in entries if id_of(entry) not in self.seen]
        ids = ids_of(new)
        if ids:
            self.first = self.first or ids[0]
            self.last = ids[-1]
        self.seen.update(ids)
        self.count += len(new)
        return new

    def follow(self, limit: int, by: By) -> str | None:
        """The query of the next page by marker or offset; None where there is no such way."""
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
        """Hear of a page without entries that leads on; true when there have been too many."""
        self.empty += 1
        return self.empty > _EMPTY_AT_MOST

    def stands_still(self, entries: list[Any], last: str) -> bool:
        """Whether a page that was asked for as a further one shows nothing but what was seen.

        A page that overlaps by `last` may end there; one that begins anew does not count entries.
        """
        ids = ids_of(entries)
        if not ids or any(each not in self.seen for each in ids):
            return bool(last) and self.count > 1 and self.first in ids
        return not last or self.first in ids


def id_of(entry: Any) -> str | None:
    """The id of an entry, None where it has none that can be used."""
    return usable_id(entry.get("id")) if isinstance(entry, dict) else None


def ids_of(entries: list[Any]) -> list[str]:
    """The ids of those entries that have one."""
    return [each for each in map(id_of, entries) if each is not None]


def behind(last: str, entries: list[Any]) -> list[Any] | None:
    """What follows the entry with the id `last`, all if that is empty; None where it is missing."""
    places = (place for place, entry in enumerate(entries) if id_of(entry) == last)
    begin = next(places, None) if last else -1
    return None if begin is None else entries[begin + 1 :]


def overlapping(query: str, asked: str, entries: list[Any]) -> str:
    """Let a page that begins at an `offset` begin with the last of the `entries` before it.

    What is deleted between two such pages moves up all that is older, and the first of it would be
    on neither. A page that does not show the entry named behind `LAST` tells. An offset that does
    not count entries is left as it is.
    """
    ids, offset = ids_of(entries), number_in(query, "offset")
    asked_at = number_in(asked, "offset") or 0
    if "marker=" in query or len(ids) < 2 or offset != asked_at + len(entries):
        return query
    return urlencode(dict(parse_qsl(query)) | {"offset": offset - 1}) + LAST + ids[-1]


def number_in(query: str, name: str) -> int | None:
    """A number of a query, None where it has none of this name."""
    told = dict(parse_qsl(query)).get(name, "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 10 else None


def with_limit(query: str, limit: int) -> str | None:
    """The same page with another length; None where its place is counted in pages."""
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
