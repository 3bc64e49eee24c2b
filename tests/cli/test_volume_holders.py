"""A run whose volumes a stopped run holds: what is shown, and how they are taken over."""

from __future__ import annotations

import signal

from tests.cli.clouds import GlassCloud, Process
from tests.cli.harness import SLOW, Harness, until

PATIENT = {"later_every": "200ms", "later_for": "1h"}
UNASKED = ("--yes", "--no-preflight", "--progress", "plain")


def stop_one(harness: Harness, *, volumes: int = 2) -> tuple[GlassCloud, str]:
    """A cloud of 3 volumes, and a stopped run of its first ones that are under way; its id."""
    cloud = harness.cloud(SLOW, volumes=3)
    harness.write_plan(name="first", retry=PATIENT)
    ids = [volume["ID"] for volume in cloud.volumes()][:volumes]
    (harness.folder / "some.txt").write_text("\n".join(ids))
    engine = harness.start("run", "plan.yaml", "--volumes", "some.txt", "--no-preflight")
    until(lambda: any(run["counts"]["running"] == volumes for run in harness.runs()))
    engine.send_signal(signal.SIGINT)
    harness.finish(engine, 3)
    harness.write_plan(name="second", retry=PATIENT)
    return cloud, harness.run_id()


def lines_until(engine: Process, *words: str) -> str:
    """What the engine says up to the line with these words."""
    said = ""
    assert engine.stderr is not None
    for line in engine.stderr:
        said += line
        if all(word in line for word in words):
            return said
    raise AssertionError(said)


def test_every_view_shows_who_holds_the_volumes_and_yes_takes_nothing_over(
    harness: Harness,
) -> None:
    cloud, first = stop_one(harness)
    engine = harness.start("run", "plan.yaml", *UNASKED)
    begun = lines_until(engine, "note: ")
    second = harness.run_id()
    words = (
        f"2 volumes wait for another run: run {first} holds 2 (stopped); "
        f"vbsbatch resume {first}, or vbsbatch take-over {second}"
    )
    assert f"note: {words}\n" in begun
    lines_until(engine, " progress ", f'waits="{words}"')

    status = harness.json("status")
    assert status["run"]["reason"] == words
    held = {"run": first, "state": "stopped", "live": False, "volumes": 2}
    assert status["held_by"] == [held]
    assert status["next"] == [f"vbsbatch resume {first}", f"vbsbatch take-over {second}"]
    shown = harness.look("status")
    assert f"held       run {first} holds 2 (stopped)\n" in shown
    assert f"Next\n  vbsbatch resume {first}\n" in shown
    busy = [job["message"] for job in harness.jobs("--state", "waiting")]
    assert busy == [f"run {first} holds this volume (stopped)"] * 2
    assert cloud.creates() == 3, "nothing was taken over"

    done = harness("take-over", "latest")
    assert f"run {first} gave up 2 of its volumes to run {second}" in done.stdout
    assert "their backups stay in the cloud" in done.stdout
    assert harness.json("status")["held_by"] == []
    released = harness.json("jobs", first)["jobs"]
    assert {(job["state"], job["code"]) for job in released} == {("failed", "released")}
    assert all(f"run {second} took the volume over" in job["message"] for job in released)
    until(lambda: cloud.creates() >= 5)
    assert "another run took the volume over" in harness.look("report", first)


def test_take_over_at_the_start_takes_the_volumes(harness: Harness) -> None:
    cloud, first = stop_one(harness)
    harness.start("run", "plan.yaml", "--take-over", *UNASKED)
    until(lambda: cloud.creates() >= 5)
    assert {job["code"] for job in harness.json("jobs", first)["jobs"]} == {"released"}


def test_volumes_of_a_live_run_cannot_be_taken_over(harness: Harness) -> None:
    cloud, first = stop_one(harness, volumes=3)
    engine = harness.start("resume", first)
    until(lambda: harness.json("status", first)["run"]["live"])
    waiting = harness.start("run", "plan.yaml", "--take-over", *UNASKED)
    said = lines_until(waiting, "note: ")
    assert f"3 volumes wait for another run: run {first} holds 3 (at work)\n" in said
    refused = harness.refused("take-over", "latest")
    assert f"run {first} holds 3 (at work); an engine is working on them" in refused
    assert {job["state"] for job in harness.json("jobs", first)["jobs"]} == {"running"}
    assert cloud.creates() == 3
    assert engine.poll() is None


def test_take_over_with_nothing_to_take_says_so(harness: Harness) -> None:
    _, first = stop_one(harness)
    assert harness("take-over", first).stdout == f"run {first}: no other run holds a volume of it\n"
    assert "no run 'nope'" in harness.refused("take-over", "nope")
