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


def begun(harness: Harness, creates: int, **plan: object) -> CloudProcess:
    """A run whose engine was killed after so many creates; a copy of its store was taken before."""
    cloud = harness.simulator(UNGUARDED, volumes=VOLUMES)
    harness.write_plan(limits={"rate": "10/s", "in_flight": 30}, retry={"settle": "4s"}, **plan)
    engine = harness.start("run", "plan.yaml", "--no-preflight")
    until(lambda: cloud.calls("create") > creates / 4)
    copied(harness.store, harness.folder / "copy.db")
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


def lose(harness: Harness) -> None:
    for end in BESIDE:
        harness.store.with_name(harness.store.name + end).unlink(missing_ok=True)


def once_each(harness: Harness, cloud: CloudProcess) -> None:
    until(lambda: not cloud.summary()["running"])
    summary = cloud.summary()
    assert (summary["backed_up"], summary["duplicates"], summary["lost"]) == (VOLUMES, 0, 0)
    assert "the cloud has what the store says" in harness("verify").stdout


def test_an_old_copy_of_the_store_makes_no_backup_twice(harness: Harness) -> None:
    cloud = begun(harness, 30)
    copied(harness.folder / "copy.db", harness.store)
    done = harness.finish(harness.start("resume"), 0, patience=120)
    once_each(harness, cloud)
    adopted = harness.json("status", "latest")["run"]["adopted"]
    assert adopted >= 10
    took_over = [note for note in told(done, "run") if "took over" in note]
    assert any(f"took over {adopted} backups of this run" in note for note in took_over)
    assert f"{adopted} backups that the store did not know of" in harness.look("status", "latest")


def test_a_lost_store_is_created_again_under_the_runs_old_id(harness: Harness) -> None:
    cloud = begun(harness, 30)
    run_id = harness.run_id()
    lose(harness)
    words = ["run", "plan.yaml", "--as", run_id]
    harness.finish(harness.start(*words), 0, patience=120)
    assert harness.run_id() == run_id
    once_each(harness, cloud)
    assert harness.json("status", "latest")["run"]["adopted"] >= 25
    assert "is in" in harness.refused(*words), "it is in the store now"


def test_backups_with_plain_names_are_taken_over_by_their_age(harness: Harness) -> None:
    cloud = begun(harness, 30, defaults={"backup_name": "nightly-{volume}"})
    copied(harness.folder / "copy.db", harness.store)
    harness.finish(harness.start("resume"), 0, patience=120)
    once_each(harness, cloud)
    assert harness.json("status", "latest")["run"]["adopted"] >= 10


def test_a_changed_plan_cannot_recreate_a_lost_run(harness: Harness) -> None:
    cloud = begun(harness, 20)
    run_id = harness.run_id()
    lose(harness)
    harness.write_plan(volumes_from=None, volumes=[{"id": v["ID"]} for v in cloud.volumes()[10:]])
    until(lambda: not cloud.summary()["running"])
    creates = cloud.calls("create")
    done = harness("run", "plan.yaml", "--as", run_id, code=2)
    assert f"carry the id of run {run_id} and fit no row of this plan" in done.stderr
    assert done.stderr.count(run_id) > 5, "each is named"
    assert cloud.calls("create") == creates
    assert "nothing was sent" in done.stderr
    assert "not a complete run id" in harness.refused("run", "plan.yaml", "--as", run_id[:13])
