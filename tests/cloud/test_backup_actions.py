"""Restores and deletions as requests: what goes out, once, and what their answers are read as."""

from __future__ import annotations

import json

import httpx
import pytest

from vbsbatch.cloud.cinder import CinderService
from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.model import Answer

from .fixtures import PROJECT, VOLUME, Bench, answer

pytestmark = pytest.mark.anyio
BACKUP = "2ef47aee-8844-490c-804d-2a8efe561c65"
NATIVE = f"https://evs.test/v3/{PROJECT}/backups"


def replying(reply: httpx.Response) -> Bench:
    """A cloud whose list of backups is found, and that answers everything else with `reply`."""

    def handle(request: httpx.Request) -> httpx.Response:
        return answer(200, {"backups": []}) if "/detail" in request.url.path else reply

    return Bench(handle)


def cinder(bench: Bench) -> CinderService:
    roots = {"vbs": "https://evs.test", "block_storage": "https://evs.test"}
    return CinderService(bench.session, Endpoints(project_id=PROJECT, **roots))


async def body_of(request: httpx.Request) -> bytes:
    return b"".join([part async for part in request.stream])  # type: ignore[union-attr]


async def test_vbs_is_asked_for_a_restore_and_answers_with_a_cloud_job() -> None:
    bench = replying(answer(200, {"job_id": "ff8080"}, x_request_id="req-9"))
    result = await bench.service.changes.restore(BACKUP, VOLUME, 2)
    accepted = Answer(status=200, cloud_job_id="ff8080", backup_id=BACKUP, request_id="req-9")
    assert result == accepted
    (request,) = bench.requests
    assert request.method == "POST"
    assert str(request.url) == f"https://vbs.test/v2/{PROJECT}/cloudbackups/{BACKUP}/restore"
    assert json.loads(await body_of(request)) == {"restore": {"volume_id": VOLUME}}
    assert bench.service.create_calls == 1


async def test_cinder_is_asked_for_a_restore_and_repeats_what_it_restores() -> None:
    bench = replying(answer(202, {"restore": {"backup_id": BACKUP, "volume_id": VOLUME}}))
    result = await cinder(bench).changes.restore(BACKUP, VOLUME, 0)
    assert result == Answer(status=202, backup_id=BACKUP)
    assert str(bench.requests[-1].url) == f"{NATIVE}/{BACKUP}/restore"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", {}, {"restore": {"backup_id": "another"}}, {"job_id": 7}]
)
async def test_a_success_that_names_nothing_of_the_restore_is_unreadable(body: object) -> None:
    result = await replying(answer(202, body)).service.changes.restore(BACKUP, VOLUME, 0)
    assert (result.status, result.readable, result.backup_id) == (202, False, None)


async def test_a_deletion_is_accepted_without_a_body() -> None:
    bench = replying(answer(202, b""))
    result = await bench.service.changes.delete(BACKUP, 1)
    assert result == Answer(status=202, backup_id=BACKUP)
    request = bench.requests[-1]
    assert (request.method, str(request.url)) == ("DELETE", f"{NATIVE}/{BACKUP}")
    assert await body_of(request) == b""
    assert bench.service.create_calls == 1


async def test_a_page_in_place_of_an_answer_to_a_deletion_is_unreadable() -> None:
    result = await replying(answer(200, b"<html>hello</html>")).service.changes.delete(BACKUP, 1)
    assert not result.readable


@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 503])
async def test_a_refusal_is_sent_back_as_it_came_and_nothing_is_repeated(status: int) -> None:
    bench = replying(answer(status, {"badRequest": {"code": status, "message": "no"}}))
    result = await bench.service.changes.delete(BACKUP, 1)
    assert (result.status, result.message, result.backup_id) == (status, "no", None)
    assert sum(request.method == "DELETE" for request in bench.requests) == 1


async def test_no_answer_is_told_as_none() -> None:
    def reset(request: httpx.Request) -> httpx.Response:
        if "/detail" in request.url.path:
            return answer(200, {"backups": []})
        raise httpx.ReadError("reset")

    result = await Bench(reset).service.changes.restore(BACKUP, VOLUME, 0)
    assert (result.status, result.json) == (None, False)
    assert result.message


async def test_where_the_list_of_backups_cannot_be_found_nothing_is_sent() -> None:
    bench = Bench(lambda _: answer(503, {"message": "down"}, retry_after="7"))
    result = await bench.service.changes.delete(BACKUP, 0)
    assert (result.status, result.retry_after, result.json) == (503, 7.0, False)
    assert (result.message or "").startswith("not sent: 503")
    assert {request.method for request in bench.requests} == {"GET"}


async def test_an_id_cannot_lead_the_request_elsewhere() -> None:
    bench = replying(answer(202, b""))
    await bench.service.changes.delete("../volumes/1?x=#", 0)
    path = bench.requests[-1].url.raw_path.decode()
    assert path == f"/v3/{PROJECT}/backups/..%2Fvolumes%2F1%3Fx%3D%23"
