"""The table of CBR's codes: every code decides by itself, because statuses differ by region."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest

from vbsbatch.model import Answer, Operation, Verdict
from vbsbatch.policy import documented, judge, judge_request, named
from vbsbatch.policy.codes import table

ROWS = list(
    csv.DictReader(
        files("vbsbatch.policy").joinpath("cbr.csv").read_text(encoding="utf-8").splitlines()
    )
)
CODES = [row["code"] for row in ROWS if row["code"].startswith("BackupService.")]
CONFLICTS = {f"BackupService.{code}" for code in ("0001", "0002", "6125", "6203")}
STATUSES = (400, 404, 409, 500, 503)


def test_the_table_has_every_code_once() -> None:
    assert len(CODES) == len(set(CODES)) == 166
    assert {code for code in CODES if table()[code].conflict} == CONFLICTS


@pytest.mark.parametrize("code", CODES)
def test_a_code_means_the_same_with_every_status(code: str) -> None:
    entry = table()[code]
    found = {judge(Answer(status=status, code=code)).verdict for status in STATUSES}
    if entry.where == "query":
        return
    if entry.verdict in (Verdict.RETRY, Verdict.UNKNOWN):
        # With a 5xx it may have been worked off: look first.
        assert found <= {entry.verdict, Verdict.UNKNOWN}
    else:
        assert found == {entry.verdict}
    assert documented(code, 400) == entry.meaning


def test_a_disk_that_a_success_skips_is_judged_by_its_code() -> None:
    skipped = Answer(status=200, code="BackupService.6135", skipped=True)
    assert judge(skipped).verdict is Verdict.FAIL
    assert judge(Answer(status=200, code="new", skipped=True)).verdict is Verdict.FAIL
    assert judge(Answer(status=200, skipped=True)).verdict is Verdict.FAIL


@pytest.mark.parametrize("status", [400, 404])
def test_a_backup_that_is_not_there_is_deleted_and_cannot_be_restored(status: int) -> None:
    gone = Answer(status=status, code="BackupService.6200")
    assert judge_request(gone, operation=Operation.PRUNE).verdict is Verdict.ACCEPTED
    assert judge_request(gone, operation=Operation.RESTORE).verdict is Verdict.FAIL


def test_what_a_lock_forbids_is_told() -> None:
    locked = judge_request(Answer(status=400, code="BackupService.6220"), operation=Operation.PRUNE)
    assert locked.verdict is Verdict.FAIL
    assert "locked vault" in locked.meaning


def test_a_vault_that_restores_already_is_waited_for() -> None:
    busy = judge_request(Answer(status=400, code="BackupService.6202"), (), Operation.RESTORE)
    assert (busy.verdict, busy.conflict) == (Verdict.LATER, True)


def test_a_malformed_url_is_no_expired_token() -> None:
    wrong = named(Answer(status=401, message="Malformed request url"))
    assert (wrong.code, judge(wrong).verdict) == ("CBR.NotThere", Verdict.STOP)
    assert judge(named(Answer(status=401, message="Unauthorized"))).verdict is Verdict.REAUTH
