"""Three clocks that cannot be mixed, and how an engine reacts when they change."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from mypy import api

from vbsbatch.model import Answer, JobState, Rate, Run
from vbsbatch.model.clocks import elapsed, wall

from .harness import NOW, EngineHarness, settings

PREFACE = "from vbsbatch.model import Cloud, Elapsed, Wall\n"
MIXED = {
    "a difference": "def f(a: Elapsed, b: Wall) -> float:\n    return a - b\n",
    "a comparison": "def f(a: Cloud, b: Wall) -> bool:\n    return a < b\n",
    "the earlier of two": "def f(a: Cloud, b: Elapsed) -> Cloud:\n    return min(a, b)\n",
    "an argument": "def g(at: Wall) -> None: ...\ndef f(a: Elapsed) -> None:\n    g(a)\n",
    "a sum of two": "def f(a: Elapsed, b: Elapsed) -> object:\n    return a + b\n",
    "equality": "def f(a: Elapsed, b: Wall) -> bool:\n    return a == b\n",
}
PROPER = """\
def f(a: Elapsed, b: Elapsed, seconds: float) -> float:
    later: Elapsed = max(a, b) + seconds
    return later - a
"""


def test_mypy_rejects_mixed_clocks(tmp_path: Path) -> None:
    """Each fault is in a file of its own, all in one mypy run; correct code has none."""
    for number, code in enumerate((*MIXED.values(), PROPER)):
        (tmp_path / f"mixed_{number}.py").write_text(PREFACE + code)
    words = ["--strict", "--no-incremental", "--config-file=", str(tmp_path)]
    said, trouble, _ = api.run(words)
    assert not trouble
    faulty = {line.partition(":")[0] for line in said.splitlines() if "error:" in line}
    assert faulty == {str(tmp_path / f"mixed_{number}.py") for number in range(len(MIXED))}


def test_the_elapsed_clock_counts_on_from_the_wall_clock_and_is_not_set() -> None:
    assert float(elapsed()) == pytest.approx(float(wall()), abs=60.0)
    assert elapsed() <= elapsed()


def test_setting_the_wall_clock_changes_no_wait() -> None:
    """Every wait ends when it would have ended anyway: settle, backoff, the deadline, the rate."""
    ends = []
    for by in (0.0, 3600.0, -3600.0):
        stage = EngineHarness(12, settings(limits={"rate": Rate(count=1)}, deadline=60.0))
        stage.cloud.script[1].append(stage.cloud.lose)
        stage.cloud.script[2].append(Answer(status=503))

        async def set_it(stage: EngineHarness = stage, by: float = by) -> None:
            await anyio.sleep(3.0)
            stage.clock.set_wall(by)

        stage.drive(set_it)
        ends.append((stage.sent(), stage.states(), round(stage.clock.passed, 1)))
        notes = [note for note in stage.notes("run") if "clock was set" in note]
        assert len(notes) == (by != 0.0)
    assert ends[0] == ends[1] == ends[2]


def test_a_machine_that_sleeps_is_noticed_within_seconds_of_waking() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(Answer(status=503, retry_after=1000.0))

    async def sleep() -> None:
        await anyio.sleep(30.0)
        stage.clock.sleep_machine(7200.0)

    stage.drive(sleep)
    assert stage.states() == [JobState.SUCCEEDED]
    assert stage.clock.passed < 120.0, "on the timers alone it would have taken 1000 s"
    assert any("the machine slept for 7200 s" in note for note in stage.notes("run"))


def test_no_burst_follows_waking_up() -> None:
    stage = EngineHarness(40, settings(limits={"rate": Rate(count=2), "in_flight": 40}))

    async def sleep() -> None:
        await anyio.sleep(3.0)
        stage.clock.sleep_machine(86400.0)

    stage.drive(sleep)
    times = sorted(at for at, _ in stage.cloud.creates)
    assert all(later - before > 0.99 for before, later in zip(times, times[2:], strict=False))


def test_waits_of_an_engine_are_displayed_by_the_machines_clock() -> None:
    stage = EngineHarness(1)
    stage.cloud.duration = 100.0

    async def set_it() -> None:
        await anyio.sleep(5.0)
        stage.clock.set_wall(-3600.0)
        await anyio.sleep(10.0)
        (job,) = stage.store.jobs("run-1")
        run: Run = stage.store.run("run-1")
        assert run.clock_step == -3600.0
        assert job.intent_at == pytest.approx(NOW - 3600.0, abs=1.0)

    stage.drive(set_it)
