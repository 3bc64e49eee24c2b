"""A run that deletes: it checks each backup first, and reports deleted ones to the engine."""

from __future__ import annotations

from typing import Any

import pytest

from vbsbatch.cloud import pagination
from vbsbatch.cloud.pruning import KEPT, UNMOVED, Pruning
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import (
    Answer,
    Backup,
    BackupSettings,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    RunNoted,
    Wall,
)

from .operation_harness import NOW, FakeCloud, a_backup, a_job, a_run

pytestmark = pytest.mark.anyio


def pruning(cloud: FakeCloud, *jobs: Job) -> Pruning:
    return Pruning(cloud, a_run(), jobs, now=lambda: Elapsed(cloud.now))


async def seen(cloud: FakeCloud, job: Job) -> tuple[str | None, str | None] | None:
    """What the engine is shown of one job: status and code."""
    found = (await pruning(cloud, job).backups()).backups
    return (found[0].status, found[0].code) if found else None


async def test_a_backup_is_looked_at_and_then_deleted() -> None:
    cloud = FakeCloud(has=[a_backup()], reply=Answer(status=202, backup_id="b1"))
    job = a_job(state=JobState.SUBMITTING)
    assert await pruning(cloud, job).create_all([job], 3) == [cloud.reply]
    assert cloud.asked == ["backup b1", "delete b1"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "keep-me"}, "not-ours"),
        ({"name": None}, "not-ours"),
        ({"volume_id": "v2"}, "not-ours"),
        ({"volume_id": None}, "not-ours"),
        ({"status": "restoring"}, "backup-busy"),
        ({"status": "creating"}, "backup-busy"),
        ({"status": "deleting"}, "deleting"),
    ],
)
async def test_what_is_not_ours_or_busy_is_not_deleted(changes: dict[str, Any], code: str) -> None:
    cloud = FakeCloud(has=[a_backup(**changes)])
    job = a_job(state=JobState.SUBMITTING)
    assert await pruning(cloud, job).create_all([job], 0) == [Answer(code=code, backup_id="b1")]
    assert cloud.asked == ["backup b1"]


async def test_what_is_gone_needs_no_deletion() -> None:
    cloud, job = FakeCloud(), a_job(state=JobState.SUBMITTING)
    assert (await pruning(cloud, job).create_all([job], 0))[0].code == "gone"


async def test_without_a_look_nothing_is_deleted() -> None:
    cloud, job = FakeCloud(has=[a_backup()], down=True), a_job(state=JobState.SUBMITTING)
    (answer,) = await pruning(cloud, job).create_all([job], 0)
    assert (answer.status, answer.retry_after, answer.json) == (503, 3.0, False)
    assert cloud.asked == ["backup b1"]


@pytest.mark.parametrize(
    "message",
    ["Invalid backup: Incremental backups exist for this backup.", "It has dependent backups"],
)
async def test_what_increments_build_on_is_named(message: str) -> None:
    cloud = FakeCloud(has=[a_backup()], reply=Answer(status=400, message=message))
    job = a_job(state=JobState.SUBMITTING)
    assert (await pruning(cloud, job).create_all([job], 0))[0].code == "dependants"


async def test_a_backup_that_is_gone_when_its_deletion_arrives_is_still_named() -> None:
    cloud = FakeCloud(has=[a_backup()], reply=Answer(status=404, message="not found"))
    job = a_job(state=JobState.SUBMITTING)
    (answer,) = await pruning(cloud, job).create_all([job], 0)
    assert (answer.status, answer.backup_id) == (404, "b1")


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.UNKNOWN])
async def test_what_the_whole_list_does_not_hold_is_deleted(state: JobState) -> None:
    cloud = FakeCloud(has=[a_backup(7)])
    assert await seen(cloud, a_job(state=state)) == ("available", None)


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.UNKNOWN])
async def test_what_is_being_deleted_is_under_way(state: JobState) -> None:
    job = a_job(state=state, intent_at=NOW)
    assert await seen(FakeCloud(has=[a_backup(status="deleting")]), job) == ("creating", None)


async def test_an_unknown_deletion_whose_backup_is_still_there_is_not_listed() -> None:
    assert await seen(FakeCloud(has=[a_backup()]), a_job(state=JobState.UNKNOWN)) is None


async def test_an_accepted_deletion_without_effect_is_reported_after_a_while() -> None:
    cloud = FakeCloud(has=[a_backup()])
    service = pruning(cloud, a_job(intent_at=NOW))
    for passed, found in ((UNMOVED - 1, ("creating", None)), (UNMOVED, ("error", "never-begun"))):
        cloud.now = NOW + passed
        (shown,) = (await service.backups()).backups
        assert (shown.status, shown.code) == found
    assert shown.fail_reason == KEPT


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.UNKNOWN])
async def test_a_deletion_that_failed_in_the_cloud_is_reported(state: JobState) -> None:
    cloud = FakeCloud(has=[a_backup(status="error_deleting", fail_reason="disk on fire")])
    (shown,) = (await pruning(cloud, a_job(state=state)).backups()).backups
    assert (shown.status, shown.code, shown.fail_reason) == ("error", "undeleted", "disk on fire")


async def test_the_engine_matches_what_it_is_shown_to_the_newest_create() -> None:
    (shown,) = (await pruning(FakeCloud(), a_job()).backups()).backups
    assert (shown.id, shown.name, shown.volume_id) == ("b1", "night-1", "v1")


async def test_jobs_that_are_not_followed_are_not_shown() -> None:
    jobs = [a_job(no, state=state) for no, state in enumerate(JobState, 1)]
    shown = (await pruning(FakeCloud(), *jobs).backups()).backups
    states = {job.settings.source_backup_id: job.state for job in jobs}
    assert {states[each.id] for each in shown} == {JobState.RUNNING, JobState.UNKNOWN}


async def test_the_list_is_read_to_its_end_before_anything_is_called_gone() -> None:
    cloud = FakeCloud(has=[a_backup(no) for no in range(9, 0, -1)], page=2)
    assert await seen(cloud, a_job(intent_at=NOW)) == ("creating", None)
    assert cloud.asked == [f"list {page}" for page in (None, 2, 4, 6, 8)]


async def test_no_page_is_read_once_all_was_seen() -> None:
    cloud = FakeCloud(has=[a_backup(no) for no in range(1, 9)], page=2)
    await seen(cloud, a_job(intent_at=NOW))
    assert cloud.asked == ["list None"]


async def test_a_list_that_changes_while_it_is_read_proves_nothing() -> None:
    cloud = FakeCloud(has=[a_backup(no) for no in range(2, 9)], page=2, gone_pages=True)
    with pytest.raises(CloudUnavailable, match="changed while it was read"):
        await pruning(cloud, a_job()).backups()


async def test_a_list_without_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "PAGES", 3)
    cloud = FakeCloud(has=[a_backup(no) for no in range(2, 9)], page=1)
    with pytest.raises(CloudUnavailable, match="has more than 3 pages"):
        await pruning(cloud, a_job()).backups()
    assert cloud.asked == [f"list {page}" for page in (None, 1, 2)]


async def test_one_backup_is_asked_for_alone() -> None:
    service = pruning(FakeCloud(), a_job())
    gone = await service.backup("b1")
    assert isinstance(gone, Backup)
    assert gone.status == "available"
    assert await service.backup("b99") is None


async def test_moves_of_the_engine_are_heard() -> None:
    service = pruning(FakeCloud(), a_job(state=JobState.WAITING))
    assert (await service.backups()).backups == ()
    service.hear(RunNoted(at=Wall(NOW), kind="run", text="x"))
    service.hear(JobMoved(job=a_job(), came_from=JobState.SUBMITTING, at=Wall(NOW)))
    assert len((await service.backups()).backups) == 1


async def test_the_engine_can_clean_nothing_away() -> None:
    cloud = FakeCloud(has=[a_backup()])
    with pytest.raises(CloudRefused):
        await pruning(cloud, a_job()).delete_backup("b1")
    assert cloud.asked == []


async def test_signing_in_and_counting_are_the_real_services() -> None:
    cloud = FakeCloud()
    service = pruning(cloud)
    await service.ready()
    await service.renew_token(Elapsed(5.0))
    assert cloud.asked == ["ready", "renew 5.0"]
    assert (service.create_calls, service.read_calls, service.clock_ahead) == (0, 0, 5.0)


KEPT_INSTEAD = BackupSettings(source_backup_id="b1", keeper_id="b2")


async def test_without_the_good_backup_that_stays_instead_nothing_is_deleted() -> None:
    job = a_job(state=JobState.SUBMITTING, settings=KEPT_INSTEAD)
    for instead in ([], [a_backup(id="b2", status="error")]):
        cloud = FakeCloud(has=[a_backup(), *instead])
        (answer,) = await pruning(cloud, job).create_all([job], 0)
        assert answer == Answer(code="last-good", backup_id="b1")
        assert cloud.asked == ["backup b1", "backup b2"]
    cloud = FakeCloud(has=[a_backup(), a_backup(id="b2")], reply=Answer(status=202))
    assert await pruning(cloud, job).create_all([job], 0) == [cloud.reply]
    assert cloud.asked == ["backup b1", "backup b2", "delete b1"]


async def test_what_the_store_says_of_a_backup_is_asked_just_before_its_deletion() -> None:
    cloud, job = FakeCloud(has=[a_backup()]), a_job(state=JobState.SUBMITTING)
    adapter = Pruning(cloud, a_run(), [job], now=lambda: Elapsed(NOW), refuses=lambda _: "pinned")
    assert await adapter.create_all([job], 0) == [Answer(code="pinned", backup_id="b1")]
    assert cloud.asked == ["backup b1"]
