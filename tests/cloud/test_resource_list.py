"""Lists of every kind of cloud, honest or not: read completely, or an error."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any

import anyio
import httpx
import pytest

from vbsbatch.cloud.native_backups import NativeBackups
from vbsbatch.errors import CloudUnavailable, ListChanged, ListIncomplete

from .fixtures import Bench, answer

pytestmark = pytest.mark.anyio


@dataclass
class Lister:
    """A server of one list, and what of a question it heeds."""

    total: int
    cap: int = 1000
    marker: bool = True
    offset: bool = True
    limit: bool = True
    links: bool = True
    count: str | None = None
    """The key of a count of all entries."""
    null: bool = False
    slow: int = 1000
    """More entries than this take it too long."""
    calls: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        asked = request.url.params
        limit = min(int(asked["limit"]) if self.limit else self.total, self.cap)
        if int(asked["limit"]) > self.slow:
            return answer(504, b"<html><h1>504 Gateway Time-out</h1></html>")
        ids = [f"b{number:04}" for number in range(self.total)]
        begin = int(asked.get("offset", 0)) if self.offset else 0
        if "marker" in asked and self.marker:
            if asked["marker"] not in ids:
                return answer(404, {"itemNotFound": {"code": 404, "message": "no such marker"}})
            begin = ids.index(asked["marker"]) + 1
        shown = ids[begin : begin + limit]
        document: dict[str, Any] = {"backups": [{"id": each} for each in shown] or self._nothing()}
        if self.links and begin + limit < self.total:
            link = f"http://inside/v3/x/backups/detail?limit={limit}&marker={shown[-1]}"
            document["backups_links"] = [{"rel": "next", "href": link}]
        elif self.null:
            document["backups_links"] = None
        if self.count:
            document[self.count] = self.total
        return answer(200, document)

    def _nothing(self) -> list[Any] | None:
        return None if self.null else []


async def read(bench: Bench) -> list[str]:
    """Every id of the list, as whoever reads it sees them."""
    listed = await bench.service.backups()
    found = [backup.id for backup in listed.backups]
    while listed.next is not None:
        listed = await bench.service.backups(listed.next)
        found += [backup.id for backup in listed.backups]
    return found


def every(total: int) -> list[str]:
    return [f"b{number:04}" for number in range(total)]


KINDS = list(product((0, 1, 2, 3, 7), (1, 3, 1000), *[(True, False)] * 4))


@pytest.mark.parametrize(("total", "cap", "marker", "offset", "limit", "links"), KINDS)
async def test_a_list_is_read_to_its_end_or_not_at_all(
    total: int, cap: int, marker: bool, offset: bool, limit: bool, links: bool
) -> None:
    lister = Lister(total, cap, marker, offset, limit, links)
    for _ in range(2):
        bench = Bench(lister)
        # A server that always gives the same, whatever it is asked for, is taken at its word.
        blind = not (marker or offset or limit or links) and cap > 1
        whole = every(min(total, cap) if blind else total)
        if marker or offset:
            assert await read(bench) == whole
            continue
        with suppress(ListIncomplete):
            assert await read(bench) == whole


async def test_an_ignored_marker_is_used_only_once() -> None:
    lister = Lister(7, 3, marker=False)
    bench = Bench(lister)
    assert await read(bench) == every(7)
    before = lister.calls
    assert await read(bench) == every(7)
    assert lister.calls - before <= 4


@pytest.mark.parametrize("count", ["count", "total_count", "totalCount"])
async def test_a_list_that_ends_before_its_own_count_is_read_on_or_has_not_been_read(
    count: str,
) -> None:
    class Short(Lister):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            reply = super().__call__(request)
            document = reply.json()
            document.pop("backups_links", None)
            return answer(200, document | {count: self.total + self.more})

        more = 0

    lister = Short(7, 3)
    lister.more = 0
    bench = Bench(lister)
    native = bench.service._native
    assert isinstance(native, NativeBackups)
    native._collection._links = True  # links that were there before are missing now
    assert await read(bench) == every(7)
    lister.more = 2
    with pytest.raises(CloudUnavailable, match=r"7 of 9|is empty"):
        await read(bench)


async def test_null_is_the_empty_list_page_and_link() -> None:
    assert await read(Bench(Lister(0, null=True))) == []
    assert await read(Bench(Lister(4, 2, null=True))) == every(4)
    assert await read(Bench(Lister(4, 2, null=True, links=False))) == every(4)


async def test_pages_that_take_too_long_become_shorter_and_stay_so_for_the_run() -> None:
    lister = Lister(500, slow=200)
    bench = Bench(lister)
    assert await read(bench) == every(500)
    assert await read(bench) == every(500)
    assert [r.url.params["limit"] for r in bench.requests].count("1000") == 2
    assert await read(bench) == every(500)
    assert [r.url.params["limit"] for r in bench.requests].count("1000") == 2


@pytest.mark.parametrize("slow", [150, 50, 10])
async def test_pages_become_as_short_as_it_takes(slow: int) -> None:
    bench = Bench(Lister(30, slow=slow))
    for _ in range(4):
        with suppress(CloudUnavailable):
            assert await read(bench) == every(30)
    assert await read(bench) == every(30)


async def test_one_page_that_fails_is_no_reason_for_short_ones() -> None:
    lister = Lister(3)
    failing = [answer(502, b"<h1>Bad Gateway</h1>")]
    bench = Bench(lambda request: failing.pop() if failing else lister(request))
    for _ in range(3):
        assert await read(bench) == every(3)
    assert [r.url.params["limit"] for r in bench.requests if r.url.params["limit"] != "1"] == [
        "1000", "200", "1000", "1000",
    ]  # fmt: skip


async def test_a_page_whose_reading_was_cancelled_is_read_as_a_shorter_one() -> None:
    hangs = True

    async def slow(request: httpx.Request) -> httpx.Response:
        if int(request.url.params["limit"]) > 200 and hangs:
            await anyio.sleep(60.0)
        return lister(request)

    lister = Lister(3)
    bench = Bench(lister)
    bench.session._connect = lambda: httpx.MockTransport(slow)
    with anyio.move_on_after(0.01):
        await bench.service.backups()
    with anyio.fail_after(5.0):
        assert await read(bench) == every(3)


async def test_a_gateways_404_does_not_mean_that_the_list_changed() -> None:
    lister = Lister(4, 2)

    def reloading(request: httpx.Request) -> httpx.Response:
        blocked = "marker" in request.url.params
        return answer(404, b"default backend - 404") if blocked else lister(request)

    bench = Bench(reloading)
    listed = await bench.service.backups()
    with pytest.raises(CloudUnavailable) as caught:
        await bench.service.backups(listed.next)
    assert not isinstance(caught.value, ListChanged)


async def test_two_readers_of_a_list_do_not_disturb_each_other() -> None:
    bench = Bench(Lister(7, 3))
    one, other = await bench.service.backups(), await bench.service.backups()
    seen = {0: [b.id for b in one.backups], 1: [b.id for b in other.backups]}
    while one.next and other.next:
        one, other = await bench.service.backups(one.next), await bench.service.backups(other.next)
        seen[0] += [b.id for b in one.backups]
        seen[1] += [b.id for b in other.backups]
    assert seen == {0: every(7), 1: every(7)}
