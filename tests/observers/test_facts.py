from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.observers.looks import Look, a_channel, as_told, told_of
from tests.store.fixtures import NOW, a_job, a_run
from vbsbatch.model import Elapsed, Job, JobState, Notice, Pace, Retry, RunState, Settings, Wall

HOUR = 3600.0


def failed(no: int, at: float, attempts: int = 1) -> Job:
    return a_job(no, state=JobState.FAILED, attempts=attempts, ended_at=Wall(at))


def running(no: int, since: float, **fields: Any) -> Job:
    given: dict[str, Any] = {"state": JobState.RUNNING, "attempts": 1, "intent_at": Elapsed(since)}
    return a_job(no, **(given | fields))


def names(look: Look, *more: Any) -> list[str]:
    return [fact.name for fact in told_of(look, *more)]


def test_each_end_is_told_once_and_the_end_after_a_retry_again() -> None:
    look = Look(run=a_run(state=RunState.ENDED, ended_at=Wall(NOW + 5)))
    (fact,) = told_of(look)
    assert fact.name == f"end:{(NOW + 5) * 1000:.0f}"
    told = as_told(fact, NOW + 6)
    assert names(look, None, told) == []
    look.run = replace(look.run, ended_at=Wall(NOW + 99))
    assert names(look, None, told) == [f"end:{(NOW + 99) * 1000:.0f}"]


def test_a_channel_is_told_only_what_it_wants() -> None:
    look = Look(run=a_run(state=RunState.ENDED, ended_at=Wall(NOW)))
    assert names(look, a_channel(notices=frozenset({Notice.GATE}))) == []


def test_a_stop_is_told_with_its_reason_once() -> None:
    run = a_run(state=RunState.STOPPED, reason="quota", heartbeat_at=Wall(NOW))
    (fact,) = told_of(Look(run=run))
    assert (fact.notice, fact.text) == (Notice.STOPPED, "quota")
    # A retry of a run that had ended is no stop.
    assert told_of(Look(run=replace(run, reason="retry asked for"))) == []


def test_failures_are_told_when_they_pass_the_number_and_not_again() -> None:
    jobs = [failed(no, NOW + no) for no in (7, 3, 5)]
    jobs.sort(key=lambda job: float(job.ended_at or 0))
    look = Look(counts={JobState.FAILED: 3}, failed_jobs=jobs)
    channel = a_channel(failures_over=1)
    (fact,) = told_of(look, channel)
    assert (fact.name, fact.text) == ("failures:5.1", "3 failed, more than 1")
    assert told_of(look, a_channel(failures_over=3)) == []
    told = as_told(fact, NOW)
    # More failures, or a retry of another job, are no news.
    look.failed_jobs = [*jobs[1:], failed(9, NOW + 20)]
    assert told_of(look, channel, told) == []
    # After a retry of all, the same number of failures is.
    look.failed_jobs = [failed(job.no, NOW + 90 + job.no, attempts=2) for job in jobs]
    assert names(look, channel, told) == ["failures:5.2"]


@pytest.mark.parametrize("state", [RunState.ENDED, RunState.STOPPED])
def test_failures_are_left_to_the_message_about_the_end(state: RunState) -> None:
    run = a_run(state=state, ended_at=Wall(NOW), heartbeat_at=Wall(NOW), reason="x")
    look = Look(run=run, counts={JobState.FAILED: 1}, failed_jobs=[failed(1, NOW)])
    (fact,) = told_of(look)
    assert fact.notice in (Notice.END, Notice.STOPPED)
    only = a_channel(notices=frozenset({Notice.FAILURES}))
    assert names(look, only) == ["failures:1.1"]


def test_a_gate_is_told_once_and_again_when_it_closes_after_a_retry() -> None:
    run = a_run(state=RunState.PAUSED, reason="wave canary ended with 2 failed")
    look = Look(run=run, gate=(0, 2), attempts=9)
    (fact,) = told_of(look)
    assert (fact.name, fact.text) == ("gate:0.9", "wave canary ended with 2 failed")
    assert told_of(look, None, as_told(fact, NOW)) == []
    look.attempts = 11
    assert names(look, None, as_told(fact, NOW)) == ["gate:0.11"]


@pytest.mark.parametrize(
    ("longest", "age", "late"),
    [
        (None, 11 * HOUR, False),  # half of timeouts.backup
        (None, 13 * HOUR, True),
        (600.0, 0.9 * HOUR, False),  # an hour at least
        (600.0, 1.1 * HOUR, True),
        (2 * HOUR, 5.9 * HOUR, False),
        (2 * HOUR, 6.1 * HOUR, True),
    ],
)
def test_a_backup_is_stuck_when_it_takes_three_times_as_long_as_any(
    longest: float | None, age: float, late: bool
) -> None:
    look = Look(pace=Pace(last_end=Wall(NOW + 10_000), longest=longest))
    look.open_jobs = [running(4, float(look.now) - age)]
    assert names(look) == (["stuck:4.1"] if late else [])


def test_many_stuck_backups_are_one_message_and_later_ones_the_next() -> None:
    channel = a_channel(stuck_after=60.0, notices=frozenset({Notice.STUCK}))
    look = Look(open_jobs=[running(no, NOW) for no in (1, 2)])
    (fact,) = told_of(look, channel)
    assert (fact.name, [job.no for job in fact.jobs]) == ("stuck:1.1,2.1", [1, 2])
    told = as_told(fact, float(look.now))
    look.open_jobs = [running(no, NOW) for no in (1, 2, 3)]
    look.now += 600.0
    assert told_of(look, channel, told) == []
    look.now += 600.0
    assert names(look, channel, told) == ["stuck:3.1"]


def test_a_job_that_stays_unknown_is_stuck_much_sooner() -> None:
    settings = Settings(retry=Retry(settle=120.0))
    look = Look(run=a_run(settings=settings), pace=Pace(last_end=Wall(NOW + 10_000)))
    job = running(1, float(look.now) - 1100, state=JobState.UNKNOWN)
    look.open_jobs = [job]
    assert names(look) == []
    look.open_jobs = [replace(job, intent_at=Elapsed(float(look.now) - 1300))]
    assert names(look) == ["stuck:1.1"]


def test_a_run_is_silent_when_something_could_end_and_nothing_does() -> None:
    look = Look(pace=Pace(last_end=Wall(NOW), longest=1.3 * HOUR))
    look.open_jobs = [running(1, NOW - 60)]
    (fact,) = told_of(look)
    assert (fact.name, fact.text) == (f"silent:{NOW * 1000:.0f}", "2 h 46 min")
    # Not before an engine has had that long, nor long after the last backup was begun.
    assert told_of(replace(look, engine_since=Wall(NOW + 9000))) == []
    assert told_of(replace(look, open_jobs=[running(1, NOW + 9000)])) == []
    # Nor sooner than twice what the longest backup took, unless the channel says so.
    slow = replace(look, pace=Pace(last_end=Wall(NOW), longest=1.5 * HOUR))
    assert told_of(slow) == []
    assert told_of(replace(look, pace=Pace(last_end=Wall(NOW)))) == []
    assert len(told_of(slow, a_channel(silent_after=2 * HOUR))) == 1


def test_a_run_that_waits_is_silent_only_while_it_may_send() -> None:
    channel = a_channel(notices=frozenset({Notice.SILENT}))
    look = Look(counts={JobState.WAITING: 3}, sends_since=Wall(NOW))
    assert names(look, channel) == ["silent:0"]
    assert names(replace(look, sends_since=Wall(NOW + 9000)), channel) == []
    assert names(replace(look, sends_since=None), channel) == []
    assert names(replace(look, counts={}), channel) == []


def test_an_engine_that_is_gone_is_told_once_and_nothing_else_of_a_run_under_way() -> None:
    run = a_run(heartbeat_at=Wall(NOW))
    look = Look(run=run, gone_for=("it is gone", 130.0), open_jobs=[running(1, NOW - 99 * HOUR)])
    (fact,) = told_of(look)
    assert (fact.name, fact.text) == (f"engine_gone:{NOW * 1000:.0f}", "it is gone")
    assert told_of(look, None, as_told(fact, NOW)) == []
    patient = a_channel(gone_after=600.0, notices=frozenset({Notice.ENGINE_GONE}))
    assert told_of(look, patient) == []
