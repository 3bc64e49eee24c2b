"""What a look at a run in the store shows, for messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.observers.looks import a_channel
from tests.store.fixtures import a_job, a_run
from vbsbatch.api.notices import StoreLook
from vbsbatch.model import (
    BackupSettings,
    Holder,
    Job,
    JobState,
    RunNoted,
    RunState,
    Settings,
    Wall,
    Wave,
    Window,
)
from vbsbatch.model.clocks import wall
from vbsbatch.observers.facts import facts
from vbsbatch.policy import window as clocks
from vbsbatch.store.memory import MemoryStore

RUN = "20261118-1200-aaaa"
GONE = 120.0


def a_look(*jobs: Job, driven: bool = False, **fields: Any) -> StoreLook:
    store = MemoryStore()
    now = wall()
    times = {"created_at": now - 3600, "started_at": now - 3600, "heartbeat_at": now - 60}
    store.create_run(a_run(RUN, **(times | fields)), jobs, BackupSettings())
    if driven:
        store.held.driven.add(RUN)
    return StoreLook(store, store.run(RUN))


def test_a_run_under_way_without_a_process_has_lost_its_engine() -> None:
    assert a_look().gone(GONE) == "its engine is gone, 1 min after its last sign of life"
    assert a_look(state=RunState.PAUSED).gone(GONE) is not None
    for state in (RunState.STOPPED, RunState.ENDED):
        assert a_look(state=state).gone(GONE) is None


def test_an_engine_that_is_just_starting_is_not_gone() -> None:
    began: dict[str, Any] = {"started_at": None, "heartbeat_at": None}
    assert a_look(**began, created_at=wall() - 60).gone(GONE) is None
    words = "no engine has begun it since it was made 1 h 0 min ago"
    assert a_look(**began).gone(GONE) == words


def test_an_engine_that_ended_between_two_looks_is_not_gone() -> None:
    look = a_look()
    look._store.held.run(RUN).change(state=RunState.ENDED)  # type: ignore[attr-defined]
    assert look.gone(GONE) is None


def test_a_process_that_gives_no_sign_of_life_is_gone_after_a_while() -> None:
    assert a_look(driven=True).gone(GONE) is None
    silent = a_look(driven=True, heartbeat_at=wall() - 600)
    words = silent.gone(GONE)
    assert words is not None
    assert words.endswith("has given no sign of life for 10 min")
    assert silent.gone(900.0) is None


def test_an_engine_that_has_just_taken_over_an_old_run_is_not_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look = a_look(driven=True, heartbeat_at=wall() - 86400)
    holder = Holder(pid=1, host="h", since=float(wall()) - 1, visible=True)
    monkeypatch.setattr(look._store, "is_live", lambda _: holder)
    assert look.gone(GONE) is None
    assert look.engine_since == Wall(holder.since or 0)


def test_a_gate_is_closed_when_a_wave_has_ended_badly_and_the_run_waits() -> None:
    waves = Settings(waves=(Wave(name="canary"), Wave(name="rest")))
    jobs = (a_job(1, state=JobState.FAILED), a_job(2, wave=1))
    assert a_look(*jobs, settings=waves, state=RunState.PAUSED).gate == (0, 1)
    assert a_look(*jobs, settings=waves).gate is None
    still = (replace(jobs[0], state=JobState.RUNNING), jobs[1])
    assert a_look(*still, settings=waves, state=RunState.PAUSED).gate is None
    assert a_look(*jobs, state=RunState.PAUSED).gate is None


def test_creates_may_be_sent_since_the_last_pause_or_the_opening_of_the_window() -> None:
    look = a_look()
    assert look.sends_since == look.run.started_at
    unpaused = wall() - 5
    look = a_look()
    look._store.messages.note(RUN, RunNoted(at=unpaused, kind="command", text="unpause"))
    assert look.sends_since == unpaused
    assert a_look(state=RunState.PAUSED).sends_since is None
    minute = int(float(wall()) // 60) % 1440
    hours = Window(opens=(minute - 10) % 1440, closes=(minute + 10) % 1440, timezone="UTC")
    opened = a_look(settings=Settings(window=hours)).sends_since
    assert opened is not None
    assert 9 * 60 <= float(wall()) - float(opened) <= 11 * 60
    closed = Window(opens=(minute + 10) % 1440, closes=(minute + 20) % 1440, timezone="UTC")
    assert not clocks.is_open(closed, float(wall()))
    assert a_look(settings=Settings(window=closed)).sends_since is None


def test_all_facts_can_be_found_in_a_store() -> None:
    """Each question that the rules ask has an answer."""
    late = float(wall()) - 90_000
    jobs = [
        a_job(1, state=JobState.FAILED, attempts=2, ended_at=Wall(late)),
        a_job(2, state=JobState.RUNNING, attempts=1, intent_at=late),
    ]
    found = [fact.name for fact in facts(a_look(*jobs, driven=True), a_channel(), [])]
    assert found == ["failures:1.2", "stuck:2.1", f"silent:{late * 1000:.0f}"]
