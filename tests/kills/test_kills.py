"""Promise 2 with real processes: the engine is killed twelve times in one run."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from random import Random

import pytest

from tests.cli.clouds import Cloud, Process
from tests.cli.harness import Harness, until

KILLS = 12
VOLUMES = 200
SEED = 20261123

NIGHT = """\
backups: {duration: [100ms, 900ms], visible_after: [50ms, 400ms], fail: 0.02,
          delete: [50ms, 200ms]}
latency: [2ms, 40ms]
limit: {count: 50, per: 1s}
faults:
"""

HOPELESS = """\
  - {on: create, do: status, status: 400, code: VolumeBackup.0040, volumes: [%s]}
  - {on: create, do: fail, code: VolumeBackup.0017, volumes: [%s]}
"""
"""Two volumes that the service refuses for good, two whose every backup fails, likewise."""

FAULTS = """\
  - {on: create, do: drop_after, share: 0.06}
  - {on: create, do: drop_before, share: 0.03}
  - {on: create, do: cut, share: 0.02}
  - {on: create, do: delay, delay: [200ms, 600ms], share: 0.05}
  - {on: create, do: status, status: 503, code: VolumeBackup.0900, share: 0.03}
  - {on: create, do: status, status: 500, after: true, share: 0.02}
  - {on: create, do: revoke, share: 0.005}
  - {on: list, do: status, status: 503, share: 0.03}
"""


def hopeless(cloud: Cloud) -> tuple[list[str], list[str]]:
    """Let some volumes fail for good: those that are refused, those whose backups fail."""
    ids = [volume["ID"] for volume in cloud.volumes()]
    refused, failing = [ids[3], ids[120]], [ids[70], ids[160]]
    cloud.behave(NIGHT + HOPELESS % (", ".join(refused), ", ".join(failing)) + FAULTS)
    return refused, failing


def kill_in_mid_work(
    engine: Process, cloud: Cloud, random: Random, before: Mapping[str, int], most: int = 15
) -> None:
    """Kill it when it has sent so many creates, asked so many lists, or only just signed in."""
    kind = random.choice(("create", "create", "create", "list", "token"))
    more = random.randint(1, most) if kind == "create" else 1

    def far_enough() -> bool:
        assert engine.poll() is None, "it was to be killed"
        return cloud.calls(kind) >= before.get(kind, 0) + more

    until(far_enough)
    engine.kill()
    engine.communicate()


def test_twelve_kills_lose_no_backup_and_make_none_twice(harness: Harness) -> None:
    random = Random(SEED)
    cloud = harness.simulator(NIGHT.removesuffix("faults:\n"), volumes=VOLUMES)
    refused, failing = hopeless(cloud)
    harness.write_plan(
        limits={"rate": "40/s", "in_flight": 100, "connections": 6},
        retry={
            "attempts": 12,
            "later_for": "60s",
            "rules": [{"code": "VolumeBackup.0017", "verdict": "fail"}],
        },
    )
    in_mid_work = 0
    for _ in range(KILLS):
        words = ["resume"] if harness.runs() else ["run", "plan.yaml"]
        before = cloud.summary()["calls"]
        engine = harness.start(*words, "-v", stderr=subprocess.DEVNULL)  # nobody reads a pipe
        kill_in_mid_work(engine, cloud, random, before)
        in_mid_work += cloud.calls("create") > before.get("create", 0)
    assert in_mid_work >= KILLS / 2, "the kills met an engine at work"
    assert harness.runs()[0]["counts"]["waiting"], "not everything was done before the last kill"
    assert len(harness.runs()) == 1

    harness.finish(harness.start("resume"), 1, patience=120)
    until(lambda: not cloud.summary()["running"])
    assert_each_ended_with_one_backup_or_a_reason(harness, cloud, {*refused, *failing})
    summary = cloud.summary()
    assert (summary["duplicates"], summary["lost"]) == (0, len(failing)), "but for the hopeless"
    assert "the cloud has what the store says" in harness("verify").stdout


def assert_each_ended_with_one_backup_or_a_reason(
    harness: Harness, cloud: Cloud, expected: set[str]
) -> None:
    """A job that succeeded has exactly its one live backup; one that failed a reason and none."""
    live, jobs = cloud.live(), harness.jobs()
    assert len(jobs) == VOLUMES
    for job in jobs:
        backups = live.pop(job["volume_id"], [])
        if job["state"] == "succeeded":
            assert backups == [job["backup_id"]], job
        else:
            assert job["state"] == "failed", job
            assert job["volume_id"] in expected, job
            assert job["message"], job
            assert job["code"], job
            assert backups == [], job
    assert live == {}
    assert {job["volume_id"] for job in jobs if job["state"] == "failed"} == expected


BLIND = """\
services: cinder
busy_after: 1d
backups: {duration: [100ms, 900ms], delete: [50ms, 200ms]}
latency: [2ms, 40ms]
faults:
  - {on: create, do: drop_after, share: 0.2}
  - {on: list, do: status, status: 503, share: 0.05}
"""
"""A Cinder that takes every create, also for a volume whose backup it is just making."""


BLIND_CBR = BLIND.replace(
    "services: cinder\nbusy_after: 1d",
    "services: cbr\nvaults: {number: 4, busy: nothing, silent: 0.1}",
).replace("delete:", "visible_after: 50ms, delete:")
"""A CBR without any guard, on which one lost answer concerns up to eight volumes."""


@pytest.mark.parametrize("faults", [BLIND, BLIND_CBR], ids=["cinder", "cbr"])
def test_kills_make_no_backup_twice_on_a_cloud_that_would_allow_it(
    harness: Harness, faults: str
) -> None:
    random = Random(SEED)
    cloud = harness.simulator(faults, volumes=100)
    limits = {"rate": "40/s", "in_flight": 50, "connections": 6, "per_checkpoint": 8}
    harness.write_plan(limits=limits)
    for _ in range(5):
        words = ["resume"] if harness.runs() else ["run", "plan.yaml"]
        before = cloud.summary()["calls"]
        engine = harness.start(*words, stderr=subprocess.DEVNULL)
        kill_in_mid_work(engine, cloud, random, before, 2 if faults is BLIND_CBR else 15)
    assert harness.runs()[0]["counts"]["waiting"], "not everything was done before the last kill"
    harness.finish(harness.start("resume"), 0, patience=120)
    summary = cloud.summary()
    assert (summary["backed_up"], summary["duplicates"], summary["lost"]) == (100, 0, 0)
    assert "the cloud has what the store says" in harness("verify").stdout
