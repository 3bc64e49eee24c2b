"""Help, completion, schema, check, demo, simulate: what needs no cloud of one's own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.harness import Harness, told
from tests.store.fixtures import a_job, a_run
from vbsbatch import __version__
from vbsbatch.cli import simulate_command
from vbsbatch.cli.app import COMMANDS, app
from vbsbatch.model import BackupSettings
from vbsbatch.store import Store


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_that_goes_on(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"], prog_name="vbsbatch")
    assert done.exit_code == 0
    text = done.stdout
    assert text.startswith(f"Usage: vbsbatch {command} ")
    assert f"  vbsbatch {command}" in text.split("Options:")[1], "an example"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_words_of_a_help_fit_eighty_columns(command: str) -> None:
    text = CliRunner().invoke(app, [command, "--help"], terminal_width=80).stdout
    words = [line for line in text.splitlines() if " vbsbatch " not in line and "|" not in line]
    assert max(map(len, words)) <= 80, "examples and the words of a choice cannot be broken"


def test_the_help_lists_every_command_and_costs_no_import(stage: Harness) -> None:
    assert stage("resume", "--help").stdout.startswith("Usage: vbsbatch resume ")
    text = stage("--help").stdout
    assert all(f"  {command} " in text for command in COMMANDS)
    assert "Examples:" in text
    assert stage("--version").stdout == f"vbsbatch, version {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(stage: Harness, shell: str) -> None:
    script = stage("completion", shell).stdout
    assert "_VBSBATCH_COMPLETE" in script


def test_completion_completes_commands(stage: Harness) -> None:
    environment = stage.environment | {
        "_VBSBATCH_COMPLETE": "bash_complete",
        "COMP_WORDS": "vbsbatch re",
        "COMP_CWORD": "1",
    }
    assert "resume" in stage(env=environment).stdout


def test_check_says_how_long_it_will_take(stage: Harness) -> None:
    ids = "\n".join(f"6ba7b810-9dad-11d1-80b4-{number:012x}" for number in range(600))
    (stage.folder / "ids.txt").write_text(ids)
    done = stage("check", "plan.yaml", "--volumes", "ids.txt")
    assert (
        done.stdout == "plan.yaml: fine: 600 volumes, 200/s, 50 in flight, at least 3 s to submit\n"
    )
    assert done.stderr.startswith("in cloud simulator; --online signs in")
    assert not stage.store.exists()


def test_the_schema_is_json(stage: Harness) -> None:
    assert json.loads(stage("schema").stdout)["properties"].keys() >= {"volumes", "limits", "retry"}


def test_a_demo_takes_no_run_of_others_for_its_own(tmp_path: Path) -> None:
    path = tmp_path / "own.db"
    assert simulate_command._runs(path) == []
    with Store.open(path, create=True) as store:
        store.create_run(a_run("r1", plan="demo", cloud="simulator"), [a_job(1)], BackupSettings())
        others = {run.id for run in simulate_command._runs(path)}
        store.create_run(a_run("r2", plan="nightly"), [a_job(1)], BackupSettings())
    assert not any(simulate_command._is_own(run, others) for run in simulate_command._runs(path))
    assert simulate_command._is_own(a_run("r3", plan="demo", cloud="simulator"), others)


@pytest.mark.parametrize("service", ["vbs", "cinder"])
def test_the_demo_backs_up_its_fleet_and_leaves_nothing(stage: Harness, service: str) -> None:
    done = stage("demo", "--volumes", "12", "--progress", "plain", "--service", service)
    assert "the demo is over: its cloud is gone, and so is its store" in done.stderr
    assert told(done, "end") == ["done ok=12 fail=0 exit=0"]
    assert "the cloud has what the store says" in done.stdout
    assert "Next" not in done.stdout, "what could be typed needs the cloud and the store"
    assert not stage.store.exists()


def test_the_simulator_ends_at_once_and_well_on_a_signal(stage: Harness) -> None:
    cloud = stage.simulator(volumes=1)
    cloud.process.send_signal(signal.SIGINT)
    assert cloud.process.wait(timeout=20) == 0


def test_two_simulators_cannot_share_a_port(stage: Harness) -> None:
    cloud = stage.cloud(volumes=1)
    port = cloud.url.rpartition(":")[2]
    assert f"cannot listen on port {port}" in stage.refused("simulate", "--port", port)


def test_a_simulators_clouds_yaml_is_used_as_it_is_printed(stage: Harness) -> None:
    stage.simulator(volumes=1)
    shutil.copy(stage.clouds, stage.folder / "home" / "clouds.yaml")
    environment = {k: v for k, v in stage.environment.items() if not k.startswith("OS_")}
    stage.clouds.rename(stage.folder / "elsewhere.yaml")
    line = stage.refused("run", "plan.yaml", env=environment)
    assert "clouds.yaml" in line or "no cloud named" in line
    (stage.folder / "elsewhere.yaml").rename(stage.clouds)  # the working folder's clouds.yaml
    stage("run", "plan.yaml", env=environment)


def test_a_sign_in_that_hangs_in_its_thread_holds_up_no_end() -> None:
    """A second Ctrl-C ended the wait, with a traceback."""
    program = (
        "import threading, time; from vbsbatch.cli import _leave; "
        "threading.Thread(target=time.sleep, args=(600,)).start(); print('said'); _leave(3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "said\n", "")


def test_an_interruption_while_another_is_told_shows_no_traceback() -> None:
    program = (
        "import vbsbatch.cli as cli\n"
        "def twice(): raise KeyboardInterrupt\n"
        "cli.command_line = twice\n"
        "cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (130, "vbsbatch: interrupted\n")
