"""The small nights that every test run can afford, and checks of the model itself.

`make model` explores further; a violation is replayed with the line that it prints.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.model.explore import Explored, explore, on_sqlite
from tests.model.harness import SqliteKept
from tests.model.night import Night
from tests.model.promises import broken
from tests.model.state import state_of
from tests.model.steps import COSTS, OPENINGS, Opening
from vbsbatch.model import JobState

ROOT = Path(__file__).parents[2]
HASTY = Opening(meanwhile=("suspend", "cloud+1h", "cloud-1h"), settle=0.0)
"""A plan that does not wait for requests that the cloud carries out late: it makes backups
twice."""
FEW = frozenset({"refused", "lost-before", "unauthorized", "failing", "repeated"})
"""Steps that are left out to limit the number of schedules."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(OPENINGS, "hasty", HASTY)
    return "hasty"


@pytest.mark.parametrize(("opening", "depth"), [(each, 1) for each in OPENINGS] + [("backup", 2)])
def test_every_small_night_keeps_its_promises(opening: str, depth: int) -> None:
    none_broken(explore(opening, depth))


@pytest.mark.parametrize("opening", OPENINGS)
def test_every_small_night_keeps_its_promises_on_a_real_file(opening: str) -> None:
    with on_sqlite() as make:
        none_broken(explore(opening, 1, make=make, merge=False))


def none_broken(found: Explored) -> None:
    assert found.schedules > len(COSTS) / 2
    lines = [
        f"{'; '.join(each.broken)}: python -m tests.model --replay "
        f'"{found.opening}: {" ".join(each.schedule)}"'
        for each in found.violations
    ]
    assert not lines, "\n".join(lines)


def test_a_plan_that_does_not_settle_is_detected(hasty: str) -> None:
    found = explore(hasty, 3, without=FEW)
    assert ("late", "accepted", "stale") in {each.schedule for each in found.violations}


def tampered(change: Callable[[Night], None]) -> list[str]:
    night = Night(opening="backup", schedule=()).play()
    assert broken(night) == []
    change(night)
    return broken(night)


def change_job(night: Night, **changes: Any) -> None:
    night.jobs[0] = replace(night.jobs[0], **changes)


WRONG: dict[str, Callable[[Night], None]] = {
    "the run does not end": lambda night: setattr(night, "unended", True),
    "the run ended after": lambda night: setattr(night, "late", 1.0),
    "succeeded with []": lambda night: night.cloud.backups.clear(),
    "job 1 names other": lambda night: change_job(night, backup_id="other"),
    "failed without cause: stuck": lambda night: change_job(
        night, state=JobState.FAILED, code="stuck"
    ),
    "told as failed": lambda night: change_job(night, state=JobState.CANCELLED),
    "is charged 2 attempts, 1": lambda night: change_job(night, attempts=2),
    "two creates within 1.00 s": lambda night: night.cloud.creates.append(
        (night.cloud.creates[-1][0] + 1.0, "volume-1")
    ),
    "the run stopped: no reason": lambda night: night.stops.append("no reason"),
}


@pytest.mark.parametrize("words", WRONG)
def test_a_broken_promise_is_reported(words: str) -> None:
    assert [told for told in tampered(WRONG[words]) if words in told]


def test_merging_equal_states_hides_no_violation(hasty: str) -> None:
    merged, all_of_them = (explore(hasty, 3, merge=each, without=FEW) for each in (True, False))
    assert merged.merged > 0
    assert all_of_them.merged == 0
    assert reasons(merged) == reasons(all_of_them)


def reasons(found: Explored) -> set[str]:
    return {words for each in found.violations for words in each.broken}


def test_steps_whose_order_does_not_matter_lead_to_one_state() -> None:
    one = state_after("wall+1h", "suspend")
    assert one == state_after("suspend", "wall+1h")
    assert one != state_after("suspend", "suspend")
    assert one != state_after("wall+1h", "wall+1h")


def state_after(*schedule: str) -> bytes:
    found: list[bytes] = []
    Night(
        opening="backup",
        schedule=schedule,
        probe=lambda night, asked: found.append(state_of(night, asked).whole),
    ).play()
    return found[0]


SCHEDULES = [
    "",
    "lost-after late stale complete",
    "accepted kill-sent failing repeated",
    "refused unauthorized suspend accepted",
    "accepted accepted ends-badly kill complete",
]


@pytest.mark.parametrize("steps", SCHEDULES)
def test_a_schedule_plays_the_same_night_each_time_and_on_either_store(
    steps: str, tmp_path: Path
) -> None:
    schedule = tuple(steps.split())
    first, again = (Night(opening="backup", schedule=schedule).play() for _ in range(2))
    on_file = Night(
        opening="backup", schedule=schedule, kept=lambda clocks: SqliteKept(tmp_path, clocks)
    ).play()
    assert first.told == again.told == on_file.told
    assert broken(first) == []


def test_a_violation_is_replayed_by_one_line() -> None:
    found = replay("backup: accepted lost-before complete")
    assert found.returncode == 0, found.stderr
    assert "create of volume-2: lost-before" in found.stdout
    assert "every promise was kept" in found.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing: accepted", "no opening nothing"),
        ("backup: ends-well", "step 2 of complete ends-well: no ends-well at create"),
    ],
)
def test_a_schedule_that_cannot_be_played_is_refused_in_one_line(text: str, words: str) -> None:
    found = replay(text)
    assert found.returncode == 2
    assert words in found.stderr
    assert "Traceback" not in found.stderr


def replay(text: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.model", "--replay", text]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_step_has_a_price() -> None:
    known = {step for opening in OPENINGS.values() for step in opening.meanwhile}
    assert known <= set(COSTS)
