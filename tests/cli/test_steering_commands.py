"""Commands to a live engine, and the signals that end it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import anyio
import pytest

from tests.cli.clouds import Process
from tests.cli.harness import FAST, SLOW, Harness, told, until
from tests.store.fixtures import a_job, a_run, volume
from vbsbatch.api.reading import check_volumes
from vbsbatch.api.steering import ask
from vbsbatch.cli.stop_signals import DOUBLE, ECHO, Interruption
from vbsbatch.errors import UsageError
from vbsbatch.model import BackupSettings
from vbsbatch.store import RunStore
from vbsbatch.store.sqlite.store import SqliteStore

SLOWLY = {"limits": {"rate": "4/s", "in_flight": 50, "connections": 2}}
"""Slow enough to be met in mid-run."""

ABORTED = 30.0
"""Within these seconds ends whoever does not await an answer that takes the plan's 60 s."""


def begin(harness: Harness, *words: str) -> Process:
    """An engine that has sent something and has more to send."""
    engine = harness.start("run", "plan.yaml", *words)
    until(lambda: any(run["live"] and run["counts"]["running"] for run in harness.runs()))
    return engine


def test_pause_unpause_rate_and_stop(harness: Harness) -> None:
    cloud = harness.cloud(SLOW, volumes=60)
    harness.write_plan(**SLOWLY)
    engine = begin(harness)
    assert harness("pause", "latest").stdout.startswith("paused")
    assert harness.json("status")["run"]["state"] == "paused"
    assert "LIVE" not in harness.look("runs")
    sent = cloud.creates()
    assert harness("rate", "latest", "200/s").stdout == "rate is 200/s\n"
    assert (
        "cancelled 1" in harness("cancel", "latest", "--volume", cloud.volumes()[-1]["ID"]).stdout
    )
    assert "no volume 'nope'" in harness.refused("cancel", "latest", "--volume", "nope")
    assert "no volume 'nope'" in harness.refused("retry", "latest", "--volume", "nope")
    assert cloud.creates() == sent, "nothing is sent while paused"
    assert harness("unpause", "latest").stdout == "continuing\n"
    until(lambda: cloud.creates() >= 50)  # the in-flight cap
    assert harness("in-flight", "latest", "53").stdout == "at most 53 in flight\n"
    until(lambda: cloud.creates() >= 53)
    assert "stopping" in harness("stop", "latest").stdout
    done = harness.finish(engine, 3)
    assert any("asked to stop" in line for line in told(done, "run"))
    assert cloud.creates() == 53
    run = harness.runs()[0]
    assert (run["state"], run["counts"]["cancelled"], run["live"]) == ("stopped", 1, False)
    assert "resume" in harness.refused("pause", "latest")
    assert "cancelled 6" in harness("cancel", "latest").stdout, "without an engine too"


def test_stop_now_leaves_unanswered_creates_to_the_resume(harness: Harness) -> None:
    cloud = harness.cloud(FAST + "faults: [{on: create, do: hang_after, first: 2}]", volumes=6)
    engine = harness.start("run", "plan.yaml")
    until(lambda: cloud.creates() == 6)
    assert "at once" in harness("stop", "latest", "--now").stdout
    harness.finish(engine, 3, patience=ABORTED)
    harness("resume")
    summary = cloud.summary()
    assert (summary["backed_up"], summary["duplicates"], summary["creates"]) == (6, 0, 6)


def test_retry_reaches_a_live_engine_by_code_by_status_and_all(harness: Harness) -> None:
    cloud = harness.cloud(SLOW, volumes=5)
    faults = "".join(
        f"\n  - {{on: create, do: status, status: {status}, code: {code},"
        f" volumes: [{volume['ID']}], first: 1}}"
        for volume, (status, code) in zip(
            cloud.volumes(),
            [
                (400, "VolumeBackup.0040"),
                (404, "VolumeBackup.0021"),
                (400, "VolumeBackup.0006"),
                (400, "VolumeBackup.0040"),
            ],
            strict=False,
        )
    )
    cloud.behave(f"{SLOW}faults:{faults}")
    engine = begin(harness)
    until(lambda: len(harness.jobs("--state", "failed")) == 4)
    limited = harness("retry", "latest", "--all-failed", "--rate", "1/s", code=2)
    assert "change its limits with vbsbatch rate or in-flight" in limited.stderr

    def so_many_failed(count: int) -> bool:
        return len(harness.jobs("--state", "failed")) == count

    for words, count in (
        (("--status", "404"), 1),
        (("--status", "400", "--status", "503", "--code", "VolumeBackup.0040"), 2),
        (("--status", "404"), 0),
        (("--all-failed",), 1),
    ):
        failed = len(harness.jobs("--state", "failed"))
        assert f"to be tried again: {count}" in harness("retry", "latest", *words).stdout
        until(partial(so_many_failed, failed - count))
    until(lambda: len(cloud.accepted()) == 5)
    assert cloud.creates() == 9, "no other was tried again"
    harness("stop", "latest")
    harness.finish(engine, 3)


def test_an_answer_of_an_engine_cannot_control_the_terminal() -> None:
    class Answering:
        def ask(self, *_: object) -> int:
            return 1

        def is_live(self, _: str) -> int:
            return 1

        def command_result(self, _: int) -> str:
            return "continuing with wave re\u202et\x1b[2J"

    said = anyio.run(ask, cast(RunStore, Answering()), "r1", "unpause", {})
    assert said == "continuing with wave re\ufffdt\ufffd[2J"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_drains_and_the_run_can_be_resumed(
    harness: Harness, number: signal.Signals
) -> None:
    cloud = harness.cloud(volumes=30)
    harness.write_plan(limits={"rate": "10/s", "connections": 2})
    engine = begin(harness)
    engine.send_signal(signal.SIGHUP)
    engine.send_signal(number)
    done = harness.finish(engine, 3)
    sent = cloud.creates()
    assert 0 < sent < 30
    assert any(number.name in line for line in told(done, "run"))
    assert harness.runs()[0]["counts"]["submitting"] == 0, "every answer was awaited"
    assert f"stopped by {number.name}" in harness.look("status")
    harness("resume", "--rate", "100/s")
    assert cloud.summary()["backed_up"] == cloud.creates() == 30


def hanging(harness: Harness) -> Process:
    """An engine that awaits one answer which does not come, and has nothing else to send."""
    cloud = harness.cloud(FAST + "faults: [{on: create, do: hang_after, first: 1}]", volumes=4)
    engine = harness.start("run", "plan.yaml")
    until(lambda: cloud.creates() == 4)
    return engine


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_aborts(harness: Harness, second: signal.Signals) -> None:
    engine = hanging(harness)
    engine.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):  # it awaits the answer
        engine.wait(4 * DOUBLE)
    engine.send_signal(second)
    done = harness.finish(engine, 130, patience=ABORTED)
    assert told(done, "end")[0].startswith("aborted")
    assert harness.runs()[0]["counts"]["unknown"] == 1
    harness("resume")
    assert harness.runs()[0]["counts"]["succeeded"] == 4


def test_a_stopping_run_still_takes_commands_and_can_be_stopped_at_once(harness: Harness) -> None:
    engine = hanging(harness)
    engine.send_signal(signal.SIGINT)
    assert engine.stderr is not None
    assert any("answers still pending: 1" in line for line in engine.stderr)
    assert harness("rate", "latest", "7/s").stdout == "rate is 7/s\n"
    assert "at once" in harness("stop", "latest", "--now").stdout
    harness.finish(engine, 3, patience=ABORTED)
    assert harness.runs()[0]["counts"]["unknown"] == 1


SOON, LATER = ECHO / 3, ECHO * 1.5


@pytest.mark.parametrize(
    ("signals", "aborted"),
    [
        ([("SIGINT", 0.0)], False),
        ([("SIGINT", 0.0), ("SIGINT", SOON)], False),
        ([("SIGTERM", 0.0), ("SIGTERM", SOON), ("SIGTERM", 2 * SOON)], False),
        ([("SIGINT", 0.0), ("SIGINT", LATER)], True),
        ([("SIGINT", 0.0), ("SIGTERM", SOON)], True),
        ([("SIGINT", 0.0), ("SIGINT", SOON), ("SIGINT", 60.0)], True),
    ],
)
def test_only_the_same_signal_within_milliseconds_is_an_echo(
    signals: Sequence[tuple[str, float]], aborted: bool
) -> None:
    seen = Interruption()
    for name, at in signals:
        seen.take(signal.Signals[name], 1e6 + at)
    assert (seen.aborted, seen.first_at) == (aborted, 1e6)


def test_a_ctrl_c_pressed_twice_aborts_however_fast_the_run_stops(harness: Harness) -> None:
    """The run has stopped by the second; what the log says of the end and the exit code agree."""
    harness.cloud(SLOW, volumes=3)
    engine = begin(harness)
    engine.send_signal(signal.SIGINT)
    time.sleep(0.05)
    engine.send_signal(signal.SIGINT)
    done = harness.finish(engine, 130)
    assert "exit=130" in told(done, "end")[0]
    assert harness.runs()[0]["state"] == "stopped"


def test_signals_after_the_last_line_change_nothing(harness: Harness) -> None:
    harness.cloud(SLOW, volumes=3)
    engine = begin(harness)
    engine.send_signal(signal.SIGINT)
    assert engine.stderr is not None
    for line in engine.stderr:
        if " end " in line:
            engine.send_signal(signal.SIGINT)
            engine.send_signal(signal.SIGTERM)
            assert "exit=3" in line
    assert engine.wait() == 3


def test_a_timeout_that_sends_its_signal_to_process_and_group_stops_cleanly(
    harness: Harness,
) -> None:
    cloud = harness.cloud(SLOW, volumes=3)
    words = "timeout --preserve-status --signal INT 1h"
    engine = harness.shell(f"exec {words} {sys.executable} -P -m vbsbatch run plan.yaml")
    until(lambda: cloud.creates() == 3)
    engine.send_signal(signal.SIGINT)  # which it passes on, as when the time is up
    done = harness.finish(engine, 3)
    assert "exit=3" in told(done, "end")[0]


def test_a_lost_terminal_does_not_stop_the_run(harness: Harness) -> None:
    cloud = harness.cloud(volumes=12)
    harness.write_plan(limits={"rate": "10/s", "connections": 2})
    engine = begin(harness)
    assert engine.stderr is not None
    engine.stderr.close()
    engine.stderr = None
    engine.send_signal(signal.SIGHUP)
    harness.finish(engine, 0)
    assert cloud.summary()["backed_up"] == 12


def test_an_engine_that_was_killed_is_shown_as_gone(harness: Harness) -> None:
    harness.cloud(SLOW, volumes=3)
    engine = begin(harness)
    engine.kill()
    engine.communicate()
    assert "STALE" in harness("runs").stdout
    status = harness("status").stdout
    assert f"vbsbatch resume {harness.run_id()}" in status


def test_many_volumes_are_looked_up_in_one_query(tmp_path: Path) -> None:
    names = [f"db-{no:03}" for no in range(1, 10)]
    with SqliteStore.open(tmp_path / "vbsbatch.db", create=True) as store:
        store.create_run(a_run("r"), [a_job(no) for no in range(1, 10)], BackupSettings())
        asked: list[str] = []
        store._db.set_trace_callback(asked.append)
        check_volumes(store, "r", [*names, volume(3), volume(4).replace("-", "").upper()])
        assert sum("FROM jobs" in query for query in asked) == 1
        with pytest.raises(UsageError, match="no volume 'db-010'"):
            check_volumes(store, "r", [*names, "db-010"])
        check_volumes(store, "r", [])
