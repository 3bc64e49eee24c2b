"""Creates for several jobs: one permit and one request, an answer for each job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from vbsbatch.model import Answer, BackupSettings, Job, JobMoved, JobState, Rate, RunState, Verdict
from vbsbatch.plan.batches import in_batches

from .harness import EngineHarness, a_job, settings

TWO_VAULTS = (BackupSettings(vault="one"), BackupSettings(vault="two"))


def alike(numbers: Iterable[int], vaults: int = 1) -> list[Job]:
    """Jobs of one name; every other one of another vault, where there are two."""
    return [
        replace(a_job(no), backup_name="shared", settings=TWO_VAULTS[no % vaults]) for no in numbers
    ]


def batches(volumes: int = 12, size: int = 4, *, vaults: int = 1, **limits: Any) -> EngineHarness:
    known = {"in_flight": 50, "connections": 4, "per_checkpoint": size, **limits}
    return EngineHarness(alike(range(1, volumes + 1), vaults), settings(limits=known))


BUSY = Answer(status=400, code="BackupService.6125", message="a backup is being made")


def most_running(stage: EngineHarness) -> int:
    """How many jobs ran at the same time at most."""
    running = most = 0
    for event in stage.events:
        if isinstance(event, JobMoved):
            running += (event.job.state is JobState.RUNNING) - (event.came_from is JobState.RUNNING)
            most = max(most, running)
    return most


def test_jobs_with_the_same_settings_share_a_create_up_to_the_limit() -> None:
    stage = batches(12, 5)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 12
    assert stage.cloud.batches == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12]]


def test_jobs_with_other_settings_are_never_in_one_create() -> None:
    stage = batches(8, 4, vaults=2)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 8
    assert all(len({no % 2 for no in batch}) == 1 for batch in stage.cloud.batches)


def test_a_batch_of_one_is_what_every_other_service_has() -> None:
    stage = EngineHarness(6)
    stage.drive()
    assert stage.cloud.batches == [[no] for no in range(1, 7)]


def test_a_batch_takes_one_permit_and_waits_for_jobs_that_can_join_it() -> None:
    stage = batches(60, 10, rate=Rate(count=2))
    stage.drive()
    assert [len(batch) for batch in stage.cloud.batches] == [10] * 6
    sent = stage.sent()
    assert all(later - earlier >= 0.45 for earlier, later in pairwise(sent))


def test_the_in_flight_cap_counts_jobs() -> None:
    stage = batches(30, 8, in_flight=10)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 30
    assert most_running(stage) == 10


def test_each_job_of_a_create_has_its_own_outcome() -> None:
    stage = batches(4, 4)
    skipped = Answer(status=200, code="BackupService.6203", message="busy", skipped=True)
    missing = Answer(status=200, code="BackupService.6135", message="not there", skipped=True)
    stage.cloud.script[2].append(skipped)
    stage.cloud.script[3].append(missing)
    stage.cloud.script[4].append(Answer(status=200, readable=False))
    stage.drive()
    assert stage.path(1) == ["running", "succeeded"]
    assert stage.path(2)[:1] == ["waiting"]
    assert stage.job(2).state is JobState.SUCCEEDED
    assert (stage.job(3).state, stage.job(3).code) == (JobState.FAILED, "BackupService.6135")
    assert stage.path(4)[:1] == ["unknown"]
    assert stage.job(4).state is JobState.SUCCEEDED
    attempts = stage.store.attempts(stage.run_id, 3)
    assert [(each.verdict, each.answer.status) for each in attempts] == [(Verdict.FAIL, 200)]


def test_a_lost_answer_makes_all_jobs_unknown_and_none_is_sent_twice() -> None:
    stage = batches(4, 4)
    for no in range(1, 5):
        stage.cloud.script[no].append(stage.cloud.lose)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 4
    assert all(stage.path(no)[0] == "unknown" for no in range(1, 5))
    assert len(stage.cloud.batches) == 1


def test_one_lost_create_of_many_jobs_is_no_outage() -> None:
    stage = batches(16, 8)
    for no in range(1, 9):
        stage.cloud.script[no].append(stage.cloud.lose)
    stage.drive()
    assert stage.notes("breaker") == []
    assert stage.states() == [JobState.SUCCEEDED] * 16


def test_an_outage_is_excused_for_every_job_of_the_creates_that_met_it() -> None:
    stage = batches(40, 4, connections=8)
    down = Answer(status=503)
    for no in range(1, 41):
        stage.cloud.script[no].append(down)
    stage.drive()
    assert any("seems down" in note for note in stage.notes("breaker"))
    assert stage.states() == [JobState.SUCCEEDED] * 40
    first = [no for batch in stage.cloud.batches[:5] for no in batch]
    assert {stage.job(no).charged for no in first} == {1}


def test_a_throttled_create_sends_all_of_its_jobs_again_and_slows_down_once() -> None:
    stage = batches(6, 3, rate=Rate(count=10))
    for no in range(1, 4):
        stage.cloud.script[no].append(Answer(status=429, retry_after=5.0))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 6
    assert len(stage.notes("limiter")) == 1
    assert {stage.job(no).charged for no in range(1, 7)} == {1}


def test_a_refused_token_is_renewed_once_for_a_create() -> None:
    stage = batches(6, 6)
    for no in range(1, 7):
        stage.cloud.script[no].append(Answer(status=401))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 6
    assert len(stage.cloud.renewals) == 1


def test_a_stop_of_one_job_stops_the_run_and_keeps_what_was_accepted() -> None:
    stage = batches(4, 4)
    stage.cloud.script[2].append(Answer(status=200, code="BackupService.6114", skipped=True))
    result = stage.drive()
    assert result.state is RunState.STOPPED
    assert "BackupService.6114" in (result.reason or "")
    assert stage.job(2).state is JobState.WAITING
    assert stage.job(1).state is JobState.RUNNING


def test_a_backup_of_ours_that_names_no_volume_makes_lost_creates_uncertain() -> None:
    stage = batches(2, 2)
    for no in (1, 2):
        stage.cloud.script[no].append(Answer(message="the connection was reset"))
    stage.cloud.make(stage.job(1), volume_id=None)
    stage.drive()
    assert {stage.job(no).code for no in (1, 2)} == {"uncertain"}
    assert len(stage.cloud.batches) == 1


def test_an_engine_that_died_before_the_answer_finds_every_job_of_its_create() -> None:
    stage = batches(4, 4)
    for job in stage.jobs():
        stage.cloud.make(job, made_at=stage.clock.now() + 1.0)
    stage.drive()
    stage = batches(4, 4)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 4


def test_a_vault_that_refuses_a_second_create_gets_one_at_a_time() -> None:
    stage = batches(16, 4)
    for no in range(5, 17):
        stage.cloud.script[no].append(BUSY)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 16
    assert most_running(stage) == 4
    assert {stage.job(no).charged for no in range(1, 17)} == {1}
    assert {stage.job(no).attempts for no in range(1, 5)} == {1}
    (note,) = [note for note in stage.notes("run") if "one create for each vault" in note]
    assert note.startswith("BackupService.6125")
    assert not any("unknown" in stage.path(no) for no in range(1, 17))


def test_other_vaults_are_sent_meanwhile() -> None:
    jobs = in_batches(alike(range(1, 17), 2), 4)
    limits = {"in_flight": 50, "connections": 4, "per_checkpoint": 4}
    stage = EngineHarness(jobs, settings(limits=limits))
    for no in range(9, 17):
        stage.cloud.script[no].append(BUSY)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 16
    assert most_running(stage) == 8


def test_a_single_busy_volume_says_nothing_about_its_vault() -> None:
    stage = batches(12, 1)
    stage.cloud.script[12].append(BUSY)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 12
    assert most_running(stage) > 8
    assert stage.notes("run") == []


def test_a_vault_that_is_busy_without_us_is_tried_again_later() -> None:
    stage = batches(4, 4)
    for no in range(1, 5):
        stage.cloud.script[no] += [BUSY, BUSY]
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 4
    first, second, *_ = stage.sent()
    assert second - first >= settings().retry.later_every
