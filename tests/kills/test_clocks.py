"""Real processes on a machine whose clocks are set, or that sleeps: nothing twice, nothing lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.cli.clouds import Cloud
from tests.cli.harness import Harness, told, until

from .set_clocks import SetClocks

VOLUMES = 40

LATE_AND_UNGUARDED = """\
services: cinder
busy_after: 1d
backups: {duration: [1s, 2s], visible_after: [2s, 3s]}
faults:
  - {on: create, do: drop_after, share: 0.4}
"""
"""Answers are lost, lists are late, and the service itself would take a second create."""


@pytest.fixture
def clocks(tmp_path_factory: pytest.TempPathFactory) -> SetClocks:
    return SetClocks(tmp_path_factory.mktemp("clocks"))


def night(stage: Harness, clocks: SetClocks, happen: Callable[[], None]) -> tuple[Cloud, list[str]]:
    """A run in the middle of which something happens to the clocks; the cloud, and its notes."""
    cloud = stage.simulator(LATE_AND_UNGUARDED, volumes=VOLUMES)
    stage.write_plan(
        limits={"rate": "8/s", "in_flight": 20}, retry={"settle": "5s", "attempts": 20}
    )
    environment = {**stage.environment, **clocks.variables}
    engine = stage.start("run", "plan.yaml", "-v", "--no-preflight", env=environment)
    until(lambda: cloud.calls("create") > VOLUMES / 3)
    happen()
    done = stage.finish(engine, 0, patience=120)
    return cloud, list(told(done, "run"))


def nothing_twice_nothing_lost(cloud: Cloud) -> None:
    until(lambda: not cloud.summary()["running"])
    summary = cloud.summary()
    assert (summary["backed_up"], summary["duplicates"], summary["lost"]) == (VOLUMES, 0, 0)


@pytest.mark.parametrize("by", [120, 2 * 86400, -3600])
def test_a_wall_clock_that_is_set_in_mid_run_changes_nothing(
    stage: Harness, clocks: SetClocks, by: int
) -> None:
    cloud, notes = night(stage, clocks, lambda: clocks.set_wall(by))
    nothing_twice_nothing_lost(cloud)
    way = "forward" if by > 0 else "back"
    assert any(f"clock was set {way} by" in note for note in notes)


def test_a_machine_that_sleeps_in_mid_run_goes_on_within_seconds(
    stage: Harness, clocks: SetClocks
) -> None:
    cloud, notes = night(stage, clocks, lambda: clocks.sleep_machine(3600))
    nothing_twice_nothing_lost(cloud)
    assert any("the machine slept for 36" in note for note in notes)


def test_a_run_is_resumed_under_another_clock(stage: Harness, clocks: SetClocks) -> None:
    cloud = stage.simulator(LATE_AND_UNGUARDED, volumes=VOLUMES)
    stage.write_plan(limits={"rate": "8/s", "in_flight": 20}, retry={"settle": "5s"})
    environment = {**stage.environment, **clocks.variables}
    words = ["run", "plan.yaml", "--no-preflight"]
    for by in (-86400, 7 * 86400):
        before = cloud.calls("create")
        engine = stage.start(*words, env=environment)
        until(lambda before=before: cloud.calls("create") > before + 5)  # type: ignore[misc]
        engine.kill()
        engine.communicate()
        clocks.set_wall(by)
        words = ["resume"]
    stage.finish(stage.start("resume", env=environment), 0, patience=120)
    nothing_twice_nothing_lost(cloud)


def test_the_clocks_of_a_process_can_be_set(stage: Harness, clocks: SetClocks) -> None:
    """Or the tests above would prove nothing."""
    code = "import time; print(time.time(), time.clock_gettime(7), time.monotonic())"
    clocks.set_wall(1000)
    clocks.sleep_machine(500)
    environment = {**stage.environment, **clocks.variables}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )
    wall, boot, monotonic = map(float, out.stdout.split())
    assert wall - time.time() == pytest.approx(1500, abs=30)
    assert boot - time.clock_gettime(time.CLOCK_BOOTTIME) == pytest.approx(500, abs=30)
    assert monotonic - time.monotonic() == pytest.approx(0, abs=30)
