"""Cinder's own messages, and the codes and verdicts that follow from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import NO_PARENT, Answer, Rule, Verdict
from vbsbatch.policy import documented, failure_code, judge, judge_cloud_job, named
from vbsbatch.policy.codes import ERROR, table

VOLUME = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
STATUS = "Volume to be backed up must be available or in-use, but the current status is"
SNAPSHOT = "Snapshot to be backed up must be available, but the current status is"

SAID = [
    (400, f'Invalid volume: {STATUS} "backing-up".', "BackingUp", "later"),
    (400, f'Invalid snapshot: {SNAPSHOT} "backing-up".', "BackingUp", "later"),
    (400, f'Invalid volume: {STATUS} "creating".', "VolumeBusy", "later"),
    (400, f'Invalid volume: {STATUS} "restoring-backup".', "VolumeBusy", "later"),
    (400, f'Invalid volume: {STATUS} "error".', "VolumeError", "fail"),
    (400, f'Invalid volume: {STATUS} "error_restoring".', "VolumeError", "fail"),
    (400, f'Invalid snapshot: {SNAPSHOT} "creating".', "SnapshotBusy", "later"),
    (400, f'Invalid snapshot: {SNAPSHOT} "error".', "SnapshotError", "fail"),
    (400, "Invalid volume: Backing up an in-use volume must use the force flag.", "InUse", "fail"),
    (400, "Invalid backup: No backups available to do an incremental backup.", "NoParent", "fail"),
    (400, "Malformed request url", "OtherProject", "stop"),
    (403, "Policy doesn't allow backup:create to be performed.", "Forbidden", "stop"),
    (404, f"Volume {VOLUME} could not be found.", "NoVolume", "fail"),
    (404, f"Snapshot {VOLUME} could not be found.", "NoSnapshot", "fail"),
    (404, "Service cinder-backup could not be found.", "NoService", "later"),
    (404, "The resource could not be found.", "NoApi", "stop"),
    (406, "Version 3.43 is not supported by the API. Minimum is 3.0 and maximum is 3.27.",
     "NoVersion", "stop"),
    (413, "This request was rate-limited.", "TooFast", "throttle"),
    (413, "Maximum number of backups allowed (10) exceeded", "CountQuota", "stop"),
    (413, "Requested backup exceeds allowed Backup gigabytes quota. Requested 1G, quota is 1000G"
     " and 1000G has been consumed.", "SizeQuota", "stop"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "words", "code", "verdict"), SAID)
def test_each_message_of_cinder_has_a_code_and_a_verdict(
    status: int, words: str, code: str, verdict: str
) -> None:
    answer = named(Answer(status=status, message=words, retry_after=0.0))
    assert answer.code == f"Cinder.{code}"
    judgement = judge(answer)
    assert judgement.verdict == verdict
    assert judgement.meaning == documented(answer.code, status) == table()[answer.code].meaning
    assert judgement.conflict == (code == "BackingUp")
    assert judgement.outage == (code == "NoService")


def test_every_code_of_ours_has_a_message() -> None:
    ours = {code for code in table() if code.startswith("Cinder.")}
    assert {f"Cinder.{code}" for _, _, code, _ in SAID} == ours
    assert NO_PARENT in ours


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=400, code="VolumeBackup.0013", message=SAID[0][1]),
        Answer(status=400, message="Invalid input for field/attribute name."),
        Answer(status=400, message=SAID[0][1], json=False),
        Answer(status=403, message=SAID[0][1]),
        Answer(status=400),
        Answer(message=SAID[0][1]),
        Answer(status=202, backup_id="b", message=None),
    ],
)
def test_an_answer_with_a_code_or_with_other_words_or_another_status_stays_as_it_is(
    answer: Answer,
) -> None:
    assert named(answer) == answer


@given(
    st.builds(
        Answer,
        status=st.none() | st.integers(100, 599),
        message=st.none() | st.text() | st.sampled_from([words for _, words, _, _ in SAID]),
        code=st.none() | st.text(),
    )
)
def test_naming_only_fills_in_a_missing_code_and_never_accepts_a_refusal(
    answer: Answer,
) -> None:
    found = named(answer)
    assert found.code == answer.code or answer.code is None
    assert (found.status, found.message) == (answer.status, answer.message)
    assert named(found) == found
    accepted = judge(answer).verdict is Verdict.ACCEPTED
    assert (judge(found).verdict is Verdict.ACCEPTED) == accepted


def test_a_rule_of_the_plan_may_use_our_codes() -> None:
    answer = named(Answer(status=400, message=SAID[4][1]))
    assert judge(answer, [Rule(verdict=Verdict.LATER, code="Cinder.Volume*")]).verdict == "later"


def test_a_backup_in_error_has_a_code_whatever_its_reason_says() -> None:
    assert failure_code("Service not found for creating backup.") == "Cinder.NoService"
    for words in ("the disk is gone", "", None, "Malformed request url"):
        assert failure_code(words) == ERROR
    judgement = judge_cloud_job(ERROR)
    assert (judgement.verdict, judgement.meaning) == (Verdict.RETRY, "the backup ended in error")
    assert documented(ERROR, 202) == "the backup ended in error"


def test_a_backup_that_no_service_made_is_waited_for_and_one_that_failed_is_tried_again() -> None:
    assert judge_cloud_job("Cinder.NoService").verdict is Verdict.LATER
    assert judge_cloud_job("Cinder.VolumeBusy").verdict is Verdict.RETRY
