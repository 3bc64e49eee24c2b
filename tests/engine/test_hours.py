"""The window of a plan: the whole engine in virtual time."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.engine.wave_gates import Hours
from vbsbatch.model import Answer, Elapsed, Job, JobMoved, JobState, RunState, Wall, Window

from .harness import NOW, EngineHarness, settings
from .ordering import (
    SELDOM,
    around_now,
    clock,
    driven,
)


def test_nothing_is_sent_before_the_window_opens_and_that_is_noted_once() -> None:
    window = around_now(180, 60)
    stage = EngineHarness(3, settings(window=window))

    async def look() -> None:
        run = stage.store.run("run-1")
        assert run.state is RunState.RUNNING
        assert "window opens" in str(run.reason)
        assert stage.engine.paused
        assert stage.engine.waits_for == run.reason

    assert driven(stage, (3600.0, look)).state is RunState.ENDED
    opens = f"{window.opens // 60:02d}:{window.opens % 60:02d}"
    first, *_ = sorted(at for at, _ in stage.cloud.creates)
    assert clock(first) == opens
    assert clock(first - 1.0) != opens
    (told,) = stage.notes("run")
    assert f"{opens} CEST" in told
    assert stage.store.run("run-1").reason is None


def test_outside_the_window_running_jobs_are_followed_and_waiting_jobs_go_the_next_day() -> None:
    two = settings(window=around_now(0, 2), limits={"in_flight": 2})
    stage = EngineHarness(4, two, tuning=SELDOM)
    stage.cloud.duration = 300.0
    assert stage.drive().state is RunState.ENDED
    sent = stage.sent()
    assert max(sent[:2]) < 120.0
    assert min(sent[2:]) >= 86_000.0
    ended = [float(e.at) - NOW for e in stage.events if isinstance(e, JobMoved)][-1]
    done = [
        float(e.at) - NOW
        for e in stage.events
        if isinstance(e, JobMoved) and e.job.state is JobState.SUCCEEDED
    ]
    assert max(done[:2]) < 400.0 < ended


def test_a_retry_that_comes_due_outside_the_window_waits_for_it() -> None:
    late = settings(window=around_now(0, 5), retry={"base": 600.0, "cap": 600.0})
    stage = EngineHarness(1, late)
    stage.cloud.script[1].append(Answer(status=400, code="VolumeBackup.0022"))
    stage.drive()
    assert all(clock(at) < clock(NOW + 300.0) or at < NOW + 300.0 for at, _ in stage.cloud.creates)
    assert len(stage.cloud.creates) == 2


def test_the_deadline_counts_while_the_window_is_closed() -> None:
    stage = EngineHarness(2, settings(window=around_now(300, 60), deadline=3600.0))
    assert stage.drive().state is RunState.ENDED
    assert [job.code for job in stage.jobs()] == ["deadline"] * 2
    assert not stage.cloud.creates


def test_a_closed_window_does_not_spin() -> None:
    stage = EngineHarness(2, settings(window=around_now(600, 60)), tuning=SELDOM)
    claims: list[float] = []

    async def count() -> None:
        claim = stage.journal.claim

        async def counted(now: Elapsed, limit: int, **order: Any) -> list[Job]:
            claims.append(float(now))
            return await claim(now, limit, **order)

        stage.journal.claim = counted  # type: ignore[method-assign]

    driven(stage, (1.0, count))
    assert len(claims) <= 3
    before = [what for at, what, _ in stage.cloud.reads if at < NOW + 36_000.0 - 60.0]
    assert before == ["backups"], "what the cloud has of the run already is asked once"


windows = st.builds(
    lambda opens, length, zone: Window(opens=opens, closes=(opens + length) % 1440, timezone=zone),
    st.integers(0, 1439),
    st.integers(1, 1439),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)


@given(windows, st.lists(st.floats(0, 86_400.0), max_size=6))
def test_the_wait_for_a_window_matches_an_oracle(window: Window, waits: list[float]) -> None:
    hours, now, zone = Hours(window), NOW, ZoneInfo(window.timezone)

    def shows_a_time_of_the_window(at: float) -> bool:
        local = datetime.fromtimestamp(at, zone)
        minute = local.hour * 60 + local.minute
        return (minute - window.opens) % 1440 < (window.closes - window.opens) % 1440

    for wait in waits:
        now += wait
        found = hours.wait(Wall(now))
        assert (found == 0.0) is shows_a_time_of_the_window(now)
        if found:
            assert shows_a_time_of_the_window(now + found)
            assert not shows_a_time_of_the_window(now + found - 1.0)
            assert "window opens" in str(hours.describe(Wall(now)))
