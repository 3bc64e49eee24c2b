"""A run whose volumes a stopped run holds: what is said of it, and how they are taken over."""

from __future__ import annotations

import signal

from tests.cli.clouds import GlassCloud
from tests.cli.harness import SLOW, Harness, Process, until

PATIENT = {"later_every": "200ms", "later_for": "1h"}
UNASKED = ("--yes", "--no-preflight", "--progress", "plain")


def stop_one(stage: Harness, *, volumes: int = 2) -> tuple[GlassCloud, str]:
    """A cloud of 3 volumes, and a stopped run of its first ones that are under way; its id."""
    cloud = stage.cloud(SLOW, volumes=3)
    stage.write_plan(name="first", retry=PATIENT)
    ids = [volume["ID"] for volume in cloud.volumes()][:volumes]
    (stage.folder / "some.txt").write_text("\n".join(ids))
    engine = stage.start("run", "plan.yaml", "--volumes", "some.txt", "--no-preflight")
    until(lambda: any(run["counts"]["running"] == volumes for run in stage.runs()))
    engine.send_signal(signal.SIGINT)
    stage.finish(engine, 3)
    stage.write_plan(name="second", retry=PATIENT)
    return cloud, stage.run_id()


def lines_until(engine: Process, *words: str) -> str:
    """What the engine says up to the line with these words."""
    said = ""
    assert engine.stderr is not None
    for line in engine.stderr:
        said += line
        if all(word in line for word in words):
            return said
    raise AssertionError(said)


def test_who_holds_the_volumes_is_said_wherever_one_looks_and_yes_takes_nothing(
    stage: Harness,
) -> None:
    cloud, first = stop_one(stage)
    engine = stage.start("run", "plan.yaml", *UNASKED)
    begun = lines_until(engine, "note: ")
    second = stage.run_id()
    words = (
        f"2 volumes wait for another run: run {first} holds 2 (stopped); "
        f"vbsbatch resume {first}, or vbsbatch take-over {second}"
    )
    assert f"note: {words}\n" in begun
    lines_until(engine, " progress ", f'waits="{words}"')

    status = stage.json("status")
    assert status["run"]["reason"] == words
    held = {"run": first, "state": "stopped", "live": False, "volumes": 2}
    assert status["held_by"] == [held]
    assert status["next"] == [f"vbsbatch resume {first}", f"vbsbatch take-over {second}"]
    shown = stage.look("status")
    assert f"held       run {first} holds 2 (stopped)\n" in shown
    assert f"Next\n  vbsbatch resume {first}\n" in shown
    busy = [job["message"] for job in stage.jobs("--state", "waiting")]
    assert busy == [f"run {first} holds this volume (stopped)"] * 2
    assert cloud.creates() == 3, "nothing was taken over"

    done = stage("take-over", "latest")
    assert f"run {first} gave up 2 of its volumes to run {second}" in done.stdout
    assert "stays there" in done.stdout
    assert stage.json("status")["held_by"] == []
    released = stage.json("jobs", first)["jobs"]
    assert {(job["state"], job["code"]) for job in released} == {("failed", "released")}
    assert all(f"run {second} took the volume over" in job["message"] for job in released)
    until(lambda: cloud.creates() >= 5)
    assert "another run took the volume over" in stage.look("report", first)


def test_volumes_are_taken_over_at_the_start_where_that_is_asked_for(stage: Harness) -> None:
    cloud, first = stop_one(stage)
    stage.start("run", "plan.yaml", "--take-over", *UNASKED)
    until(lambda: cloud.creates() >= 5)
    assert {job["code"] for job in stage.json("jobs", first)["jobs"]} == {"released"}


def test_what_a_driven_run_holds_is_not_to_be_had(stage: Harness) -> None:
    cloud, first = stop_one(stage, volumes=3)
    engine = stage.start("resume", first)
    until(lambda: stage.json("status", first)["run"]["live"])
    waiting = stage.start("run", "plan.yaml", "--take-over", *UNASKED)
    said = lines_until(waiting, "note: ")
    assert f"3 volumes wait for another run: run {first} holds 3 (at work)\n" in said
    refused = stage.refused("take-over", "latest")
    assert f"run {first} holds 3 (at work); an engine follows them" in refused
    assert {job["state"] for job in stage.json("jobs", first)["jobs"]} == {"running"}
    assert cloud.creates() == 3
    assert engine.poll() is None


def test_there_may_be_nothing_to_take_over(stage: Harness) -> None:
    _, first = stop_one(stage)
    assert stage("take-over", first).stdout == f"run {first}: no other run holds a volume of it\n"
    assert "no run 'nope'" in stage.refused("take-over", "nope")
