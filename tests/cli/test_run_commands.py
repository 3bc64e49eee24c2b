"""run, resume, retry: what is submitted, how the run ends, and the exit code."""

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
from vbsbatch.cli.detached_engine import start_engine
from vbsbatch.cli.engine_log import log_path
from vbsbatch.cli.plan_loading import load_plan
from vbsbatch.errors import UsageError
from vbsbatch.model import BackupSettings
from vbsbatch.store import open_store

# Few enough that five in a row, which look like an outage, are not to be met in any test.
LOST_ANSWERS = "faults:\n  - {on: create, do: drop_after, share: 0.1}\n"


def test_a_plan_is_run_to_its_end_and_verified(harness: Harness) -> None:
    cloud = harness.cloud(FAST + LOST_ANSWERS, volumes=20)
    done = harness("run", "plan.yaml")
    (end,) = told(done, "end")
    assert end == "done ok=20 fail=0 exit=0"
    assert done.stdout == ""
    summary = cloud.summary()
    assert (summary["backed_up"], summary["lost"], summary["duplicates"]) == (20, 0, 0)
    assert harness.json("status")["run"]["counts"]["succeeded"] == 20
    assert "the cloud has what the store says" in harness("verify").stdout
    again = harness("resume", "latest")
    assert "nothing to do" in again.stderr
    assert cloud.summary()["creates"] == summary["creates"]
    assert "is unfinished" in harness.refused("resume")


def test_what_the_plan_says_reaches_the_cloud(harness: Harness) -> None:
    cloud = harness.cloud(volumes=3)
    first, second, third = (volume["ID"] for volume in cloud.volumes())
    snapshot = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    harness.write_plan(
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
    assert "do not contain {run}" in harness("check", "plan.yaml").stdout
    harness("run", "plan.yaml")
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


def test_an_older_backup_of_the_same_name_is_not_taken_for_the_new_one(harness: Harness) -> None:
    """Names that are not unique: every answer is lost, and yet nothing is missing or twice."""
    cloud = harness.cloud(FAST + "faults: [{on: create, do: drop_after, first: 4}]", volumes=4)
    harness.write_plan(defaults={"backup_name": "{volume}"})
    for volume in cloud.volumes():
        cloud.world.add_backup(volume["ID"], volume["Name"], age=60.0)
    harness("run", "plan.yaml")
    assert {row["name"] for row in cloud.accepted()} == {v["Name"] for v in cloud.volumes()}
    assert cloud.creates() == 4
    made = {job["volume_id"]: [job["backup_id"]] for job in harness.jobs("--state", "succeeded")}
    assert made == cloud.live()
    assert "the cloud has" in harness("verify").stdout


def test_failures_exit_with_1_and_can_be_retried_by_code(harness: Harness) -> None:
    cloud = harness.cloud(volumes=6)
    ids = [volume["ID"] for volume in cloud.volumes()]
    faults = (
        f"faults:\n"
        f"  - {{on: create, do: status, status: 400, code: VolumeBackup.0040,"
        f" volumes: [{ids[0]}, {ids[1]}]}}\n"
        f"  - {{on: create, do: status, status: 404, code: VolumeBackup.0021,"
        f" volumes: [{ids[2]}]}}\n"
    )
    cloud.behave(FAST + faults)
    done = harness("run", "plan.yaml", code=1)
    (end,) = told(done, "end")
    assert end.startswith("partial ok=3 fail=3 exit=1")
    assert f'next="vbsbatch retry {harness.run_id()} --code VolumeBackup.0040"' in end
    assert len(told(done, "fail")) == 3
    assert "20 backups" in harness("status").stdout, "the meaning of the code"

    cloud.behave(FAST)
    harness("retry", "latest", "--code", "VolumeBackup.0040", code=1)
    assert len(harness.jobs("--state", "failed")) == 1
    harness("retry", "latest", "--status", "500", code=1)
    assert cloud.creates() == 8, "nothing fitted, nothing was sent"
    harness("retry", "latest", "--volume", ids[2].replace("-", ""))
    assert cloud.summary()["backed_up"] == 6
    harness("retry", "latest", "--all-failed")
    assert cloud.creates() == 9


def test_retry_needs_a_selection(ended: tuple[Harness, Cloud]) -> None:
    harness, _ = ended
    assert "--all-failed" in harness("retry", "latest", code=2).stderr


def test_a_used_up_quota_stops_the_run_and_more_quota_lets_it_continue(harness: Harness) -> None:
    cloud = harness.cloud(FAST + "quota: {backups: 4}", volumes=12)
    harness.write_plan(limits={"connections": 2})
    done = harness("run", "plan.yaml", "--no-preflight", code=3)
    (end,) = told(done, "end")
    assert end.startswith("stopped ok=")
    assert "next=" in end
    reason = told(done, "run")[-1]
    assert "VolumeBackup.0080" in reason
    assert "backup count quota used up" in reason
    assert "VolumeBackup.0080" in harness("status").stdout
    assert harness.json("status")["run"]["counts"]["failed"] == 0
    cloud.behave(FAST)
    harness("resume")
    assert cloud.summary() | {"calls": 0} == cloud.summary() | {
        "calls": 0,
        "backed_up": 12,
        "lost": 0,
        "duplicates": 0,
    }


def test_credentials_of_another_project_cannot_resume_a_run(harness: Harness) -> None:
    harness.cloud(FAST + "quota: {backups: 0}", volumes=3)
    harness("run", "plan.yaml", "--no-preflight", code=3)
    other = harness.cloud(volumes=3, seed=2)
    assert "belongs to project" in harness.refused("resume", "latest")
    assert "belongs to project" in harness.refused("verify", "latest")
    assert other.ledger("create") == []


def test_a_second_engine_is_refused_and_the_message_names_the_first(harness: Harness) -> None:
    harness.cloud(SLOW, volumes=3)
    engine = harness.start("run", "plan.yaml")
    until(lambda: any(run["live"] for run in harness.runs()))
    assert f"process {engine.pid} already" in harness.refused("resume", "latest")
    engine.terminate()
    harness.finish(engine, 3)


def test_another_run_of_an_unfinished_plan_is_noted(harness: Harness) -> None:
    cloud = harness.cloud(FAST + "quota: {backups: 0}", volumes=2)
    harness("run", "plan.yaml", "--no-preflight", code=3)
    first = harness.run_id()
    cloud.behave(FAST)
    done = harness("run", "plan.yaml")
    assert f"note: run {first} of plan night is unfinished (vbsbatch resume {first})" in done.stderr


@pytest.mark.parametrize(("said", "refused"), [("y", False), ("n", True), ("", True)])
def test_answering_no_starts_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, refused: bool
) -> None:
    monkeypatch.setattr(run_commands, "can_ask", lambda: True)

    @click.command()
    def asked() -> None:
        with open_store(tmp_path / "own.db", create=True) as store:
            store.create_run(a_run(), [a_job(1)], BackupSettings())
            run_commands._warn_of_unfinished(store, "nightly", "plain", yes=False)

    done = CliRunner().invoke(asked, input=f"{said}\n")
    assert "is unfinished" in done.output
    assert isinstance(done.exception, UsageError) is refused


def test_resume_of_a_live_run_refers_to_attach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(tmp_path / "own.db", create=True) as store:
        store.create_run(a_run(), [a_job(1)], BackupSettings())
        with store.lock(a_run().id):
            run_commands._warn_of_unfinished(store, "nightly", "plain", yes=True)
    told = capsys.readouterr().err
    assert f"is under way (vbsbatch attach {a_run().id} --db {tmp_path}/own.db)" in told


def test_without_standard_input_a_command_continues_or_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with open_store(tmp_path / "own.db", create=True) as store:
        store.create_run(a_run(), [a_job(1)], BackupSettings())
        run_commands._warn_of_unfinished(store, "nightly", "plain", yes=False)
    with pytest.raises(UsageError, match="there is no standard input"):
        load_plan(tmp_path / "plan.yaml", "-")


def test_a_list_of_volumes_may_come_on_standard_input(harness: Harness) -> None:
    cloud = harness.cloud(volumes=5)
    chosen = "\n".join(volume["ID"] for volume in cloud.volumes()[:2])
    (harness.folder / "ids.txt").write_text(chosen)
    with (harness.folder / "ids.txt").open() as ids:
        harness("run", "plan.yaml", "--volumes", "-", stdin=ids)
    assert cloud.summary()["backed_up"] == 2


def test_the_command_line_overrides_the_limits_of_the_plan(harness: Harness) -> None:
    cloud = harness.cloud(volumes=4)
    harness("run", "plan.yaml", "--in-flight", "2", "--rate", "100/s")
    assert cloud.summary()["peak_running"] == 2
    assert cloud.summary()["backed_up"] == 4


def limit_file_size() -> None:
    """Files of this process may not grow beyond a few hundred kilobytes: the disk is full."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, FULL))


FULL = 220_000


def test_a_full_disk_stops_the_run_and_with_space_it_continues(harness: Harness) -> None:
    cloud = harness.cloud(FAST + LOST_ANSWERS, volumes=300)
    done = harness("run", "plan.yaml", code=3, preexec_fn=limit_file_size)
    words = [line for line in done.stderr.splitlines() if line.startswith("vbsbatch: ")]
    assert len(words) == 1
    assert "disk" in words[0]
    assert 0 < len(cloud.accepted()) < 300, "in mid-run"
    harness("resume")
    summary = cloud.summary()
    assert (summary["backed_up"], summary["lost"], summary["duplicates"]) == (300, 0, 0)


def test_the_command_line_may_name_the_store(harness: Harness) -> None:
    harness.cloud(volumes=1)
    harness("run", "plan.yaml", "--db", "own.db")
    assert "night" in harness("runs", "--db", "own.db").stdout
    assert not harness.store.exists()


def test_the_environment_may_name_the_store_and_the_cloud(harness: Harness) -> None:
    harness.cloud(volumes=1)
    harness.write_plan(cloud=None)
    environment = harness.environment | {"VBSBATCH_DB": "own.db", "OS_CLOUD": "simulator"}
    harness("run", "plan.yaml", env=environment)
    assert Path(harness.folder, "own.db").is_file()
    assert not harness.store.exists()
    document = json.loads(harness("status", "--json", env=environment).stdout)
    assert document["run"]["cloud"] == "simulator"


def test_an_engine_imports_no_module_from_its_start_folder(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = harness.cloud(FAST + "quota: {backups: 0}", volumes=2)
    harness("run", "plan.yaml", "--no-preflight", code=3)
    cloud.behave(FAST)
    (harness.folder / "anyio.py").write_text("raise SystemExit('a stranger')\n")
    monkeypatch.chdir(harness.folder)
    for name, value in harness.environment.items():
        monkeypatch.setenv(name, value)
    with open_store(harness.store) as store:
        start_engine(store, harness.run_id())
    until(lambda: harness.runs()[0]["counts"]["succeeded"] == 2)


def test_an_engine_whose_log_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    with open_store(tmp_path / "own.db", create=True) as store:
        log_path(store, "r1").mkdir()
        with pytest.raises(UsageError, match=r"cannot write .*own\.db\.r1\.log: Is a directory"):
            start_engine(store, "r1")


def test_the_suggested_command_works_as_it_is_printed(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2)
    refused = cloud.volumes()[0]["ID"]
    cloud.behave(
        f"{FAST}faults: [{{on: create, do: status, status: 400, code: VolumeBackup.0040,"
        f" volumes: [{refused}], first: 1}}]"
    )
    (elsewhere := harness.folder / "else where").mkdir()
    endpoint = f"{cloud.url}/v2/{cloud.project().id}"
    named = ("--db", "else where/own.db", "--vbs-endpoint", endpoint)
    done = harness("run", "plan.yaml", "--progress", "json", *named, code=1)
    program, *words = shlex.split(json.loads(done.stderr.splitlines()[-1])["next"])
    assert (program, words[0]) == ("vbsbatch", "retry")
    assert words[-2:] == ["--vbs-endpoint", endpoint]
    harness(*words, cwd=elsewhere)
    document = json.loads(harness("status", "--json", "--db", "own.db", cwd=elsewhere).stdout)
    (command,) = document["next"]
    assert harness("status", "--db", "own.db", cwd=elsewhere).stdout.rstrip().endswith(command)
    assert "the cloud has" in harness(*shlex.split(command)[1:]).stdout
