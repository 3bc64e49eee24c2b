"""Hundreds of volumes, from the plan through kills to their backups and their deletion."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import yaml

from tests.openstack.cloud import RealCloud
from tests.openstack.fleet import Fleet, heal
from tests.openstack.official import openstack
from tests.openstack.scenarios.night import PLAN, Night

VOLUMES = int(os.environ.get("VBSBATCH_OPENSTACK_VOLUMES", "300"))
KILLS = 3


def plan_from_the_cloud(night: Night, fleet: Fleet, **changes: Any) -> None:
    """`plan new`, and what an operator adds to it by hand."""
    chosen = ["--cloud", "backup", "--name", f"{fleet.prefix}-*", "-o", str(night.plan)]
    night("plan", "new", *chosen)
    plan = yaml.safe_load(night.plan.read_text())
    assert {volume["id"] for volume in plan["volumes"]} == set(fleet.ids)
    added = {key: PLAN[key] for key in ("service", "limits", "retry")}
    night.plan.write_text(yaml.safe_dump({**plan, **added, **changes}, sort_keys=False))
    checked = json.loads(night("check", "plan.yaml", "--online", "--json").stdout)
    assert (checked["ok"], checked["forecast"]["volumes"]) == (True, len(fleet.ids))


def kill_in_mid_work(night: Night, words: list[str], more: int) -> None:
    """Start an engine and kill it when so many more backups are made."""
    goal = night.count("succeeded") + more
    engine = night.start(*words, stderr=subprocess.DEVNULL)
    night.until_state(engine, "succeeded", goal)
    engine.kill()
    engine.communicate()


def test_a_fleet_whose_engine_is_killed_again_and_again_has_each_backup_once(
    cloud: RealCloud, night: Night
) -> None:
    fleet = night.fleet("fleet", VOLUMES, in_use=4, stuck=2, broken=3)
    plan_from_the_cloud(night, fleet, limits={"rate": "10/s", "in_flight": 30, "connections": 4})
    for kill in range(KILLS):
        kill_in_mid_work(night, ["resume"] if kill else ["run", "plan.yaml"], VOLUMES // 8)
    assert night.count("waiting") > 0, "not everything was sent before the last kill"
    engine = night.start("resume")
    night.until_state(engine, "failed", len(fleet.broken))
    night.until_state(engine, "succeeded", len(fleet.sound))
    heal(cloud, fleet.stuck)
    night.finish(engine, 1)
    night.assert_each_once(fleet, failed=fleet.broken)
    assert {job["code"] for job in night.jobs("--state", "failed")} == {"error"}
    prune(night, fleet)


def prune(night: Night, fleet: Fleet) -> None:
    """First nothing is deleted, then all of it."""
    backed_up = len(fleet.ids) - len(fleet.broken)
    night("prune", "latest", "--even-last")
    assert len(night.backups(fleet)) == backed_up
    night("prune", "latest", "--even-last", "--delete", "--yes", "--rate", "20/s")
    assert night.backups(fleet) == []


def test_volumes_are_rolled_back_to_what_they_were(cloud: RealCloud, night: Night) -> None:
    fleet = night.fleet("rollback", 4)
    night.write_real_plan()
    files = {one: cloud.site.share / f"volume-{one}" for one in fleet.ids}
    before = {one: path.read_bytes() for one, path in files.items()}
    night("run", "plan.yaml")
    for path in files.values():
        path.write_bytes(b"the migration went wrong")
    night("restore", "latest", "--yes")
    for one, path in files.items():
        assert path.read_bytes()[: len(before[one])] == before[one]
    rows = openstack(cloud, "volume", "list", "-f", "json")
    assert {row["Status"] for row in rows if row["ID"] in fleet.ids} == {"available"}
