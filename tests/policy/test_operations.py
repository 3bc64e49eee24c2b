"""What answers to restores and deletions mean, where they differ from those to creates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import Answer, Operation, Rule, Verdict, is_too_fast
from vbsbatch.policy import judge, judge_cloud_job, judge_end, judge_request
from vbsbatch.policy.verdicts import OURS

RESTORE, PRUNE = Operation.RESTORE, Operation.PRUNE
AFTERWARDS = [RESTORE, PRUNE]


def refused(status: int, code: str | None = None, message: str | None = None) -> Answer:
    return Answer(status=status, code=code, message=message)


def verdict(operation: Operation, answer: Answer) -> Verdict:
    return judge_request(answer, operation=operation).verdict


@pytest.mark.parametrize(
    ("operation", "answer", "expected"),
    [
        (RESTORE, refused(400, "VolumeBackup.0089"), Verdict.FAIL),
        (RESTORE, refused(404, "VolumeBackup.0111"), Verdict.FAIL),
        (RESTORE, refused(400, "VolumeBackup.0206"), Verdict.LATER),
        (RESTORE, refused(400, "VolumeBackup.0012"), Verdict.LATER),
        (PRUNE, refused(400, "VolumeBackup.0113"), Verdict.FAIL),
        (PRUNE, refused(400, "VolumeBackup.0100"), Verdict.RETRY),
        (PRUNE, refused(404, "VolumeBackup.0111"), Verdict.ACCEPTED),
        (PRUNE, refused(404, None, "Backup x could not be found."), Verdict.ACCEPTED),
        (RESTORE, refused(404, None, "Backup x could not be found."), Verdict.FAIL),
        (
            RESTORE,
            refused(400, None, "Invalid volume: Volume to be restored to must be available"),
            Verdict.LATER,
        ),
        (
            RESTORE,
            refused(400, None, "Invalid backup: Backup status must be available"),
            Verdict.LATER,
        ),
        (
            PRUNE,
            refused(400, None, "Invalid backup: Backup status must be available or error"),
            Verdict.LATER,
        ),
        (
            RESTORE,
            refused(400, None, "volume size 1 is too small to restore backup of size 2."),
            Verdict.FAIL,
        ),
        (PRUNE, refused(400, "dependants"), Verdict.LATER),
        (PRUNE, Answer(code="gone"), Verdict.ACCEPTED),
        (PRUNE, Answer(code="deleting"), Verdict.ACCEPTED),
        (PRUNE, Answer(code="not-ours"), Verdict.FAIL),
        (PRUNE, Answer(code="backup-busy"), Verdict.LATER),
    ],
)
def test_an_answer_is_judged_by_the_operation_of_its_request(
    operation: Operation, answer: Answer, expected: Verdict
) -> None:
    judgement = judge_request(answer, operation=operation)
    assert judgement.verdict is expected
    assert judgement.meaning


@pytest.mark.parametrize("operation", AFTERWARDS)
@pytest.mark.parametrize("status", [401, 403, 407, 413, 429, 501])
def test_answers_common_to_all_requests_mean_the_same(operation: Operation, status: int) -> None:
    assert verdict(operation, refused(status)) is judge(refused(status)).verdict


@pytest.mark.parametrize("operation", AFTERWARDS)
def test_a_404_of_the_gateway_or_of_a_proxy_is_no_missing_backup(operation: Operation) -> None:
    assert verdict(operation, refused(404, "APIG.0101")) is Verdict.STOP
    assert verdict(operation, Answer(status=404, json=False)) is Verdict.STOP


@pytest.mark.parametrize("operation", AFTERWARDS)
@given(status=st.sampled_from([None, 408, 500, 502, 503, 504, 599]), code=st.none() | st.text())
def test_an_answer_that_proves_nothing_is_never_final(
    operation: Operation, status: int | None, code: str | None
) -> None:
    if code not in OURS and not is_too_fast(status, code, None):
        assert verdict(operation, Answer(status=status, code=code)) is Verdict.UNKNOWN


@pytest.mark.parametrize("operation", AFTERWARDS)
def test_the_rules_of_the_plan_apply_only_to_creates(operation: Operation) -> None:
    rules = [Rule(verdict=Verdict.RETRY, status=503)]
    assert judge_request(refused(503), rules).verdict is Verdict.RETRY
    assert judge_request(refused(503), rules, operation).verdict is Verdict.UNKNOWN


def test_a_restore_may_be_blocked_by_an_earlier_one_of_ours() -> None:
    busy = refused(400, "VolumeBackup.0012")
    assert judge_request(busy, operation=RESTORE).conflict
    assert not judge_request(busy, operation=PRUNE).conflict
    assert not judge_request(busy).conflict


@pytest.mark.parametrize("code", [None, "VolumeBackup.0017", "VolumeBackup.0027", "VolumeBackup.1"])
def test_a_failed_backup_is_judged_by_its_cloud_job(code: str | None) -> None:
    assert judge_end(code) == judge_cloud_job(code)


@pytest.mark.parametrize("code", ["VolumeBackup.0027", "VolumeBackup.0039", "VolumeBackup.0900"])
def test_a_restore_that_failed_but_may_have_done_its_work_is_not_repeated(code: str) -> None:
    assert judge_cloud_job(code).verdict is Verdict.UNKNOWN
    assert judge_end(code, operation=RESTORE).verdict is Verdict.FAIL


@pytest.mark.parametrize("code", sorted(set(OURS) - {"never-begun"}))
def test_an_end_with_a_code_of_ours_is_final(code: str) -> None:
    assert judge_end(code, operation=RESTORE).verdict is Verdict.FAIL
    assert judge_end(code, operation=PRUNE).meaning == OURS[code]


def test_a_deletion_that_never_began_and_a_restore_that_failed_may_be_tried_again() -> None:
    assert judge_end("never-begun", operation=PRUNE).verdict is Verdict.RETRY
    assert judge_end("VolumeBackup.0022", operation=RESTORE).verdict is Verdict.RETRY
    assert judge_end(None, operation=RESTORE).verdict is Verdict.RETRY
