"""run, resume, retry: what is submitted, how it ends, and which exit code says so."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.cli.clouds import Cloud
from tests.cli.harness import FAST, SLOW, Harness, told, until
from tests.store.fixtures import a_job, a_run
from vbsbatch.cli import run_commands
from vbsbatch.cli.detached_engine import log_path, start_engine
from vbsbatch.cli.plan_loading import load_plan
from vbsbatch.errors import UsageError
from vbsbatch.model import BackupSettings
from vbsbatch.store import Store

# Few enough that five in a row, which look like an outage, are not to be met in any test.
LOST_ANSWERS = "faults:\n  - {on: create, do: drop_after, share: 0.1}\n"


def test_a_plan_is_run_to_its_end_and_verified(stage: Harness) -> None:
    cloud = stage.cloud(FAST + LOST_ANSWERS, volumes=20)
    done = stage("run", "plan.yaml")
    (end,) = told(done, "end")
    assert end == "done ok=20 fail=0 exit=0"
    assert done.stdout == ""
    summary = cloud.summary()
    assert (summary["backed_up"], summary["lost"], summary["duplicates"]) == (20, 0, 0)
    assert stage.json("status")["run"]["counts"]["succeeded"] == 20
    assert "the cloud has what the store says" in stage("verify").stdout
    again = stage("resume", "latest")
    assert "nothing to do" in again.stderr
    assert cloud.summary()["creates"] == summary["creates"]
    assert "is unfinished" in stage.refused("resume")


def test_what_the_plan_says_reaches_the_cloud(stage: Harness) -> None:
    cloud = stage.cloud(volumes=3)
    first, second, third = (volume["ID"] for volume in cloud.volumes())
    snapshot = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    stage.write_plan(
        defaults={
            "backup_name": "{plan}-{volume}",
            "description": "before the migration",
            "tags": {"wave": "1", "owner": "ops"},
            "full": True,
        },
        volumes=[
            {"id": first, "name": "low", "priority": -5},
            {"id": second.replace("-", "").upper(), "name": "high", "priority": 10},
            {"id": third, "name": "mid", "snapshot_id": snapshot, "tags": {"tier": "log"}},
        ],
        volumes_from=None,
        limits={"connections": 1},
    )
    cloud.project().create(third, "older")
    until(lambda: {b["status"] for b in cloud.project().backups()} == {"available"})
    assert "hold no {run}" in stage("check", "plan.yaml").stdout
    stage("run", "plan.yaml")
    made = {backup["name"]: backup for backup in cloud.project().backups()}
    assert set(made) == {"older", "night-low", "night-high", "night-mid"}
    assert json.loads(made["night-low"]["description"]) == {
        "DESC": "before the migration",
        "INC": 0,
    }
    assert json.loads(made["night-mid"]["description"])["INC"] == 0, "full: true"
    assert made["night-mid"]["snapshot_id"] == snapshot
    order = [row["name"] for row in cloud.accepted()]
    assert order == ["older", "night-high", "night-mid", "night-low"]
    tags = {each.name: each.metadata for each in cloud.world.project.backups.values()}
    usual = {"wave": "1", "owner": "ops"}
    assert tags == {
        "older": {},
        "night-low": usual,
        "night-high": usual,
        "night-mid": {"tier": "log"},
    }


def test_a_name_that_an_older_backup_has_does_not_pass_for_a_new_one(stage: Harness) -> None:
    """Names that are not unique: every answer is lost, and yet nothing is missing or twice."""
    cloud = stage.cloud(FAST + "faults: [{on: create, do: drop_after, first: 4}]", volumes=4)
    stage.write_plan(defaults={"backup_name": "{volume}"})
    for volume in cloud.volumes():
        cloud.world.add_backup(volume["ID"], volume["Name"], age=60.0)
    stage("run", "plan.yaml")
    assert {row["name"] for row in cloud.accepted()} == {v["Name"] for v in cloud.volumes()}
    assert cloud.creates() == 4
    made = {job["volume_id"]: [job["backup_id"]] for job in stage.jobs("--state", "succeeded")}
    assert made == cloud.live()
    assert "the cloud has" in stage("verify").stdout


def test_failures_by_code_end_with_1_and_can_be_retried(stage: Harness) -> None:
    cloud = stage.cloud(volumes=6)
    ids = [volume["ID"] for volume in cloud.volumes()]
    faults = (
        f"faults:\n"
        f"  - {{on: create, do: status, status: 400, code: VolumeBackup.0040,"
        f" volumes: [{ids[0]}, {ids[1]}]}}\n"
        f"  - {{on: create, do: status, status: 404, code: VolumeBackup.0021,"
        f" volumes: [{ids[2]}]}}\n"
    )
    cloud.behave(FAST + faults)
    done = stage("run", "plan.yaml", code=1)
    (end,) = told(done, "end")
    assert end.startswith("partial ok=3 fail=3 exit=1")
    assert f'next="vbsbatch retry {stage.run_id()} --code VolumeBackup.0040"' in end
    assert len(told(done, "fail")) == 3
    assert "20 backups" in stage("status").stdout, "the meaning of the code"

    cloud.behave(FAST)
    stage("retry", "latest", "--code", "VolumeBackup.0040", code=1)
    assert len(stage.jobs("--state", "failed")) == 1
    stage("retry", "latest", "--status", "500", code=1)
    assert cloud.creates() == 8, "nothing fitted, nothing was sent"
    stage("retry", "latest", "--volume", ids[2].replace("-", ""))
    assert cloud.summary()["backed_up"] == 6
    stage("retry", "latest", "--all-failed")
    assert cloud.creates() == 9


def test_retry_wants_to_know_which(ended: tuple[Harness, Cloud]) -> None:
    stage, _ = ended
    assert "--all-failed" in stage("retry", "latest", code=2).stderr


def test_a_used_up_quota_stops_the_run_which_goes_on_when_it_is_lifted(stage: Harness) -> None:
    cloud = stage.cloud(FAST + "quota: {backups: 4}", volumes=12)
    stage.write_plan(limits={"connections": 2})
    done = stage("run", "plan.yaml", "--no-preflight", code=3)
    (end,) = told(done, "end")
    assert end.startswith("stopped ok=")
    assert "next=" in end
    reason = told(done, "run")[-1]
    assert "VolumeBackup.0080" in reason
    assert "backup count quota used up" in reason
    assert "VolumeBackup.0080" in stage("status").stdout
    assert stage.json("status")["run"]["counts"]["failed"] == 0
    cloud.behave(FAST)
    stage("resume")
    assert cloud.summary() | {"calls": 0} == cloud.summary() | {
        "calls": 0,
        "backed_up": 12,
        "lost": 0,
        "duplicates": 0,
    }


def test_credentials_of_another_project_cannot_resume_a_run(stage: Harness) -> None:
    stage.cloud(FAST + "quota: {backups: 0}", volumes=3)
    stage("run", "plan.yaml", "--no-preflight", code=3)
    other = stage.cloud(volumes=3, seed=2)
    assert "belongs to project" in stage.refused("resume", "latest")
    assert "belongs to project" in stage.refused("verify", "latest")
    assert other.ledger("create") == []


def test_a_second_engine_is_refused_and_told_who_drives(stage: Harness) -> None:
    stage.cloud(SLOW, volumes=3)
    engine = stage.start("run", "plan.yaml")
    until(lambda: any(run["live"] for run in stage.runs()))
    assert f"process {engine.pid} already" in stage.refused("resume", "latest")
    engine.terminate()
    stage.finish(engine, 3)


def test_another_run_of_an_unfinished_plan_is_noted(stage: Harness) -> None:
    cloud = stage.cloud(FAST + "quota: {backups: 0}", volumes=2)
    stage("run", "plan.yaml", "--no-preflight", code=3)
    first = stage.run_id()
    cloud.behave(FAST)
    done = stage("run", "plan.yaml")
    assert f"note: run {first} of plan night is unfinished (vbsbatch resume {first})" in done.stderr


@pytest.mark.parametrize(("said", "refused"), [("y", False), ("n", True), ("", True)])
def test_whoever_wants_no_other_run_gets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, refused: bool
) -> None:
    monkeypatch.setattr(run_commands, "is_terminal", lambda _: True)

    @click.command()
    def asked() -> None:
        with Store.open(tmp_path / "own.db", create=True) as store:
            store.create_run(a_run(), [a_job(1)], BackupSettings())
            run_commands._warn_of_unfinished(store, "nightly", "plain", yes=False)

    done = CliRunner().invoke(asked, input=f"{said}\n")
    assert "is unfinished" in done.output
    assert isinstance(done.exception, UsageError) is refused


def test_a_run_under_way_is_to_be_watched_not_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(tmp_path / "own.db", create=True) as store:
        store.create_run(a_run(), [a_job(1)], BackupSettings())
        with store.lock(a_run().id):
            run_commands._warn_of_unfinished(store, "nightly", "plain", yes=True)
    told = capsys.readouterr().err
    assert f"is under way (vbsbatch attach {a_run().id} --db {tmp_path}/own.db)" in told


def test_what_cannot_ask_because_it_has_no_standard_input_goes_on_or_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with Store.open(tmp_path / "own.db", create=True) as store:
        store.create_run(a_run(), [a_job(1)], BackupSettings())
        run_commands._warn_of_unfinished(store, "nightly", "plain", yes=False)
    with pytest.raises(UsageError, match="there is no standard input"):
        load_plan(tmp_path / "plan.yaml", "-")


def test_a_list_of_volumes_may_come_on_standard_input(stage: Harness) -> None:
    cloud = stage.cloud(volumes=5)
    chosen = "\n".join(volume["ID"] for volume in cloud.volumes()[:2])
    (stage.folder / "ids.txt").write_text(chosen)
    with (stage.folder / "ids.txt").open() as ids:
        stage("run", "plan.yaml", "--volumes", "-", stdin=ids)
    assert cloud.summary()["backed_up"] == 2


def test_the_command_line_wins_over_the_limits_of_the_plan(stage: Harness) -> None:
    cloud = stage.cloud(volumes=4)
    stage("run", "plan.yaml", "--in-flight", "2", "--rate", "100/s")
    assert cloud.summary()["peak_running"] == 2
    assert cloud.summary()["backed_up"] == 4


def limit_file_size() -> None:
    """Files of this process may not grow beyond a few hundred kilobytes: the disk is full."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, FULL))


FULL = 220_000


def test_a_full_disk_stops_the_run_and_with_space_it_goes_on(stage: Harness) -> None:
    cloud = stage.cloud(FAST + LOST_ANSWERS, volumes=300)
    done = stage("run", "plan.yaml", code=3, preexec_fn=limit_file_size)
    words = [line for line in done.stderr.splitlines() if line.startswith("vbsbatch: ")]
    assert len(words) == 1
    assert "disk" in words[0]
    assert 0 < len(cloud.accepted()) < 300, "in mid-run"
    stage("resume")
    summary = cloud.summary()
    assert (summary["backed_up"], summary["lost"], summary["duplicates"]) == (300, 0, 0)


def test_the_command_line_may_name_the_store(stage: Harness) -> None:
    stage.cloud(volumes=1)
    stage("run", "plan.yaml", "--db", "own.db")
    assert "night" in stage("runs", "--db", "own.db").stdout
    assert not stage.store.exists()


def test_the_environment_may_name_the_store_and_the_cloud(stage: Harness) -> None:
    stage.cloud(volumes=1)
    stage.write_plan(cloud=None)
    environment = stage.environment | {"VBSBATCH_DB": "own.db", "OS_CLOUD": "simulator"}
    stage("run", "plan.yaml", env=environment)
    assert Path(stage.folder, "own.db").is_file()
    assert not stage.store.exists()
    document = json.loads(stage("status", "--json", env=environment).stdout)
    assert document["run"]["cloud"] == "simulator"


def test_an_engine_takes_no_module_from_the_folder_it_is_started_in(
    stage: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = stage.cloud(FAST + "quota: {backups: 0}", volumes=2)
    stage("run", "plan.yaml", "--no-preflight", code=3)
    cloud.behave(FAST)
    (stage.folder / "anyio.py").write_text("raise SystemExit('a stranger')\n")
    monkeypatch.chdir(stage.folder)
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    with Store.open(stage.store) as store:
        start_engine(store, stage.run_id())
    until(lambda: stage.runs()[0]["counts"]["succeeded"] == 2)


def test_an_engine_whose_log_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    with Store.open(tmp_path / "own.db", create=True) as store:
        log_path(store, "r1").mkdir()
        with pytest.raises(UsageError, match=r"cannot write .*own\.db\.r1\.log: Is a directory"):
            start_engine(store, "r1")


def test_what_to_type_next_can_be_typed_as_it_is_printed(stage: Harness) -> None:
    cloud = stage.cloud(volumes=2)
    refused = cloud.volumes()[0]["ID"]
    cloud.behave(
        f"{FAST}faults: [{{on: create, do: status, status: 400, code: VolumeBackup.0040,"
        f" volumes: [{refused}], first: 1}}]"
    )
    (elsewhere := stage.folder / "else where").mkdir()
    endpoint = f"{cloud.url}/v2/{cloud.project().id}"
    named = ("--db", "else where/own.db", "--vbs-endpoint", endpoint)
    done = stage("run", "plan.yaml", "--progress", "json", *named, code=1)
    program, *words = shlex.split(json.loads(done.stderr.splitlines()[-1])["next"])
    assert (program, words[0]) == ("vbsbatch", "retry")
    assert words[-2:] == ["--vbs-endpoint", endpoint]
    stage(*words, cwd=elsewhere)
    document = json.loads(stage("status", "--json", "--db", "own.db", cwd=elsewhere).stdout)
    (command,) = document["next"]
    assert stage("status", "--db", "own.db", cwd=elsewhere).stdout.rstrip().endswith(command)
    assert "the cloud has" in stage(*shlex.split(command)[1:]).stdout
