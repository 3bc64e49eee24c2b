"""The gateway takes what the official signer signs with a good key in time, and nothing else."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from tests.simulator.harness import Desk, DeskMaker
from vbsbatch.simulator import Do, Fault, Kind, Scenario, Services, SimReply, SimRequest
from vbsbatch.simulator.signatures import SimAccessKey
from vbsbatch.simulator.wire import read_target

LIST = "/v3/{p}/backups/detail?limit=5&name=a%20b"


def signed(
    desk: Desk,
    target: str = LIST,
    *,
    method: str = "GET",
    content: object = None,
    key: SimAccessKey | None = None,
    late: float = 0.0,
    **headers: str,
) -> SimRequest:
    """A request as the official signer leaves it."""
    from datetime import UTC, datetime

    key = key or desk.cloud.identity.keys.permanent
    at = datetime.fromtimestamp(desk.clock.now() - late, UTC)
    path, query = read_target(target.replace("{p}", desk.cloud.project.id))
    sent: dict[str, str] = {
        "X-Sdk-Date": at.strftime("%Y%m%dT%H%M%SZ"),
        "X-Project-Id": desk.cloud.project.id,
        "Host": "sim:8800",
    }
    if key.security_token:
        sent["X-Security-Token"] = key.security_token
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    body = b"" if content is None else json.dumps(content).encode()
    request: Any = SdkRequest(
        method=method,
        schema="http",
        host=sent["Host"],
        resource_path=path,
        query_params=list(query.items()),
        header_params=sent,
        body=body,
    )
    Signer(key).sign(request)
    named = {name.lower(): value for name, value in request.header_params.items()}
    return SimRequest(method=method, path=path, query=query, headers=named, body=body)


def changed(request: SimRequest, **changes: Any) -> SimRequest:
    known = {
        name: getattr(request, name) for name in ("method", "path", "query", "headers", "body")
    }
    return SimRequest(**{**known, **changes})


def refusal(reply: SimReply) -> str:
    assert reply.status == 401
    content = json.loads(reply.body)
    assert content["error_code"] == "APIG.0301"
    return str(content["error_msg"]).removeprefix("Incorrect IAM authentication information: ")


@pytest.fixture
def desk(open_desk: DeskMaker) -> Desk:
    return open_desk()


def test_every_service_takes_a_signed_request(desk: Desk) -> None:
    wanted = {"backup": {"volume_id": desk.volumes[0], "name": "b1"}}
    create = signed(desk, "/v2/{p}/cloudbackups", method="POST", content=wanted)
    job_id = json.loads(desk.cloud.handle(create).body)["job_id"]
    for target in (
        LIST,
        f"/v1/{{p}}/jobs/{job_id}",
        "/v2/{p}/cloudbackups/quota",
        "/volume/v3/{p}/volumes/detail",
        "/identity/v3/auth/catalog",
    ):
        assert desk.cloud.handle(signed(desk, target)).status == 200, target


def test_identity_looks_up_a_project_by_name_and_tells_the_catalog_of_the_one_named(
    desk: Desk,
) -> None:
    reply = desk.cloud.handle(signed(desk, "/identity/v3/projects?name=simulator"))
    assert [p["id"] for p in json.loads(reply.body)["projects"]] == [desk.cloud.project.id]
    reply = desk.cloud.handle(signed(desk, "/identity/v3/auth/catalog"))
    urls = [entry["endpoints"][0]["url"] for entry in json.loads(reply.body)["catalog"]]
    assert f"http://sim:8800/v2/{desk.cloud.project.id}" in urls


def test_a_temporary_key_needs_its_security_token(desk: Desk) -> None:
    request = signed(desk, key=desk.cloud.identity.keys.temporary)
    assert desk.cloud.handle(request).status == 200
    bare = {name: v for name, v in request.headers.items() if name != "x-security-token"}
    assert "verify aksk" in refusal(desk.cloud.handle(changed(request, headers=bare)))


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/v3/{p}/backups"},
        {"query": {"limit": "6", "name": "a b"}},
        {"body": b"x"},
        {"headers": {"host": "elsewhere"}},
        {"headers": {"x-project-id": "another"}},
    ],
    ids=str,
)
def test_what_was_changed_after_the_signing_is_refused(desk: Desk, change: dict[str, Any]) -> None:
    request = signed(desk)
    if "headers" in change:
        change = {"headers": {**request.headers, **change["headers"]}}
    if "path" in change:
        change = {"path": change["path"].replace("{p}", desk.cloud.project.id)}
    reply = desk.cloud.handle(changed(request, **change))
    assert refusal(reply) == "verify aksk signature fail"


def test_a_signed_look_at_a_backup_does_not_delete_it(desk: Desk) -> None:
    desk.create()
    desk.wait(60)
    request = signed(desk, f"/v3/{{p}}/backups/{desk.listed()[0]['id']}")
    assert desk.cloud.handle(request).status == 200
    reply = desk.cloud.handle(changed(request, method="DELETE"))
    assert refusal(reply) == "verify aksk signature fail"
    assert len(desk.listed()) == 1


def test_a_wrong_secret_an_unknown_key_and_a_malformed_header_are_told_apart(desk: Desk) -> None:
    good = desk.cloud.identity.keys.permanent
    wrong = SimAccessKey(ak=good.ak, sk="wrong", owner=good.owner)
    assert refusal(desk.cloud.handle(signed(desk, key=wrong))) == "verify aksk signature fail"
    unknown = SimAccessKey(ak="NOBODY", sk="wrong", owner=good.owner)
    assert "ak:NOBODY,err:ak not exist" in refusal(desk.cloud.handle(signed(desk, key=unknown)))
    request = signed(desk)
    odd = {**request.headers, "authorization": "SDK-HMAC-SHA256 what"}
    assert "malformed" in refusal(desk.cloud.handle(changed(request, headers=odd)))
    undated = {**request.headers, "x-sdk-date": "today"}
    assert "x-sdk-date" in refusal(desk.cloud.handle(changed(request, headers=undated)))


@pytest.mark.parametrize(("late", "status"), [(890, 200), (-890, 200), (910, 401), (-910, 401)])
def test_a_time_more_than_15_minutes_off_is_refused(desk: Desk, late: float, status: int) -> None:
    assert desk.cloud.handle(signed(desk, late=late)).status == status


def test_the_time_of_the_server_counts(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(clock_ahead=7200.0))
    assert refusal(desk.cloud.handle(signed(desk))) == "signature expired"
    assert desk.cloud.handle(signed(desk, late=-7200.0)).status == 200


def test_a_key_refused_more_than_five_times_in_a_row_is_locked_for_five_minutes(
    desk: Desk,
) -> None:
    good = desk.cloud.identity.keys.permanent
    wrong = SimAccessKey(ak=good.ak, sk="wrong", owner=good.owner)
    for _ in range(5):
        desk.cloud.handle(signed(desk, key=wrong))
    assert desk.cloud.handle(signed(desk)).status == 200
    for _ in range(6):
        desk.cloud.handle(signed(desk, key=wrong))
    assert "reach the limit" in refusal(desk.cloud.handle(signed(desk)))
    desk.wait(301)
    assert desk.cloud.handle(signed(desk)).status == 200


def test_another_project_than_the_one_signed_for_is_forbidden(desk: Desk) -> None:
    target = LIST.replace("{p}", desk.cloud.other.id)
    assert desk.cloud.handle(signed(desk, target)).status == 403
    assert desk.cloud.handle(signed(desk, X_Project_Id="nobody's")).status == 403


def test_keys_are_revoked_by_a_fault(open_desk: DeskMaker) -> None:
    fault = Fault(on=Kind.LIST, do=Do.REVOKE_KEYS, first=1)
    desk = open_desk(Scenario(faults=(fault,)))
    assert "ak not exist" in refusal(desk.cloud.handle(signed(desk)))
    assert "ak not exist" in refusal(desk.cloud.handle(signed(desk, "/identity/v3/projects")))


def test_plain_openstack_knows_no_signatures(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(services=Services.CINDER))
    reply = desk.cloud.handle(signed(desk, "/volume/v3/{p}/backups/detail"))
    assert reply.status == 401
    assert "error_code" not in json.loads(reply.body)
    assert urlsplit(reply.headers["www-authenticate"].split('"')[1]).path == "/identity"
