"""A store that is an old copy, or lost: the engine looks at the cloud before it sends anything."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cli.clouds import CloudProcess
from tests.cli.harness import Harness, told, until

VOLUMES = 40

UNGUARDED = """\
services: cinder
busy_after: 1d
backups: {duration: [500ms, 2s], visible_after: [500ms, 1500ms]}
"""
"""The service itself would take a second create of every volume."""

BESIDE = ("", "-wal", "-shm", ".lock")


def begun(stage: Harness, creates: int, **plan: object) -> CloudProcess:
    """A run whose engine was killed after so many creates; a copy of its store was taken before."""
    cloud = stage.simulator(UNGUARDED, volumes=VOLUMES)
    stage.write_plan(limits={"rate": "10/s", "in_flight": 30}, retry={"settle": "4s"}, **plan)
    engine = stage.start("run", "plan.yaml", "--no-preflight")
    until(lambda: cloud.calls("create") > creates / 4)
    copied(stage.store, stage.folder / "copy.db")
    until(lambda: cloud.calls("create") >= creates)
    engine.kill()
    engine.communicate()
    return cloud


def copied(source: Path, target: Path) -> None:
    """Copy a store with its log, as somebody does who knows nothing of SQLite's own backups."""
    for end in BESIDE:
        place = target.with_name(target.name + end)
        place.unlink(missing_ok=True)
        beside = source.with_name(source.name + end)
        if beside.exists() and end in ("", "-wal"):
            shutil.copy(beside, place)


def lose(stage: Harness) -> None:
    for end in BESIDE:
        stage.store.with_name(stage.store.name + end).unlink(missing_ok=True)


def once_each(stage: Harness, cloud: CloudProcess) -> None:
    until(lambda: not cloud.summary()["running"])
    summary = cloud.summary()
    assert (summary["backed_up"], summary["duplicates"], summary["lost"]) == (VOLUMES, 0, 0)
    assert "the cloud has what the store says" in stage("verify").stdout


def test_an_old_copy_of_the_store_makes_nothing_twice(stage: Harness) -> None:
    cloud = begun(stage, 30)
    copied(stage.folder / "copy.db", stage.store)
    done = stage.finish(stage.start("resume"), 0, patience=120)
    once_each(stage, cloud)
    adopted = stage.json("status", "latest")["run"]["adopted"]
    assert adopted >= 10
    took_over = [note for note in told(done, "run") if "took over" in note]
    assert any(f"took over {adopted} backups of this run" in note for note in took_over)
    assert f"{adopted} backups that the store did not know of" in stage.look("status", "latest")


def test_a_lost_store_is_made_anew_under_the_runs_old_id(stage: Harness) -> None:
    cloud = begun(stage, 30)
    run_id = stage.run_id()
    lose(stage)
    words = ["run", "plan.yaml", "--as", run_id]
    stage.finish(stage.start(*words), 0, patience=120)
    assert stage.run_id() == run_id
    once_each(stage, cloud)
    assert stage.json("status", "latest")["run"]["adopted"] >= 25
    assert "is in" in stage.refused(*words), "it is in the store now"


def test_names_that_do_not_tell_the_run_are_taken_over_by_their_age(stage: Harness) -> None:
    cloud = begun(stage, 30, defaults={"backup_name": "nightly-{volume}"})
    copied(stage.folder / "copy.db", stage.store)
    stage.finish(stage.start("resume"), 0, patience=120)
    once_each(stage, cloud)
    assert stage.json("status", "latest")["run"]["adopted"] >= 10


def test_a_plan_that_was_changed_is_not_the_plan_of_a_lost_run(stage: Harness) -> None:
    cloud = begun(stage, 20)
    run_id = stage.run_id()
    lose(stage)
    stage.write_plan(volumes_from=None, volumes=[{"id": v["ID"]} for v in cloud.volumes()[10:]])
    until(lambda: not cloud.summary()["running"])
    creates = cloud.calls("create")
    done = stage("run", "plan.yaml", "--as", run_id, code=2)
    assert f"carry the id of run {run_id} and fit no row of this plan" in done.stderr
    assert done.stderr.count(run_id) > 5, "each is named"
    assert cloud.calls("create") == creates
    assert "nothing was sent" in done.stderr
    assert "no whole run id" in stage.refused("run", "plan.yaml", "--as", run_id[:13])
