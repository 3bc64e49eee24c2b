from __future__ import annotations

from typing import Any

import anyio
import pytest

from vbsbatch.engine.ledger import Ledger
from vbsbatch.errors import CloudRefused
from vbsbatch.model import (
    Answer,
    Cloud,
    CloudJobStatus,
    Job,
    JobState,
    Rate,
    RunState,
    Timeouts,
    renewed,
)

from .harness import FAILS, HIDDEN, NOW, EngineHarness, accepting, failing, settings

EARLY: dict[str, Any] = {"visible_at": 1e12, "job_end": CloudJobStatus.FAIL, "tells_id": False}


# Ends -------------------------------------------------------------------------------------------


def test_list_pages_show_ends_without_queries_for_single_jobs() -> None:
    stage = EngineHarness(50, settings(limits={"in_flight": 50, "rate": Rate(count=50)}))
    stage.cloud.duration = 600.0
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 50
    assert {kind for _, kind, _ in stage.cloud.reads} == {"backups"}
    assert max(float(job.ended_at or 0) for job in stage.jobs()) < NOW + 600.0 + 75.0


def test_progress_and_the_backups_id_are_known_while_it_runs() -> None:
    stage = EngineHarness(1)

    async def meanwhile() -> None:
        await anyio.sleep(20.0)
        await stage.journal.flush()
        assert (stage.job().state, stage.job().backup_id) == (JobState.RUNNING, "backup-1")

    stage.drive(meanwhile)


# Failed cloud jobs ------------------------------------------------------------------------------


def test_an_errored_backup_is_deleted_and_made_again() -> None:
    stage = EngineHarness(2)
    stage.cloud.script[1].append(accepting(stage, **FAILS))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 2
    assert stage.cloud.deleted == ["backup-1"]
    job = stage.job(1)
    assert (job.attempts, job.backup_id, job.errored_backup_id) == (2, "backup-3", "backup-1")
    waiting = next(e for e in stage.events if getattr(e, "job", job).state is JobState.WAITING)
    assert waiting.job.code == "VolumeBackup.0064"  # type: ignore[union-attr]


@pytest.mark.parametrize("untold", [{"code": None}, {"forgotten": True}])
def test_an_errored_backup_whose_cloud_job_has_no_code_gets_ours(untold: dict[str, Any]) -> None:
    stage = EngineHarness(1, settings(retry={"attempts": 1}))
    stage.cloud.script[1].append(accepting(stage, **(FAILS | untold)))
    stage.drive()
    assert (stage.states(), stage.job(1).code) == ([JobState.FAILED], "error")


def test_an_errored_backup_is_kept_if_the_settings_say_so() -> None:
    stage = EngineHarness(1, settings(delete_errored=False))
    stage.cloud.script[1].append(accepting(stage, **FAILS))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert not stage.cloud.deleted
    assert not stage.cloud.asked("delete")


def test_a_refused_deletion_is_noted_and_blocks_nothing() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, **FAILS))
    stage.cloud.failing = lambda kind, what: CloudRefused("409: no") if kind == "delete" else None
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert "backup-1 stays: 409" in stage.notes("run")[0]


def test_an_unanswered_deletion_is_repeated_before_the_backup_is_made_again() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, **FAILS))
    failing(stage, "delete", until=100.0)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert len(stage.cloud.asked("delete")) >= 2
    assert stage.sent(1)[1] >= 100.0


def test_attempts_bound_the_repeats_of_cloud_jobs_that_fail() -> None:
    stage = EngineHarness(1, settings(retry={"attempts": 3}))
    stage.cloud.always = accepting(stage, **FAILS)
    stage.drive()
    job = stage.job()
    assert (job.state, job.attempts, job.code) == (JobState.FAILED, 3, "VolumeBackup.0064")
    assert job.backup_id is None
    assert stage.cloud.deleted == ["backup-1", "backup-2", "backup-3"]


@pytest.mark.parametrize(
    ("code", "state"),
    [("VolumeBackup.0021", JobState.FAILED), ("VolumeBackup.0080", JobState.WAITING)],
)
def test_the_code_of_a_failed_cloud_job_decides(code: str, state: JobState) -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, **FAILS | {"code": code}))
    ending = stage.drive()
    assert stage.job().state is state
    assert (ending.state is RunState.STOPPED) == (state is JobState.WAITING)
    assert stage.job().code == code
    assert len(stage.sent()) == 1


@pytest.mark.parametrize("raised", [True, False])
def test_a_quota_failure_from_before_a_resume_does_not_stop_the_run_again(raised: bool) -> None:
    """A regression: each resume stopped at the next such failure, once for each that had been under
    way."""
    stage = EngineHarness(6)
    used_up = accepting(stage, **FAILS | {"code": "VolumeBackup.0081"})
    stage.cloud.always = used_up
    assert stage.drive().state is RunState.STOPPED
    if raised:
        stage.cloud.always = None
    ending = stage.drive()
    assert (ending.state is RunState.STOPPED) == (not raised)
    assert JobState.FAILED not in stage.states()
    assert not raised or stage.states() == [JobState.SUCCEEDED] * 6


def test_a_cloud_job_that_failed_before_any_backup_is_seen_is_found_by_its_query() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, **EARLY, code="VolumeBackup.0017"))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert stage.sent()[1] >= 60.0
    assert not stage.cloud.deleted


def test_a_failed_cloud_job_that_may_have_left_a_backup_is_checked_before_a_new_create() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, **EARLY, code="VolumeBackup.0027"))
    stage.drive()
    assert stage.path()[:3] == ["running", "unknown", "waiting"]
    assert stage.states() == [JobState.SUCCEEDED]


def test_a_backup_that_is_creating_is_neither_deleted_nor_made_again() -> None:
    stage = EngineHarness(1)
    stuck = {"ready_at": NOW + 1.0, "end": "creating", "job_end": CloudJobStatus.FAIL}
    stage.cloud.script[1].append(accepting(stage, **stuck, code="VolumeBackup.0064"))
    stage.drive()
    assert stage.job().state is JobState.FAILED
    assert "stays in 'creating'" in str(stage.job().message)
    assert (stage.sent(), stage.cloud.deleted) == ([stage.sent()[0]], [])
    assert stage.job().ended_at
    assert float(stage.job().ended_at or 0) - NOW >= 60.0


def test_a_backup_of_unknown_status_is_done_when_its_cloud_job_says_so() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, ready_at=NOW + 1.0, end="protected"))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert float(stage.job().ended_at or 0) - NOW < 300.0


@pytest.mark.parametrize("script", [{}, {"visible_at": 1e12}], ids=["listed", "in no list"])
def test_a_backup_that_never_ends_fails_in_time_and_is_left_alone(script: dict[str, Any]) -> None:
    stage = EngineHarness(2, settings(timeouts=Timeouts(backup=7200.0)))
    stage.cloud.script[1].append(accepting(stage, ready_at=NOW + 1e9, **script))
    stage.drive()
    assert stage.states() == [JobState.FAILED, JobState.SUCCEEDED]
    assert stage.job().code == "stuck"
    assert stage.job().message == "the cloud has worked on it for longer than timeouts.backup"
    assert 7200.0 < float(stage.job().ended_at or 0) - stage.sent()[0] - NOW < 7200.0 + 200.0
    assert (len(stage.sent()), stage.cloud.deleted) == (2, [])


@pytest.mark.parametrize("word", ["deleting", "deleted"])
def test_a_backup_that_somebody_deletes_fails_its_job(word: str) -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, end=word))
    stage.drive()
    assert (stage.job().state, stage.job().code) == (JobState.FAILED, "deleted")
    assert len(stage.sent()) == 1


def test_a_backup_that_vanishes_while_it_is_made_fails_its_job_too() -> None:
    stage = EngineHarness(1)

    async def meanwhile() -> None:
        await anyio.sleep(20.0)
        stage.cloud.made.clear()

    stage.drive(meanwhile)
    assert (stage.job().state, stage.job().code) == (JobState.FAILED, "deleted")


# Backups that no list shows ---------------------------------------------------------------------


def test_a_hidden_backup_succeeds_when_its_cloud_job_says_so() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, visible_at=HIDDEN))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert stage.job().backup_id == "backup-1"


def test_a_backup_with_a_known_id_is_waited_for_until_it_is_listed() -> None:
    stage = EngineHarness(1)
    stage.cloud.duration = 900.0
    stage.cloud.script[1].append(accepting(stage, visible_at=NOW + 400.0))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert len(stage.sent()) == 1


def test_a_backup_named_in_an_answer_has_the_settle_time_to_appear() -> None:
    stage = EngineHarness(1)

    def named(job: Job) -> Answer:
        made = stage.cloud.make(job, visible_at=NOW + 8.0)
        return Answer(status=202, backup_id=made.id)

    stage.cloud.script[1].append(named)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert len(stage.sent()) == 1


def test_a_cloud_job_is_queried_less_and_less_often() -> None:
    stage = EngineHarness(1)
    stage.cloud.duration = 4 * 3600.0
    stage.cloud.script[1].append(accepting(stage, visible_at=HIDDEN, tells_id=False))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    asked = [at for at, _ in stage.cloud.asked("cloud_job")]
    assert asked[0] - NOW >= 60.0
    assert len(asked) <= 35
    assert asked[-1] - asked[-2] <= 900.0


def test_a_cloud_job_that_the_cloud_forgot_ends_as_lost_without_a_new_create() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, visible_at=HIDDEN, forgotten=True))
    stage.drive()
    assert stage.path() == ["running", "unknown", "failed"]
    assert stage.job().code == "lost"
    assert len(stage.cloud.asked("cloud_job")) == 3
    assert len(stage.sent()) == 1


def test_a_forgotten_cloud_job_whose_backup_shows_up_late_succeeds() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, visible_at=NOW + 95.0, forgotten=True))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert len(stage.sent()) == 1


def test_an_operators_retry_of_a_lost_job_may_create_again() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(accepting(stage, visible_at=HIDDEN, forgotten=True))
    stage.drive()
    stage.cloud.script[1].append(Answer())

    async def retried() -> None:
        journal = stage.store.journal("run-1")
        (job,) = await journal.jobs_in((JobState.FAILED,))
        ledger = Ledger(journal, stage.clock, cloud_now=lambda: Cloud(stage.clock.now()))
        ledger.move(job, JobState.WAITING, **renewed(job))
        await journal.flush()

    stage.alone(retried)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert len(stage.sent()) == 3
