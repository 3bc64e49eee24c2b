"""restore and prune: what is refused, what is asked, and what then happens in the cloud."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from tests.cli.clouds import Cloud
from tests.cli.harness import FAST, SLOW, Harness, told, until
from vbsbatch.cli.restore_commands import _confirm
from vbsbatch.errors import UsageError

STEADY = "backups: {duration: [3s, 4s], visible_after: 20ms, delete: 100ms}\n"
"""Restores take long enough to be told from the moment at which they were asked for."""


def a_run(stage: Harness, cloud: Cloud) -> str:
    """A run whose backups may be restored: no server uses a volume any more."""
    stage("run", "plan.yaml", "--progress", "quiet")
    cloud.detach()
    return stage.run_id()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Harness, Cloud, str]]:
    """A run whose backups may be restored; tests look at it, and leave store and cloud alone."""
    stage = Harness(tmp_path_factory.mktemp("made"))
    stage.write_plan()
    cloud = stage.cloud(volumes=3)
    yield stage, cloud, a_run(stage, cloud)
    stage.close()


def refusals(stage: Harness, *words: str) -> list[str]:
    """Every line of a refusal, exit code 2."""
    done = stage(*words, code=2)
    assert done.stdout == ""
    return [line.removeprefix("vbsbatch: ") for line in done.stderr.splitlines()]


def overwritten(cloud: Cloud) -> dict[str, str]:
    """Which backup each volume was overwritten with; none was twice."""
    rows = cloud.ledger("restore")
    assert max(Counter(row["volume"] for row in rows).values(), default=0) <= 1
    return {row["volume"]: row["backup"] for row in rows}


def test_every_volume_is_overwritten_with_its_own_backup(stage: Harness) -> None:
    cloud = stage.cloud(volumes=8)
    source = a_run(stage, cloud)
    made = {job["volume_id"]: job["backup_id"] for job in stage.jobs()}
    done = stage("restore", source, "--yes")
    assert f"8 volumes will be overwritten with the backups of run {source}:" in done.stderr
    assert told(done, "end") == ["done ok=8 fail=0 exit=0"]
    assert overwritten(cloud) == made
    run = stage.json("status")["run"]
    assert (run["plan"], run["operation"], run["source_run"]) == (
        f"restore of {source}",
        "restore",
        source,
    )
    assert {job["volume_id"]: job["backup_id"] for job in stage.jobs()} == made
    report = stage.look("report", "latest")
    assert f"restores the backups of run {source}" in report
    assert "per restored volume" in report
    assert "none is in error" in stage("verify").stdout
    for words in (("restore", "latest", "--yes"), ("prune", "latest")):
        assert f"name the run that did ({source})" in stage.refused(*words)


def test_one_volume_may_be_restored_onto_another(stage: Harness) -> None:
    cloud = stage.cloud(volumes=4)
    source = a_run(stage, cloud)
    first, second = stage.jobs()[:2]
    words = ["--volume", first["name"], "--to", f"{first['name']}={second['volume_id']}"]
    done = stage("restore", source, *words, "--yes")
    assert "1 volume will be overwritten" in done.stderr
    assert (
        f"  {second['name']} ({second['volume_id']}) <- backup {first['backup_name']}"
        in done.stderr
    )
    assert overwritten(cloud) == {second["volume_id"]: first["backup_id"]}
    assert [job["name"] for job in stage.jobs()] == [second["name"]]


def test_what_the_cloud_would_refuse_is_told_at_once_and_nothing_is_stored(stage: Harness) -> None:
    cloud = stage.cloud(volumes=6)
    stage("run", "plan.yaml", "--progress", "quiet")
    in_use = [v["Name"] for v in cloud.volumes() if v["Status"] == "in-use"]
    assert in_use
    said = refusals(stage, "restore", "latest", "--yes")
    assert said[-1] == "nothing was restored"
    assert len(said) == len(in_use) + 1
    assert all("is in-use, not available: detach it first" in line for line in said[:-1])
    assert len(stage.runs()) == 1
    assert overwritten(cloud) == {}


def test_what_makes_no_sense_is_refused_before_the_cloud_is_asked(
    made: tuple[Harness, Cloud, str],
) -> None:
    stage, cloud, source = made
    calls = cloud.summary()["calls"]
    assert refusals(stage, "restore", source, "--volume", "nope", "--volume", "nor") == [
        "the run has no volume nope",
        "the run has no volume nor",
    ]
    (line,) = refusals(stage, "restore", source, "--to", "nope=x", "--yes")
    assert "not OLD=NEW" in line
    assert "say --yes" in stage.refused("prune", source, "--delete")
    assert cloud.summary()["calls"] == calls


def test_a_prune_only_tells_what_it_would_delete(made: tuple[Harness, Cloud, str]) -> None:
    stage, cloud, source = made
    done = stage("prune", source)
    *lines, last = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("backup ") and " GB, made " in line for line in lines)
    assert last.endswith("GB; nothing was deleted")
    assert len(stage.runs()) == 1
    assert cloud.ledger("delete") == []


def test_without_a_look_at_the_cloud_nothing_is_stored(made: tuple[Harness, Cloud, str]) -> None:
    stage, cloud, source = made
    cloud.behave("faults:\n  - {on: volumes, do: status, status: 503}\n")
    assert "cannot look first, so nothing was done" in stage.refused("restore", source, "--yes")
    cloud.behave("faults: []\n")
    assert len(stage.runs()) == 1


def test_a_prune_deletes_the_backups_of_its_run_and_no_other(stage: Harness) -> None:
    cloud = stage.cloud(volumes=5)
    a_run(stage, cloud)
    stage("run", "plan.yaml", "--progress", "quiet", "--yes")
    source = stage.run_id()
    kept, *made = [job["backup_id"] for job in stage.jobs()]
    renamed = cloud.world.project.backups[kept]
    renamed.name, renamed.rendered = "keep-me", (None, b"")
    done = stage("prune", source, "--delete", "--yes")
    assert f"left alone: backup {kept}" in done.stderr
    assert told(done, "end") == ["done ok=4 fail=0 exit=0"]
    assert sorted(row["backup"] for row in cloud.ledger("delete")) == sorted(made)
    assert "the deleted backups are gone" in stage("verify").stdout
    checked = stage("verify", source)
    assert f"4 backups of run {source} were deleted on purpose" in checked.stderr
    assert "the cloud has what the store says" in checked.stdout
    assert f"deletes the backups of run {source}" in stage.look("report", "latest")
    again = stage("prune", source, "--delete", "--yes")
    assert again.stderr.count("gone already") == 4
    assert "0 backups" in again.stdout


def test_what_a_prune_is_deleting_is_no_difference(stage: Harness) -> None:
    cloud = stage.cloud(volumes=3)
    source = a_run(stage, cloud)
    cloud.behave("backups: {delete: 60s}\n")
    engine = stage.start("prune", source, "--delete", "--yes")
    until(lambda: len(cloud.ledger("delete")) == 3)
    assert "3 backups" in stage("verify", source).stderr
    engine.terminate()
    stage.finish(engine, 3)


def test_backups_that_a_restore_still_needs_are_not_pruned(stage: Harness) -> None:
    cloud = stage.cloud(volumes=3)
    source = a_run(stage, cloud)
    cloud.behave(SLOW)
    engine = stage.start("restore", source, "--yes")
    until(lambda: len(cloud.ledger("restore")) == 3)
    engine.terminate()
    stage.finish(engine, 3)
    assert f"name it: vbsbatch resume {stage.run_id()}" in stage.refused("resume")
    for words in (("prune", source, "--delete", "--yes"), ("restore", source, "--yes")):
        assert "has not ended and has yet to restore 3 of these" in stage.refused(*words)


def test_a_restore_that_is_killed_overwrites_nothing_twice(stage: Harness) -> None:
    cloud = stage.cloud(FAST, volumes=30)
    source = a_run(stage, cloud)
    cloud.behave(STEADY + "faults:\n  - {on: restore, do: drop_after, share: 0.2}\n")
    words = ["restore", source, "--yes", "--rate", "20/s"]
    for kill_at in (6, 14, 22):
        engine = stage.start(*words, stderr=subprocess.DEVNULL)
        until(lambda at=kill_at: cloud.calls("restore") >= at)
        engine.kill()
        engine.communicate()
        words = ["resume", "latest"]
    done = stage("resume", "latest", code=None)
    states = Counter((job["state"], job["code"]) for job in stage.jobs())
    assert set(states) <= {("succeeded", None), ("failed", "uncertain")}, done.stderr
    assert states["succeeded", None] >= 25
    # One that was claimed and never sent may end as uncertain too: nothing proves that it was not.
    restored = {job["volume_id"] for job in stage.jobs("--state", "succeeded")}
    assert restored <= set(overwritten(cloud))
    assert len(stage.runs()) == 2


def test_leftovers_in_error_are_pruned_when_asked_for(stage: Harness) -> None:
    cloud = stage.cloud(volumes=4)
    broken = cloud.volumes()[2]["ID"]
    fault = f"faults:\n  - {{on: create, do: fail, code: VolumeBackup.0064, volumes: [{broken}]}}\n"
    cloud.behave(FAST + fault)
    stage.write_plan(retry={"attempts": 1})
    stage("run", "plan.yaml", "--keep-errored-backups", code=1)
    left = next(b["id"] for b in cloud.project().backups() if b["status"] == "error")
    assert f"left in error, and counted against their volumes' limit: {left}" in (
        stage("verify").stderr
    )
    assert left not in stage("prune", "latest").stdout
    done = stage("prune", "latest", "--errored", "--delete", "--yes")
    assert told(done, "end") == ["done ok=4 fail=0 exit=0"]
    assert left in {row["backup"] for row in cloud.ledger("delete")}


@pytest.mark.parametrize(
    ("many", "said", "fits"),
    [(100, "yes", True), (100, "100", False), (101, "101", True), (101, "yes", False)],
)
def test_more_than_a_hundred_are_confirmed_by_their_number(
    many: int, said: str, fits: bool
) -> None:
    lines = [f"  volume {no}" for no in range(many)]

    @click.command()
    def asking() -> None:
        _confirm("these will be overwritten:", lines, "overwrite", "plain", yes=False)

    done = CliRunner().invoke(asking, input=f"{said}\n")
    assert "volume 19" in done.output
    assert "volume 20" not in done.output
    assert f"... and {many - 20} more" in done.output
    assert isinstance(done.exception, UsageError) != fits
