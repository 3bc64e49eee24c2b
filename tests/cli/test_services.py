"""Which service makes the backups: asked for, found, frozen, refused."""

from __future__ import annotations

import re

import pytest

from tests.cli.clouds import client_of
from tests.cli.harness import FAST, Harness, told

CINDER = FAST + "services: cinder\n"
GONE = "faults: [{on: create, do: status, status: 404, message: The resource could not be found.}]"


def test_plain_openstack_is_found_frozen_and_used_again_whatever_is_offered_by_then(
    stage: Harness,
) -> None:
    cloud = stage.cloud(CINDER + "quota: {backups: 4}", volumes=12)
    stage.write_plan(defaults={"tags": {"wave": "1"}, "description": "before"})
    done = stage("run", "plan.yaml", "--no-preflight", code=3)
    assert "12 volumes by Cinder" in done.stderr
    assert "Cinder.CountQuota: the quota of backups is used up" in told(done, "run")[-1]
    cloud.behave(FAST + "services: both\n")
    stage("resume")
    stage("verify")
    summary = cloud.summary()
    assert (summary["backed_up"], summary["lost"], summary["duplicates"]) == (12, 0, 0)
    assert "job" not in summary["calls"]
    made = {backup.id: backup for backup in cloud.world.project.order}
    assert {backup.native for backup in made.values()} == {True}
    assert all(backup.metadata == {"wave": "1"} for backup in made.values())
    assert {job["backup_id"] for job in stage.jobs()} == set(made)


def test_a_service_that_is_not_offered_is_refused_before_anything_is_stored(stage: Harness) -> None:
    stage.cloud(CINDER, volumes=2)
    line = stage.refused("run", "plan.yaml", "--service", "vbs")
    assert line.startswith("the catalog has no volume backup service (it has: ")
    stage.write_plan(service="vbs")
    assert stage.refused("run", "plan.yaml") == line
    assert stage.runs() == []
    stage("run", "plan.yaml", "--service", "auto")


@pytest.mark.parametrize(
    ("defaults", "cloud", "why"),
    [
        ({"tags": {"a": "b"}}, "microversion: 42", "tags need microversion 3.43"),
        ({"tags": {"ä": "b"}}, "", 'tag "ä": a key may hold ASCII letters'),
        ({"description": "\N{ROCKET}"}, "", "holds U+1F680"),
    ],
)
def test_what_cinder_cannot_do_is_refused_before_anything_is_stored(
    stage: Harness, defaults: dict[str, object], cloud: str, why: str
) -> None:
    made = stage.cloud(CINDER + cloud, volumes=2)
    stage.write_plan(defaults=defaults)
    assert why in stage.refused("run", "plan.yaml")
    assert stage.runs() == []
    assert made.ledger("create") == []


def test_block_storage_that_lists_backups_and_makes_none_is_refused_before_anything_is_stored(
    stage: Harness,
) -> None:
    cloud = stage.cloud(volumes=2)
    stage.write_plan(service="cinder")
    line = stage.refused("run", "plan.yaml")
    assert line.startswith("the catalog has no block storage with backups (it has: ")
    assert stage.refused("run", "plan.yaml", "--no-preflight") == line
    assert stage.runs() == []
    assert cloud.accepted() == []


def test_an_api_that_is_gone_stops_the_run_instead_of_failing_every_volume(stage: Harness) -> None:
    cloud = stage.cloud(CINDER + GONE, volumes=12)
    stage.write_plan(service="cinder", limits={"connections": 2})
    done = stage("run", "plan.yaml", "--no-preflight", code=3)
    assert "Cinder.NoApi: the API does not exist at this endpoint" in told(done, "run")[-1]
    assert stage.json("status")["run"]["counts"]["failed"] == 0
    assert cloud.accepted() == []


def test_what_cinder_refuses_for_one_volume_is_told_with_a_code_of_ours(stage: Harness) -> None:
    cloud = stage.cloud(CINDER, volumes=12)
    used = {v["ID"] for v in cloud.volumes() if v["Status"] == "in-use"}
    assert used
    stage.write_plan(defaults={"force": False})
    stage("run", "plan.yaml", "--no-preflight", code=1)
    failed = {job["volume_id"]: job for job in stage.jobs("--state", "failed")}
    assert set(failed) == used
    assert {job["code"] for job in failed.values()} == {"Cinder.InUse"}
    assert "force: false" in stage.look("report", "latest")


def test_a_simulated_cloud_offers_the_service_that_it_is_told_to(stage: Harness) -> None:
    options = ("--service", "cinder", "--volumes", "3", "--clouds-file", str(stage.clouds))
    simulator = stage.start("simulate", *options)
    assert simulator.stdout is not None
    text = "".join(iter(simulator.stdout.readline, '    volume_api_version: "3"\n'))
    url = re.search(r"auth_url: (\S+)/identity/v3", text)
    assert url
    with client_of(url[1]) as doors:
        assert doors.get("/_sim/faults").json()["services"] == "cinder"
