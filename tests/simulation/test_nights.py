"""Thousands of simulated nights: whatever goes wrong, the promises hold.

`make sim SEEDS=10000` for more. The name of a failing test contains its seed: `pytest
tests/simulation -k 'stormy and 4711'` with SEEDS above it replays the very same night.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from vbsbatch.model import JobState, Rate
from vbsbatch.simulator import (
    BackupScript,
    Do,
    Fault,
    GatewayLimit,
    Kind,
    Scenario,
    Services,
    SimQuota,
)

from .fault_schedules import fated, stormy, unsteady
from .night import PATIENT, POINTS, Night, check, with_settings

SEEDS = int(os.environ.get("VBSBATCH_SEEDS", "300"))
HOUR = 3600.0
BLIND_CINDER = Scenario(services=Services.CINDER, busy_after=86400.0)
"""A Cinder that accepts a second create for a busy volume: only our own guard prevents it."""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_stormy_night_keeps_every_promise(seed: int) -> None:
    check(stormy(seed).run())


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cloud", [Scenario(), BLIND_CINDER], ids=["vbs", "cinder"])
def test_a_kill_at_any_point_changes_nothing_about_the_end(
    point: str, seed: int, cloud: Scenario
) -> None:
    night = Night(seed=seed, volumes=25, lives=8, points=(point,), scenario=cloud).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 25}


@pytest.mark.parametrize("on", [None, Kind.CREATE])
@pytest.mark.parametrize(
    "down",
    [
        {"do": Do.REFUSE},
        {"do": Do.STATUS, "status": 503, "code": "VolumeBackup.0900"},
        {"do": Do.HTML},
        {"do": Do.HANG},
    ],
)
def test_a_two_hour_outage_costs_no_job_and_no_attempt(
    down: dict[str, object], on: Kind | None
) -> None:
    outage = Fault(on=on, between=(20.0, 20.0 + 2 * HOUR), **down)  # type: ignore[arg-type]
    night = Night(
        volumes=200,
        scenario=Scenario(faults=(outage,), backups=BackupScript(duration=(60.0, 90.0))),
        settings=with_settings(limits={"in_flight": 200}, retry={"attempts": 1}),
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 200}
    assert any("seems down" in note.text for note in night.notes)
    assert night.clock.passed < 3 * HOUR


def test_volumes_that_can_never_be_created_fail_while_the_others_continue() -> None:
    night = Night(volumes=60)
    broken = frozenset(job.volume_id for job in night.jobs()[:4] + night.jobs()[-4:])
    fault = Fault(on=Kind.CREATE, do=Do.STATUS, status=500, volumes=broken)
    night = Night(volumes=60, scenario=Scenario(faults=(fault,))).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 52, JobState.FAILED: 8}
    assert {job.volume_id for job in night.jobs() if job.state is JobState.FAILED} == broken
    assert night.clock.passed < HOUR


@pytest.mark.parametrize(("volumes", "bad"), [(20, 5), (60, 8), (100, 30)])
def test_volumes_at_the_head_of_the_plan_that_can_never_be_created_delay_no_other(
    volumes: int, bad: int
) -> None:
    broken = frozenset(job.volume_id for job in Night(volumes=volumes).jobs()[:bad])
    fault = Fault(on=Kind.CREATE, do=Do.STATUS, status=503, volumes=broken)
    quick = {"attempts": 3, "settle": 1.0, "base": 0.2}
    settings = with_settings(limits={"in_flight": 50}, retry=quick)
    night = Night(volumes=volumes, scenario=Scenario(faults=(fault,)), settings=settings).run()
    check(night)
    assert {job.volume_id for job in night.jobs() if job.state is JobState.FAILED} == broken
    assert night.states()[JobState.SUCCEEDED] == volumes - bad
    assert night.clock.passed < HOUR


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 6)))
def test_volumes_that_can_never_be_backed_up_fail_and_delay_no_other(seed: int) -> None:
    night, doomed = fated(seed)
    check(night.run())
    assert {job.volume_id for job in night.jobs() if job.state is JobState.FAILED} == doomed
    assert night.states()[JobState.SUCCEEDED] == night.volumes - len(doomed)


def test_an_outage_of_creates_alone_charges_the_last_jobs_nothing() -> None:
    outage = Fault(on=Kind.CREATE, between=(0.3, 2 * HOUR), do=Do.STATUS, status=503)
    night = Night(
        volumes=20,
        scenario=Scenario(faults=(outage,)),
        settings=with_settings(limits={"in_flight": 20}, retry={"attempts": 1}),
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 20}


def test_throttling_costs_no_attempt_and_the_rate_follows_the_gateway() -> None:
    night = Night(
        volumes=200,
        scenario=Scenario(limit=GatewayLimit(count=4)),
        settings=with_settings(
            limits={"rate": Rate(count=20), "in_flight": 200}, retry={"attempts": 1}
        ),
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 200}
    creates = night.cloud.ledger.of("create")
    refused = sum(row["outcome"] == "refused" for row in creates)
    assert refused < 60, "it must not go on hammering a gateway that refuses"


def test_one_volume_that_is_always_throttled_does_not_take_every_permit() -> None:
    first = Night(volumes=20).jobs()[0].volume_id
    fault = Fault(on=Kind.CREATE, do=Do.THROTTLE, volumes=frozenset({first}))
    settings = with_settings(deadline=4 * HOUR)
    night = Night(volumes=20, scenario=Scenario(faults=(fault,)), settings=settings).run()
    check(night)
    assert {job.volume_id for job in night.jobs() if job.code == "deadline"} == {first}
    assert night.states() == {JobState.SUCCEEDED: 19, JobState.FAILED: 1}


def test_revoked_and_short_lived_tokens_are_renewed_once_for_all_workers() -> None:
    revoke = Fault(on=Kind.CREATE, do=Do.REVOKE, share=0.02)
    night = Night(
        volumes=200,
        scenario=Scenario(faults=(revoke,), token_life=20.0, latency=(0.1, 0.5)),
        settings=with_settings(limits={"in_flight": 50}, retry={"attempts": 1}),
        stops=3,
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 200}
    assert night.cloud.ledger.calls["token"] < 40


def test_a_used_up_quota_stops_the_run_and_more_quota_lets_it_finish() -> None:
    def more_quota(night: Night) -> None:
        night.cloud.change(Scenario(quota=SimQuota(backups=10)))

    night = Night(volumes=30, before=more_quota, stops=0)
    with pytest.raises(AssertionError, match=r"VolumeBackup\.0080"):
        night.run()
    assert night.states()[JobState.WAITING] >= 19
    assert JobState.FAILED not in night.states()
    night.before = lambda night: night.cloud.change(Scenario())
    night.run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 30}


def test_failed_cloud_jobs_are_retried_after_their_errored_backup_was_deleted() -> None:
    night = Night(
        volumes=40,
        scenario=Scenario(backups=BackupScript(fail=0.3, fail_early=0.2)),
        settings=with_settings(retry={"attempts": 20}),
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 40}
    errored = [r["backup"] for r in night.cloud.ledger.of("ended") if r["status"] == "error"]
    deleted = [row["backup"] for row in night.cloud.ledger.of("delete")]
    assert errored
    assert sorted(errored) == sorted(deleted)


def test_errored_backups_are_kept_on_request() -> None:
    night = Night(
        volumes=40,
        scenario=Scenario(backups=BackupScript(fail=0.3)),
        settings=with_settings(retry={"attempts": 20}, delete_errored=False),
    ).run()
    check(night)
    assert not night.cloud.ledger.of("delete")


def test_jobs_that_still_wait_at_the_deadline_fail_as_deadline() -> None:
    night = Night(
        volumes=100,
        scenario=Scenario(backups=BackupScript(duration=(500.0, 600.0))),
        settings=with_settings(limits={"in_flight": 10}, deadline=HOUR),
    ).run()
    check(night)
    late = [job for job in night.jobs() if job.state is JobState.FAILED]
    assert late
    assert {job.code for job in late} == {"deadline"}
    assert max(row["at"] for row in night.cloud.ledger.of("create")) <= night.clock.start + HOUR


def test_an_older_backup_of_the_same_name_is_not_taken_for_ours() -> None:
    def yesterday(night: Night) -> None:
        for job in night.jobs():
            night.cloud.add_backup(job.volume_id, job.backup_name, age=86400.0)

    lost = Fault(on=Kind.CREATE, do=Do.DROP_BEFORE, share=0.5)
    night = Night(
        volumes=30,
        backup_name="same-name",
        scenario=Scenario(faults=(lost,), clock_ahead=-40.0),
        settings=with_settings(retry={"attempts": 20}),
        before=yesterday,
        lives=4,
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 30}


@pytest.mark.parametrize("in_flight", [50, 300, 600])
@pytest.mark.parametrize("duration", [(600.0, 600.0), (540.0, 660.0)])
@pytest.mark.parametrize("services", [Services.VBS, Services.CINDER])
def test_600_backups_of_ten_minutes_take_at_most_1_2_calls_each(
    in_flight: int, duration: tuple[float, float], services: Services
) -> None:
    night = Night(
        volumes=600,
        scenario=Scenario(services=services, backups=BackupScript(duration=duration)),
        settings=with_settings(limits={"in_flight": in_flight}),
    ).run()
    check(night)
    assert night.calls / 600 <= 1.2


@pytest.mark.parametrize("rate", [Rate(count=100, per=60.0), Rate(count=5), Rate(count=500)])
def test_the_rate_is_used_and_never_exceeded(rate: Rate) -> None:
    volumes = int(min(rate.per_second * 60, 3000))
    night = Night(
        volumes=volumes,
        settings=with_settings(limits={"rate": rate, "in_flight": volumes, "connections": 32}),
    ).run()
    check(night)
    times = [row["at"] for row in night.cloud.ledger.of("create")]
    used = (len(times) - 1) / (max(times) - min(times)) / rate.per_second
    assert 0.98 <= used <= 1.0


def passed(seed: int, *, disturbed: bool) -> tuple[float, Night]:
    """How long a night without failing requests takes, by the timers."""
    random = Random(f"calm {seed}")
    night = Night(
        seed=seed,
        volumes=random.randint(5, 30),
        scenario=Scenario(backups=BackupScript(duration=(60.0, 60.0)), latency=(0.05, 0.05)),
        settings=with_settings(limits={"in_flight": random.choice((4, 30))}),
        lives=random.choice((1, 2, 3)),
    )
    if disturbed:
        night = unsteady(night, cloud=False)
    check(night.run())
    return night.clock.passed, night


@pytest.mark.parametrize("seed", range(max(4, SEEDS // 10)))
def test_setting_clocks_lengthens_a_night_by_at_most_a_settle_and_a_sweep_for_each_resume(
    seed: int,
) -> None:
    """A suspend counts in addition to its own length: the timers do not see it."""
    calm, _ = passed(seed, disturbed=False)
    disturbed, night = passed(seed, disturbed=True)
    looks = PATIENT.stale + PATIENT.poll
    for_each_life = night.settings.retry.settle + looks
    assert disturbed <= calm + night.lives * for_each_life
