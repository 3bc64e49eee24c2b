from __future__ import annotations

from typing import Any

import anyio
import pytest

from vbsbatch.errors import CloudUnavailable, StoreFailed
from vbsbatch.model import Answer, Cloud, Elapsed, Job, JobMoved, JobState, Rate, RunState

from .harness import NOW, EngineHarness, settings


def test_a_run_ends_when_every_job_has_ended() -> None:
    stage = EngineHarness(25)
    ending = stage.drive()
    assert (ending.state, ending.reason) == (RunState.ENDED, None)
    assert ending.counts == {JobState.SUCCEEDED: 25}
    run = stage.store.run("run-1")
    assert (run.state, run.create_calls, run.pid) == (RunState.ENDED, 25, None)
    assert run.ended_at
    assert len({job.backup_id for job in stage.jobs()}) == 25


def test_a_finished_run_ends_without_a_call() -> None:
    stage = EngineHarness(2)
    stage.drive()
    calls = len(stage.cloud.creates), len(stage.cloud.reads)
    assert stage.drive().state is RunState.ENDED
    assert (len(stage.cloud.creates), len(stage.cloud.reads)) == calls


def test_a_stop_awaits_pending_answers_and_gives_back_unsent_jobs() -> None:
    stage = EngineHarness(
        40, settings(limits={"rate": Rate(count=100), "connections": 2, "in_flight": 40})
    )
    stage.cloud.took = 20.0

    async def meanwhile() -> None:
        await anyio.sleep(1.0)
        stage.engine.stop("enough")

    ending = stage.drive(meanwhile)
    assert (ending.state, ending.reason) == (RunState.STOPPED, "enough")
    assert ending.counts == {JobState.RUNNING: 2, JobState.WAITING: 38}
    assert len(stage.sent()) == 2
    assert 20.0 <= stage.clock.passed < 22.0
    waiting = [job for job in stage.jobs() if job.state is JobState.WAITING]
    assert {job.attempts for job in waiting} == {0}
    assert stage.notes("run") == ["stopping: answers still pending: 2", "stopped: enough"]
    assert stage.store.run("run-1").reason == "enough"


def test_a_stop_now_makes_pending_creates_unknown_and_costs_no_attempt() -> None:
    stage = EngineHarness(4, settings(retry={"attempts": 1}))
    stage.cloud.took = 50.0

    async def meanwhile() -> None:
        await anyio.sleep(2.0)
        stage.engine.stop("at once", now=True)

    ending = stage.drive(meanwhile)
    assert stage.clock.passed < 3.0
    assert ending.counts == {JobState.UNKNOWN: 4}
    assert {job.message for job in stage.jobs()} == {"stopped before an answer came"}
    stage.cloud.took = 0.1
    stage.cloud.made.popitem()  # one of the four never arrived
    assert stage.drive().counts == {JobState.SUCCEEDED: 4}
    assert len(stage.sent()) == 5


def test_a_stop_now_sends_nothing_more() -> None:
    stage = EngineHarness(400, settings(limits={"rate": Rate(count=500), "in_flight": 400}))
    stage.cloud.took = 0.3

    async def meanwhile() -> None:
        await anyio.sleep(2.0)
        stage.cloud.took = 50.0
        await anyio.sleep(1.0)
        stage.engine.stop("at once", now=True)

    stage.drive(meanwhile)
    assert stage.clock.passed < 3.1
    assert max(stage.sent()) < 3.0


def test_a_stop_now_ends_a_stop_early() -> None:
    stage = EngineHarness(4)
    stage.cloud.took = 50.0

    async def meanwhile() -> None:
        await anyio.sleep(2.0)
        stage.engine.stop("enough")
        await anyio.sleep(2.0)
        stage.engine.stop("really", now=True)

    ending = stage.drive(meanwhile)
    assert stage.clock.passed < 5.0
    assert ending.reason == "enough"
    assert ending.counts == {JobState.UNKNOWN: 4}


def test_a_stopped_run_continues_where_it_was() -> None:
    stage = EngineHarness(30)

    async def meanwhile() -> None:
        await anyio.sleep(2.0)
        stage.engine.stop("enough")

    assert stage.drive(meanwhile).state is RunState.STOPPED
    assert stage.drive().counts == {JobState.SUCCEEDED: 30}
    assert len(stage.sent()) == 30
    assert stage.store.run("run-1").create_calls == 30


def test_a_job_left_submitting_by_a_killed_engine_is_searched_for_before_it_is_sent_again() -> None:
    stage = EngineHarness(2, settings(retry={"attempts": 1}))

    async def first_life() -> None:
        journal = stage.store.journal("run-1")
        now = stage.clock.elapsed()
        jobs = await journal.claim(now, 2, cloud_now=Cloud(stage.clock.now()))
        stage.cloud.make(jobs[0])

    stage.alone(first_life)
    assert stage.states() == [JobState.SUBMITTING] * 2
    ending = stage.drive()
    assert ending.counts == {JobState.SUCCEEDED: 2}
    assert stage.path(1)[:2] == ["unknown", "running"]
    assert stage.sent(1) == []
    assert len(stage.sent(2)) == 1
    assert stage.sent(2)[0] >= 10.0, "only after the settle time"


def test_a_kill_between_intent_and_answer_costs_no_attempt() -> None:
    stage = EngineHarness(1, settings(retry={"attempts": 1}))

    async def a_life() -> None:
        now = stage.clock.elapsed()
        await stage.store.journal("run-1").claim(now, 1, cloud_now=Cloud(stage.clock.now()))

    stage.alone(a_life)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]


@pytest.mark.parametrize("after", [0.0, 0.05, 1.0, 3.3, 40.0])
def test_a_store_that_fails_ends_the_engine_with_its_reason(after: float) -> None:
    stage = EngineHarness(60)

    async def meanwhile() -> None:
        await anyio.sleep(after)
        stage.journal.break_down("the disk is full")

    with pytest.raises(StoreFailed, match="the disk is full"):
        stage.drive(meanwhile)
    assert stage.drive().counts == {JobState.SUCCEEDED: 60}
    assert len(stage.cloud.made) == 60


def test_a_store_failure_with_pending_answers_is_reported_too() -> None:
    stage = EngineHarness(30, settings(limits={"rate": Rate(count=100), "in_flight": 30}))
    stage.cloud.took = 3.0

    async def meanwhile() -> None:
        await anyio.sleep(1.0)
        stage.journal.break_down("the disk is full")

    with pytest.raises(StoreFailed, match="the disk is full"):
        stage.drive(meanwhile)


def test_a_store_that_fails_in_a_worker_is_reported_in_the_same_way() -> None:
    stage = EngineHarness(3)
    stage.cloud.script[1].append(Answer(status=429))

    class Breaking(list[object]):
        def append(self, event: object) -> None:
            if isinstance(event, JobMoved):
                stage.journal.break_down("the disk is full")

    stage.events = Breaking()  # type: ignore[assignment]
    with pytest.raises(StoreFailed, match="the disk is full"):
        stage.drive()


def test_a_failed_claim_is_reported_as_a_store_failure() -> None:
    stage = EngineHarness(3)

    async def broken(now: Elapsed, limit: int, **order: Any) -> list[Job]:
        raise StoreFailed("the store is locked")

    async def meanwhile() -> None:
        stage.journal.claim = broken  # type: ignore[method-assign]

    with pytest.raises(StoreFailed, match="the store is locked"):
        stage.drive(meanwhile)


def test_at_the_deadline_waiting_jobs_fail_and_running_jobs_are_followed() -> None:
    stage = EngineHarness(30, settings(limits={"in_flight": 5}, deadline=45.0))
    ending = stage.drive()
    assert ending.state is RunState.ENDED
    assert ending.counts == {JobState.SUCCEEDED: 10, JobState.FAILED: 20}
    assert max(stage.sent()) < 45.0
    assert {job.code for job in stage.jobs() if job.state is JobState.FAILED} == {"deadline"}


def test_after_the_deadline_an_unanswered_create_is_still_settled() -> None:
    stage = EngineHarness(2, settings(deadline=5.0))
    stage.cloud.script[1].append(stage.cloud.lose)
    stage.cloud.script[2].append(Answer())
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED, JobState.FAILED]
    assert stage.job(2).code == "deadline"


def test_the_heartbeat_has_the_rate_and_the_calls_of_all_engines() -> None:
    stage = EngineHarness(3, create_calls=100, read_calls=50)
    stage.drive()
    run = stage.store.run("run-1")
    assert run.create_calls == 103
    assert run.read_calls == 50 + stage.cloud.read_calls
    assert run.heartbeat_at
    assert run.heartbeat_at - NOW == pytest.approx(stage.clock.passed, abs=0.1)
    assert stage.store.sending_rate("run-1") == Rate(count=5)


def test_an_operators_rate_and_cap_apply_to_later_engines() -> None:
    stage = EngineHarness(10, rate=Rate(count=1), in_flight=2)
    stage.drive()
    sent = stage.sent()
    assert sent[1] - sent[0] >= 1.0
    assert sent[2] - sent[0] >= 30.0


@pytest.mark.parametrize(("lasts", "loud"), [(4.0, False), (200.0, True)])
def test_a_lasting_list_outage_and_its_end_are_noted_for_the_run(lasts: float, loud: bool) -> None:
    stage = EngineHarness(1)
    stage.cloud.failing = lambda kind, what: (
        CloudUnavailable("503") if kind == "backups" and stage.clock.passed < lasts else None
    )
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    begun, *over = stage.notes("sweep")
    assert "cannot read" in begun
    told = [note for note in stage.notes("run") if "backups" in note] if loud else over
    assert "readable again" in told[-1]
    assert len(told) == (2 if loud else 1)
