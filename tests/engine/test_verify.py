from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vbsbatch.engine.verify import (
    BackupIndex,
    Discrepancy,
    DiscrepancyKind,
    differences,
    differences_of_deletions,
    differences_of_restores,
    left_in_error,
)
from vbsbatch.model import Backup, BackupSettings, CloudVolume, Job, JobState

from .harness import NOW, a_job, volume


def succeeded(**fields: Any) -> Job:
    given: dict[str, Any] = {
        "state": JobState.SUCCEEDED,
        "backup_id": "backup-1",
        "first_sent_at": NOW,
        "intent_at": NOW,
    }
    return a_job(**(given | fields))


def a_backup(number: int = 1, **fields: Any) -> Backup:
    given: dict[str, Any] = {
        "id": f"backup-{number}",
        "name": "nightly-1",
        "volume_id": volume(1),
        "status": "available",
        "created_at": NOW + 5.0,
    }
    return Backup(**(given | fields))


def found(
    job: Job, *backups: Backup, names_unique: bool = True, clock_ahead: float = 0.0
) -> list[Discrepancy]:
    index = BackupIndex(backups)
    return list(differences([job], index, names_unique=names_unique, clock_ahead=clock_ahead))


def test_a_job_with_one_available_backup_is_no_discrepancy() -> None:
    assert not found(succeeded(), a_backup())
    assert not found(succeeded(), a_backup(status="restoring"))
    assert not found(succeeded(backup_id=None), a_backup(volume_id=volume(1).upper()))


def test_a_backup_that_is_gone_is_missing() -> None:
    assert [d.fault for d in found(succeeded())] == [DiscrepancyKind.MISSING]
    assert [d.fault for d in found(succeeded(backup_id=None))] == [DiscrepancyKind.MISSING]


@pytest.mark.parametrize("word", ["creating", "error", "deleting", None])
def test_a_backup_in_another_status_is_not_available(word: str | None) -> None:
    only = found(succeeded(), a_backup(status=word))
    assert [(d.fault, d.status) for d in only] == [(DiscrepancyKind.UNAVAILABLE, word)]


def test_more_than_one_good_backup_of_a_job_is_a_duplicate() -> None:
    only = found(succeeded(), a_backup(1), a_backup(2, status="creating"))
    assert [(d.fault, d.backup_ids) for d in only] == [
        (DiscrepancyKind.DUPLICATE, ("backup-1", "backup-2"))
    ]


def test_a_backup_that_the_list_showed_twice_is_no_duplicate() -> None:
    assert not found(succeeded(), a_backup(), a_backup())


def test_errored_backups_of_failed_attempts_are_no_duplicates() -> None:
    assert not found(succeeded(), a_backup(1), a_backup(2, status="error"))


def test_backups_left_in_error_are_reported_until_they_are_being_deleted() -> None:
    backups = [a_backup(n, status=word) for n, word in enumerate(("error", "error_deleting"), 2)]
    index = BackupIndex([a_backup(1), *backups, a_backup(4, status="deleting")])
    known: Any = {"names_unique": True, "clock_ahead": 0.0}
    assert list(left_in_error([succeeded()], index, **known)) == backups
    assert not list(left_in_error([succeeded(state=JobState.RUNNING)], index, **known))
    known = {"names_unique": False, "clock_ahead": 10.0}
    assert not list(left_in_error([succeeded()], index, **known)), "older than the job"


def test_an_older_backup_of_the_same_name_is_no_duplicate() -> None:
    old = a_backup(2, created_at=NOW - 3600.0)
    assert not found(succeeded(), a_backup(), old, names_unique=False)
    ahead = a_backup(2, created_at=NOW + 50.0)
    young = a_backup(created_at=NOW + 105.0)
    assert not found(succeeded(), young, ahead, names_unique=False, clock_ahead=100.0)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.WAITING])
def test_a_backup_of_a_job_that_says_it_made_none_is_unrecorded(state: JobState) -> None:
    job = succeeded(state=state, backup_id=None)
    assert [d.fault for d in found(job, a_backup())] == [DiscrepancyKind.UNRECORDED]
    assert not found(job)


def test_a_job_that_sent_nothing_made_nothing() -> None:
    job = succeeded(state=JobState.CANCELLED, first_sent_at=None, intent_at=None, backup_id=None)
    assert not found(job, a_backup())


@pytest.mark.parametrize("state", [JobState.SUBMITTING, JobState.UNKNOWN, JobState.RUNNING])
def test_jobs_under_way_make_no_difference(state: JobState) -> None:
    assert not found(succeeded(state=state), a_backup(), a_backup(2))


def test_differences_come_in_the_order_of_the_jobs() -> None:
    jobs = [succeeded(no=n, volume_id=volume(n), backup_id=f"b{n}") for n in (3, 1, 2)]
    listed = differences(jobs, BackupIndex([]), names_unique=True, clock_ahead=0.0)
    assert [difference.job.no for difference in listed] == [3, 1, 2]


def of_backup(state: JobState = JobState.SUCCEEDED) -> Job:
    return a_job(state=state, settings=BackupSettings(source_backup_id="backup-1"))


@pytest.mark.parametrize("word", ["available", "in-use", "attaching"])
def test_a_restored_volume_is_fine_whatever_its_current_use(word: str) -> None:
    disk = CloudVolume(id=volume(1), status=word)
    assert not list(differences_of_restores([of_backup()], {disk.id: disk}))


@pytest.mark.parametrize("word", ["error", "error_restoring"])
def test_a_restored_volume_that_is_in_error_is_reported(word: str) -> None:
    disk = CloudVolume(id=volume(1), status=word)
    (only,) = differences_of_restores([of_backup()], {disk.id: disk})
    assert (only.fault, only.status, only.backup_ids) == (
        DiscrepancyKind.BROKEN,
        word,
        ("backup-1",),
    )


@pytest.mark.parametrize("state", [each for each in JobState if each is not JobState.WAITING])
def test_a_volume_that_is_still_being_restored_is_reported_whatever_the_state_of_its_job(
    state: JobState,
) -> None:
    disk = CloudVolume(id=volume(1), status="restoring-backup")
    job = replace(of_backup(state), attempts=1)
    (only,) = differences_of_restores([job], {disk.id: disk})
    assert (only.fault, only.status) == (DiscrepancyKind.RESTORING, "restoring-backup")
    assert not list(differences_of_restores([of_backup(JobState.SKIPPED)], {disk.id: disk}))


def test_a_restored_volume_that_is_gone_is_reported_and_one_that_failed_is_not() -> None:
    jobs = [of_backup(), of_backup(JobState.FAILED)]
    assert [each.job for each in differences_of_restores(jobs, {})] == jobs[:1]


def test_a_deleted_backup_that_is_still_listed_is_reported() -> None:
    jobs = [of_backup(), of_backup(JobState.FAILED)]
    (only,) = differences_of_deletions(jobs, {"backup-1": a_backup()})
    assert (only.job, only.fault, only.status) == (jobs[0], DiscrepancyKind.KEPT, "available")
    assert not list(differences_of_deletions(jobs, {"backup-1": a_backup(status="deleting")}))
    assert not list(differences_of_deletions(jobs, {}))
