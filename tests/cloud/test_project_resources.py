"""Volumes and servers are read page by page, from clouds of many kinds, and never trusted."""

from __future__ import annotations

import string
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.cloud import pagination
from vbsbatch.cloud.catalog import find_endpoints
from vbsbatch.cloud.project_resources import read_server, read_volume
from vbsbatch.errors import CloudRefused, CloudUnavailable, ListChanged
from vbsbatch.model import Cloud, CloudServer, CloudVolume

from .fixtures import NOW, PROJECT, VOLUME, Bench, answer

pytestmark = pytest.mark.anyio

ENTRY: dict[str, Any] = {
    "id": VOLUME,
    "name": "db01-data",
    "size": 500,
    "status": "IN-USE",
    "volume_type": "SSD",
    "availability_zone": "eu-de-01",
    "attachments": [
        {"server_id": "srv-1", "device": "/dev/vdb"},
        {"server_id": "srv-1"},
        {"server_id": None},
        "odd",
        {"server_id": "srv-2"},
    ],
    "metadata": {"env": "prod", "size": 5, "empty": ""},
    "created_at": "2026-01-01T00:00:00.000000",
}


def test_an_entry_of_the_list_becomes_a_volume() -> None:
    assert read_volume(ENTRY) == CloudVolume(
        id=VOLUME,
        name="db01-data",
        size=500,
        status="in-use",
        volume_type="SSD",
        zone="eu-de-01",
        server_ids=("srv-1", "srv-2"),
        metadata=(("env", "prod"), ("size", ""), ("empty", "")),
        created_at=Cloud(NOW),
    )


@pytest.mark.parametrize("without", [key for key in ENTRY if key != "id"])
def test_any_field_but_the_id_may_be_missing_or_of_another_kind(without: str) -> None:
    rest = {key: value for key, value in ENTRY.items() if key != without}
    for entry in (rest, {**ENTRY, without: None}, {**ENTRY, without: [{"x": 1}]}):
        found = read_volume(entry)
        assert found is not None
        assert found.id == VOLUME
    assert read_volume({**ENTRY, "id": "../x"}) is None
    assert read_volume("odd") is None


def test_text_of_the_cloud_is_harmless() -> None:
    found = read_volume({**ENTRY, "name": "\x1b[31mred\nline", "metadata": {"\x1b": "\u202e"}})
    assert found is not None
    assert found.name == "\ufffd[31mred line"
    assert found.metadata == (("\ufffd", "\ufffd"),)


@given(st.recursive(st.none() | st.integers() | st.text() | st.booleans(), st.lists) | st.text())
def test_nothing_in_a_field_is_an_error(value: Any) -> None:
    for key in ENTRY:
        read_volume({**ENTRY, key: value})
    read_server({"id": "s", "name": value})


def asked(following: str | None) -> str | None:
    """The query of a `next`, without the number of its walk."""
    return following and following.partition("~")[0]


async def test_pages_follow_the_links_on_our_own_host() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "evs.test"
        assert request.url.path == f"/v3/{PROJECT}/volumes/detail"
        if request.url.params.get("marker") is None:
            assert request.url.params["limit"] == "1000"
            evil = "https://evil.test/v3/x/volumes/detail?limit=1000&marker=m1"
            links = [{"rel": "next", "href": evil}]
            return answer(200, {"volumes": [ENTRY], "volumes_links": links})
        assert request.url.params["marker"] == "m1"
        return answer(200, {"volumes": []})

    inventory = Bench(handler).service.inventory
    first = await inventory.volumes()
    assert [volume.id for volume in first.volumes] == [VOLUME]
    assert await inventory.volumes(first.next) == await inventory.volumes("marker=m1")
    assert (await inventory.volumes(first.next)).next is None


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "Volume m1 could not be found."), (400, "marker [m1] not found")],
    ids=["block storage", "compute"],
)
async def test_a_page_after_an_entry_that_is_gone_means_that_the_list_changed(
    status: int, said: str
) -> None:
    refusal = {"itemNotFound": {"code": status, "message": said}}

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("marker"):
            return answer(status, refusal)
        return answer(200, {"volumes": [ENTRY]})

    inventory = Bench(handler).service.inventory
    await inventory.volumes()
    with pytest.raises(ListChanged, match="the list of volumes changed while it was read"):
        await inventory.volumes("marker=m1")


async def test_a_full_page_without_links_is_followed_by_its_last_id() -> None:
    ids = [f"v{number}" for number in range(1000)]
    bench = Bench(lambda _: answer(200, {"volumes": [{"id": each} for each in ids]}))
    page = await bench.service.inventory.volumes()
    assert asked(page.next) == "limit=1000&marker=v999"


async def test_pages_without_end_are_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "PAGES", 3)

    def handler(request: httpx.Request) -> httpx.Response:
        more = f"?marker={request.url.params.get('marker', '')}x"
        links = [{"rel": "next", "href": more}]
        entry = ENTRY if "x" not in str(request.url) else ENTRY | {"id": f"v{len(more)}"}
        return answer(200, {"volumes": [entry], "volumes_links": links})

    bench = Bench(handler)
    assert list(await bench.service.inventory.these({VOLUME})) == [VOLUME]
    with pytest.raises(CloudUnavailable, match="has more than 3 pages"):
        await bench.service.inventory.these({VOLUME, "gone"})


async def test_an_older_region_has_its_volumes_under_v2() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        old = request.url.path.startswith("/v2/")
        return answer(200, {"volumes": [ENTRY]}) if old else answer(404, {"message": "no"})

    bench = Bench(handler)
    await bench.service.inventory.volumes()
    await bench.service.inventory.volumes()
    assert len(bench.requests) == 3, "the place is found once"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(200, {"backups": []}), CloudUnavailable),
        (answer(200, b"<html>"), CloudUnavailable),
        (answer(503), CloudUnavailable),
        (answer(403, {"forbidden": {"code": 403, "message": "no"}}), CloudRefused),
        (answer(404, {"itemNotFound": {"code": 404, "message": "no"}}), CloudRefused),
    ],
)
async def test_what_is_no_list_is_an_error(reply: httpx.Response, error: type[Exception]) -> None:
    with pytest.raises(error):
        await Bench(lambda _: reply).service.inventory.volumes()


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("https://nova.test/v2.1", "/v2.1/servers"),
        (f"https://nova.test/v2.1/{PROJECT}", f"/v2.1/{PROJECT}/servers"),
        (f"https://nova.test/compute/v2/{PROJECT}/", f"/compute/v2/{PROJECT}/servers"),
        ("https://nova.test", "/v2.1/servers"),
    ],
)
async def test_servers_are_found_for_every_form_of_the_compute_endpoint(
    endpoint: str, path: str
) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path != path:
            return answer(404, {"itemNotFound": {"code": 404, "message": "no"}})
        return answer(200, {"servers": [{"id": "srv-1", "name": "db01"}, {"name": "none"}]})

    inventory = Bench(handler, compute=endpoint).service.inventory
    assert inventory.knows_servers
    assert (await inventory.servers()).servers == (CloudServer(id="srv-1", name="db01"),)


async def test_without_compute_there_are_no_servers_and_no_request() -> None:
    options: list[dict[str, Any]] = [{}, {"compute": "no url"}]
    for endpoints in options:
        bench = Bench(lambda _: answer(500), **endpoints)
        assert not bench.service.inventory.knows_servers
        assert (await bench.service.inventory.servers()).servers == ()
        assert bench.requests == []


def test_compute_in_several_regions_is_no_error() -> None:
    catalog = {
        "vbs": [("eu-de", "https://vbs.test")],
        "compute": [("eu-de", "https://a.test"), ("eu-nl", "https://b.test")],
    }
    assert find_endpoints(catalog, {}, PROJECT).endpoints.compute is None
    config = {"compute_endpoint_override": "https://c.test/v2.1"}
    assert find_endpoints(catalog, config, PROJECT).endpoints.compute == "https://c.test/v2.1"


@given(st.text(string.ascii_letters + ":/.@?#[]%", max_size=40))
def test_no_address_of_compute_keeps_anybody_out(url: str) -> None:
    Bench(lambda _: answer(500), compute=url)
