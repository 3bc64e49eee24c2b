"""Commands to a live engine, and the signals that end it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from tests.cli.harness import FAST, SLOW, Harness, Process, told, until
from tests.store.fixtures import a_job, a_run, volume
from vbsbatch.cli.options import check_volumes
from vbsbatch.cli.steering_commands import ask
from vbsbatch.cli.stop_signals import DOUBLE, ECHO, Interruption
from vbsbatch.errors import UsageError
from vbsbatch.model import BackupSettings
from vbsbatch.store import Store

SLOWLY = {"limits": {"rate": "4/s", "in_flight": 50, "connections": 2}}
"""Slow enough to be met in mid-run."""

ABORTED = 30.0
"""Within these seconds ends whoever does not await an answer that takes the plan's 60 s."""


def begin(stage: Harness, *words: str) -> Process:
    """An engine that has sent something and has more to send."""
    engine = stage.start("run", "plan.yaml", *words)
    until(lambda: any(run["live"] and run["counts"]["running"] for run in stage.runs()))
    return engine


def test_pause_unpause_rate_and_stop(stage: Harness) -> None:
    cloud = stage.cloud(SLOW, volumes=60)
    stage.write_plan(**SLOWLY)
    engine = begin(stage)
    assert stage("pause", "latest").stdout.startswith("paused")
    assert stage.json("status")["run"]["state"] == "paused"
    assert "LIVE" not in stage.look("runs")
    sent = cloud.creates()
    assert stage("rate", "latest", "200/s").stdout == "rate is 200/s\n"
    assert "cancelled 1" in stage("cancel", "latest", "--volume", cloud.volumes()[-1]["ID"]).stdout
    assert "no volume 'nope'" in stage.refused("cancel", "latest", "--volume", "nope")
    assert "no volume 'nope'" in stage.refused("retry", "latest", "--volume", "nope")
    assert cloud.creates() == sent, "nothing is sent while paused"
    assert stage("unpause", "latest").stdout == "going on\n"
    until(lambda: cloud.creates() >= 50)  # the in-flight cap
    assert stage("in-flight", "latest", "53").stdout == "at most 53 in flight\n"
    until(lambda: cloud.creates() >= 53)
    assert "stopping" in stage("stop", "latest").stdout
    done = stage.finish(engine, 3)
    assert any("asked to stop" in line for line in told(done, "run"))
    assert cloud.creates() == 53
    run = stage.runs()[0]
    assert (run["state"], run["counts"]["cancelled"], run["live"]) == ("stopped", 1, False)
    assert "resume" in stage.refused("pause", "latest")
    assert "cancelled 6" in stage("cancel", "latest").stdout, "without an engine too"


def test_stop_now_leaves_what_is_unanswered_to_the_resume(stage: Harness) -> None:
    cloud = stage.cloud(FAST + "faults: [{on: create, do: hang_after, first: 2}]", volumes=6)
    engine = stage.start("run", "plan.yaml")
    until(lambda: cloud.creates() == 6)
    assert "at once" in stage("stop", "latest", "--now").stdout
    stage.finish(engine, 3, patience=ABORTED)
    stage("resume")
    summary = cloud.summary()
    assert (summary["backed_up"], summary["duplicates"], summary["creates"]) == (6, 0, 6)


def test_retry_reaches_a_live_engine_by_code_by_status_and_all(stage: Harness) -> None:
    cloud = stage.cloud(SLOW, volumes=5)
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
    engine = begin(stage)
    until(lambda: len(stage.jobs("--state", "failed")) == 4)
    limited = stage("retry", "latest", "--all-failed", "--rate", "1/s", code=2)
    assert "change its limits with vbsbatch rate or in-flight" in limited.stderr
    for words, count in (
        (("--status", "404"), 1),
        (("--status", "400", "--status", "503", "--code", "VolumeBackup.0040"), 2),
        (("--status", "404"), 0),
        (("--all-failed",), 1),
    ):
        failed = len(stage.jobs("--state", "failed"))
        assert f"to be tried again: {count}" in stage("retry", "latest", *words).stdout
        until(lambda wanted=failed - count: len(stage.jobs("--state", "failed")) == wanted)
    until(lambda: len(cloud.accepted()) == 5)
    assert cloud.creates() == 9, "no other was tried again"
    stage("stop", "latest")
    stage.finish(engine, 3)


def test_the_word_of_an_engine_drives_no_terminal() -> None:
    class Answering:
        def ask(self, *_: object) -> int:
            return 1

        def is_live(self, _: str) -> int:
            return 1

        def command_result(self, _: int) -> str:
            return "going on with wave re\u202et\x1b[2J"

    assert ask(cast(Store, Answering()), "r1", "unpause", {}) == (
        "going on with wave re\ufffdt\ufffd[2J"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_drains_and_the_run_can_be_resumed(
    stage: Harness, number: signal.Signals
) -> None:
    cloud = stage.cloud(volumes=30)
    stage.write_plan(limits={"rate": "10/s", "connections": 2})
    engine = begin(stage)
    engine.send_signal(signal.SIGHUP)
    engine.send_signal(number)
    done = stage.finish(engine, 3)
    sent = cloud.creates()
    assert 0 < sent < 30
    assert any(number.name in line for line in told(done, "run"))
    assert stage.runs()[0]["counts"]["submitting"] == 0, "every answer was awaited"
    assert f"stopped by {number.name}" in stage.look("status")
    stage("resume", "--rate", "100/s")
    assert cloud.summary()["backed_up"] == cloud.creates() == 30


def hanging(stage: Harness) -> Process:
    """An engine that awaits one answer which does not come, and has nothing else to send."""
    cloud = stage.cloud(FAST + "faults: [{on: create, do: hang_after, first: 1}]", volumes=4)
    engine = stage.start("run", "plan.yaml")
    until(lambda: cloud.creates() == 4)
    return engine


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_aborts(stage: Harness, second: signal.Signals) -> None:
    engine = hanging(stage)
    engine.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):  # it awaits the answer
        engine.wait(4 * DOUBLE)
    engine.send_signal(second)
    done = stage.finish(engine, 130, patience=ABORTED)
    assert told(done, "end")[0].startswith("aborted")
    assert stage.runs()[0]["counts"]["unknown"] == 1
    stage("resume")
    assert stage.runs()[0]["counts"]["succeeded"] == 4


def test_a_run_that_stops_still_obeys_and_can_be_stopped_at_once(stage: Harness) -> None:
    engine = hanging(stage)
    engine.send_signal(signal.SIGINT)
    assert engine.stderr is not None
    assert any("answers still under way: 1" in line for line in engine.stderr)
    assert stage("rate", "latest", "7/s").stdout == "rate is 7/s\n"
    assert "at once" in stage("stop", "latest", "--now").stdout
    stage.finish(engine, 3, patience=ABORTED)
    assert stage.runs()[0]["counts"]["unknown"] == 1


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
def test_only_the_same_signal_at_once_is_an_echo_of_the_one_before(
    signals: Sequence[tuple[str, float]], aborted: bool
) -> None:
    seen = Interruption()
    for name, at in signals:
        seen.take(signal.Signals[name], 1e6 + at)
    assert (seen.aborted, seen.first_at) == (aborted, 1e6)


def test_a_ctrl_c_pressed_twice_aborts_however_fast_the_run_stops(stage: Harness) -> None:
    """The run has stopped by the second; what the log says of the end and the exit code agree."""
    stage.cloud(SLOW, volumes=3)
    engine = begin(stage)
    engine.send_signal(signal.SIGINT)
    time.sleep(0.05)
    engine.send_signal(signal.SIGINT)
    done = stage.finish(engine, 130)
    assert "exit=130" in told(done, "end")[0]
    assert stage.runs()[0]["state"] == "stopped"


def test_signals_after_the_end_was_told_change_nothing(stage: Harness) -> None:
    stage.cloud(SLOW, volumes=3)
    engine = begin(stage)
    engine.send_signal(signal.SIGINT)
    assert engine.stderr is not None
    for line in engine.stderr:
        if " end " in line:
            engine.send_signal(signal.SIGINT)
            engine.send_signal(signal.SIGTERM)
            assert "exit=3" in line
    assert engine.wait() == 3


def test_a_timeout_that_sends_its_signal_to_process_and_group_stops_cleanly(stage: Harness) -> None:
    cloud = stage.cloud(SLOW, volumes=3)
    words = "timeout --preserve-status --signal INT 1h"
    engine = stage.shell(f"exec {words} {sys.executable} -P -m vbsbatch run plan.yaml")
    until(lambda: cloud.creates() == 3)
    engine.send_signal(signal.SIGINT)  # which it passes on, as when the time is up
    done = stage.finish(engine, 3)
    assert "exit=3" in told(done, "end")[0]


def test_a_lost_terminal_does_not_stop_the_run(stage: Harness) -> None:
    cloud = stage.cloud(volumes=12)
    stage.write_plan(limits={"rate": "10/s", "connections": 2})
    engine = begin(stage)
    assert engine.stderr is not None
    engine.stderr.close()
    engine.stderr = None
    engine.send_signal(signal.SIGHUP)
    stage.finish(engine, 0)
    assert cloud.summary()["backed_up"] == 12


def test_an_engine_that_was_killed_is_shown_as_gone(stage: Harness) -> None:
    stage.cloud(SLOW, volumes=3)
    engine = begin(stage)
    engine.kill()
    engine.communicate()
    assert "STALE" in stage("runs").stdout
    status = stage("status").stdout
    assert f"vbsbatch resume {stage.run_id()}" in status


def test_many_volumes_are_looked_up_in_one_query(tmp_path: Path) -> None:
    names = [f"db-{no:03}" for no in range(1, 10)]
    with Store.open(tmp_path / "vbsbatch.db", create=True) as store:
        store.create_run(a_run("r"), [a_job(no) for no in range(1, 10)], BackupSettings())
        asked: list[str] = []
        store._db.set_trace_callback(asked.append)
        check_volumes(store, "r", [*names, volume(3), volume(4).replace("-", "").upper()])
        assert sum("FROM jobs" in query for query in asked) == 1
        with pytest.raises(UsageError, match="no volume 'db-010'"):
            check_volumes(store, "r", [*names, "db-010"])
        check_volumes(store, "r", [])
