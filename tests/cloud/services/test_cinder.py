"""The Cinder service sends what the API reference asks for and reads what it answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.services.cinder import CinderService
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import NO_PARENT, Answer, BackupSettings, Quota

from ..fixtures import PROJECT, VOLUME, Bench, Handler, a_job, answer

pytestmark = pytest.mark.anyio
ACCEPTED = {"backup": {"id": "b-1", "name": "night-db01-data", "links": []}}
TAGS = BackupSettings(tags=(("wave", "1"),))


class CinderBench(Bench):
    """The bench with Cinder on it."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler)
        roots = {"vbs": "https://evs.test", "block_storage": "https://evs.test/volume"}
        endpoints = Endpoints(project_id=PROJECT, roots=roots)
        self.cinder = CinderService(self.session, endpoints)


async def body_of(request: httpx.Request) -> Any:
    return json.loads(b"".join([part async for part in request.stream]))  # type: ignore[union-attr]


def test_a_create_body_says_only_what_was_set_and_forces_a_volume_in_use() -> None:
    assert CinderService.create_body(a_job()) == {
        "volume_id": VOLUME,
        "name": "night-db01-data",
        "force": True,
    }
    settings = BackupSettings(
        description="before", tags=(("wave", "1"), ("owner", "")), snapshot_id="s-1", force=False
    )
    assert CinderService.create_body(a_job(settings=settings)) == {
        "volume_id": VOLUME,
        "name": "night-db01-data",
        "snapshot_id": "s-1",
        "description": "before",
        "metadata": {"wave": "1", "owner": ""},
    }


@pytest.mark.parametrize(
    ("full", "fallback", "code", "incremental"),
    [
        (True, False, None, False),
        (True, True, NO_PARENT, False),
        (False, False, None, True),
        (False, True, None, True),
        (False, False, NO_PARENT, True),
        (False, True, NO_PARENT, False),
        (False, True, "Cinder.VolumeBusy", True),
    ],
)
def test_full_false_is_an_increment_unless_there_was_no_parent_and_the_plan_allows_a_full_one(
    full: bool, fallback: bool, code: str | None, incremental: bool
) -> None:
    settings = BackupSettings(full=full, full_if_no_parent=fallback)
    assert (
        CinderService.create_body(a_job(settings=settings, code=code))["incremental"] is incremental
    )


async def test_an_accepted_create_names_its_backup() -> None:
    bench = CinderBench(lambda _: answer(202, ACCEPTED, x_openstack_request_id="req-9"))
    result = await bench.cinder.create(a_job(), 0)
    assert result == Answer(status=202, backup_id="b-1", request_id="req-9")
    (request,) = bench.requests
    assert str(request.url) == f"https://evs.test/volume/v3/{PROJECT}/backups"
    assert await body_of(request) == {"backup": CinderService.create_body(a_job())}
    assert "openstack-api-version" not in request.headers


async def test_only_tags_need_a_microversion_of_their_own() -> None:
    bench = CinderBench(lambda _: answer(202, ACCEPTED))
    await bench.cinder.create(a_job(settings=TAGS), 0)
    assert bench.requests[0].headers["openstack-api-version"] == "volume 3.43"


async def test_a_create_without_an_answer_says_why() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("x")

    result = await CinderBench(fail).cinder.create(a_job(), 0)
    assert result == Answer(status=None, message="connection reset", json=False)


async def test_a_406_is_an_answer_and_nothing_is_sent_again() -> None:
    bench = CinderBench(lambda _: answer(406, {"computeFault": {"code": 406, "message": "no"}}))
    assert (await bench.cinder.create(a_job(settings=TAGS), 0)).status == 406
    assert len(bench.requests) == 1


def versions(*found: object) -> dict[str, Any]:
    return {"versions": [{"id": "v3.0", "version": version} for version in found]}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (answer(200, versions("3.71")), None),
        (answer(200, versions("3.43")), None),
        (answer(200, versions("", "3.100")), None),
        (answer(200, versions("3.42")), "3.42"),
        (answer(200, versions("3.7")), "3.7"),
        (answer(200, versions(7, None, "3.x")), "3.0"),
        (answer(200, {"versions": {"v3": 1}}), "3.0"),
        (answer(404, {"itemNotFound": {"code": 404, "message": "no"}}), "3.0"),
    ],
)
async def test_tags_are_refused_if_the_version_document_does_not_offer_them(
    document: httpx.Response, said: str | None
) -> None:
    bench = CinderBench(lambda _: document)
    found = await bench.cinder.objections([TAGS, BackupSettings()])
    assert [str(request.url) for request in bench.requests] == ["https://evs.test/volume/v3/"]
    if said is None:
        assert found == []
    else:
        (text,) = found
        assert f"3.43 of block storage, which offers {said}: leave tags out" in text


async def test_settings_without_tags_need_no_version_document() -> None:
    bench = CinderBench(lambda _: answer(500))
    assert await bench.cinder.objections([BackupSettings(description="ä" * 64)]) == []
    assert bench.requests == []


async def test_every_character_of_four_bytes_and_every_refused_key_is_named() -> None:
    bench = CinderBench(lambda _: answer(200, versions("3.71")))
    found = await bench.cinder.objections(
        [
            BackupSettings(description="disk \N{FLOPPY DISK}"),
            BackupSettings(tags=(("wäve", "\N{ROCKET}"), ("fine key:.", "\N{FLOPPY DISK}"))),
        ]
    )
    assert [text.partition(",")[0] for text in found] == [
        'tag "wäve": a key may contain only ASCII letters',
        "a description or tag contains U+1F4BE",
        "a description or tag contains U+1F680",
    ]


async def test_a_missing_version_document_is_read_again_later() -> None:
    bench = CinderBench(lambda _: answer(503, {}))
    with pytest.raises(CloudUnavailable, match="microversion that tags need: 503"):
        await bench.cinder.objections([TAGS])


async def test_the_quota_is_what_is_used_and_allowed() -> None:
    usage = {
        "id": PROJECT,
        "backups": {"in_use": 3, "reserved": 1, "limit": 10},
        "backup_gigabytes": {"in_use": 70, "limit": -1},
        "volumes": {"in_use": 9, "limit": 10},
    }
    bench = CinderBench(lambda _: answer(200, {"quota_set": usage}))
    assert await bench.cinder.quota() == (
        Quota(kind="backups", used=3, reserved=1, limit=10),
        Quota(kind="backup_gigabytes", used=70),
    )
    (request,) = bench.requests
    path = f"https://evs.test/volume/v3/{PROJECT}/os-quota-sets/{PROJECT}?usage=True"
    assert str(request.url) == path


@pytest.mark.parametrize("status", [403, 404])
async def test_a_quota_that_this_user_may_not_see_is_none(status: int) -> None:
    refused = {"forbidden": {"code": status, "message": "Policy doesn't allow it."}}
    assert await CinderBench(lambda _: answer(status, refused)).cinder.quota() == ()


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (answer(200, {"quota_set": []}), CloudUnavailable),
        (answer(503, {}), CloudUnavailable),
        (answer(400, {"badRequest": {"code": 400, "message": "no"}}), CloudRefused),
    ],
)
async def test_a_quota_that_cannot_be_read_is_an_error(
    document: httpx.Response, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await CinderBench(lambda _: document).cinder.quota()


async def test_numbers_that_are_missing_leave_their_kind_out() -> None:
    usage = {"backups": {"in_use": None, "limit": 3}, "backup_gigabytes": "many"}
    assert await CinderBench(lambda _: answer(200, {"quota_set": usage})).cinder.quota() == ()


async def test_a_deletion_without_a_backup_service_does_not_mean_that_the_backup_is_gone() -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return answer(200, {"backups": []})
        words = "Service cinder-backup could not be found."
        return answer(404, {"itemNotFound": {"code": 404, "message": words}})

    bench = CinderBench(reply)
    with pytest.raises(CloudUnavailable, match="404: Service cinder-backup could not be found"):
        await bench.cinder.delete_backup("b-1")


async def test_there_are_no_cloud_jobs_to_ask_for() -> None:
    bench = CinderBench(lambda _: answer(200))
    assert await bench.cinder.cloud_job("j-1") is None
    assert bench.requests == []
