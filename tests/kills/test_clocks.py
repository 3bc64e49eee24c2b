"""Real processes whose clocks are set, or whose machine sleeps: nothing twice, nothing lost."""

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


def night(
    harness: Harness, clocks: SetClocks, happen: Callable[[], None]
) -> tuple[Cloud, list[str]]:
    """A run in the middle of which something happens to the clocks; the cloud, and its notes."""
    cloud = harness.simulator(LATE_AND_UNGUARDED, volumes=VOLUMES)
    harness.write_plan(
        limits={"rate": "8/s", "in_flight": 20}, retry={"settle": "5s", "attempts": 20}
    )
    environment = {**harness.environment, **clocks.variables}
    engine = harness.start("run", "plan.yaml", "-v", "--no-preflight", env=environment)
    until(lambda: cloud.calls("create") > VOLUMES / 3)
    happen()
    done = harness.finish(engine, 0, patience=120)
    return cloud, list(told(done, "run"))


def nothing_twice_nothing_lost(cloud: Cloud) -> None:
    until(lambda: not cloud.summary()["running"])
    summary = cloud.summary()
    assert (summary["backed_up"], summary["duplicates"], summary["lost"]) == (VOLUMES, 0, 0)


@pytest.mark.parametrize("by", [120, 2 * 86400, -3600])
def test_setting_the_wall_clock_during_a_run_changes_nothing(
    harness: Harness, clocks: SetClocks, by: int
) -> None:
    cloud, notes = night(harness, clocks, lambda: clocks.set_wall(by))
    nothing_twice_nothing_lost(cloud)
    way = "forward" if by > 0 else "back"
    assert any(f"clock was set {way} by" in note for note in notes)


def test_a_run_continues_within_seconds_after_the_machine_slept(
    harness: Harness, clocks: SetClocks
) -> None:
    cloud, notes = night(harness, clocks, lambda: clocks.sleep_machine(3600))
    nothing_twice_nothing_lost(cloud)
    assert any("the machine slept for 36" in note for note in notes)


def test_a_run_is_resumed_under_another_clock(harness: Harness, clocks: SetClocks) -> None:
    cloud = harness.simulator(LATE_AND_UNGUARDED, volumes=VOLUMES)
    harness.write_plan(limits={"rate": "8/s", "in_flight": 20}, retry={"settle": "5s"})
    environment = {**harness.environment, **clocks.variables}
    words = ["run", "plan.yaml", "--no-preflight"]
    for by in (-86400, 7 * 86400):
        before = cloud.calls("create")
        engine = harness.start(*words, env=environment)
        until(lambda before=before: cloud.calls("create") > before + 5)  # type: ignore[misc]
        engine.kill()
        engine.communicate()
        clocks.set_wall(by)
        words = ["resume"]
    harness.finish(harness.start("resume", env=environment), 0, patience=120)
    nothing_twice_nothing_lost(cloud)


def test_the_clocks_of_a_process_can_be_set(harness: Harness, clocks: SetClocks) -> None:
    """Or the tests above would prove nothing."""
    code = "import time; print(time.time(), time.clock_gettime(7), time.monotonic())"
    clocks.set_wall(1000)
    clocks.sleep_machine(500)
    environment = {**harness.environment, **clocks.variables}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )
    wall, boot, monotonic = map(float, out.stdout.split())
    assert wall - time.time() == pytest.approx(1500, abs=30)
    assert boot - time.clock_gettime(time.CLOCK_BOOTTIME) == pytest.approx(500, abs=30)
    assert monotonic - time.monotonic() == pytest.approx(0, abs=30)
