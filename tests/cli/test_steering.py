"""Commands to a live engine, and the signals that end it."""

from __future__ import annotations

import signal

import pytest

from tests.cli.stage import FAST, SLOW, Process, Stage, told, until

SLOWLY = {"limits": {"rate": "4/s", "in_flight": 50, "connections": 2}}
"""Slow enough to be met in mid-run."""


def begin(stage: Stage, *words: str) -> Process:
    """An engine that has sent something and has more to send."""
    engine = stage.start("run", "plan.yaml", *words)
    until(lambda: stage.store.exists())
    until(lambda: any(run["live"] and run["counts"]["running"] for run in stage.runs()))
    return engine


def test_pause_unpause_rate_and_stop(stage: Stage) -> None:
    cloud = stage.cloud(SLOW, volumes=60)
    stage.write_plan(**SLOWLY)
    engine = begin(stage)
    assert stage("pause", "latest").stdout.startswith("paused")
    assert stage.json("status")["run"]["state"] == "paused"
    assert "LIVE" not in stage("runs").stdout
    sent = len(cloud.ledger("create"))
    assert stage("rate", "latest", "200/s").stdout == "rate is 200/s\n"
    assert "cancelled 1" in stage("cancel", "latest", "--volume", cloud.volumes()[-1]["ID"]).stdout
    assert len(cloud.ledger("create")) == sent, "nothing is sent while paused"
    assert stage("unpause", "latest").stdout == "going on\n"
    until(lambda: len(cloud.ledger("create")) >= 50)  # the in-flight cap
    assert "stopping" in stage("stop", "latest").stdout
    done = stage.finish(engine)
    assert done.returncode == 3
    assert any("asked it to stop" in line for line in told(done, "run"))
    run = stage.runs()[0]
    assert (run["state"], run["counts"]["cancelled"], run["live"]) == ("stopped", 1, False)
    assert "resume" in stage.refused("pause", "latest")
    assert "cancelled 9" in stage("cancel", "latest").stdout, "without an engine too"


def test_stop_now_leaves_what_is_unanswered_to_the_resume(stage: Stage) -> None:
    cloud = stage.cloud(FAST + "faults: [{on: create, do: hang_after, first: 2}]", volumes=6)
    engine = stage.start("run", "plan.yaml")
    until(lambda: len(cloud.ledger("create")) == 6)
    assert "at once" in stage("stop", "latest", "--now").stdout
    assert stage.finish(engine, patience=10).returncode == 3
    stage("resume")
    summary = cloud.summary()
    assert (summary["backed_up"], summary["duplicates"], summary["creates"]) == (6, 0, 6)


def test_retry_reaches_a_live_engine(stage: Stage) -> None:
    cloud = stage.cloud(SLOW, volumes=3)
    bad = cloud.volumes()[0]["ID"]
    cloud.behave(
        SLOW + f"faults: [{{on: create, do: status, status: 400, code: VolumeBackup.0040,"
        f" volumes: [{bad}], first: 1}}]"
    )
    engine = begin(stage)
    until(lambda: stage.jobs("--state", "failed"))
    done = stage("retry", "latest", "--code", "VolumeBackup.0040")
    assert "to be tried again: 1" in done.stdout
    until(lambda: len(cloud.accepted()) == 3)
    engine.kill()
    engine.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_drains_and_the_run_can_be_resumed(
    stage: Stage, number: signal.Signals
) -> None:
    cloud = stage.cloud(volumes=30)
    stage.write_plan(limits={"rate": "10/s", "connections": 2})
    engine = begin(stage)
    engine.send_signal(signal.SIGHUP)
    engine.send_signal(number)
    done = stage.finish(engine)
    assert done.returncode == 3
    sent = len(cloud.ledger("create"))
    assert 0 < sent < 30
    assert any(number.name in line for line in told(done, "run"))
    assert stage.runs()[0]["counts"]["submitting"] == 0, "every answer was awaited"
    assert f"stopped by {number.name}" in stage("status").stdout
    assert len(cloud.ledger("create")) == sent
    stage("resume", "--rate", "100/s")
    assert cloud.summary()["backed_up"] == cloud.summary()["creates"] == 30


def test_a_second_signal_aborts(stage: Stage) -> None:
    cloud = stage.cloud(FAST + "faults: [{on: create, do: hang_after, first: 1}]", volumes=4)
    engine = stage.start("run", "plan.yaml")
    until(lambda: len(cloud.ledger("create")) == 4)
    engine.send_signal(signal.SIGINT)
    until(lambda: "stopped by" in str(stage.runs()) or engine.poll() is None)
    with pytest.raises(Exception, match="timed out"):
        engine.communicate(timeout=1)  # it awaits the answer that does not come
    engine.send_signal(signal.SIGTERM)
    done = stage.finish(engine, patience=10)
    assert done.returncode == 130
    assert told(done, "end")[0].startswith("aborted")
    stage("resume")
    assert cloud.summary()["creates"] == 4


def test_a_lost_terminal_does_not_stop_the_run(stage: Stage) -> None:
    cloud = stage.cloud(volumes=20)
    stage.write_plan(limits={"rate": "10/s", "connections": 2})
    engine = begin(stage)
    assert engine.stderr is not None
    engine.stderr.close()
    engine.stderr = None
    engine.send_signal(signal.SIGHUP)
    engine.communicate(timeout=40)
    assert engine.returncode == 0
    assert cloud.summary()["backed_up"] == 20


def test_an_engine_that_was_killed_is_shown_as_gone(stage: Stage) -> None:
    stage.cloud(SLOW, volumes=3)
    engine = begin(stage)
    engine.kill()
    engine.communicate()
    assert "STALE" in stage("runs").stdout
    status = stage("status").stdout
    assert f"vbsbatch resume {stage.run_id()}" in status
