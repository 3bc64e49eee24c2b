"""Which service makes the backups: requested, detected, frozen, refused."""

from __future__ import annotations

import re

import pytest

from tests.cli.clouds import client_of
from tests.cli.harness import FAST, Harness, told

CINDER = FAST + "services: cinder\n"


def test_plain_openstack_is_found_frozen_and_used_again_by_resume(
    harness: Harness,
) -> None:
    cloud = harness.cloud(CINDER + "quota: {backups: 4}", volumes=12)
    harness.write_plan(defaults={"tags": {"wave": "1"}, "description": "before"})
    done = harness("run", "plan.yaml", "--no-preflight", code=3)
    assert "12 volumes by Cinder" in done.stderr
    assert "Cinder.CountQuota: the quota of backups is used up" in told(done, "run")[-1]
    cloud.behave(FAST + "services: both\n")
    harness("resume")
    harness("verify")
    summary = cloud.summary()
    assert (summary["backed_up"], summary["lost"], summary["duplicates"]) == (12, 0, 0)
    assert "job" not in summary["calls"]
    made = {backup.id: backup for backup in cloud.world.project.order}
    assert {backup.native for backup in made.values()} == {True}
    assert all(backup.metadata == {"wave": "1"} for backup in made.values())
    assert {job["backup_id"] for job in harness.jobs()} == set(made)


def test_a_service_that_is_not_offered_is_refused_before_anything_is_stored(
    harness: Harness,
) -> None:
    harness.cloud(CINDER, volumes=2)
    line = harness.refused("run", "plan.yaml", "--service", "vbs")
    assert line.startswith("the catalog has no volume backup service (it has: ")
    harness.write_plan(service="vbs")
    assert harness.refused("run", "plan.yaml") == line
    assert harness.runs() == []
    harness("run", "plan.yaml", "--service", "auto")


@pytest.mark.parametrize(
    ("defaults", "cloud", "why"),
    [
        ({"tags": {"a": "b"}}, "microversion: 42", "tags need microversion 3.43"),
        ({"tags": {"ä": "b"}}, "", 'tag "ä": a key may contain only ASCII letters'),
        ({"description": "\N{ROCKET}"}, "", "contains U+1F680"),
    ],
)
def test_what_cinder_cannot_do_is_refused_before_anything_is_stored(
    harness: Harness, defaults: dict[str, object], cloud: str, why: str
) -> None:
    made = harness.cloud(CINDER + cloud, volumes=2)
    harness.write_plan(defaults=defaults)
    assert why in harness.refused("run", "plan.yaml")
    assert harness.runs() == []
    assert made.ledger("create") == []


def test_block_storage_that_lists_backups_and_makes_none_is_refused_before_anything_is_stored(
    harness: Harness,
) -> None:
    cloud = harness.cloud(volumes=2)
    harness.write_plan(service="cinder")
    line = harness.refused("run", "plan.yaml")
    assert line.startswith("the catalog has no block storage with backups (it has: ")
    assert harness.refused("run", "plan.yaml", "--no-preflight") == line
    assert harness.runs() == []
    assert cloud.accepted() == []


def test_a_refusal_of_cinder_for_one_volume_has_a_code(harness: Harness) -> None:
    cloud = harness.cloud(CINDER, volumes=12)
    used = {v["ID"] for v in cloud.volumes() if v["Status"] == "in-use"}
    assert used
    harness.write_plan(defaults={"force": False})
    harness("run", "plan.yaml", "--no-preflight", code=1)
    failed = {job["volume_id"]: job for job in harness.jobs("--state", "failed")}
    assert set(failed) == used
    assert {job["code"] for job in failed.values()} == {"Cinder.InUse"}
    assert "force: false" in harness.look("report", "latest")


def test_a_simulated_cloud_offers_the_service_named_on_the_command_line(harness: Harness) -> None:
    options = ("--service", "cinder", "--volumes", "3", "--clouds-file", str(harness.clouds))
    simulator = harness.start("simulate", *options)
    assert simulator.stdout is not None
    text = "".join(iter(simulator.stdout.readline, '    volume_api_version: "3"\n'))
    url = re.search(r"auth_url: (\S+)/identity/v3", text)
    assert url
    with client_of(url[1]) as doors:
        assert doors.get("/_sim/faults").json()["services"] == "cinder"
