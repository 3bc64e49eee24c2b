"""Runs with an access key instead of a password, and with a wrong key."""

from __future__ import annotations

import json

import pytest

from tests.cli.harness import FAST, Harness

KEYED = "simulator-aksk"


@pytest.fixture
def keyed(harness: Harness) -> Harness:
    harness.write_plan(cloud=KEYED)
    return harness


def test_a_whole_run_with_a_key_needs_no_token(keyed: Harness) -> None:
    cloud = keyed.cloud(volumes=30)
    keyed("run", "plan.yaml")
    keyed("verify", "latest")
    assert len(cloud.live()) == 30
    (run,) = keyed.runs()
    assert run["cloud"] == KEYED
    free = next(volume["ID"] for volume in cloud.volumes() if volume["Status"] == "available")
    cloud.behave("backups: {duration: 1s, delete: 50ms}\n")
    keyed("restore", run["id"], "--volume", free, "--yes")
    keyed("prune", run["id"], "--volume", free, "--even-last", "--delete", "--yes")
    assert (cloud.calls("restore"), cloud.calls("delete")) == (1, 1)
    assert len(cloud.live()) == 29
    assert cloud.calls("token") == 0
    assert not cloud.world.identity.tokens


@pytest.mark.parametrize(
    ("pattern", "by", "says"),
    [
        (r"sk: \S+", "sk: wrong-secret", "verify aksk signature fail"),
        (r"ak: \S+", "ak: NOBODY", "ak:NOBODY,err:ak not exist"),
        (r"\n *sk: \S+", "", "the access key is incomplete: sk is missing"),
        (r"sk: \S+", "sk: wrong-secret\n      password: p", "a password and an access key"),
    ],
    ids=["secret", "key", "half", "both"],
)
def test_a_wrong_key_is_one_line_and_no_run(
    keyed: Harness, pattern: str, by: str, says: str
) -> None:
    cloud = keyed.cloud(volumes=1)
    keyed.edit_clouds(pattern, by)
    line = keyed.refused("run", "plan.yaml")
    assert says in line
    assert "secret" not in line.replace("secret key", "").replace("secretKey", "")
    assert keyed.runs() == []
    assert cloud.ledger("create") == []


def test_a_wrong_key_is_found_even_without_a_request_to_the_identity_service(
    keyed: Harness,
) -> None:
    cloud = keyed.cloud(volumes=1)
    key, url = cloud.world.identity.keys.permanent, cloud.url
    for sk, outcome in (("wrong", 2), (key.sk, 0)):
        auth = {"ak": key.ak, "sk": sk, "project_id": cloud.world.project.id}
        keyed.clouds.write_text(json.dumps({"clouds": {KEYED: {"auth": auth}}}))
        done = keyed("run", "plan.yaml", "--vbs-endpoint", url, code=outcome)
        assert ("was refused" in done.stderr) == (outcome == 2)
        assert len(keyed.runs()) == (outcome == 0)
    assert cloud.calls("other") == 0


def test_a_run_stops_when_its_key_is_revoked_and_continues_with_a_new_key(keyed: Harness) -> None:
    cloud = keyed.cloud(volumes=20)
    ids = [volume["ID"] for volume in cloud.volumes()]
    faults = f"faults:\n  - {{on: create, do: revoke_keys, volumes: [{ids[9]}], first: 1}}\n"
    cloud.behave(FAST + faults)
    done = keyed("run", "plan.yaml", code=3)
    assert "was refused (APIG.0301 Incorrect IAM" in done.stderr
    assert "vbsbatch resume" in done.stderr
    (run,) = keyed.runs()
    assert "the access key" in run["reason"]
    sent = cloud.creates()
    assert sent < 20
    # With the old key nothing is submitted, and the run is as it was.
    assert "ak not exist" in keyed.refused("resume")
    assert cloud.creates() == sent
    keyed.edit_clouds(rf"(?s){KEYED}:.*", "")
    keyed.edit_clouds(r"simulator:", f"{KEYED}:")
    keyed("resume")
    assert sorted(cloud.live()) == sorted(ids)
    assert cloud.summary()["duplicates"] == 0


def test_a_key_works_although_the_clock_is_hours_off(keyed: Harness) -> None:
    cloud = keyed.cloud(FAST + "clock_ahead: 3h\n", volumes=3)
    keyed("run", "plan.yaml")
    assert len(cloud.live()) == 3


def test_a_key_in_the_environment_is_used(keyed: Harness) -> None:
    cloud = keyed.cloud(volumes=2)
    key = cloud.world.identity.keys.temporary
    keyed.edit_clouds(r"\n *[as]k: \S+", "")
    environment = keyed.environment | {
        "HUAWEICLOUD_SDK_AK": key.ak,
        "HUAWEICLOUD_SDK_SK": key.sk,
        "HUAWEICLOUD_SDK_SECURITY_TOKEN": str(key.security_token),
    }
    keyed("run", "plan.yaml", env=environment)
    assert len(cloud.live()) == 2
    assert "no username" in keyed.refused("run", "plan.yaml")
