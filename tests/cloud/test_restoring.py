"""A run that restores: one request per volume, and what the cloud proves after a lost answer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from vbsbatch.cloud.operation_services import stand_in
from vbsbatch.cloud.pruning import Pruning
from vbsbatch.cloud.restoring import EARLY, UNCERTAIN, Restoring
from vbsbatch.model import (
    Answer,
    CloudJob,
    CloudJobStatus,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Operation,
    Wall,
)

from .operation_harness import NOW, SETTLE, FakeCloud, a_backup, a_job, a_run, a_volume

pytestmark = pytest.mark.anyio
AFTER = NOW - 100.0
JOB = "ff8080"


def restoring(cloud: FakeCloud, *jobs: Job) -> Restoring:
    """What these jobs have come to, it has heard from its own engine."""
    service = Restoring(cloud, a_run(), [], now=lambda: Elapsed(NOW))
    for job in jobs:
        service.hear(JobMoved(job=job, came_from=JobState.SUBMITTING, at=Wall(NOW)))
    return service


def unknown(**changes: Any) -> Job:
    return a_job(**{"state": JobState.UNKNOWN, "unknown_at": NOW - SETTLE, **changes})


async def seen(cloud: FakeCloud, job: Job) -> tuple[str | None, str | None] | None:
    found = (await restoring(cloud, job).backups()).backups
    return (found[0].status, found[0].code) if found else None


async def asked(cloud: FakeCloud, job: Job) -> tuple[str | None, str | None]:
    found = await restoring(cloud, job).backup("b1")
    assert found is not None
    return found.status, found.code


async def test_a_restore_sends_one_request_and_reads_nothing() -> None:
    cloud = FakeCloud(reply=Answer(status=200, cloud_job_id=JOB))
    job = a_job(state=JobState.SUBMITTING, volume_id="v9")
    assert await restoring(cloud, job).create_all([job], 3) == [cloud.reply]
    assert cloud.asked == ["restore b1 v9"]


# A lost answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backup", "volume", "shown"),
    [
        ({}, {}, None),
        ({"updated_at": AFTER}, {"updated_at": AFTER}, ("available", None)),
        ({"status": "restoring"}, {"status": "restoring-backup"}, ("creating", None)),
        ({"status": "restoring"}, {}, ("creating", None)),
        ({}, {"status": "restoring-backup"}, ("creating", None)),
        ({"updated_at": AFTER}, {}, ("error", "uncertain")),
        ({}, {"updated_at": AFTER}, ("error", "uncertain")),
        ({"updated_at": None}, {}, ("error", "uncertain")),
        ({"updated_at": AFTER}, {"updated_at": None}, ("error", "uncertain")),
        ({"updated_at": AFTER}, {"updated_at": AFTER, "status": "in-use"}, ("error", "uncertain")),
        (
            {"updated_at": AFTER},
            {"updated_at": AFTER, "status": "error_restoring"},
            ("error", "unrestored"),
        ),
    ],
)
async def test_a_lost_answer_is_judged_by_backup_and_volume(
    backup: dict[str, Any], volume: dict[str, Any], shown: tuple[str, str | None] | None
) -> None:
    cloud = FakeCloud(has=[a_backup(**backup)], disks=[a_volume(**volume)])
    assert await seen(cloud, unknown()) == shown


@pytest.mark.parametrize("cloud", [FakeCloud(has=[a_backup()]), FakeCloud(disks=[a_volume()])])
async def test_a_backup_or_volume_that_is_gone_proves_nothing(cloud: FakeCloud) -> None:
    assert await seen(cloud, unknown()) == ("error", "uncertain")


async def test_a_person_is_told_to_look_before_a_retry() -> None:
    cloud = FakeCloud(has=[a_backup(updated_at=AFTER)], disks=[a_volume()])
    (shown,) = (await restoring(cloud, unknown()).backups()).backups
    assert shown.fail_reason == UNCERTAIN


async def test_before_the_settle_time_only_a_running_restore_is_reported() -> None:
    fresh = unknown(unknown_at=NOW - SETTLE + 1)
    cloud = FakeCloud(has=[a_backup(updated_at=AFTER)], disks=[a_volume()])
    assert await seen(cloud, fresh) is None
    assert not [what for what in cloud.asked if what.startswith("volume ")]
    cloud.has = [a_backup(status="restoring")]
    assert await seen(cloud, fresh) == ("creating", None)


async def test_a_restore_that_was_seen_running_is_done_whenever_its_end_changes_both() -> None:
    apart: dict[str, Any] = {"updated_at": AFTER + 60.0}
    cloud = FakeCloud(
        has=[a_backup(status="restoring")], disks=[a_volume(status="restoring-backup")]
    )
    service = restoring(cloud, unknown(unknown_at=NOW))
    (shown,) = (await service.backups()).backups
    assert shown.status == "creating"
    cloud.has, cloud.disks = [a_backup(updated_at=AFTER)], [a_volume(**apart)]
    ended = await service.backup("b1")
    assert ended is not None
    assert ended.status == "available"
    assert await asked(cloud, a_job()) == ("error", "uncertain")


async def test_the_servers_clock_counts_not_ours() -> None:
    near = NOW - 600.0 + FakeCloud.clock_ahead
    cloud = FakeCloud(
        has=[a_backup(updated_at=near - 3.0)], disks=[a_volume(updated_at=near - 3.0)]
    )
    assert await seen(cloud, unknown()) is None


async def test_many_lost_answers_take_one_list_of_volumes() -> None:
    jobs = [unknown(no=no) for no in range(1, 40)]
    cloud = FakeCloud(
        has=[a_backup(no) for no in range(1, 40)], disks=[a_volume(no) for no in range(1, 40)]
    )
    assert (await restoring(cloud, *jobs).backups()).backups == ()
    assert cloud.asked == ["list None", "volumes 39"]


# An accepted restore ----------------------------------------------------------------------------


async def test_while_a_backup_is_restoring_nothing_else_is_read() -> None:
    cloud = FakeCloud(has=[a_backup(status="restoring")])
    assert await seen(cloud, a_job(cloud_job_id=JOB)) == ("creating", None)
    assert cloud.asked == ["list None", "volumes 0"]


async def test_a_backup_that_is_available_again_says_nothing_about_the_volume() -> None:
    assert await seen(FakeCloud(has=[a_backup()]), a_job(cloud_job_id=JOB)) is None


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (CloudJobStatus.SUCCESS, ("available", None)),
        (CloudJobStatus.FAIL, ("error", "VolumeBackup.0022")),
        (CloudJobStatus.INIT, ("creating", None)),
        (CloudJobStatus.RUNNING, ("creating", None)),
        (None, ("creating", None)),
    ],
)
async def test_a_cloud_job_decides_alone(
    status: CloudJobStatus | None, shown: tuple[str, str | None]
) -> None:
    code = "VolumeBackup.0022" if status is CloudJobStatus.FAIL else None
    cloud = FakeCloud(cloud_jobs={JOB: CloudJob(id=JOB, status=status, code=code)})
    assert await asked(cloud, a_job(cloud_job_id=JOB)) == shown
    assert cloud.asked == [f"job {JOB}"]


async def test_a_cloud_job_is_queried_after_a_while_and_then_less_and_less_often() -> None:
    working = CloudJob(id=JOB, status=CloudJobStatus.RUNNING)
    cloud = FakeCloud(cloud_jobs={JOB: working})
    job, at, times = a_job(cloud_job_id=JOB, intent_at=NOW), NOW, []
    service = Restoring(cloud, a_run(), [job], now=lambda: Elapsed(at))
    for second in range(600):
        at = NOW + second
        asked_before = len(cloud.asked)
        found = await service.backup("b1")
        assert found is not None
        assert found.status == "creating"
        if len(cloud.asked) > asked_before:
            times.append(second)
    assert times[:5] == [3, 5, 8, 12, 18]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 60


async def test_an_unknown_cloud_job_leaves_the_decision_to_backup_and_volume() -> None:
    job = a_job(cloud_job_id=JOB, http_status=200)
    both = FakeCloud(has=[a_backup(updated_at=AFTER)], disks=[a_volume(updated_at=AFTER)])
    assert await asked(both, job) == ("available", None)
    neither = FakeCloud(has=[a_backup()], disks=[a_volume()])
    assert await asked(neither, job) == ("error", "uncertain")


@pytest.mark.parametrize(
    ("volume", "shown"),
    [
        ({}, ("available", None)),
        ({"status": "in-use"}, ("available", None)),
        ({"status": "restoring-backup"}, ("creating", None)),
        ({"status": "error_restoring"}, ("error", "unrestored")),
    ],
)
async def test_without_cloud_jobs_the_volume_shows_the_state_of_an_accepted_restore(
    volume: dict[str, Any], shown: tuple[str, str | None]
) -> None:
    cloud = FakeCloud(disks=[a_volume(**volume)])
    assert await asked(cloud, a_job(http_status=202)) == shown
    assert cloud.asked == ["volume v1"]


@pytest.mark.parametrize(
    "lost",
    [{}, {"http_status": 503, "message": "down"}, {"http_status": 202, "message": "unreadable"}],
)
async def test_a_restore_that_was_only_found_needs_proof_at_its_end(lost: dict[str, Any]) -> None:
    cloud = FakeCloud(has=[a_backup()], disks=[a_volume()])
    assert await asked(cloud, a_job(**lost)) == ("error", "uncertain")
    cloud = FakeCloud(has=[a_backup(updated_at=AFTER)], disks=[a_volume(updated_at=AFTER)])
    assert await asked(cloud, a_job(**lost)) == ("available", None)


async def test_a_failed_cloud_job_names_no_backup_that_could_be_deleted() -> None:
    told = CloudJob(id=JOB, status=CloudJobStatus.FAIL, code="VolumeBackup.0022", backup_id="b1")
    cloud = FakeCloud(cloud_jobs={JOB: told}, disks=[a_volume()])
    found = await restoring(cloud, a_job(cloud_job_id=JOB)).cloud_job(JOB)
    assert found == CloudJob(id=JOB, status=CloudJobStatus.FAIL, code="VolumeBackup.0022")


async def test_a_failed_cloud_job_whose_volume_is_left_in_error_says_so() -> None:
    told = CloudJob(
        id=JOB, status=CloudJobStatus.FAIL, code="VolumeBackup.0022", message="no temporary disk"
    )
    cloud = FakeCloud(cloud_jobs={JOB: told}, disks=[a_volume(status="error_restoring")])
    found = await restoring(cloud, a_job(cloud_job_id=JOB)).cloud_job(JOB)
    assert found is not None
    assert found.code == "unrestored"
    assert found.message is not None
    assert "error_restoring: VolumeBackup.0022 no temporary disk" in found.message


async def test_a_cloud_job_of_nobody_is_told_as_it_is() -> None:
    told = CloudJob(id=JOB, status=CloudJobStatus.FAIL, code="VolumeBackup.0022")
    cloud = FakeCloud(cloud_jobs={JOB: told})
    assert await restoring(cloud).cloud_job(JOB) == told
    assert await restoring(cloud).cloud_job("another") is None


def test_the_operation_of_a_run_chooses_its_adapter() -> None:
    kinds = {Operation.BACKUP: type(None), Operation.RESTORE: Restoring, Operation.PRUNE: Pruning}
    for operation, kind in kinds.items():
        assert (
            type(stand_in(FakeCloud(), a_run(operation), [a_job()], lambda: Elapsed(NOW))) is kind
        )


@pytest.mark.parametrize("hour", [-3600.0, 3600.0])
async def test_what_an_earlier_engine_left_settles_again(
    hour: float,
) -> None:
    """The earlier one's may have been an hour ahead, or an hour behind."""
    at = NOW
    cloud = FakeCloud(has=[a_backup(updated_at=AFTER)], disks=[a_volume()])
    service = Restoring(cloud, a_run(), [unknown(unknown_at=NOW + hour)], now=lambda: Elapsed(at))
    assert (await service.backups()).backups == ()
    at = NOW + SETTLE
    assert len((await service.backups()).backups) == 1


async def test_a_restore_that_seems_sent_in_the_future_is_queried_at_once() -> None:
    job = a_job(cloud_job_id=JOB, intent_at=NOW + 3600.0)
    at = NOW
    cloud = FakeCloud(has=[a_backup()], disks=[a_volume()])
    service = Restoring(cloud, a_run(), [job], now=lambda: Elapsed(at))
    at = NOW + EARLY
    await service.backup("b1")
    assert f"job {JOB}" in cloud.asked
