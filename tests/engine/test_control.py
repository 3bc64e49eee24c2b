from __future__ import annotations

from typing import Any

import anyio
import pytest

from vbsbatch.engine import Tuning
from vbsbatch.model import WITHDRAWN, Answer, Job, JobState, Rate, RunState, Wall

from .harness import NOW, EngineHarness, a_job, settings, volume

SLOW = settings(limits={"rate": Rate(count=1), "in_flight": 40})


def asked(stage: EngineHarness, verb: str, *, after: float = 3.0, **argument: Any) -> str:
    """Drive the run, with one command on the way; returns the command's result."""
    number: list[int] = []

    async def meanwhile() -> None:
        await anyio.sleep(after)
        number.append(stage.store.ask(stage.run_id, verb, argument, "anna"))

    stage.drive(meanwhile)
    return str(stage.store.command_result(number[0]))


# Stop -------------------------------------------------------------------------------------------


def test_a_stop_ends_the_run_resumable_and_is_acknowledged() -> None:
    stage = EngineHarness(20, SLOW)
    number: list[int] = []

    async def meanwhile() -> None:
        await anyio.sleep(1.0)
        number.append(stage.store.ask("run-1", "stop", {}, "anna"))

    ending = stage.drive(meanwhile)
    assert (ending.state, ending.reason) == (RunState.STOPPED, "asked to stop, in the name of anna")
    assert stage.store.command_result(number[0]) == "stopping"
    assert stage.notes("command") == ["in the name of anna: stop: stopping"]
    assert stage.drive().state is RunState.ENDED


def test_a_stop_now_does_not_wait_for_answers() -> None:
    stage = EngineHarness(20, SLOW)
    stage.cloud.took = 500.0
    number: list[int] = []

    async def meanwhile() -> None:
        await anyio.sleep(5.0)
        number.append(stage.store.ask("run-1", "stop-now", {}, "anna"))

    assert stage.drive(meanwhile).state is RunState.STOPPED
    assert stage.clock.passed < 6.0
    assert stage.store.command_result(number[0]) == "stopping at once"
    assert stage.states().count(JobState.UNKNOWN) == 4


def drained(*steps: tuple[float, str, dict[str, Any]]) -> tuple[EngineHarness, list[str]]:
    """A run that is stopped after 5 s while answers take 60 s, and commands sent to it
    meanwhile."""
    stage = EngineHarness(20, settings(limits={"rate": Rate(count=100), "in_flight": 20}))
    stage.cloud.took = 60.0
    said: list[str] = []

    async def meanwhile() -> None:
        await anyio.sleep(5.0)
        stage.engine.stop("enough")
        for wait, verb, argument in steps:
            await anyio.sleep(wait)
            said.append(await stage.ask(verb, **argument))

    assert stage.drive(meanwhile).state is RunState.STOPPED
    return stage, said


def test_a_stopping_run_keeps_its_heartbeat() -> None:
    beats: list[float] = []
    stage = EngineHarness(20, SLOW)
    stage.cloud.took = 60.0

    async def meanwhile() -> None:
        await anyio.sleep(1.5)
        stage.engine.stop("enough")
        while True:
            await anyio.sleep(1.0)
            beats.append(stage.clock.now() - float(stage.store.run("run-1").heartbeat_at or 0.0))

    stage.drive(meanwhile)
    assert len(beats) > 50
    assert max(beats) <= stage.tuning.heartbeat + stage.tuning.poll
    assert stage.notes("run")[0] == "stopping: answers still pending: 1"


def test_a_stopping_run_still_takes_commands_and_sends_nothing_new() -> None:
    stage, said = drained((1.0, "rate", {"count": 9, "per": 1.0}), (1.0, "unpause", {}))
    assert said == ["rate is 9/s", "continuing"]
    assert stage.engine.rate == Rate(count=9)
    assert len(stage.sent()) == 4
    assert 60.0 <= stage.clock.passed < 61.0
    assert stage.states().count(JobState.RUNNING) == 4


def test_a_stopping_run_can_be_stopped_at_once() -> None:
    stage, said = drained((2.0, "stop-now", {}))
    assert said == []  # the engine ended before the next command
    assert stage.store.command_result(1) == "stopping at once"
    assert stage.clock.passed < 9.0
    assert stage.states().count(JobState.UNKNOWN) == 4


def test_waiting_jobs_of_a_stopping_run_can_be_cancelled() -> None:
    stage, said = drained((2.0, "cancel", {"all": True}))
    assert said == ["cancelled 16; 4 already sent"]
    assert stage.states().count(JobState.CANCELLED) == 16


# Limits -----------------------------------------------------------------------------------------


def test_an_operators_rate_is_used_from_then_on() -> None:
    stage = EngineHarness(30, SLOW)
    assert asked(stage, "rate", count=10, per=1.0) == "rate is 10/s"
    assert stage.engine.rate == Rate(count=10)
    late = [at for at in stage.sent() if at > 4.0]
    assert len([at for at in late if at < 6.0]) >= 15
    assert stage.store.sending_rate("run-1") == Rate(count=10)


def test_a_lower_in_flight_cap_applies_at_once_even_to_jobs_claimed_ahead() -> None:
    stage = EngineHarness(60, settings(limits={"rate": Rate(count=100), "in_flight": 60}))
    said = asked(stage, "in-flight", after=0.2, count=5)
    assert said == "at most 5 in flight"
    at = 0.8  # the command was seen by then
    before = [sent for sent in stage.sent() if sent < at]
    after = [sent for sent in stage.sent() if sent >= at]
    assert len(before) < 60
    assert min(after) > 25.0, "the next goes only when the first have ended"
    assert stage.states() == [JobState.SUCCEEDED] * 60


def test_a_higher_in_flight_cap_lets_more_go_at_once() -> None:
    stage = EngineHarness(10, settings(limits={"in_flight": 2}))
    assert asked(stage, "in-flight", count=9) == "at most 9 in flight"
    assert sum(at < 6.0 for at in stage.sent()) == 9


@pytest.mark.parametrize(
    ("verb", "argument"),
    [
        ("rate", {}),
        ("rate", {"count": 5}),
        ("rate", {"count": 0, "per": 1}),
        ("rate", {"count": -1, "per": 1}),
        ("rate", {"count": 5, "per": 0}),
        ("rate", {"count": float("nan"), "per": 1}),
        ("rate", {"count": float("inf"), "per": 1}),
        ("rate", {"count": "fast", "per": 1}),
        ("rate", {"count": None, "per": 1}),
        ("rate", {"count": [5], "per": 1}),
        ("rate", {"count": 10**400, "per": 1}),
        ("in-flight", {}),
        ("in-flight", {"count": 0}),
        ("in-flight", {"count": -3}),
        ("in-flight", {"count": "many"}),
        ("in-flight", {"count": None}),
        ("in-flight", {"count": float("inf")}),
        ("in-flight", {"count": float("nan")}),
        ("cancel", {"volume": ["misspelt"]}),
        ("cancel", {"states": ["resting"]}),
        ("cancel", {"status": ["x"]}),
    ],
)
def test_an_invalid_argument_is_refused_and_changes_nothing(
    verb: str, argument: dict[str, Any]
) -> None:
    stage = EngineHarness(6, SLOW)
    assert asked(stage, verb, **argument).startswith("refused: ")
    assert stage.engine.rate == Rate(count=1)
    assert stage.states() == [JobState.SUCCEEDED] * 6


def test_an_unknown_command_is_reported() -> None:
    assert asked(EngineHarness(6, SLOW), "explode") == "unknown command"


# Cancel -----------------------------------------------------------------------------------------


def test_waiting_jobs_are_cancelled_and_sent_ones_are_left_alone() -> None:
    stage = EngineHarness(20, SLOW)
    said = asked(stage, "cancel", all=True)
    cancelled = stage.states().count(JobState.CANCELLED)
    assert said == f"cancelled {cancelled}; {20 - cancelled} already sent"
    assert stage.states().count(JobState.SUCCEEDED) == len(stage.sent()) == 20 - cancelled
    assert 2 <= len(stage.sent()) <= 6
    assert {job.attempts for job in stage.jobs() if job.state is JobState.CANCELLED} == {0}


@pytest.mark.parametrize("first", [[], ["pause"]], ids=["at once", "after a pause"])
def test_claimed_jobs_that_were_not_sent_are_cancelled_too(first: list[str]) -> None:
    stage = EngineHarness(
        60, settings(limits={"rate": Rate(count=100), "connections": 2, "in_flight": 60})
    )
    stage.cloud.took = 20.0
    said: list[str] = []

    async def meanwhile() -> None:
        await anyio.sleep(1.0)
        assert stage.states().count(JobState.SUBMITTING) > 2
        for verb in first:
            await stage.ask(verb)
        said.append(await stage.ask("cancel", all=True))

    stage.drive(meanwhile)
    assert said == ["cancelled 58; 2 already sent"]
    assert {job.attempts for job in stage.jobs() if job.state is JobState.CANCELLED} == {0}
    assert len(stage.sent()) == 2


def test_a_pause_gives_back_jobs_claimed_ahead_at_once() -> None:
    stage = EngineHarness(9, settings(limits={"rate": Rate(count=1, per=60.0), "in_flight": 9}))

    async def meanwhile() -> None:
        await anyio.sleep(10.0)
        assert stage.states().count(JobState.SUBMITTING) == 1
        await stage.ask("pause")
        assert stage.states().count(JobState.SUBMITTING) == 0
        await stage.ask("stop")

    stage.drive(meanwhile)


def test_only_the_named_volumes_are_cancelled_in_any_spelling() -> None:
    stage = EngineHarness(20, SLOW)
    assert asked(stage, "cancel", volumes=[volume(18).upper(), "db-019"]) == "cancelled 2"
    assert [j.no for j in stage.jobs() if j.state is JobState.CANCELLED] == [18, 19]


def test_an_empty_selection_cancels_nothing() -> None:
    assert asked(EngineHarness(8, SLOW), "cancel") == "cancelled 0"


@pytest.mark.parametrize("at", [0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
def test_a_job_that_is_claimed_at_that_very_moment_is_either_sent_or_cancelled(at: float) -> None:
    stage = EngineHarness(
        60,
        settings(limits={"rate": Rate(count=50), "in_flight": 60, "connections": 16}),
        tuning=Tuning(poll=0.013),
    )

    async def meanwhile() -> None:
        await anyio.sleep(at)
        stage.store.ask("run-1", "cancel", {"all": True}, "anna")

    stage.drive(meanwhile)
    cancelled = {job.no for job in stage.jobs() if job.state is JobState.CANCELLED}
    sent = {no for _, no in stage.cloud.creates}
    assert not cancelled & sent
    assert cancelled | sent == set(range(1, 61))
    assert all(job.attempts == 0 for job in stage.jobs() if job.no in cancelled)


def test_a_run_whose_last_waiting_jobs_are_cancelled_ends() -> None:
    stage = EngineHarness([a_job(1, due_at=1e12), a_job(2, due_at=1e12)])
    asked(stage, "cancel", all=True)
    assert stage.states() == [JobState.CANCELLED] * 2
    assert stage.clock.passed < 10.0


# Retry ------------------------------------------------------------------------------------------


def test_failed_and_cancelled_jobs_are_tried_again_with_all_their_attempts() -> None:
    stage = EngineHarness(8, settings(limits={"rate": Rate(count=1)}, retry={"attempts": 2}))
    stage.cloud.script[1].extend([Answer(status=400, code="VolumeBackup.0017")] * 3)
    stage.cloud.script[2].append(Answer(status=400, code="VolumeBackup.0040"))
    said: list[str] = []

    async def meanwhile() -> None:
        await stage.ask("cancel", volumes=[volume(8)])
        await anyio.sleep(20.0)
        assert stage.states()[:2] == [JobState.FAILED] * 2
        said.append(await stage.ask("retry", codes=["VolumeBackup.0017"]))
        said.append(await stage.ask("retry", states=["cancelled"]))

    stage.drive(meanwhile)
    assert said == ["to be tried again: 1", "to be tried again: 1"]
    assert stage.states() == [
        JobState.SUCCEEDED, JobState.FAILED, *[JobState.SUCCEEDED] * 6,
    ]  # fmt: skip
    assert stage.job(1).attempts == 4
    assert stage.job(1).charged == 2


def test_a_retry_does_not_affect_jobs_that_have_not_failed() -> None:
    stage = EngineHarness(8, SLOW)
    assert asked(stage, "retry", all=True) == "to be tried again: 0"
    assert len(stage.sent()) == 8


def test_a_retry_after_the_deadline_restarts_it() -> None:
    stage = EngineHarness(
        12, settings(limits={"rate": Rate(count=1), "in_flight": 12}, deadline=5.0)
    )
    assert asked(stage, "retry", after=15.0, all=True) == "to be tried again: 8"
    states = stage.states()
    assert states.count(JobState.SUCCEEDED) == len(stage.sent()) == 9
    assert states.count(JobState.FAILED) == 3, "the new deadline holds as well"
    ends = stage.store.run("run-1").deadline_at
    assert ends is not None
    assert 20.0 <= float(ends) - NOW <= 21.0


def test_a_retry_that_selects_no_job_keeps_the_deadline() -> None:
    stage = EngineHarness(4, settings(deadline=60.0))
    assert asked(stage, "retry", codes=["VolumeBackup.0012"]) == "to be tried again: 0"
    assert stage.store.run("run-1").deadline_at == Wall(NOW + 60.0)


def test_a_retry_after_the_deadline_does_not_end_an_operators_pause() -> None:
    stage = EngineHarness(
        12, settings(limits={"rate": Rate(count=1), "in_flight": 12}, deadline=5.0)
    )
    sent: list[int] = []

    async def meanwhile() -> None:
        await anyio.sleep(8.0)
        await stage.ask("pause")
        await stage.ask("retry", all=True)
        sent.append(len(stage.sent()))
        await anyio.sleep(3.0)
        sent.append(len(stage.sent()))
        await stage.ask("unpause")

    stage.drive(meanwhile)
    assert sent == [4, 4]
    assert len(stage.sent()) > 4


def test_many_waiting_jobs_fail_at_the_deadline_in_chunks() -> None:
    stage = EngineHarness(3500, settings(limits={"in_flight": 3}, deadline=10.0))
    stage.drive()
    late = [job for job in stage.jobs() if job.code == "deadline"]
    assert len(late) == 3497
    assert all(job.ended_at and not job.attempts for job in late)


# Commands keep their order ----------------------------------------------------------------------


def test_commands_are_executed_in_order() -> None:
    stage = EngineHarness(20, SLOW)

    async def meanwhile() -> None:
        await anyio.sleep(0.01)
        for verb in ("pause", "unpause", "pause"):
            stage.store.ask("run-1", verb, {}, "anna")
        await anyio.sleep(30.0)
        sent = len(stage.sent())
        assert sent <= 2
        await stage.ask("unpause")

    stage.drive(meanwhile)
    assert [note.split(": ")[1] for note in stage.notes("command")] == [
        "pause", "unpause", "pause", "unpause",
    ]  # fmt: skip


def test_a_command_for_another_run_is_not_executed() -> None:
    stage = EngineHarness(3)
    jobs: list[Job] = [a_job(9)]
    other = EngineHarness(jobs, beside=stage, run_id="run-2")
    number: list[int] = []

    async def meanwhile() -> None:
        await anyio.sleep(0.01)
        number.append(stage.store.ask("run-2", "stop", {}, "anna"))

    assert stage.drive(meanwhile).state is RunState.ENDED
    assert stage.store.command_result(number[0]) is None
    assert other.drive().state is RunState.ENDED, "nobody drove it when it was asked"
    assert stage.store.command_result(number[0]) == WITHDRAWN


def test_a_withdrawn_command_is_not_executed() -> None:
    stage = EngineHarness(3, SLOW)

    async def meanwhile() -> None:
        await anyio.sleep(0.01)
        number = stage.store.ask("run-1", "cancel", {"all": True}, "anna")
        assert stage.store.withdraw(number)
        assert stage.store.command_result(number) == WITHDRAWN

    stage.drive(meanwhile)
    assert stage.states() == [JobState.SUCCEEDED] * 3
    assert not stage.notes("command")


def test_a_command_that_the_engine_took_cannot_be_withdrawn() -> None:
    stage = EngineHarness(3, SLOW)

    async def meanwhile() -> None:
        await anyio.sleep(0.01)
        number = stage.store.ask("run-1", "cancel", {"volumes": [volume(3)]}, "anna")
        await anyio.sleep(0.6)
        assert not stage.store.withdraw(number)

    stage.drive(meanwhile)
    assert stage.states().count(JobState.CANCELLED) == 1


# The heartbeat ----------------------------------------------------------------------------------


def test_the_heartbeat_tells_the_rate_that_was_used_in_the_last_minute() -> None:
    stage = EngineHarness(100, settings(limits={"rate": Rate(count=1), "in_flight": 100}))
    stage.cloud.duration = 400.0
    used: list[float | None] = []

    async def meanwhile() -> None:
        for _ in range(4):
            await anyio.sleep(50.0)
            used.append(stage.store.run("run-1").rate_used)

    stage.drive(meanwhile)
    assert used[0] == pytest.approx(1.0, abs=0.1)
    assert used[1] == pytest.approx(1.0, abs=0.1)
    assert used[3] == 0.0


def test_the_heartbeat_tells_of_a_service_that_is_down_and_of_nothing_else() -> None:
    stage = EngineHarness(30, SLOW)
    down = Answer(status=503, code="VolumeBackup.0900")
    stage.cloud.always = lambda job: (
        down if 10.0 < stage.clock.passed < 300.0 else stage.cloud.accept(job)
    )
    told: list[tuple[float, bool | None]] = []

    async def meanwhile() -> None:
        while True:
            await anyio.sleep(10.0)
            told.append((stage.clock.passed, stage.store.run("run-1").circuit_open))

    stage.drive(meanwhile)
    during = {open_ for at, open_ in told if 40.0 < at < 290.0}
    apart = {open_ for at, open_ in told if at < 11.0 or at > 365.0}
    assert (during, apart) == ({True}, {False})
