"""The texts of units: what systemd itself says of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbsbatch.cli.timer_units import (
    Schedule,
    argument,
    command_line,
    cron_lines,
    schedule_of,
    slug,
    units,
    whole,
)
from vbsbatch.errors import UsageError
from vbsbatch.policy.timetable import Timetable

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="without systemd"
)

HOSTILE = "/tmp/a b/%h %i $HOME ${X} \"q\" 'p' \\n;|&# plan.yaml"

words = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]),
    min_size=1,
).filter(str.isprintable)


def a_schedule(**fields: object) -> Schedule:
    given: dict[str, object] = {
        "name": "night",
        "plan": "night",
        "path": "/srv/night.yaml",
        "timetable": Timetable(at=time(22), days=(0, 1, 2, 3, 4), zone="Europe/Berlin"),
        "since": 1_795_000_000.0,
        "python": "/usr/bin/python3",
        "options": ("--db", "/srv/runs.db", "--cloud", "otc"),
        "environment": {"OS_CLIENT_CONFIG_FILE": "/srv/clouds.yaml"},
    }
    return Schedule(**(given | fields))  # type: ignore[arg-type]


def verify(folder: Path, of: Schedule) -> str:
    """What systemd has to say against the units."""
    runtime = folder / "runtime"
    runtime.mkdir(exist_ok=True)
    for name, text in units(of).items():
        (folder / name).write_text(text, "utf-8")
    named = [f"{of.unit}.service", of.timer, f"{of.unit}-resume@reboot.service"]
    (folder / named[-1]).write_text((folder / f"{of.unit}-resume@.service").read_text())
    done = subprocess.run(
        [
            "systemd-analyze",
            "--user",
            "--man=no",
            "verify",
            *(str(folder / name) for name in named),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_UNIT_PATH": f"{folder}:"},
        check=False,
    )
    return f"{done.returncode} {done.stderr}"


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    assert verify(tmp_path, a_schedule()) == "0 "
    hostile = a_schedule(
        name=HOSTILE[:40],
        plan="%n \"$x\" 'y' \\",
        path=HOSTILE,
        folder="/tmp/50% off $HOME",
        environment={"OS_CLIENT_CONFIG_FILE": HOSTILE, "OS_REGION_NAME": "a b"},
        environment_file="/srv/100%/secrets",
        timetable=Timetable(at=time(2, 30, 5), zone="America/New_York"),
    )
    assert verify(tmp_path, hostile) == "0 "


@needs_systemd
def test_what_is_wrong_in_a_unit_would_be_noticed(tmp_path: Path) -> None:
    said = verify(tmp_path, a_schedule(python="/no/such"))
    assert said.startswith("1 ")
    assert "/no/such" in said


@given(st.lists(words, min_size=1))
def test_every_word_of_a_command_arrives_as_it_was(given: list[str]) -> None:
    line = command_line(["/usr/bin/python3", *given])
    assert "\n" not in line
    for word, quoted in zip(given, map(argument, given), strict=True):
        assert quoted in line
        inner = quoted[1:-1].replace("\\\\", "\0")
        assert '"' not in inner.replace('\\"', "")
        assert inner.count("%") == 2 * word.count("%")
        assert inner.count("$") == 2 * word.count("$")
        back = inner.replace('\\"', '"').replace("\0", "\\").replace("%%", "%").replace("$$", "$")
        assert back == word


@settings(max_examples=60)
@given(words, words, st.sets(st.integers(0, 6), min_size=1), st.times())
def test_a_schedule_is_read_back_from_its_timer(
    name: str, path: str, days: set[int], at: time
) -> None:
    timetable = Timetable(at=at.replace(microsecond=0), days=tuple(sorted(days)))
    made = a_schedule(name=name, path=f"/{path}", timetable=timetable)
    found = schedule_of(units(made)[made.timer])
    assert found is not None
    assert (found.name, found.path, found.timetable) == (made.name, made.path, timetable)
    assert (found.options, found.since, found.unit) == (made.options, made.since, made.unit)


@pytest.mark.parametrize(
    "text", ["", "[Timer]\n", "# Written by hand\n", "{mark}\nSchedule={{}}\n"]
)
def test_timers_of_others_are_no_schedules(text: str) -> None:
    mark = units(a_schedule())[a_schedule().timer].splitlines()[0]
    assert schedule_of(text.format(mark=mark)) is None


@given(words, words)
def test_two_schedules_never_share_their_units(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)
    assert len(slug(one)) <= 60
    assert "/" not in slug(one)


@pytest.mark.parametrize("path", ["/a\nb", "/a\x1bb", "/a\udce4b", "/a\u2028b"])
def test_names_that_no_unit_can_hold_are_refused(path: str) -> None:
    for made in (lambda: units(a_schedule(path=path)), lambda: cron_lines(a_schedule(path=path))):
        with pytest.raises(UsageError, match="characters that no unit can hold"):
            made()
    with pytest.raises(UsageError, match="ends as no value of a unit can"):
        whole("/a\\")


def test_lines_for_cron_say_the_same_to_a_shell(tmp_path: Path) -> None:
    made = a_schedule(path=HOSTILE, folder=str(tmp_path), python="/bin/echo", environment={})
    comment, zone, run, reboot = cron_lines(made)
    assert comment == "# vbsbatch: plan night, 22:00 mon-fri Europe/Berlin"
    assert zone == "CRON_TZ=Europe/Berlin"
    fields, command = run.split(" cd ")
    assert fields == "0 22 * * 1-5"
    assert "%" not in command.replace("\\%", ""), "cron takes a bare % for the end of the line"
    shown = command.replace("\\%", "%").replace("2>&1 | logger -t vbsbatch-night", "")
    said = subprocess.run(
        ["sh", "-c", f"cd {shown}"], capture_output=True, text=True, check=True
    ).stdout
    assert said == " ".join(made.run_command()[1:]) + "\n"
    assert reboot.startswith("@reboot cd ")
    assert "--interrupted-by reboot" in reboot
