"""What a run tells: whole plain lines, JSON lines or nothing, to whoever listens or does not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.cli.stage import FAST, Done, Stage, told
from tests.report.schema_check import problems


def shell(stage: Stage, command: str) -> Done:
    """Run a shell command in which `vbsbatch` stands for the program."""
    full = f'vbsbatch() {{ {sys.executable} -m vbsbatch "$@"; }}; {command}'
    return subprocess.run(
        ["bash", "-c", full],
        cwd=stage.folder,
        env=stage.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=40,
    )


def test_plain_progress_names_the_run_and_ends_with_the_exit_code(stage: Stage) -> None:
    stage.cloud(FAST + "faults: [{on: create, do: drop_before, first: 1}]", volumes=4)
    done = stage("run", "plan.yaml", "-v")
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("run 2")
    assert "4 volumes" in first
    assert last.endswith("exit=0")
    assert len(told(done, "ok")) == 4
    assert len(told(done, "unknown")) == 1
    assert done.stdout == ""


def test_auto_is_plain_without_a_terminal(stage: Stage) -> None:
    stage.cloud(volumes=1)
    done = stage("run", "plan.yaml", "--progress", "auto")
    assert told(done, "end") == ["done ok=1 fail=0 exit=0"]


def test_json_progress_is_one_documented_object_a_line(stage: Stage) -> None:
    stage.cloud(FAST + "faults: [{on: create, do: throttle, first: 1}]", volumes=3)
    done = stage("run", "plan.yaml", "--progress", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert {line["event"] for line in lines} >= {"job", "note", "calls", "end"}
    assert lines[-1]["exit"] == 0
    for line in lines:
        assert not problems(line, "line")


def test_quiet_says_only_what_run_it_is(stage: Stage) -> None:
    stage.cloud(volumes=1)
    done = stage("run", "plan.yaml", "--progress", "quiet")
    assert len(done.stderr.splitlines()) <= 1


def test_a_servers_text_never_reaches_the_terminal_as_it_is(stage: Stage) -> None:
    hostile = r'"\e]0;owned\a\u202e\r\n[b]x[/b]"'
    cloud = stage.cloud(volumes=1)
    cloud.behave(
        FAST + "faults: [{on: create, do: status, status: 400, code: VolumeBackup.0040,"
        f" message: {hostile}}}]"
    )
    stage("run", "plan.yaml", "-v", code=1)
    for words in (("status",), ("jobs",), ("report", "--format", "md"), ("jobs", "--json")):
        text = stage(*words).stdout
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(text), words
    assert "[b]x[/b]" in stage("jobs").stdout, "literally"


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&-", "2>/dev/full", "2>&1 | head -c 1"])
def test_a_run_goes_on_when_nobody_listens(stage: Stage, closed: str) -> None:
    cloud = stage.cloud(volumes=3)
    done = shell(stage, f"vbsbatch run plan.yaml -v {closed}; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stdout.strip("r")) == (0, "")
    assert cloud.summary()["backed_up"] == 3


def test_a_full_disk_under_the_output_is_said_in_one_line(stage: Stage) -> None:
    stage.cloud(volumes=1)
    stage("run", "plan.yaml")
    done = shell(stage, "vbsbatch status > /dev/full")
    assert done.returncode == 2
    assert "vbsbatch: cannot write" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert shell(stage, "vbsbatch status >&-").returncode in (0, 2)
