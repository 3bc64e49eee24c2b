from __future__ import annotations

import anyio

from vbsbatch.engine import Tuning
from vbsbatch.model import JobState, Rate, RunState

from .harness import NOW, EngineHarness, a_job, settings

QUICK = {"rate": Rate(count=100), "in_flight": 200, "connections": 8}


def together(one: EngineHarness, other: EngineHarness) -> None:
    """Drive two runs of one store at once."""

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(one.driven)
            group.start_soon(other.driven)

    one.alone(both)


def test_higher_priorities_go_first_then_the_order_of_the_plan() -> None:
    jobs = [a_job(n, priority=p) for n, p in enumerate((0, 5, 0, 9, 5), 1)]
    stage = EngineHarness(jobs, settings(limits={"rate": Rate(count=1)}))
    stage.drive()
    assert [no for _, no in stage.cloud.creates] == [4, 2, 5, 1, 3]


def test_a_job_is_not_sent_before_it_is_due() -> None:
    jobs = [a_job(1, due_at=NOW + 300.0), a_job(2, due_at=NOW + 77.0), a_job(3)]
    stage = EngineHarness(jobs)
    stage.drive()
    assert [(round(at), no) for at, no in ((at - NOW, no) for at, no in stage.cloud.creates)] == [
        (0, 3), (77, 2), (300, 1),
    ]  # fmt: skip


def test_no_more_is_in_flight_than_the_cap() -> None:
    stage = EngineHarness(30, settings(limits=QUICK | {"in_flight": 7}))
    most = 0

    async def meanwhile() -> None:
        nonlocal most
        while True:
            most = max(most, len(stage.engine.ledger.open))
            await anyio.sleep(0.01)

    stage.drive(meanwhile)
    assert most == 7
    assert stage.states() == [JobState.SUCCEEDED] * 30


def test_only_a_moments_work_is_claimed_ahead() -> None:
    stage = EngineHarness(300, settings(limits=QUICK))
    stage.cloud.took = 0.01
    most = 0

    async def meanwhile() -> None:
        nonlocal most
        while True:
            most = max(most, stage.engine.ledger.counts[JobState.SUBMITTING])
            await anyio.sleep(0.01)

    stage.drive(meanwhile)
    assert most <= QUICK["rate"].per_second * Tuning().claim_ahead + 2  # type: ignore[attr-defined]


def test_two_runs_of_one_store_never_have_two_creates_for_a_volume() -> None:
    one = EngineHarness([a_job(1), a_job(2)])
    other = EngineHarness([a_job(1), a_job(2)], beside=one, run_id="run-2")
    together(one, other)
    assert one.states() == other.states() == [JobState.SUCCEEDED] * 2
    assert one.cloud.most_under_way == 1
    assert len(one.cloud.made) == 4
    by_time = sorted(one.cloud.creates)
    assert by_time[2][0] - by_time[0][0] >= 30.0, "the second waits until the first has ended"


def test_a_volume_that_another_run_holds_does_not_block_the_rest() -> None:
    one = EngineHarness([a_job(1)])
    one.cloud.duration = 500.0
    other = EngineHarness([a_job(n) for n in range(1, 9)], beside=one, run_id="run-2")

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(one.driven)
            await anyio.sleep(1.0)
            one.cloud.duration = 30.0
            group.start_soon(other.driven)
            await anyio.sleep(120.0)
            assert other.states()[1:] == [JobState.SUCCEEDED] * 7
            assert other.states()[0] is JobState.WAITING
            assert (other.job(1).code, other.job(1).later_since is not None) == ("busy", True)

    one.alone(both)
    assert other.states() == [JobState.SUCCEEDED] * 8


def test_a_volume_that_another_run_holds_too_long_fails_as_busy() -> None:
    one = EngineHarness([a_job(1)])
    one.cloud.duration = 5000.0
    short = settings(retry={"later_every": 20.0, "later_for": 100.0})
    other = EngineHarness([a_job(1)], short, beside=one, run_id="run-2")

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(one.driven)
            await anyio.sleep(1.0)
            await other.driven()
            assert other.job(1).state is JobState.FAILED
            assert 100.0 <= one.clock.passed <= 140.0

    one.alone(both)
    assert (other.job(1).code, other.job(1).attempts) == ("busy", 0)
    assert "run-1" in str(other.job(1).message)


def test_volumes_released_by_another_run_are_sent_at_the_plans_rate() -> None:
    """A regression: they were claimed one by one, with a check every ten seconds between two of
    them."""
    many, slow = range(1, 13), {"rate": Rate(count=4), "in_flight": 50}
    one = EngineHarness([a_job(n) for n in many])
    short = settings(limits=slow, retry={"later_every": 0.5, "later_for": 600.0})
    other = EngineHarness([a_job(n) for n in many], short, beside=one, run_id="run-2")
    together(one, other)
    assert other.states() == [JobState.SUCCEEDED] * len(many)
    second = [at for at, _ in sorted(one.cloud.creates)[len(many) :]]
    assert len(second) == len(many)
    assert second[-1] - second[0] < 60.0


def test_a_job_that_was_not_due_when_its_volume_was_held_is_not_forgotten() -> None:
    one = EngineHarness([a_job(1)])
    other = EngineHarness([a_job(1, due_at=NOW + 40.0)], beside=one, run_id="run-2")
    together(one, other)
    assert other.states() == [JobState.SUCCEEDED]
    assert one.clock.passed < 130.0


def stopped_with_two_open() -> EngineHarness:
    """A run that was stopped immediately, with its sent creates still open."""
    one = EngineHarness(2)
    one.cloud.duration = 500.0

    async def stop() -> None:
        await anyio.sleep(2.0)
        one.engine.stop("by hand", now=True)

    one.drive(stop)
    assert one.store.run("run-1").state is RunState.STOPPED
    return one


def test_a_run_whose_volumes_a_stopped_run_holds_says_so_and_what_to_do() -> None:
    one = stopped_with_two_open()
    other = EngineHarness(3, beside=one, run_id="run-2")
    words = (
        "2 volumes wait for another run: run run-1 holds 2 (stopped);"
        " vbsbatch resume run-1, or vbsbatch take-over run-2"
    )

    async def meanwhile() -> None:
        await anyio.sleep(60.0)
        assert other.job(1).message == "run run-1 holds this volume (stopped)"
        assert other.engine.waits_for == other.store.run("run-2").reason == words
        await anyio.sleep(100.0)
        assert other.engine.waits_for == words, "between two looks, too"
        other.engine.stop("seen enough")

    other.drive(meanwhile)
    assert other.notes("run")[0] == words
    assert sum(words in note for note in other.notes("run")) == 1, "told once"


def test_jobs_that_wait_for_another_reason_are_not_reported_as_held() -> None:
    one = stopped_with_two_open()
    jobs = [a_job(1), a_job(2), a_job(3, due_at=one.clock.elapsed() + 100.0)]
    other = EngineHarness(jobs, beside=one, run_id="run-2")

    async def meanwhile() -> None:
        await anyio.sleep(60.0)
        assert other.engine.waits_for is None, "the third is sent without anybody's help"
        await anyio.sleep(60.0)
        assert other.engine.waits_for is not None
        other.engine.stop("seen enough")

    other.drive(meanwhile)


def test_a_run_continues_once_its_volumes_are_free() -> None:
    one = EngineHarness(2)
    one.cloud.duration = 200.0
    other = EngineHarness(2, beside=one, run_id="run-2")

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(one.driven)
            await anyio.sleep(5.0)
            group.start_soon(other.driven)
            await anyio.sleep(60.0)
            assert "run run-1 holds 2 (at work)" in str(other.engine.waits_for)
            assert "vbsbatch" not in str(other.engine.waits_for), "nothing is to be done"
            await anyio.sleep(300.0)
            assert other.engine.waits_for is None

    one.alone(both)
    assert other.states() == [JobState.SUCCEEDED] * 2
