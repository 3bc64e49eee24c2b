"""`vbsbatch schedule`, with a `systemctl` that records what it is asked for.

A real manager needs a machine that systemd has booted; what units mean is tested beside this.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.cli.harness import Done, Harness
from vbsbatch.cli import command_line
from vbsbatch.policy.timetable import parse_scheduled

SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$RECORD"
case "$*" in
  *"$BROKEN"*) echo "Failed to do that: it is broken" >&2; exit 1;;
  *is-enabled*) echo enabled;;
  *"enable vbsbatch"*)
    for unit; do :; done
    mkdir -p "$XDG_CONFIG_HOME/systemd/user/timers.target.wants"
    ln -sf "../$unit" "$XDG_CONFIG_HOME/systemd/user/timers.target.wants/$unit";;
esac
"""

ADD = ("schedule", "add", "plan.yaml", "--at", "22:00", "--timezone", "Europe/Berlin")


class Desk(Harness):
    """A user whose systemd can be asked, or whose is broken."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tools = folder / "tools"
        self.tools.mkdir()
        (self.tools / "systemctl").write_text(SYSTEMCTL)
        (self.tools / "systemctl").chmod(0o755)
        self.record = folder / "record"
        self.broken = "nothing is"
        self.more: Mapping[str, str] = {}
        self.units = folder / "config" / "systemd" / "user"

    @property
    def environment(self) -> dict[str, str]:
        found = super().environment
        path = f"{self.tools}:{found['PATH']}"
        known = {"PATH": path, "RECORD": str(self.record), "BROKEN": self.broken}
        return {**found, **known, **self.more}

    def __call__(self, *words: str, code: int | None = 0, **_: Any) -> Done:
        """The program in this very process: what it calls are processes all the same."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.object(sys, "argv", ["vbsbatch", *words]),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            ended = command_line()
        self._listen(out.getvalue(), err.getvalue())
        assert ended == code, err.getvalue()
        return subprocess.CompletedProcess(words, ended, out.getvalue(), err.getvalue())

    def refused(self, *words: str, **_: Any) -> str:
        done = self(*words, code=2)
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        return line.removeprefix("vbsbatch: ")

    def files(self) -> dict[str, str]:
        found = self.units.parent.rglob("*")
        return {
            str(path.relative_to(self.units)): path.read_text() if path.is_file() else "-> gone"
            for path in found
            if path.is_file() or path.is_symlink()
        }


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    made = Desk(tmp_path)
    made.write_plan(volumes_from=None, volumes=[{"id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}])
    yield made
    made.close()


def test_add_list_change_and_remove(desk: Desk) -> None:
    other = desk.units / "other.service"
    other.parent.mkdir(parents=True)
    other.write_text("[Service]\nExecStart=/bin/true\n")
    mine = desk.files()
    done = desk(*ADD, "--days", "mon-fri", "--db", "runs.db", "--cloud", "simulator")
    assert done.stdout.startswith(f"added night: {desk.plan}, 22:00 mon-fri Europe/Berlin\nnext ")
    assert "lingering is off" in done.stderr
    assert "loginctl enable-linger" in done.stderr
    asked = desk.record.read_text().splitlines()
    enabled = "--user --no-pager enable"
    assert f"{enabled} vbsbatch-night.timer" in asked
    assert f"{enabled} vbsbatch-night-resume@reboot.service" in asked
    assert asked[-1] == "--user --no-pager start vbsbatch-night.timer"
    files = desk.files()
    service = files["vbsbatch-night.service"]
    for part in (f'"{desk.folder}/runs.db"', '"--cloud" "simulator"', '"--if-running" "skip"'):
        assert part in service
    assert f'Environment="OS_CLIENT_CONFIG_FILE={desk.clouds}"' in service
    assert f"WorkingDirectory={desk.folder}\n" in service
    assert (
        "OnCalendar=Mon..Fri *-*-* 22:00:00 Europe/Berlin\nPersistent=true"
        in files["vbsbatch-night.timer"]
    )
    for name in ("vbsbatch-night.service", "vbsbatch-night.timer"):
        assert (desk.units / name).stat().st_mode & 0o777 == 0o600

    desk(
        "schedule", "add", "plan.yaml", "--at", "6:30", "--timezone", "UTC", "--if-running", "wait"
    )
    (listed,) = json.loads(desk("schedule", "list", "--json").stdout)["schedules"]
    assert (listed["name"], listed["at"], listed["days"]) == ("night", "06:30:00", "daily")
    assert (listed["enabled"], listed["last"], listed["if_running"]) == (True, "-", "wait")
    assert listed["next"].endswith("06:30:00.000Z")

    assert "did you mean 'night'?" in desk.refused("schedule", "remove", "nigth")
    assert desk("schedule", "remove", "night").stdout.startswith("removed night: ")
    assert desk.files() == mine, "as if it had never been"
    assert "there is no schedule" in desk("schedule", "list").stderr


def test_what_cannot_be_enabled_is_not_written(desk: Desk) -> None:
    desk.broken = "enable vbsbatch-night.timer"
    assert desk.refused(*ADD) == (
        "systemctl --user enable vbsbatch-night.timer: Failed to do that: it is broken"
    )
    assert desk.files() == {}
    desk.broken = "nothing is"
    desk(*ADD)
    before = desk.files()
    desk.broken = "start"
    desk.refused("schedule", "add", "plan.yaml", "--at", "06:00")
    assert desk.files() == before, "the old schedule stays"
    (desk.units / "vbsbatch-night.service").write_text("mine\n")
    assert "is not of vbsbatch: choose another --name" in desk.refused(*ADD)
    assert (desk.units / "vbsbatch-night.service").read_text() == "mine\n"


def test_without_a_manager_it_prints_lines_for_cron(desk: Desk) -> None:
    desk.broken = "show"
    done = desk(*ADD, "--days", "mon-fri", code=1)
    comment, zone, run, reboot = done.stdout.splitlines()
    assert zone == "CRON_TZ=Europe/Berlin"
    assert run.startswith(f"0 22 * * 1-5 cd {desk.folder} && ")
    assert f"-- {desk.plan} 2>&1 | logger -t vbsbatch-night" in run
    assert reboot.startswith("@reboot cd ")
    assert comment == "# vbsbatch: plan night, 22:00 mon-fri Europe/Berlin"
    assert "nothing was scheduled: no systemd of yours can be reached" in done.stderr
    assert "crontab -e" in done.stderr
    assert desk(*ADD, "--days", "mon-fri", "--cron").stdout.splitlines()[0] == comment
    assert desk.files() == {}


def test_a_wrong_plan_is_refused_with_its_problems(desk: Desk) -> None:
    desk.write_plan(volumes_from=None, volumes=[{"id": "x"}], limits={"rate": "0/s"})
    done = desk(*ADD, code=2)
    assert "plan.yaml:" in done.stderr
    assert len(done.stderr.splitlines()) == 2, "both problems"
    assert desk.files() == {}
    assert not desk.record.exists()


def test_no_secret_gets_into_a_unit(desk: Desk) -> None:
    desk.write_plan(
        cloud=None, volumes_from=None, volumes=[{"id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}]
    )
    desk.more = {
        "OS_AUTH_URL": "https://identity.example.com",
        "OS_USERNAME": "ann",
        "OS_PASSWORD": "correct-horse",
        "HTTPS_PROXY": "http://ann:battery@proxy:8080",
    }
    said = desk.refused(*ADD)
    assert "secrets are not written into units, and HTTPS_PROXY, OS_PASSWORD sign in" in said
    assert "--environment-file" in said
    secrets = desk.folder / "secrets"
    secrets.write_text("OS_PASSWORD=correct-horse\n")
    secrets.chmod(0o644)
    said = desk.refused(*ADD, "--environment-file", "secrets")
    assert "others can read or change it: chmod 600 makes it yours" in said
    secrets.chmod(0o600)
    desk(*ADD, "--environment-file", "secrets")
    files = desk.files()
    assert f"EnvironmentFile={secrets}\n" in files["vbsbatch-night.service"]
    assert 'Environment="OS_USERNAME=ann"' in files["vbsbatch-night.service"]
    desk.more = {**desk.more, "OS_CLOUD": "otc"}
    done = desk(*ADD)
    assert "note: HTTPS_PROXY, OS_PASSWORD will not be set" in done.stderr
    everything = "".join([*files.values(), *desk.files().values(), *desk.heard])
    assert "horse" not in everything
    assert "battery" not in everything


def test_the_schedule_that_a_unit_names_is_understood(desk: Desk) -> None:
    desk(*ADD, "--name", "the nights")
    (name,) = [name for name in desk.files() if name.endswith(".service") and "@" not in name]
    line = next(line for line in desk.files()[name].splitlines() if line.startswith("ExecStart"))
    said = line.partition('"--scheduled" "')[2].partition('"')[0]
    assert parse_scheduled(said).plan == "night"
    desk("schedule", "remove", "the nights")
    assert desk.files() == {}
