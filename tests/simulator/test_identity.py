"""Tokens are given for good credentials only, live their life, and can be revoked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.simulator.harness import Desk, DeskMaker
from vbsbatch.simulator import Scenario, Services


def sign_in(desk: Desk, method: str, secret: object, scope: object = None) -> Any:
    auth = {"identity": {"methods": [method], method: secret}, "scope": scope}
    return desk.send("POST", "/identity/v3/auth/tokens", {"auth": auth})


def test_a_password_gets_a_token_with_the_catalog_of_the_project(open_desk: DeskMaker) -> None:
    desk = open_desk()
    reply = desk.sign_in()
    token = json.loads(reply.body)["token"]
    urls = {entry["type"]: entry["endpoints"][0]["url"] for entry in token["catalog"]}
    assert reply.status == 201
    assert urls["vbs"] == f"http://sim/v2/{desk.cloud.project.id}"
    assert urls["block-storage"] == f"http://sim/volume/v3/{desk.cloud.project.id}"
    assert urls["compute"] == f"http://sim/compute/v2.1/{desk.cloud.project.id}"
    own = {"identity", "block-storage", "volumev3", "volumev2", "evs", "vbs", "compute"}
    assert set(urls) == own


def test_a_plain_openstack_has_no_vbs_in_its_catalog(open_desk: DeskMaker) -> None:
    token = json.loads(open_desk(Scenario(services=Services.CINDER)).sign_in().body)["token"]
    assert {entry["type"] for entry in token["catalog"]} == {
        "identity",
        "block-storage",
        "volumev3",
        "compute",
    }


def test_an_unscoped_token_names_no_project(open_desk: DeskMaker) -> None:
    desk = open_desk()
    assert "project" not in json.loads(desk.sign_in(project=None).body)["token"]
    assert desk.create().status == 403


def test_tokens_and_application_credentials_sign_in_too(open_desk: DeskMaker) -> None:
    desk = open_desk()
    user = desk.cloud.operator
    scope = {"project": {"id": desk.cloud.project.id}}
    assert sign_in(desk, "token", {"id": desk.token}, scope).status == 201
    secret = {"id": user.credential_id, "secret": user.credential_secret}
    reply = sign_in(desk, "application_credential", secret)
    assert json.loads(reply.body)["token"]["project"]["name"] == "simulator"
    named = {"user": {"name": "operator"}, "name": "any", "secret": user.credential_secret}
    assert sign_in(desk, "application_credential", named).status == 201


@pytest.mark.parametrize(
    ("method", "secret"),
    [
        ("password", {"user": {"name": "operator", "password": "guess"}}),
        ("password", {"user": {"name": "nobody", "password": "guess"}}),
        ("password", {"user": None}),
        ("password", None),
        ("token", {"id": "gAAAAAB"}),
        ("application_credential", {"id": "x", "secret": "y"}),
        ("application_credential", {}),
        ("totp", {}),
    ],
)
def test_bad_credentials_are_401_in_keystones_words(
    open_desk: DeskMaker, method: str, secret: object
) -> None:
    reply = sign_in(open_desk(), method, secret)
    assert (reply.status, json.loads(reply.body)["error"]["title"]) == (401, "Unauthorized")
    assert reply.headers["www-authenticate"].startswith("Keystone")


@pytest.mark.parametrize("content", [None, [], {"auth": 1}, {"auth": {"identity": {}}}])
def test_a_request_without_an_identity_is_400(open_desk: DeskMaker, content: object) -> None:
    assert open_desk().send("POST", "/identity/v3/auth/tokens", content).status == 400


def test_a_project_that_does_not_exist_is_401(open_desk: DeskMaker) -> None:
    assert open_desk().sign_in(project="nowhere").status == 401


def test_a_token_dies_at_the_end_of_its_life(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(token_life=3600))
    desk.wait(3599)
    assert desk.send("GET", "/v3/{p}/backups").status == 200
    desk.wait(2)
    gateway = desk.send("GET", "/v3/{p}/backups")
    assert (gateway.status, json.loads(gateway.body)["error_code"]) == (401, "APIG.0301")
    keystone = desk.send("GET", "/volume/v3/{p}/backups")
    assert (keystone.status, json.loads(keystone.body)["error"]["code"]) == (401, 401)


def test_revoked_tokens_are_refused_and_new_ones_are_good(open_desk: DeskMaker) -> None:
    desk = open_desk()
    desk.cloud.revoke_tokens()
    assert desk.create().status == 401
    desk.sign_in()
    assert desk.create().status == 200


def test_a_token_tells_about_itself_and_can_be_given_back(open_desk: DeskMaker) -> None:
    desk = open_desk()
    path = "/identity/v3/auth/tokens"
    assert desk.get(path, x_subject_token=desk.token)["token"]["user"]["name"] == "operator"
    assert desk.send("GET", path, x_subject_token="other").status == 404
    assert desk.send("DELETE", path, x_subject_token=desk.token).status == 204
    assert desk.send("GET", path, x_subject_token=desk.token).status == 401


def test_versions_projects_and_the_catalog_are_told(open_desk: DeskMaker) -> None:
    desk = open_desk()
    assert desk.send("GET", "/identity").status == 300
    assert desk.get("/identity/v3")["version"]["id"] == "v3.14"
    names = [project["name"] for project in desk.get("/identity/v3/auth/projects")["projects"]]
    assert names == ["simulator", "other"]
    assert desk.get("/identity/v3/projects/" + desk.cloud.project.id)["project"]["enabled"]
    assert desk.get("/identity/v3/auth/catalog")["catalog"]
    assert desk.send("GET", "/identity/v3/users").status == 404


def test_a_clock_ahead_shifts_everything_the_server_tells(open_desk: DeskMaker) -> None:
    true = json.loads(open_desk().sign_in().body)["token"]["issued_at"]
    desk = open_desk(Scenario(clock_ahead=3600))
    reply = desk.sign_in()
    assert json.loads(reply.body)["token"]["issued_at"] > true
    assert reply.headers["date"] == "Mon, 21 Sep 2026 15:13:20 GMT"
    assert desk.cloud.ledger.of("token")[0]["at"] == pytest.approx(desk.clock.now(), abs=1)


def test_a_revoked_token_may_be_accepted_for_a_while(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(revoked_after=30.0))
    desk.cloud.revoke_tokens()
    desk.wait(29)
    assert desk.send("GET", "/v3/{p}/backups").status == 200
    desk.wait(1)
    assert desk.send("GET", "/v3/{p}/backups").status == 401
