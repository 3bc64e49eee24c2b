"""Nights of restores and deletions: nothing overwritten twice, nothing deleted that is not ours."""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import Any

import pytest

from vbsbatch.model import JobState, Operation
from vbsbatch.simulator import BackupScript, Do, Fault, Kind, Scenario, Services, VaultScript
from vbsbatch.simulator.wire import SimReply, SimRequest

from .fault_schedules import CREATE_FAULTS, READ_FAULTS, scenario, settings, unsteady
from .night import POINTS, Night, with_settings

SEEDS = int(os.environ.get("VBSBATCH_SEEDS", "300")) // 10
HOUR = 3600.0
AT_ONCE = VaultScript(restores_at_once=True)
"""A CBR that restores several disks of a vault at a time: these nights have no groups."""
WHERE = {Operation.RESTORE: Kind.RESTORE, Operation.PRUNE: Kind.DELETE}


def a_night(operation: Operation, **changes: Any) -> Night:
    return Night(operation=operation, **changes)


def stormy(operation: Operation, seed: int) -> Night:
    """A night in which anything may go wrong with the requests and with the reads."""
    random = Random(f"aftermath {seed}")
    drawn = [
        Fault(on=WHERE[operation], share=random.choice((0.05, 0.3)), **fault)
        for fault in random.sample(CREATE_FAULTS, random.randint(0, 4))
    ]
    for fault in random.sample(READ_FAULTS, random.randint(0, 2)):
        kind = random.choice((Kind.LIST, Kind.JOB, Kind.BACKUP, Kind.VOLUMES))
        drawn.append(Fault(on=kind, share=random.choice((0.05, 0.3)), **fault))
    weather = scenario(random)
    night = a_night(
        operation,
        seed=seed,
        volumes=random.randint(1, 25),
        scenario=Scenario(
            backups=BackupScript(duration=weather.backups.duration, delete=(1.0, 20.0)),
            token_life=weather.token_life,
            limit=weather.limit,
            latency=weather.latency,
            clock_ahead=weather.clock_ahead,
            services=random.choice((Services.VBS, Services.CINDER)),
            faults=tuple(drawn),
        ),
        settings=settings(random),
        lives=random.choice((1, 3, 6)),
        stops=40,
    )
    return unsteady(night) if seed % 2 else night


def check_restores(night: Night) -> None:
    """Every target was overwritten with its own backup, once, or the job says why not."""
    project = night.cloud.project
    rows = night.cloud.ledger.of("restore")
    times = Counter(row["volume"] for row in rows)
    backups = {(row["volume"], row["backup"]) for row in rows}
    failed = Counter(job.volume_id for job in project.jobs.values() if job.code)
    jobs = night.jobs()
    ours = {(job.volume_id, job.settings.source_backup_id) for job in jobs}
    assert backups <= ours, "something was overwritten that is no target, or with another's backup"
    for job in jobs:
        broken = project.volumes[job.volume_id].broken
        done = times[job.volume_id] - max(failed[job.volume_id], broken)
        assert 0 <= done <= 1, f"job {job.no} was restored twice"
        if job.state is JobState.SUCCEEDED:
            assert (done, broken) == (1, False), f"job {job.no} was never restored"
            continue
        assert job.state is JobState.FAILED
        assert job.message
        if job.code != "uncertain":
            assert not done, f"job {job.no} ({job.code}) was restored"
    assert not night.cloud.ledger.of("delete"), "a backup that was restored from is gone"


def check_deletions(night: Night) -> None:
    """Exactly the backups that the jobs name are gone, and those that a job could not delete
    remain."""
    now = night.clock.now() + 86400.0
    ours = {job.settings.source_backup_id: job for job in night.jobs()}
    for backup_id, backup in night.cloud.project.backups.items():
        job = ours.get(backup_id)
        if job is None or job.state is JobState.FAILED:
            assert backup.status(now) is not None, f"{backup_id} was deleted"
        else:
            assert job.state is JobState.SUCCEEDED
            assert backup.status(now) is None, f"job {job.no} deleted nothing"


CHECK = {Operation.RESTORE: check_restores, Operation.PRUNE: check_deletions}
BOTH = pytest.mark.parametrize("operation", [Operation.RESTORE, Operation.PRUNE])


@BOTH
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_stormy_night_keeps_every_promise(operation: Operation, seed: int) -> None:
    CHECK[operation](stormy(operation, seed).run())


@BOTH
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("services", [Services.VBS, Services.CBR, Services.CINDER])
def test_a_kill_at_any_point_is_followed_by_no_second_request(
    operation: Operation, point: str, seed: int, services: Services
) -> None:
    night = a_night(
        operation,
        seed=seed,
        volumes=20,
        lives=6,
        points=(point,),
        scenario=Scenario(backups=BackupScript(duration=(20.0, 40.0)), services=services),
    ).run()
    CHECK[operation](night)
    assert night.states() == {JobState.SUCCEEDED: 20}


@BOTH
def test_an_outage_of_two_hours_costs_no_job_and_no_attempt(operation: Operation) -> None:
    down = Fault(on=None, do=Do.STATUS, status=503, between=(20.0, 20.0 + 2 * HOUR))
    night = a_night(
        operation,
        volumes=200,
        scenario=Scenario(faults=(down,), backups=BackupScript(duration=(60.0, 90.0))),
        settings=with_settings(limits={"in_flight": 200}, retry={"attempts": 1}),
    ).run()
    CHECK[operation](night)
    assert night.states() == {JobState.SUCCEEDED: 200}


@pytest.mark.parametrize("services", [Services.VBS, Services.CBR, Services.CINDER])
def test_a_restore_whose_answer_was_lost_is_found_and_not_sent_again(services: Services) -> None:
    lost = Fault(on=Kind.RESTORE, do=Do.DROP_AFTER)
    cloud = Scenario(
        faults=(lost,),
        backups=BackupScript(duration=(60.0, 600.0)),
        services=services,
        vaults=AT_ONCE,
    )
    night = a_night(Operation.RESTORE, scenario=cloud).run()
    check_restores(night)
    assert night.states() == {JobState.SUCCEEDED: 20}
    assert night.cloud.ledger.calls["restore"] == 20


def test_a_restore_that_ended_before_any_sweep_is_recognised_by_its_traces() -> None:
    lost = Fault(on=Kind.RESTORE, do=Do.DROP_AFTER)
    night = a_night(
        Operation.RESTORE,
        scenario=Scenario(faults=(lost,), backups=BackupScript(duration=(10.0, 10.0))),
    ).run()
    check_restores(night)
    assert night.states() == {JobState.SUCCEEDED: 20}
    assert night.cloud.ledger.calls["restore"] == 20


def test_a_lost_restore_that_cannot_be_proved_is_uncertain() -> None:
    lost = Fault(on=Kind.RESTORE, do=Do.DROP_AFTER)
    night = a_night(
        Operation.RESTORE,
        scenario=Scenario(faults=(lost,), backups=BackupScript(duration=(0.5, 0.5))),
    ).run()
    check_restores(night)
    assert {job.code for job in night.jobs()} == {"uncertain"}
    assert all("check the volume" in (job.message or "") for job in night.jobs())
    moves = {(move.came_from, move.job.state) for move in night.moves}
    assert (JobState.UNKNOWN, JobState.RUNNING) not in moves, "nothing was found in the cloud"
    assert night.cloud.ledger.calls["restore"] == 20


@pytest.mark.parametrize("services", [Services.VBS, Services.CBR, Services.CINDER])
def test_a_restore_that_leaves_its_volume_in_error_is_reported_and_not_repeated(
    services: Services,
) -> None:
    fails = Fault(on=Kind.RESTORE, do=Do.FAIL, code="VolumeBackup.0022", share=0.4)
    cloud = Scenario(faults=(fails,), services=services, vaults=AT_ONCE)
    night = a_night(Operation.RESTORE, scenario=cloud).run()
    check_restores(night)
    broken = [job for job in night.jobs() if job.state is JobState.FAILED]
    assert broken
    for job in broken:
        assert job.code == "unrestored"
        assert "error_restoring" in (job.message or "")
        assert services is Services.CINDER or "VolumeBackup.0022" in (job.message or "")
    assert night.cloud.ledger.calls["restore"] == 20


def test_a_restore_that_failed_and_left_its_volume_usable_is_repeated() -> None:
    fails = Fault(on=Kind.RESTORE, do=Do.FAIL, code="VolumeBackup.0022", share=0.4)
    night = a_night(
        Operation.RESTORE,
        scenario=Scenario(faults=(fails,)),
        settings=with_settings(retry={"attempts": 20}),
    )
    night.cloud.project.volume_status = lambda volume, now: (  # type: ignore[method-assign]
        "restoring-backup" if now < volume.restoring_until else "available"
    )
    night.run()
    assert night.states() == {JobState.SUCCEEDED: 20}
    check_restores(night)
    assert night.cloud.ledger.calls["restore"] > 20


def test_a_target_in_use_is_tried_for_a_while_and_then_fails() -> None:
    def attach(night: Night) -> None:
        night.cloud.project.volumes[night.jobs()[0].volume_id].status = "in-use"

    night = a_night(
        Operation.RESTORE, before=attach, settings=with_settings(retry={"later_for": 600.0})
    ).run()
    check_restores(night)
    assert night.states() == {JobState.SUCCEEDED: 19, JobState.FAILED: 1}
    assert night.jobs()[0].code == "VolumeBackup.0012"


def test_a_backup_that_was_renamed_or_replaces_ours_is_never_deleted() -> None:
    def rename(night: Night) -> None:
        backup_id = night.jobs()[3].settings.source_backup_id
        night.cloud.project.backups[backup_id or ""].name = "keep-me"

    night = a_night(Operation.PRUNE, before=rename).run()
    check_deletions(night)
    assert night.states() == {JobState.SUCCEEDED: 19, JobState.FAILED: 1}
    assert night.jobs()[3].code == "not-ours"


def test_a_backup_with_dependent_increments_is_kept_with_a_reason() -> None:
    def build_on(night: Night) -> None:
        job = night.jobs()[5]
        child = night.cloud.add_backup(job.volume_id, "tomorrow", age=10.0)
        night.cloud.project.backups[child].parent_id = job.settings.source_backup_id

    night = a_night(
        Operation.PRUNE, before=build_on, settings=with_settings(retry={"later_for": 120.0})
    ).run()
    check_deletions(night)
    assert night.states() == {JobState.SUCCEEDED: 19, JobState.FAILED: 1}
    assert night.jobs()[5].code == "dependants"


def test_a_backup_that_is_already_gone_counts_as_deleted() -> None:
    def delete(night: Night) -> None:
        for job in night.jobs()[:5]:
            night.cloud.project.backups[job.settings.source_backup_id or ""].gone_at = 0.0

    night = a_night(Operation.PRUNE, before=delete).run()
    assert night.states() == {JobState.SUCCEEDED: 20}
    assert len(night.cloud.ledger.of("delete")) == 15


@BOTH
@pytest.mark.parametrize("services", [Services.VBS, Services.CBR, Services.CINDER])
def test_hundreds_of_jobs_take_few_calls(operation: Operation, services: Services) -> None:
    night = a_night(
        operation,
        volumes=300,
        scenario=Scenario(
            backups=BackupScript(duration=(600.0, 600.0)), services=services, vaults=AT_ONCE
        ),
        settings=with_settings(limits={"in_flight": 100}),
    ).run()
    CHECK[operation](night)
    assert night.calls / 300 <= 2.5


def meddled_with(night: Night) -> None:
    """Other users work on the same backups and volumes all night, with an occasional request."""
    cloud, random = night.cloud, Random(f"others {night.seed}")
    handle = cloud.handle

    def meddle(request: SimRequest) -> SimReply:
        job, now = random.choice(night.jobs()), night.clock.now()
        backup = cloud.project.backups[job.settings.source_backup_id or ""]
        volume = cloud.project.volumes[job.volume_id]
        chance = random.random()
        if chance < 0.1 and backup.status(now) == "available":
            backup.restoring_since, backup.restoring_until = now, now + random.uniform(1, 90)
        elif chance < 0.2 and now >= volume.restoring_until:
            volume.restoring_since = volume.restoring_until = now
        return handle(request)

    cloud.handle = meddle  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", range(10))
def test_interference_causes_no_second_restore_and_no_false_success(
    seed: int,
) -> None:
    lost = [
        Fault(on=Kind.RESTORE, do=do, share=0.2) for do in (Do.DROP_AFTER, Do.DROP_BEFORE, Do.HANG)
    ]
    night = a_night(
        Operation.RESTORE,
        seed=seed,
        scenario=Scenario(faults=tuple(lost), backups=BackupScript(duration=(20.0, 90.0))),
        settings=with_settings(retry={"attempts": 12}),
        before=meddled_with,
        lives=3,
    ).run()
    check_restores(night)
    assert night.states()[JobState.SUCCEEDED] > 5
