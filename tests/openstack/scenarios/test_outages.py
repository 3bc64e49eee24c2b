"""Services of the real cloud stop, hang and return during a run; nothing is lost or made twice."""

from __future__ import annotations

from tests.openstack.cloud import RealCloud
from tests.openstack.scenarios.night import Night


def test_a_backup_service_that_is_stopped_and_started_in_mid_run_loses_nothing(
    cloud: RealCloud, night: Night
) -> None:
    fleet = night.fleet("stopped", 24)
    # The service ends what it works on in `error` twice, as it stops and as it starts again: the
    # attempts must reach past both.
    retry = {"attempts": 5, "base": "3s", "cap": "6s"}
    night.write_real_plan(limits={"rate": "2/s"}, retry=retry)
    run = night.start("run", "plan.yaml")
    night.until_state(run, "succeeded", 1)
    cloud.stop("cinder-backup")
    at_the_stop = night.count("succeeded")
    cloud.start("cinder-backup")
    night.finish(run, 0)
    assert at_the_stop < len(fleet.ids), "it was in mid-run"
    night.assert_each_once(fleet)


def test_creates_that_hang_until_the_client_gives_up_and_are_made_after_all_are_found(
    cloud: RealCloud, night: Night
) -> None:
    fleet = night.fleet("hanging", 24)
    limits = {"rate": "2/s", "in_flight": len(fleet.ids)}
    night.write_real_plan(limits=limits, timeouts={"read": "8s"})
    run = night.start("run", "plan.yaml", "-v")
    night.until_state(run, "running", 1)
    cloud.processes.freeze("cinder-api")
    try:
        night.until_state(run, "unknown", 2)
    finally:
        cloud.processes.thaw("cinder-api")
    done = night.finish(run, 0)
    assert " unknown " in done.stderr
    night.assert_each_once(fleet)


def test_an_api_that_is_away_for_a_while_is_waited_for(cloud: RealCloud, night: Night) -> None:
    fleet = night.fleet("refusing", 20)
    night.write_real_plan(limits={"rate": "1/s", "in_flight": 20}, retry={"attempts": 3})
    run = night.start("run", "plan.yaml")
    night.until_state(run, "running", 1)
    # With no create in hand: one that dies with the API leaves its volume `backing-up` for good.
    night("pause", "latest")
    cloud.stop("cinder-api")
    night("unpause", "latest")
    night.until_state(run, "unknown", 1)
    cloud.start("cinder-api")
    night.finish(run, 0)
    night.assert_each_once(fleet)


def test_a_keystone_that_is_started_anew_in_mid_run_is_not_noticed(
    cloud: RealCloud, night: Night
) -> None:
    fleet = night.fleet("keystone", 12)
    night.write_real_plan(limits={"rate": "2/s"})
    run = night.start("run", "plan.yaml")
    night.until_state(run, "succeeded", 1)
    cloud.stop("keystone")
    cloud.start("keystone")
    night.finish(run, 0)
    night.assert_each_once(fleet)


def test_a_backup_that_is_never_finished_fails_as_stuck_and_is_left_as_it_is(night: Night) -> None:
    fleet = night.fleet("stuck", 3, stuck=1)
    night.write_real_plan(timeouts={"backup": "20s"})
    night("run", "plan.yaml", code=1)
    (failed,) = night.jobs("--state", "failed")
    assert (failed["volume_id"], failed["code"]) == (fleet.stuck[0], "stuck")
    statuses = {backup.volume_id: backup.status for backup in night.backups(fleet)}
    assert statuses == dict.fromkeys(fleet.sound, "available") | {fleet.stuck[0]: "creating"}
