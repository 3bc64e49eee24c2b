"""Waves and the gates between them: the whole engine in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.engine.wave_gates import last_open
from vbsbatch.model import JobState, RunState, Wave

from .harness import NOW, EngineHarness, a_job
from .ordering import (
    QUICK,
    REFUSED,
    TWO,
    driven,
    staged,
    waved,
)


def test_the_next_wave_starts_when_every_job_of_the_one_before_has_ended() -> None:
    stage = staged(waved(1, 0, 1, 0))
    assert stage.drive().state is RunState.ENDED
    first, second, third, fourth = stage.cloud.creates
    assert {first[1], second[1]} == {2, 4}
    assert {third[1], fourth[1]} == {1, 3}
    assert third[0] >= stage.cloud.made["backup-2"].ready_at
    assert third[0] < stage.cloud.made["backup-2"].ready_at + 15.0
    assert stage.notes("run") == ["wave canary has ended: wave rest starts"]


def test_a_gate_that_opens_while_the_store_is_asked_is_not_overlooked() -> None:
    """A wave that was skipped entirely: it is over before the first claim."""
    jobs = [*waved(0, 0, state=JobState.SKIPPED), a_job(3, wave=1), a_job(4, wave=1)]
    stage = staged(jobs)
    journal_of = stage.store.journal

    def slow(run_id: str) -> Any:
        journal: Any = journal_of(run_id)
        for name, seconds in (("wave_counts", 0.1), ("blocked", 0.3)):
            setattr(journal, name, _late(getattr(journal, name), seconds))
        return journal

    stage.store.journal = slow  # type: ignore[method-assign]
    assert stage.drive().state is RunState.ENDED
    assert [no for _, no in stage.cloud.creates] == [3, 4]
    assert stage.cloud.creates[0][0] < NOW + 2.0


def _late(ask: Callable[..., Awaitable[Any]], seconds: float) -> Callable[..., Awaitable[Any]]:
    async def answered(*words: Any) -> Any:
        await anyio.sleep(seconds)
        return await ask(*words)

    return answered


def test_the_allowed_number_of_failures_closes_no_gate() -> None:
    stage = staged(waved(0, 0, 1), waves=(Wave(name="canary", max_failures=1), Wave(name="rest")))
    stage.cloud.script[1].append(REFUSED)
    assert stage.drive().state is RunState.ENDED
    assert stage.states() == [JobState.FAILED, JobState.SUCCEEDED, JobState.SUCCEEDED]


def shut() -> EngineHarness:
    """A run whose canary wave has a job that fails once."""
    stage = staged(waved(0, 0, 1))
    stage.cloud.script[1].append(REFUSED)
    return stage


def test_one_failure_more_pauses_the_run_with_the_reason_in_words() -> None:
    stage = shut()

    async def look() -> None:
        run = stage.store.run("run-1")
        assert (run.state, run.wave) == (RunState.PAUSED, 0)
        assert str(run.reason).startswith("wave canary ended with 1 failed, 0 are allowed")
        assert "unpause to continue" in str(run.reason)
        assert stage.notes("run") == [f"paused: {run.reason}"]
        assert run.heartbeat_at == pytest.approx(stage.clock.now(), abs=10.0)
        await stage.ask("stop")

    ending = driven(stage, (7200.0, look))
    assert (ending.state, ending.reason) == (
        RunState.STOPPED,
        "asked to stop, in the name of operator",
    )
    assert stage.states()[2] is JobState.WAITING
    assert len(stage.cloud.creates) == 2


def test_unpause_starts_the_next_wave_despite_the_failures() -> None:
    stage, said = shut(), []

    async def waive() -> None:
        said.append(await stage.ask("unpause"))

    assert driven(stage, (600.0, waive)).state is RunState.ENDED
    assert said == ["continuing with wave rest"]
    assert stage.states() == [JobState.FAILED, JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert stage.store.run("run-1").wave == 1


def test_a_wave_without_jobs_delays_nothing_after_a_gate_was_overridden() -> None:
    stage = staged(waved(0, 2), waves=(*TWO, Wave(name="last")))
    stage.cloud.script[1].append(REFUSED)

    async def waive() -> None:
        await stage.ask("unpause")

    assert driven(stage, (600.0, waive)).state is RunState.ENDED
    assert stage.states() == [JobState.FAILED, JobState.SUCCEEDED]


def test_retry_sends_the_failed_jobs_first_and_the_gate_is_checked_again() -> None:
    stage = shut()

    async def retry() -> None:
        await stage.ask("retry", states=["failed"])
        assert stage.store.run("run-1").state is RunState.RUNNING

    assert driven(stage, (600.0, retry)).state is RunState.ENDED
    assert [no for _, no in stage.cloud.creates][2:] == [1, 3]
    assert stage.states() == [JobState.SUCCEEDED] * 3


def test_a_retry_that_fails_again_pauses_the_run_again() -> None:
    stage = shut()
    stage.cloud.script[1].append(REFUSED)

    async def retry() -> None:
        await stage.ask("retry", states=["failed"])

    async def look() -> None:
        assert stage.store.run("run-1").state is RunState.PAUSED
        assert len(stage.notes("run")) == 2
        await stage.ask("stop")

    driven(stage, (600.0, retry), (60.0, look))
    assert len(stage.cloud.creates) == 3


def test_unpause_ends_an_operators_pause_before_it_opens_a_gate() -> None:
    stage, said = shut(), []

    async def ask(verb: str) -> None:
        said.append(await stage.ask(verb))

    steps = [
        (w, lambda v=v: ask(v)) for w, v in ((60.0, "pause"), (1.0, "unpause"), (60.0, "stop"))
    ]
    driven(stage, *steps)
    assert said[1].startswith("the pause is over, but wave canary ended with 1 failed")
    assert len(stage.cloud.creates) == 2


def test_cancelled_jobs_do_not_count_as_failed() -> None:
    stage = staged(waved(0, 0, 1), limits=QUICK | {"in_flight": 1})

    async def cancel() -> None:
        await stage.ask("cancel", volumes=["db-002"])

    assert driven(stage, (5.0, cancel)).state is RunState.ENDED
    assert stage.states() == [JobState.SUCCEEDED, JobState.CANCELLED, JobState.SUCCEEDED]


def test_the_deadline_ends_a_run_that_waits_at_a_gate() -> None:
    stage = staged(waved(0, 0, 1), deadline=3600.0)
    stage.cloud.script[1].append(REFUSED)
    assert stage.drive().state is RunState.ENDED
    assert stage.job(3).code == "deadline"
    assert 3600.0 <= stage.clock.passed < 3700.0


def test_a_resume_finds_the_gate_as_it_was() -> None:
    stage = shut()

    async def stop() -> None:
        await stage.ask("stop")

    driven(stage, (600.0, stop))
    driven(stage, (600.0, stop))
    assert len(stage.cloud.creates) == 2
    assert stage.store.run("run-1").state is RunState.STOPPED

    async def waive() -> None:
        await stage.ask("unpause")
        stage.cloud.took = 1000.0
        await anyio.sleep(1.0)
        await stage.ask("stop-now")

    driven(stage, (600.0, waive))
    stage.cloud.took = 0.1
    assert stage.drive().state is RunState.ENDED
    assert stage.states() == [JobState.FAILED, JobState.SUCCEEDED, JobState.SUCCEEDED]


def test_an_open_gate_stays_open_and_retried_jobs_go_first() -> None:
    stage = staged(
        waved(0, 1, 1, 1),
        waves=(Wave(name="canary", max_failures=1), Wave(name="rest")),
        limits=QUICK | {"in_flight": 1},
    )
    stage.cloud.script[1].append(REFUSED)

    async def retry() -> None:
        await stage.ask("retry", states=["failed"])

    assert driven(stage, (20.0, retry)).state is RunState.ENDED
    assert [no for _, no in stage.cloud.creates] == [1, 2, 1, 3, 4]


def test_a_closed_gate_does_not_spin() -> None:
    stage = shut()
    looks = 0

    async def count() -> None:
        nonlocal looks
        counts = stage.journal.wave_counts

        async def counted() -> Any:
            nonlocal looks
            looks += 1
            return await counts()

        stage.journal.wave_counts = counted  # type: ignore[method-assign]

    async def stop() -> None:
        await stage.ask("stop")

    driven(stage, (100.0, count), (7200.0, stop))
    assert looks == 0


counts = st.dictionaries(
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(JobState), st.integers(0, 3), max_size=4),
    max_size=4,
)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), counts, st.data())
def test_a_wave_is_open_exactly_when_all_gates_before_it_are(
    allowed: list[int], found: dict[int, dict[JobState, int]], data: st.DataObject
) -> None:
    waves = [Wave(name=str(n), max_failures=most) for n, most in enumerate(allowed)]
    before = data.draw(st.integers(0, len(waves) - 1))
    last, failed = last_open(waves, before, found)

    def left(wave: int) -> int:
        return sum(n for s, n in found.get(wave, {}).items() if s.value in OPEN_OR_WAITING)

    def failures(wave: int) -> int:
        return found.get(wave, {}).get(JobState.FAILED, 0)

    def passed(gate: int) -> bool:
        return not any(map(left, range(gate + 1))) and failures(gate) <= allowed[gate]

    assert before <= last < len(waves)
    assert all(passed(gate) for gate in range(before, last))
    if last < len(waves) - 1:
        assert not passed(last)
        assert (failed is None) == any(map(left, range(last + 1)))
    else:
        assert failed is None


OPEN_OR_WAITING = {"waiting", "submitting", "running", "unknown"}
