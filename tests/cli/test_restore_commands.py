"""restore and prune: refusals, questions, and what happens in the cloud."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import partial

import click
import pytest
from click.testing import CliRunner

from tests.cli.clouds import Cloud
from tests.cli.harness import FAST, SLOW, Harness, told, until
from vbsbatch.cli.confirmation import confirm
from vbsbatch.errors import UsageError

STEADY = "backups: {duration: [3s, 4s], visible_after: 20ms, delete: 100ms}\n"
"""Restores take long enough to be told from the moment at which they were asked for."""


def a_run(harness: Harness, cloud: Cloud) -> str:
    """A run whose backups may be restored: no server uses a volume any more."""
    harness("run", "plan.yaml", "--progress", "quiet")
    cloud.detach()
    return harness.run_id()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Harness, Cloud, str]]:
    """A run whose backups may be restored; tests look at it, and leave store and cloud alone."""
    harness = Harness(tmp_path_factory.mktemp("made"))
    harness.write_plan()
    cloud = harness.cloud(volumes=3)
    yield harness, cloud, a_run(harness, cloud)
    harness.close()


def refusals(harness: Harness, *words: str) -> list[str]:
    """Every line of a refusal, exit code 2."""
    done = harness(*words, code=2)
    assert done.stdout == ""
    return [line.removeprefix("vbsbatch: ") for line in done.stderr.splitlines()]


def overwritten(cloud: Cloud) -> dict[str, str]:
    """Which backup each volume was overwritten with; none was twice."""
    rows = cloud.ledger("restore")
    assert max(Counter(row["volume"] for row in rows).values(), default=0) <= 1
    return {row["volume"]: row["backup"] for row in rows}


def test_every_volume_is_overwritten_with_its_own_backup(harness: Harness) -> None:
    cloud = harness.cloud(volumes=8)
    source = a_run(harness, cloud)
    made = {job["volume_id"]: job["backup_id"] for job in harness.jobs()}
    done = harness("restore", source, "--yes")
    assert f"8 volumes will be overwritten with the backups of run {source}:" in done.stderr
    assert told(done, "end") == ["done ok=8 fail=0 exit=0"]
    assert overwritten(cloud) == made
    run = harness.json("status")["run"]
    assert (run["plan"], run["operation"], run["source_run"]) == (
        f"restore of {source}",
        "restore",
        source,
    )
    assert {job["volume_id"]: job["backup_id"] for job in harness.jobs()} == made
    report = harness.look("report", "latest")
    assert f"restores the backups of run {source}" in report
    assert "per restored volume" in report
    assert "none is in error" in harness("verify").stdout
    for words in (("restore", "latest", "--yes"), ("prune", "latest")):
        assert f"name the run that did ({source})" in harness.refused(*words)


def test_one_volume_may_be_restored_onto_another(harness: Harness) -> None:
    cloud = harness.cloud(volumes=4)
    source = a_run(harness, cloud)
    first, second = harness.jobs()[:2]
    words = ["--volume", first["name"], "--to", f"{first['name']}={second['volume_id']}"]
    done = harness("restore", source, *words, "--yes")
    assert "1 volume will be overwritten" in done.stderr
    assert (
        f"  {second['name']} ({second['volume_id']}) <- backup {first['backup_name']}"
        in done.stderr
    )
    assert overwritten(cloud) == {second["volume_id"]: first["backup_id"]}
    assert [job["name"] for job in harness.jobs()] == [second["name"]]


def test_what_the_cloud_would_refuse_is_reported_at_once_and_nothing_is_stored(
    harness: Harness,
) -> None:
    cloud = harness.cloud(volumes=6)
    harness("run", "plan.yaml", "--progress", "quiet")
    in_use = [v["Name"] for v in cloud.volumes() if v["Status"] == "in-use"]
    assert in_use
    said = refusals(harness, "restore", "latest", "--yes")
    assert said[-1] == "nothing was restored"
    assert len(said) == len(in_use) + 1
    assert all("is in-use, not available: detach it first" in line for line in said[:-1])
    assert len(harness.runs()) == 1
    assert overwritten(cloud) == {}


def test_impossible_requests_are_refused_before_the_cloud_is_asked(
    made: tuple[Harness, Cloud, str],
) -> None:
    harness, cloud, source = made
    calls = cloud.summary()["calls"]
    assert refusals(harness, "restore", source, "--volume", "nope", "--volume", "nor") == [
        "the run has no volume nope",
        "the run has no volume nor",
    ]
    (line,) = refusals(harness, "restore", source, "--to", "nope=x", "--yes")
    assert "not OLD=NEW" in line
    assert "use --yes" in harness.refused("prune", source, "--delete")
    assert cloud.summary()["calls"] == calls


def test_a_prune_without_delete_only_lists_backups(made: tuple[Harness, Cloud, str]) -> None:
    harness, cloud, source = made
    done = harness("prune", source, "--even-last")
    *lines, last = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("backup ") and " GB, made " in line for line in lines)
    assert last.endswith("GB; nothing was deleted")
    assert len(harness.runs()) == 1
    assert cloud.ledger("delete") == []


def test_nothing_is_stored_if_the_cloud_cannot_be_checked(made: tuple[Harness, Cloud, str]) -> None:
    harness, cloud, source = made
    cloud.behave("faults:\n  - {on: volumes, do: status, status: 503}\n")
    line = harness.refused("restore", source, "--yes")
    assert "the check before the start failed, so nothing was done" in line
    cloud.behave("faults: []\n")
    assert len(harness.runs()) == 1


def test_a_prune_deletes_the_backups_of_its_run_and_no_other(harness: Harness) -> None:
    cloud = harness.cloud(volumes=5)
    a_run(harness, cloud)
    harness("run", "plan.yaml", "--progress", "quiet", "--yes")
    source = harness.run_id()
    kept, *made = [job["backup_id"] for job in harness.jobs()]
    renamed = cloud.world.project.backups[kept]
    renamed.name, renamed.rendered = "keep-me", (None, b"")
    done = harness("prune", source, "--even-last", "--delete", "--yes")
    assert f"kept: backup {kept}" in done.stderr
    assert told(done, "end") == ["done ok=4 fail=0 exit=0"]
    assert sorted(row["backup"] for row in cloud.ledger("delete")) == sorted(made)
    assert "the deleted backups are gone" in harness("verify").stdout
    checked = harness("verify", source)
    assert f"4 backups of run {source} were deleted on purpose" in checked.stderr
    assert "the cloud has what the store says" in checked.stdout
    assert f"deletes the backups of run {source}" in harness.look("report", "latest")
    again = harness("prune", source, "--even-last", "--delete", "--yes")
    assert again.stderr.count("gone already") == 4
    assert "0 backups" in again.stdout


def test_backups_that_a_prune_is_deleting_are_no_difference(harness: Harness) -> None:
    cloud = harness.cloud(volumes=3)
    source = a_run(harness, cloud)
    cloud.behave("backups: {delete: 60s}\n")
    engine = harness.start("prune", source, "--even-last", "--delete", "--yes")
    until(lambda: len(cloud.ledger("delete")) == 3)
    assert "3 backups" in harness("verify", source).stderr
    engine.terminate()
    harness.finish(engine, 3)


def test_backups_that_a_restore_needs_are_not_pruned(harness: Harness) -> None:
    cloud = harness.cloud(volumes=3)
    source = a_run(harness, cloud)
    cloud.behave(SLOW)
    engine = harness.start("restore", source, "--yes")
    until(lambda: len(cloud.ledger("restore")) == 3)
    engine.terminate()
    harness.finish(engine, 3)
    assert f"name it: vbsbatch resume {harness.run_id()}" in harness.refused("resume")
    for words in (
        ("prune", source, "--even-last", "--delete", "--yes"),
        ("restore", source, "--yes"),
    ):
        assert "has not ended and has yet to restore 3 of these" in harness.refused(*words)


def test_a_restore_that_is_killed_overwrites_nothing_twice(harness: Harness) -> None:
    cloud = harness.cloud(FAST, volumes=30)
    source = a_run(harness, cloud)
    cloud.behave(STEADY + "faults:\n  - {on: restore, do: drop_after, share: 0.2}\n")
    words = ["restore", source, "--yes", "--rate", "20/s"]

    def restored_at_least(count: int) -> bool:
        return cloud.calls("restore") >= count

    for kill_at in (6, 14, 22):
        engine = harness.start(*words, stderr=subprocess.DEVNULL)
        until(partial(restored_at_least, kill_at))
        engine.kill()
        engine.communicate()
        words = ["resume", "latest"]
    done = harness("resume", "latest", code=None)
    states = Counter((job["state"], job["code"]) for job in harness.jobs())
    assert set(states) <= {("succeeded", None), ("failed", "uncertain")}, done.stderr
    assert states["succeeded", None] >= 25
    # One that was claimed and never sent may end as uncertain too: nothing proves that it was not.
    restored = {job["volume_id"] for job in harness.jobs("--state", "succeeded")}
    assert restored <= set(overwritten(cloud))
    assert len(harness.runs()) == 2


def test_errored_backups_are_pruned_with_errored(harness: Harness) -> None:
    cloud = harness.cloud(volumes=4)
    broken = cloud.volumes()[2]["ID"]
    fault = f"faults:\n  - {{on: create, do: fail, code: VolumeBackup.0064, volumes: [{broken}]}}\n"
    cloud.behave(FAST + fault)
    harness.write_plan(retry={"attempts": 1})
    harness("run", "plan.yaml", "--keep-errored-backups", code=1)
    left = next(b["id"] for b in cloud.project().backups() if b["status"] == "error")
    assert f"backups in error, which count against the limit of their volumes: {left}" in (
        harness("verify").stderr
    )
    assert left not in harness("prune", "latest", "--even-last").stdout
    done = harness("prune", "latest", "--errored", "--even-last", "--delete", "--yes")
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
        confirm("these will be overwritten:", lines, "overwrite", "plain", yes=False)

    done = CliRunner().invoke(asking, input=f"{said}\n")
    assert "volume 19" in done.output
    assert "volume 20" not in done.output
    assert f"... and {many - 20} more" in done.output
    assert isinstance(done.exception, UsageError) != fits
