from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.engine.outcome import (
    Outcome,
    Rules,
    of_absence,
    of_answer,
    of_refusal,
    past_deadline,
    still_busy,
)
from vbsbatch.model import (
    MOVES,
    NO_PARENT,
    Answer,
    BackupSettings,
    BlockingRun,
    Elapsed,
    Job,
    JobState,
    Retry,
    RunState,
    Verdict,
    Wall,
)
from vbsbatch.policy import Judgement, judge

from .harness import NOW, a_job

RETRY = Retry(attempts=3, base=2.0, cap=60.0, later_every=60.0, later_for=600.0)
REFUSED = Answer(status=400, code="VolumeBackup.0017", message="no snapshot")
BUSY = Answer(status=400, code="VolumeBackup.0013")
NOT_READY = Answer(status=400, code="VolumeBackup.0012")


def rules(**changes: Any) -> Rules:
    given: dict[str, Any] = {"retry": RETRY, "now": NOW, "wall": NOW, "random": Random(3)}
    return Rules(**(given | changes))


def sent(attempts: int = 1, **fields: Any) -> Job:
    given: dict[str, Any] = {"state": JobState.SUBMITTING, "intent_at": NOW - 1.0}
    return a_job(attempts=attempts, **(given | fields))


def after(job: Job, answer: Answer, **changes: Any) -> tuple[Job, Outcome]:
    outcome = of_answer(job, answer, judge(answer), rules(**changes))
    return replace(job, state=outcome.to, **outcome.changes), outcome


# One answer -------------------------------------------------------------------------------------


def test_an_accepted_job_runs_and_clears_earlier_errors() -> None:
    before = sent(code="VolumeBackup.0013", message="busy", later_since=NOW - 99, backup_id="old")
    job, _ = after(before, Answer(status=200, cloud_job_id="j"))
    assert (job.state, job.cloud_job_id, job.backup_id) == (JobState.RUNNING, "j", None)
    assert (job.code, job.message, job.later_since, job.unknown_at) == (None, None, None, None)
    assert job.http_status == 200


def test_an_unanswered_job_is_unknown_from_now_on() -> None:
    job, _ = after(sent(cloud_job_id="old"), Answer(message="reset"))
    assert (job.state, job.unknown_at, job.cloud_job_id) == (JobState.UNKNOWN, Elapsed(NOW), None)
    assert (job.http_status, job.message) == (None, "reset")
    assert job.charged == 1


def test_a_refused_job_waits_with_jitter_and_keeps_the_reason() -> None:
    job, _ = after(sent(2), REFUSED)
    assert job.state is JobState.WAITING
    assert NOW <= float(job.due_at) <= NOW + 4.0
    assert (job.code, job.message, job.http_status) == ("VolumeBackup.0017", "no snapshot", 400)


def test_when_the_attempts_are_used_up_it_fails_with_its_code() -> None:
    job, outcome = after(sent(3), REFUSED)
    assert (job.state, job.code, job.ended_at) == (JobState.FAILED, "VolumeBackup.0017", Wall(NOW))
    assert outcome.note == "gave up after 3 attempts"
    _, only = after(sent(1), REFUSED, retry=replace(RETRY, attempts=1))
    assert only.note == "gave up after 1 attempt"


@pytest.mark.parametrize("answer", [REFUSED, NOT_READY])
def test_retry_after_is_honoured_by_refusals_too(answer: Answer) -> None:
    job, _ = after(sent(1), replace(answer, retry_after=500.0))
    assert job.due_at == Elapsed(NOW + 500.0)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=429),
        Answer(status=401),
        NOT_READY,
        BUSY,
        Answer(status=409),
        Answer(status=403),
        Answer(status=400, code="VolumeBackup.0080"),
    ],
)
def test_throttling_busy_volumes_tokens_and_stops_cost_no_attempt(answer: Answer) -> None:
    job, _ = after(sent(3, uncharged=1), answer)
    assert job.charged == 1
    assert job.state is JobState.WAITING or answer in (BUSY, Answer(status=409))


def test_throttled_jobs_are_due_at_once_and_the_limiter_sets_the_pace() -> None:
    job, _ = after(sent(1, later_since=NOW - 50), Answer(status=429, retry_after=30.0))
    assert job.due_at == Elapsed(NOW)
    assert job.later_since == Elapsed(NOW - 50)


def test_a_job_that_is_throttled_again_and_again_lets_others_go_first() -> None:
    throttled = Answer(status=429)
    at_once, _ = after(sent(4, uncharged=3), throttled)
    assert at_once.due_at == Elapsed(NOW)
    dues = [after(sent(n + 1, uncharged=n), throttled)[0].due_at for n in range(4, 60)]
    waits = [float(due) - NOW for due in dues]
    assert all(0 <= wait <= 300 for wait in waits)
    assert max(waits[:3]) < 10 < max(waits[-10:])


def test_a_stop_says_why_and_its_job_is_the_first_of_the_next_engine() -> None:
    job, outcome = after(sent(1), Answer(status=400, code="VolumeBackup.0080"))
    assert outcome.stop == "VolumeBackup.0080: backup count quota used up"
    assert (job.state, job.due_at) == (JobState.WAITING, Elapsed(0.0))
    _, outcome = after(sent(1), Answer(status=403))
    assert str(outcome.stop).startswith("HTTP 403: ")


def test_a_key_that_cannot_be_obtained_twice_stops_the_run() -> None:
    answer = Answer(status=400, code="VolumeBackup.0009")
    first, outcome = after(sent(1), answer)
    assert outcome.stop is None
    second, outcome = after(replace(first, state=JobState.SUBMITTING, attempts=2), answer)
    assert str(outcome.stop).startswith("VolumeBackup.0009")
    assert second.state is JobState.WAITING


# Busy volumes -----------------------------------------------------------------------------------


def test_a_busy_volume_is_retried_on_a_separate_time_budget() -> None:
    job, _ = after(sent(1), NOT_READY)
    assert (job.state, job.later_since, job.due_at) == (
        JobState.WAITING,
        Elapsed(NOW),
        Elapsed(NOW + 60.0),
    )
    job = replace(job, state=JobState.SUBMITTING, attempts=2)
    job, _ = after(job, NOT_READY, now=NOW + 599.0)
    assert (job.state, job.later_since) == (JobState.WAITING, Elapsed(NOW))
    job = replace(job, state=JobState.SUBMITTING, attempts=3)
    job, outcome = after(job, NOT_READY, now=NOW + 600.0)
    assert (job.state, job.code) == (JobState.FAILED, "VolumeBackup.0012")
    assert outcome.note == "gave up after later_for"


def test_a_conflict_on_the_first_create_is_a_foreign_backup() -> None:
    assert after(sent(1), BUSY)[0].state is JobState.WAITING


def test_a_conflict_on_a_later_create_is_checked_before_waiting() -> None:
    job, _ = after(sent(2), BUSY)
    assert (job.state, job.unknown_at, job.later_since) == (
        JobState.UNKNOWN,
        Elapsed(NOW),
        Elapsed(NOW),
    )
    absent = of_absence(job, rules(now=NOW + 30.0))
    assert absent.to is JobState.WAITING
    assert absent.changes["due_at"] == NOW + 90.0
    assert absent.changes["later_since"] == NOW
    assert "uncharged" not in absent.changes


@pytest.mark.parametrize(
    ("state", "driven", "words"),
    [
        (RunState.RUNNING, True, "run run-2 is at work on this volume"),
        (RunState.STOPPED, False, "run run-2 holds this volume (stopped)"),
        (RunState.RUNNING, False, "run run-2 holds this volume (its engine is gone)"),
    ],
)
def test_a_volume_that_another_run_holds_is_busy_too(
    state: RunState, driven: bool, words: str
) -> None:
    holder = BlockingRun(run_id="run-2", state=state, driven=driven)
    outcome = still_busy(a_job(), holder, rules())
    assert outcome.to is JobState.WAITING
    assert outcome.changes["due_at"] == NOW + 60.0
    late = still_busy(a_job(later_since=NOW - 600.0), holder, rules())
    assert (late.to, late.changes["code"]) == (JobState.FAILED, "busy")
    assert late.changes["message"] == words


# Cinder -----------------------------------------------------------------------------------------

PARENTLESS = Answer(status=400, code=NO_PARENT, message="No backups available")
FALLBACK = BackupSettings(full=False, full_if_no_parent=True)


def test_an_increment_without_a_parent_fails_with_its_code() -> None:
    job, _ = after(sent(settings=BackupSettings(full=False)), PARENTLESS)
    assert (job.state, job.code) == (JobState.FAILED, NO_PARENT)


def test_a_full_backup_instead_is_due_at_once_and_at_no_cost() -> None:
    job, _ = after(sent(settings=FALLBACK), PARENTLESS)
    assert (job.state, job.code, job.due_at, job.charged) == (
        JobState.WAITING,
        NO_PARENT,
        Elapsed(NOW),
        0,
    )


def test_a_full_backup_with_the_same_answer_fails() -> None:
    job, _ = after(sent(2, settings=FALLBACK, code=NO_PARENT), PARENTLESS)
    assert (job.state, job.code) == (JobState.FAILED, NO_PARENT)


def test_other_failures_are_failures_whatever_the_plan_allows() -> None:
    answer = Answer(status=404, code="Cinder.NoVolume")
    assert after(sent(settings=FALLBACK), answer)[0].state is JobState.FAILED


def test_the_wait_for_a_service_continues_although_every_create_is_accepted() -> None:
    waiting = sent(2, later_since=NOW - 599.0)
    accepted, _ = after(waiting, Answer(status=202, backup_id="b-2"))
    assert (accepted.state, accepted.later_since) == (JobState.RUNNING, Elapsed(NOW - 599.0))
    down = Judgement(verdict=Verdict.LATER, meaning="no service")
    seen = {"code": "Cinder.NoService"}
    again = of_refusal(accepted, down, rules(), seen)
    assert (again.to, again.changes["uncharged"]) == (JobState.WAITING, 1)
    assert again.changes["due_at"] == NOW + 60.0
    late = of_refusal(accepted, down, rules(now=NOW + 1.0), seen)
    assert (late.to, late.changes["code"]) == (JobState.FAILED, "Cinder.NoService")


# Unknown jobs, proved absent --------------------------------------------------------------------


def test_an_absent_backup_is_made_again_at_the_cost_of_its_attempt() -> None:
    job = sent(2, state=JobState.UNKNOWN, unknown_at=NOW - 60)
    outcome = of_absence(job, rules())
    assert (outcome.to, outcome.changes["unknown_at"]) == (JobState.WAITING, None)
    outcome = of_absence(replace(job, attempts=3), rules())
    assert outcome.to is JobState.FAILED


def test_a_backup_that_was_accepted_once_is_never_made_again() -> None:
    job = sent(1, state=JobState.UNKNOWN, unknown_at=NOW - 60, cloud_job_id="j")
    outcome = of_absence(job, rules())
    assert (outcome.to, outcome.changes["code"]) == (JobState.FAILED, "lost")


# The deadline -----------------------------------------------------------------------------------

WAITERS = [
    REFUSED, NOT_READY, BUSY, Answer(status=429), Answer(status=401), Answer(status=403),
]  # fmt: skip


@pytest.mark.parametrize("answer", WAITERS)
def test_after_the_deadline_nothing_waits_for_another_create(answer: Answer) -> None:
    job, _ = after(sent(1), answer, closed=True)
    assert (job.state, job.code) == (JobState.FAILED, "deadline")
    assert "deadline" in str(job.message)
    assert job.ended_at == Wall(NOW)


def test_open_jobs_are_followed_beyond_the_deadline() -> None:
    accepted, _ = after(sent(1), Answer(status=200, cloud_job_id="j"), closed=True)
    unanswered, _ = after(sent(1), Answer(), closed=True)
    assert (accepted.state, unanswered.state) == (JobState.RUNNING, JobState.UNKNOWN)


def test_a_job_that_fails_for_a_reason_of_its_own_keeps_it_beyond_the_deadline() -> None:
    assert after(sent(3), REFUSED, closed=True)[0].code == "VolumeBackup.0017"


def test_a_failed_cloud_job_that_the_deadline_ends_names_no_backup_that_was_deleted() -> None:
    job = sent(1, state=JobState.RUNNING, backup_id="errored", cloud_job_id="j")
    judgement = Judgement(verdict=Verdict.RETRY, meaning="the backup is in error")
    gone = {"backup_id": None, "cloud_job_id": None, "code": "VolumeBackup.0064"}
    outcome = of_refusal(job, judgement, rules(closed=True), gone)
    assert (outcome.to, outcome.changes["code"]) == (JobState.FAILED, "deadline")
    assert outcome.changes["backup_id"] is None


def test_a_job_that_was_never_sent_fails_as_deadline() -> None:
    assert past_deadline(rules()).changes["code"] == "deadline"


# Any answer -------------------------------------------------------------------------------------

verdicts = st.sampled_from(list(Verdict))
turns = st.lists(
    st.tuples(verdicts, st.booleans(), st.floats(0.0, 200.0), st.booleans()), max_size=60
)


@given(turns, st.integers(1, 6))
def test_attempts_are_bounded_busy_time_is_bounded_and_every_move_is_legal(
    what: list[tuple[Verdict, bool, float, bool]], attempts: int
) -> None:
    retry = replace(RETRY, attempts=attempts)
    job, now = a_job(), Elapsed(NOW)
    for verdict, conflict, later, absent in what:
        if job.state is not JobState.WAITING:
            break
        now = max(now, job.due_at) + later
        job = replace(job, state=JobState.SUBMITTING, attempts=job.attempts + 1, intent_at=now)
        assert job.charged <= attempts
        before = job.charged
        judgement = Judgement(verdict=verdict, meaning="so it is", conflict=conflict)
        accepted = verdict is Verdict.ACCEPTED
        answer = Answer(status=400, cloud_job_id="j" if accepted else None)
        outcome = of_answer(job, answer, judgement, rules(retry=retry, now=now))
        assert outcome.to in MOVES[JobState.SUBMITTING]
        assert (outcome.stop is not None) == (verdict is Verdict.STOP)
        job = replace(job, state=outcome.to, **outcome.changes)
        costs_nothing = (Verdict.LATER, Verdict.THROTTLE, Verdict.REAUTH, Verdict.STOP)
        if verdict in costs_nothing and job.state is not JobState.FAILED:
            assert job.charged == before - 1
        if job.state is JobState.UNKNOWN and absent:
            outcome = of_absence(job, rules(retry=retry, now=now + 30.0))
            assert outcome.to in MOVES[JobState.UNKNOWN]
            job = replace(job, state=outcome.to, **outcome.changes)
        assert 0 <= job.uncharged <= job.attempts
        if job.state is JobState.WAITING and verdict is Verdict.LATER:
            assert job.later_since is not None
            assert now - job.later_since < RETRY.later_for
        assert (job.state is JobState.FAILED) == (job.ended_at is not None)
