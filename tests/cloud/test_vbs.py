"""The VBS service sends what the API reference asks for and reads what it answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from vbsbatch.cloud import session
from vbsbatch.cloud.tokens import Token
from vbsbatch.cloud.vbs import create_body
from vbsbatch.engine.ports import BackupService
from vbsbatch.errors import CloudRefused, CloudUnavailable, ListChanged, SignInError
from vbsbatch.model import (
    Answer,
    Backup,
    BackupPage,
    BackupSettings,
    CloudJob,
    CloudJobStatus,
    Quota,
)

from .fixtures import NOW, PROJECT, SECRET, VOLUME, Bench, a_job, answer

pytestmark = pytest.mark.anyio
ACCEPTED = {"job_id": "ff8080"}


def test_the_service_is_what_the_engine_asks_for() -> None:
    service: BackupService = Bench(lambda _: answer(200)).service
    assert (service.create_calls, service.read_calls, service.clock_ahead) == (0, 0, 0.0)


def test_a_create_body_says_only_what_was_set() -> None:
    assert create_body(a_job()) == {"volume_id": VOLUME, "name": "night-db01-data"}
    settings = BackupSettings(
        description="before", tags=(("wave", "1"), ("owner", "")), full=False, snapshot_id="s-1"
    )
    assert create_body(a_job(settings=settings)) == {
        "volume_id": VOLUME,
        "name": "night-db01-data",
        "snapshot_id": "s-1",
        "description": "before",
        "tags": [{"key": "wave", "value": "1"}, {"key": "owner", "value": ""}],
        "extend_param": {"FullBackup": "false"},
    }
    full = create_body(a_job(settings=BackupSettings(full=True)))
    assert full["extend_param"] == {"FullBackup": "true"}


async def test_a_create_goes_out_once_with_token_agent_and_body() -> None:
    bench = Bench(lambda _: answer(200, ACCEPTED, x_request_id="req-9"))
    result = await bench.service.create(a_job(), 3)
    assert result == Answer(status=200, cloud_job_id="ff8080", request_id="req-9")
    (request,) = bench.requests
    assert str(request.url) == f"https://vbs.test/v2/{PROJECT}/cloudbackups"
    assert request.method == "POST"
    assert request.headers["x-auth-token"] == f"{SECRET}-1"
    assert request.headers["user-agent"].startswith("vbsbatch/")
    assert request.headers["content-type"] == "application/json"
    body = b"".join([part async for part in request.stream])  # type: ignore[union-attr]
    assert json.loads(body) == {"backup": create_body(a_job())}
    assert int(request.headers["content-length"]) == len(body)
    assert (bench.service.create_calls, bench.service.read_calls) == (1, 0)


async def test_a_create_is_never_repeated_on_a_401() -> None:
    bench = Bench(lambda _: answer(401, {"error": {"code": 401, "message": "no"}}))
    result = await bench.service.create(a_job(), 0)
    assert (result.status, len(bench.requests)) == (401, 1)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (httpx.ReadTimeout("x"), "no answer within 60 s"),
        (httpx.ConnectTimeout("x"), "no connection within 10 s"),
        (httpx.ReadError("x"), "connection reset"),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (
            httpx.RemoteProtocolError("Server disconnected without sending a response."),
            "connection closed without an answer",
        ),
        (httpx.InvalidURL("odd"), "odd"),
    ],
)
async def test_no_answer_to_a_create_is_an_answer_that_says_why(
    error: Exception, message: str
) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    result = await Bench(fail).service.create(a_job(), 0)
    assert result == Answer(status=None, message=message, json=False)


async def test_a_create_without_a_token_is_not_sent_and_says_so() -> None:
    bench = Bench(lambda _: answer(200, ACCEPTED), signed_in=False)
    result = await bench.service.create(a_job(), 0)
    assert (result.status, result.message) == (None, "not sent: there is no token yet")
    assert bench.service.create_calls == 0


async def test_being_ready_is_having_a_token_and_a_create_never_waits_for_one() -> None:
    bench = Bench(lambda _: answer(200, ACCEPTED), signed_in=False)
    bench.keystone.error = CloudUnavailable("identity: no answer")
    with pytest.raises(CloudUnavailable):
        await bench.service.ready()
    bench.keystone.error = None
    await bench.service.ready()
    bench.clock.at += 4000  # the token is dead by now
    bench.keystone.error = SignInError("changed")
    with pytest.raises(SignInError):
        await bench.service.ready()
    assert (await bench.service.create(a_job(), 0)).status == 200
    assert bench.requests[-1].headers["x-auth-token"] == f"{SECRET}-2"


def page(entries: list[Any], following: str | None = None) -> dict[str, Any]:
    links = [{"rel": "next", "href": following}] if following else []
    return {"backups": entries, "backups_links": links}


async def test_an_entry_of_the_list_is_mapped_whatever_is_missing() -> None:
    entries = [
        {"id": "b1", "name": "n", "volume_id": VOLUME, "status": "Creating", "size": 40,
         "created_at": "2026-01-01T00:00:00.000000", "updated_at": None, "fail_reason": None,
         "service_metadata": '{"progress": 42, "Type": 0, "AT": 80.5}'},
        {"id": "b2", "status": None, "service_metadata": "not json progress", "size": "12",
         "fail_reason": "disk\x1b[2J gone"},
        {"id": "b3", "service_metadata": '{"progress": 900}'},
        {"name": "no id"}, None, "text", {"id": "../up"},
    ]  # fmt: skip
    bench = Bench(lambda _: answer(200, page(entries)))
    found = await bench.service.backups()
    assert found.backups == (
        Backup(id="b1", name="n", volume_id=VOLUME, status="creating", size=40, created_at=NOW,
               progress=42),
        Backup(id="b2", size=12, fail_reason="disk�[2J gone"),
        Backup(id="b3", progress=100),
    )  # fmt: skip


async def test_a_link_to_the_next_page_never_leads_to_another_host_or_path() -> None:
    evil = "http://evil.test/steal/v9/x?limit=1000&marker=b1&x=a%20b%0d%0aHost:%20h"
    answers = [page([{"id": "b1"}], evil), page([{"id": "b2"}])]
    bench = Bench(lambda _: answer(200, answers[len(bench.requests) - 1]))
    first = await bench.service.backups()
    second = await bench.service.backups(first.next)
    assert second.next is None
    url = bench.requests[1].url
    assert (url.host, url.path) == ("evs.test", f"/v3/{PROJECT}/backups/detail")
    assert url.params["marker"] == "b1"


def asked(listed: BackupPage) -> str | None:
    """The query of the page that follows, without the number of its walk."""
    return listed.next and listed.next.partition("~")[0]


async def test_a_full_page_without_links_is_followed_by_marker() -> None:
    entries = [{"id": f"b{i}"} for i in range(1000)]
    bench = Bench(lambda _: answer(200, {"backups": entries}))
    assert asked(await bench.service.backups()) == "limit=1000&marker=b999"


@pytest.mark.parametrize(("links", "most", "calls"), [(False, 2, 5), (True, 2, 3), (True, 9, 2)])
async def test_a_page_cut_short_is_the_last_only_where_pages_have_links(
    links: bool, most: int, calls: int
) -> None:
    ids = [f"b{number}" for number in range(5)]

    def handler(request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        begin = ids.index(asked["marker"]) + 1 if "marker" in asked else 0
        end = begin + min(int(asked["limit"]), most)
        document: dict[str, Any] = {"backups": [{"id": each} for each in ids[begin:end]]}
        if links and end < len(ids):
            document = page(document["backups"], f"/x?limit=1000&marker={ids[end - 1]}")
        return answer(200, document)

    bench = Bench(handler)
    listed = await bench.service.backups()
    found = list(listed.backups)
    while listed.next:
        listed = await bench.service.backups(listed.next)
        found += listed.backups
    assert [backup.id for backup in found] == ids
    assert len(bench.requests) == calls


async def test_pages_by_offset_tell_when_a_deletion_between_them_left_an_entry_out() -> None:
    """The entry that moved up was on no page: it seemed absent, and its create was sent again."""
    ids = [f"b{number}" for number in range(7)]

    def handler(request: httpx.Request) -> httpx.Response:
        begin = int(request.url.params.get("offset", 0))
        found = [{"id": each} for each in ids[begin : begin + 3]]
        more = begin + 3 < len(ids)
        return answer(200, page(found, f"/x?limit=3&offset={begin + 3}") if more else page(found))

    service = Bench(handler).service
    listed = await service.backups()
    ids.insert(0, "new")
    seen = [backup.id for backup in listed.backups]
    while listed.next:
        listed = await service.backups(listed.next)
        seen += [backup.id for backup in listed.backups]
    assert seen == [f"b{number}" for number in range(7)]
    listed = await service.backups()
    ids.remove("b0")
    with pytest.raises(ListChanged):
        await service.backups(listed.next)


async def test_an_offset_that_counts_pages_is_followed_as_it_is() -> None:
    first = page([{"id": "b1"}, {"id": "b2"}], "/x?limit=2&offset=1")
    assert asked(await Bench(lambda _: answer(200, first)).service.backups()) == "limit=2&offset=1"


@pytest.mark.parametrize("links", [None, [], {}, "x", [None, {"rel": "self", "href": "/x?a=1"}]])
async def test_links_that_name_no_next_page_do_not_end_a_list(links: Any) -> None:
    listed = await Bench(
        lambda _: answer(200, {"backups": [{"id": "b1"}, {"id": "b2"}], "backups_links": links})
    ).service.backups()
    assert asked(listed) == "limit=1000&marker=b2"


@pytest.mark.parametrize("href", [None, "", 7, "/v3/x/backups/detail", "http://[::1"])
async def test_a_link_that_leads_nowhere_says_that_more_follows(href: Any) -> None:
    links = [{"rel": "next", "href": href}]
    bench = Bench(lambda _: answer(200, {"backups": [{"id": "b1"}], "backups_links": links}))
    assert asked(await bench.service.backups()) == "limit=1000&marker=b1"


@pytest.mark.parametrize("status", [400, 404, 406, 501])
async def test_lists_that_are_not_under_v3_are_looked_for_under_v2(status: int) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        old = request.url.path.startswith("/v2/")
        return answer(200, page([{"id": "b1"}])) if old else answer(status, {"message": "no"})

    assert len((await Bench(handler).service.backups()).backups) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"backups": 7}', b'{"backups'])
async def test_a_list_that_cannot_be_read_proves_nothing(body: bytes) -> None:
    with pytest.raises(CloudUnavailable):
        await Bench(lambda _: answer(200, body)).service.backups()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
async def test_a_read_met_by_an_outage_is_unavailable(status: int) -> None:
    bench = Bench(lambda _: answer(status, {}, retry_after="9"))
    with pytest.raises(CloudUnavailable) as caught:
        await bench.service.backups()
    assert (caught.value.status, caught.value.retry_after) == (status, 9.0)
    assert len(bench.requests) == 1


async def test_a_read_without_an_answer_is_unavailable() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("x")

    with pytest.raises(CloudUnavailable, match="connection reset"):
        await Bench(fail).service.backups()


async def test_a_refused_read_tells_code_message_and_request() -> None:
    refusal = {"error": {"code": "VolumeBackup.0042", "message": "not you"}}
    bench = Bench(lambda _: answer(403, refusal, x_request_id="r-7"))
    with pytest.raises(CloudRefused) as caught:
        await bench.service.backups()
    assert (caught.value.status, caught.value.code) == (403, "VolumeBackup.0042")
    assert str(caught.value) == "403: VolumeBackup.0042 not you (request r-7)"


async def test_a_redirect_is_not_followed() -> None:
    bench = Bench(lambda _: answer(302, b"", location="https://login.test/?next=1"))
    with pytest.raises(CloudRefused, match="redirect to https://login"):
        await bench.service.backups()
    assert len(bench.requests) == 1
    assert (await bench.service.create(a_job(), 0)).status == 302


async def test_a_read_gets_a_fresh_token_after_a_401_and_patience_with_a_node_that_knows_it_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "UNKNOWN_YET", (0.0, 0.001, 0.0))

    def fresh_only(request: httpx.Request) -> httpx.Response:
        if request.headers["x-auth-token"] == f"{SECRET}-1":
            return answer(401, b"who?")
        return answer(200, page([]))

    bench = Bench(fresh_only)
    await bench.service.backups()
    assert (len(bench.requests), bench.keystone.fetched) == (2, 2)

    refusing = Bench(lambda _: answer(401, {"error_code": "APIG.0301", "error_msg": "no"}))
    with pytest.raises(CloudRefused, match=r"APIG\.0301") as caught:
        await refusing.service.backups()
    assert caught.value.status == 401
    assert len(refusing.requests) == 5
    assert refusing.keystone.fetched == 3, "not one for each refusal"

    answers = [answer(401, {}), answer(401, {}), answer(401, {}), answer(200, page([]))]
    behind = Bench(lambda _: answers.pop(0))
    await behind.service.backups()
    assert behind.keystone.fetched == 2


async def test_a_read_whose_credentials_are_refused_is_refused() -> None:
    bench = Bench(lambda _: answer(401, {}))
    await bench.tokens.token()
    bench.keystone.error = SignInError("wrong password")
    with pytest.raises(CloudRefused, match="wrong password"):
        await bench.service.backups()


async def test_native_backups_are_found_under_v2_and_the_place_is_kept() -> None:
    def old(request: httpx.Request) -> httpx.Response:
        if "/v2/" in request.url.path and request.url.host == "evs.test":
            return answer(200, page([{"id": "b1"}]))
        return answer(404, {"error_code": "APIG.0101", "error_msg": "no such API"})

    bench = Bench(old)
    await bench.service.backups()
    await bench.service.backups()
    paths = [request.url.path.split("/")[1] for request in bench.requests]
    assert paths == ["v3", "v2", "v2"]


async def test_native_backups_are_found_on_the_vbs_host() -> None:
    def there(request: httpx.Request) -> httpx.Response:
        found = request.url.host == "vbs.test" and request.url.path.startswith("/v2/")
        return answer(200, page([])) if found else answer(404, b"<h1>not found</h1>")

    bench = Bench(there)
    assert (await bench.service.backups()).backups == ()
    assert bench.requests[-1].url.host == "vbs.test"


async def test_a_backup_is_absent_only_when_the_service_itself_says_so() -> None:
    replies: dict[str, httpx.Response] = {
        "detail": answer(200, page([])),
        "b1": answer(200, {"backup": {"id": "b1", "status": "available"}}),
        "b2": answer(404, {"itemNotFound": {"code": 404, "message": "no backup b2"}}),
        "b3": answer(404, b"<html>404</html>"),
        "b4": answer(404, {"error_code": "APIG.0101", "error_msg": "no such API"}),
        "b5": answer(404, {}),
        "b6": answer(200, {"backup": None}),
    }
    bench = Bench(lambda request: replies[request.url.path.split("/")[-1]])
    service = bench.service
    assert await service.backup("b1") == Backup(id="b1", status="available")
    assert await service.backup("b2") is None
    assert await service.backup("b6") is None
    for name in ("b3", "b4", "b5"):  # it may be a gateway that reloads: only if it lasts
        for _ in range(3):
            with pytest.raises(CloudUnavailable):
                await service.backup(name)
            bench.clock.at += 25.0
        with pytest.raises(CloudRefused):
            await service.backup(name)


async def test_deleting_what_is_gone_is_no_error() -> None:
    replies = {
        "detail": answer(200, page([])),
        "b1": answer(202, b""),
        "b2": answer(404, {"itemNotFound": {"code": 404, "message": "gone"}}),
        "b3": answer(400, {"badRequest": {"code": 400, "message": "still creating"}}),
        "b4": answer(404, b""),
    }
    bench = Bench(lambda request: replies[request.url.path.split("/")[-1]])
    await bench.service.delete_backup("b1")
    await bench.service.delete_backup("b2")
    assert bench.requests[-1].method == "DELETE"
    with pytest.raises(CloudRefused):
        await bench.service.delete_backup("b3")
    with pytest.raises(CloudUnavailable):
        await bench.service.delete_backup("b4")


@pytest.mark.parametrize(
    ("document", "job"),
    [
        (
            {"status": "SUCCESS", "entities": {"backup_id": "b1", "volume_id": "v"}},
            CloudJob(id="j1", status=CloudJobStatus.SUCCESS, backup_id="b1"),
        ),
        (
            {"status": "FAIL", "error_code": "VolumeBackup.0064", "fail_reason": "x\x07"},
            CloudJob(id="j1", status=CloudJobStatus.FAIL, code="VolumeBackup.0064", message="x�"),
        ),
        ({"status": "INIT", "entities": None}, CloudJob(id="j1", status=CloudJobStatus.INIT)),
        ({"status": "running"}, CloudJob(id="j1", status=CloudJobStatus.RUNNING)),
        ({"status": "PENDING", "entities": []}, CloudJob(id="j1", status=None)),
        ({"status": ["RUNNING"]}, CloudJob(id="j1", status=None)),
        ({}, CloudJob(id="j1", status=None)),
    ],
)
async def test_a_cloud_job_is_mapped_whatever_is_missing(document: Any, job: CloudJob) -> None:
    bench = Bench(lambda _: answer(200, document))
    assert await bench.service.cloud_job("j1") == job
    assert bench.requests[0].url.path == f"/v1/{PROJECT}/jobs/j1"


async def test_an_unknown_cloud_job_is_none() -> None:
    unknown = {"error": {"code": "common.0011", "message": "query job failed"}}
    assert await Bench(lambda _: answer(404, unknown)).service.cloud_job("j1") is None
    with pytest.raises(CloudRefused):
        await Bench(lambda _: answer(404, b"<html>")).service.cloud_job("j1")


async def test_the_quota_is_read_and_minus_one_is_no_limit() -> None:
    resources = [
        {"type": "backups", "used": 3, "reserved": 1, "quota": 100},
        {"type": "backup_gigabytes", "used": "70", "quota": -1},
        {"type": "snapshots"}, None,
    ]  # fmt: skip
    service = Bench(lambda _: answer(200, {"quotas": {"resources": resources}})).service
    assert await service.quota() == (
        Quota(kind="backups", used=3, reserved=1, limit=100),
        Quota(kind="backup_gigabytes", used=70),
    )
    with pytest.raises(CloudUnavailable):
        await Bench(lambda _: answer(200, {"quotas": 1})).service.quota()


async def test_the_servers_clock_is_measured_from_its_dates() -> None:
    bench = Bench(lambda _: answer(200, ACCEPTED, date="Thu, 01 Jan 2026 00:02:00 GMT"))
    await bench.service.create(a_job(), 0)
    assert bench.service.clock_ahead == pytest.approx(120.5, abs=0.01)


async def test_renewing_serves_whoever_used_an_older_token() -> None:
    bench = Bench(lambda _: answer(200, ACCEPTED))
    await bench.service.create(a_job(), 0)
    sent_at = bench.clock.at
    bench.clock.at += 1
    await bench.service.renew_token(sent_at)
    await bench.service.renew_token(sent_at)
    assert bench.keystone.fetched == 2
    await bench.service.create(a_job(), 0)
    assert bench.requests[-1].headers["x-auth-token"] == f"{SECRET}-2"


async def test_the_token_is_in_no_repr_and_no_message() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError("Illegal header value")

    bench = Bench(fail)
    result = await bench.service.create(a_job(), 0)
    token = await bench.tokens.token()
    assert isinstance(token, Token)
    for shown in (repr(result), repr(token), repr(bench.requests), repr(bench.session)):
        assert SECRET not in shown
