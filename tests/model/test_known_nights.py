"""Nights that once failed, each as the shortest schedule that shows the fault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.model.explore import Make, in_memory
from tests.model.harness import SqliteKept
from tests.model.night import Night
from tests.model.promises import broken


@dataclass(frozen=True, kw_only=True)
class Known:
    """A schedule and the fault it showed."""

    opening: str
    steps: str
    was: str

    @property
    def schedule(self) -> tuple[str, ...]:
        return tuple(self.steps.split())


def backup(steps: str, was: str) -> Known:
    return Known(opening="backup", steps=steps, was=was)


def restore(steps: str, was: str) -> Known:
    return Known(opening="restore", steps=steps, was=was)


def cinder(steps: str, was: str) -> Known:
    return Known(opening="cinder", steps=steps, was=was)


TWICE, NEVER = "backed up twice", "called restored, though it never was"
KNOWN = {
    # The wall clock is set forward: the settle time ended before it had begun.
    "forward": backup("late wall+1h late", TWICE),
    "forward-and-lists-lag": backup("late wall+1h lost-before", TWICE),
    # The wall clock is set back: sweeps stopped.
    "back-before-the-first-create": backup("wall-1h", "idle for an hour"),
    "back-while-backups-are-made": backup("accepted accepted wall-1h", "idle for an hour"),
    "back-while-an-answer-is-missing": backup("lost-after wall-1h", "idle for an hour"),
    # An old copy of the store replaces it.
    "copy-from-the-beginning": backup("accepted accepted first-copy", TWICE),
    "copy-from-a-moment-ago": backup("accepted last-copy", TWICE),
    "copy-that-knows-half": backup("accepted accepted last-copy", TWICE),
    "copy-of-a-run-that-restores": restore("accepted first-copy", "restored again"),
    # A command that was reported as failed was executed later.
    "command-of-an-engine-that-died": backup("command-orphaned", "cancelled"),
    "command-that-was-given-up": backup("command-given-up", "cancelled"),
    # Our clock is wrong when a restore is sent, and right when it is judged.
    "restore-while-fast": restore("lost-after wall-1h", "restored again"),
    "restore-while-slow": restore("lost-before wall+1h", NEVER),
    "restore-of-an-engine-that-died": restore("kill wall+1h", NEVER),
    "restore-and-back": restore("accepted wall-1h kill", "idle for an hour"),
    "restore-lost-and-back": restore("accepted wall-1h kill-sent", "idle for an hour"),
    # The cloud's clock is set: after a restore was sent, or before it.
    "restore-and-the-cloud-is-set-back": restore("lost-before cloud-1h", NEVER),
    "restore-after-the-cloud-was-set-back": restore("cloud-1h lost-before accepted", NEVER),
    "plain-name-and-the-cloud-is-set-forward": cinder("lost-after cloud+1h", TWICE),
    # The machine sleeps while an answer is under way, whose `Date` then seems half an hour off.
    "restore-and-a-suspend": restore("late suspend", "restored again"),
    "plain-name-and-a-suspend": cinder("late suspend", TWICE),
    # The first token of an engine is refused to its first read.
    "first-token-refused": backup("accepted kill unauthorized", "stopped"),
}


@pytest.fixture
def on_file(tmp_path: Path) -> Make:
    return lambda clocks: SqliteKept(tmp_path, clocks)


@pytest.mark.parametrize("name", KNOWN)
def test_a_night_that_once_failed_keeps_every_promise(name: str) -> None:
    check(KNOWN[name], in_memory)


@pytest.mark.parametrize("name", KNOWN)
def test_it_keeps_them_on_a_real_store_file(name: str, on_file: Make) -> None:
    check(KNOWN[name], on_file)


def check(known: Known, make: Make) -> None:
    night = Night(opening=known.opening, schedule=known.schedule, kept=make).play()
    assert broken(night) == [], "\n".join(night.told)
