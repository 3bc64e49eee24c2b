"""Help, completion, schema, check, demo, simulate: commands that need no cloud."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.harness import Done, Harness, told
from tests.store.fixtures import a_job, a_run
from vbsbatch import __version__
from vbsbatch.cli import simulate_command
from vbsbatch.cli.app import COMMANDS, app
from vbsbatch.model import BackupSettings
from vbsbatch.store import open_store


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_full_help_text(command: str) -> None:
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


def test_the_help_lists_every_command_and_costs_no_import(harness: Harness) -> None:
    assert harness("resume", "--help").stdout.startswith("Usage: vbsbatch resume ")
    text = harness("--help").stdout
    assert all(f"  {command} " in text for command in COMMANDS)
    assert "Examples:" in text
    assert harness("--version").stdout == f"vbsbatch, version {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(harness: Harness, shell: str) -> None:
    script = harness("completion", shell).stdout
    assert "_VBSBATCH_COMPLETE" in script


def test_completion_completes_commands(harness: Harness) -> None:
    environment = harness.environment | {
        "_VBSBATCH_COMPLETE": "bash_complete",
        "COMP_WORDS": "vbsbatch re",
        "COMP_CWORD": "1",
    }
    assert "resume" in harness(env=environment).stdout


def test_check_says_how_long_it_will_take(harness: Harness) -> None:
    ids = "\n".join(f"6ba7b810-9dad-11d1-80b4-{number:012x}" for number in range(600))
    (harness.folder / "ids.txt").write_text(ids)
    done = harness("check", "plan.yaml", "--volumes", "ids.txt")
    assert (
        done.stdout == "plan.yaml: fine: 600 volumes, 200/s, 50 in flight, at least 3 s to submit\n"
    )
    assert done.stderr.startswith("in cloud simulator; --online signs in")
    assert not harness.store.exists()


def test_the_schema_is_json(harness: Harness) -> None:
    assert json.loads(harness("schema").stdout)["properties"].keys() >= {
        "volumes",
        "limits",
        "retry",
    }


def test_a_demo_does_not_take_an_earlier_run_for_its_own(tmp_path: Path) -> None:
    path = tmp_path / "own.db"
    assert simulate_command._runs(path) == []
    with open_store(path, create=True) as store:
        store.create_run(a_run("r1", plan="demo", cloud="simulator"), [a_job(1)], BackupSettings())
        others = {run.id for run in simulate_command._runs(path)}
        store.create_run(a_run("r2", plan="nightly"), [a_job(1)], BackupSettings())
    assert not any(simulate_command._is_own(run, others) for run in simulate_command._runs(path))
    assert simulate_command._is_own(a_run("r3", plan="demo", cloud="simulator"), others)


def test_the_demo_retries_what_failed_ends_well_and_names_commands_that_work(
    harness: Harness,
) -> None:
    done = harness("demo", "--volumes", "12", "--progress", "plain")
    _check_the_demo(done)
    assert not harness.store.exists()
    _check_the_last_lines(harness, done.stderr.splitlines()[-4:])


def test_a_demo_with_a_store_of_its_own_leaves_nothing_else(harness: Harness) -> None:
    (harness.folder / "tmp").mkdir()
    environment = harness.environment | {"TMPDIR": str(harness.folder / "tmp")}
    words = ("--volumes", "12", "--progress", "plain", "--service", "cinder", "--db", "own.db")
    done = harness("demo", *words, env=environment)
    _check_the_demo(done)
    assert "rm -r" not in done.stderr
    assert not list((harness.folder / "tmp").iterdir())
    assert (harness.folder / "own.db").exists()


def _check_the_demo(done: Done) -> None:
    assert told(done, "end") == ["partial ok=8 fail=4 exit=1", "done ok=12 fail=0 exit=0"]
    assert "4 volumes failed with " in done.stderr
    assert "the cloud has what the store says" in done.stdout
    assert "Next" not in done.stdout, "what could be typed needs the cloud"


def _check_the_last_lines(harness: Harness, lines: list[str]) -> None:
    """Type what the demo's last lines say; the last one removes its files."""
    store = Path(lines[0].rpartition(" ")[2])
    assert store.exists()
    for line in lines:
        command = shlex.split(line, comments=True)
        assert len(command) > 2
        subprocess.run(
            command, env=harness.environment, cwd=harness.folder, check=True, capture_output=True
        )
    assert "12 of 12" in (harness.folder / "demo.html").read_text("utf-8")
    assert not store.parent.exists()


def test_the_simulator_ends_at_once_and_well_on_a_signal(harness: Harness) -> None:
    cloud = harness.simulator(volumes=1)
    cloud.process.send_signal(signal.SIGINT)
    assert cloud.process.wait(timeout=20) == 0


def test_two_simulators_cannot_share_a_port(harness: Harness) -> None:
    cloud = harness.cloud(volumes=1)
    port = cloud.url.rpartition(":")[2]
    assert f"cannot listen on port {port}" in harness.refused("simulate", "--port", port)


def test_a_simulators_clouds_yaml_is_used_as_it_is_printed(harness: Harness) -> None:
    harness.simulator(volumes=1)
    shutil.copy(harness.clouds, harness.folder / "home" / "clouds.yaml")
    environment = {k: v for k, v in harness.environment.items() if not k.startswith("OS_")}
    harness.clouds.rename(harness.folder / "elsewhere.yaml")
    line = harness.refused("run", "plan.yaml", env=environment)
    assert "clouds.yaml" in line or "no cloud named" in line
    (harness.folder / "elsewhere.yaml").rename(harness.clouds)  # the working folder's clouds.yaml
    harness("run", "plan.yaml", env=environment)


def test_a_hanging_sign_in_thread_does_not_delay_the_exit() -> None:
    """A second Ctrl-C ended the wait, with a traceback."""
    program = (
        "import threading, time; from vbsbatch.cli import _leave; "
        "threading.Thread(target=time.sleep, args=(600,)).start(); print('said'); _leave(3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "said\n", "")


def test_a_second_interrupt_during_the_message_shows_no_traceback() -> None:
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
