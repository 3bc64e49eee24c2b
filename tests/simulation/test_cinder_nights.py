"""Nights on plain OpenStack: behaviour that only Cinder has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vbsbatch.model import BackupSettings, JobState
from vbsbatch.simulator import BackupScript, Do, Fault, Kind, Scenario, Services, SimQuota

from .night import Night, check, with_settings

CINDER = Scenario(services=Services.CINDER)
NO_SERVICE = "Service not found for creating backup."
HOUR = 3600.0


def on_cinder(*faults: Fault, **changes: Any) -> Scenario:
    return replace(CINDER, faults=faults, **changes)


def test_no_volume_is_backed_up_twice_even_if_every_answer_is_lost_and_nothing_is_refused() -> None:
    lost = Fault(on=Kind.CREATE, do=Do.DROP_AFTER)
    night = Night(volumes=30, scenario=on_cinder(lost, busy_after=86400.0), lives=4).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 30}
    assert (night.summary()["duplicates"], night.summary()["creates"]) == (0, 30)


def test_a_volume_with_a_foreign_backup_in_progress_waits_at_no_cost() -> None:
    theirs: list[str] = []

    def begin_another(night: Night) -> None:
        theirs.append(night.cloud.add_backup(night.jobs()[0].volume_id, "theirs", age=0.0))
        backup = night.cloud.project.backups[theirs[0]]
        backup.ends_at, backup.native = night.clock.now() + 600.0, True

    night = Night(volumes=3, scenario=CINDER, before=begin_another).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 3}
    waited = night.jobs()[0]
    assert waited.backup_id not in (None, *theirs)
    assert waited.charged == 1
    assert waited.attempts > 5


def test_backups_that_end_in_error_are_deleted_and_made_again() -> None:
    night = Night(
        volumes=40,
        scenario=on_cinder(backups=BackupScript(fail=0.4, fail_code="the disk is gone")),
        settings=with_settings(retry={"attempts": 30}),
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 40}
    errored = [r["backup"] for r in night.cloud.ledger.of("ended") if r["status"] == "error"]
    deleted = [row["backup"] for row in night.cloud.ledger.of("delete")]
    assert errored
    assert sorted(errored) == sorted(deleted)


def test_a_volume_that_always_fails_shows_the_clouds_message() -> None:
    night = Night(
        volumes=2,
        scenario=on_cinder(backups=BackupScript(fail=1.0, fail_code="the disk is gone")),
        settings=with_settings(retry={"attempts": 2}),
    ).run()
    check(night)
    assert {(job.code, job.message) for job in night.jobs()} == {("error", "the disk is gone")}


def test_a_used_up_quota_stops_the_run_at_once_despite_retry_after() -> None:
    night = Night(volumes=30, scenario=on_cinder(quota=SimQuota(backups=10)))
    with pytest.raises(AssertionError, match=r"Cinder\.CountQuota"):
        night.run()
    refused = [r for r in night.cloud.ledger.of("create") if r["outcome"] == "refused"]
    assert len(refused) <= night.settings.limits.connections
    assert JobState.FAILED not in night.states()
    night.before = lambda night: night.cloud.change(CINDER)
    night.run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 30}


def test_an_api_that_is_gone_stops_the_run_instead_of_failing_every_volume() -> None:
    """A minute of 404 from something that is not the service, where it never answered before."""
    message = "The resource could not be found."
    gone = Fault(on=Kind.CREATE, do=Do.STATUS, status=404, message=message)
    night = Night(volumes=12, scenario=on_cinder(gone))
    with pytest.raises(AssertionError, match=r"Cinder\.NoApi: the API does not exist at this"):
        night.run()
    assert JobState.FAILED not in night.states()
    assert not night.cloud.project.backups


def test_an_hour_without_a_backup_service_costs_no_attempt_and_no_volume() -> None:
    """The API accepts the create, no backup service is found, and the backup ends in `error` and
    cannot be deleted."""
    failing = Fault(on=Kind.CREATE, do=Do.FAIL, code=NO_SERVICE, between=(6.0, HOUR))
    gone = "Service cinder-backup could not be found."
    half = (6.0, HOUR / 2)
    staying = Fault(on=Kind.DELETE, do=Do.STATUS, status=404, message=gone, between=half)
    night = Night(
        volumes=60,
        scenario=on_cinder(failing, staying),
        settings=with_settings(limits={"in_flight": 60}, retry={"attempts": 1}),
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 60}
    errored = [r["backup"] for r in night.cloud.ledger.of("ended") if r["status"] == "error"]
    assert errored
    assert sorted(errored) == sorted(row["backup"] for row in night.cloud.ledger.of("delete"))


def test_a_volume_whose_zone_has_no_backup_service_fails_in_time() -> None:
    lonely = frozenset({Night(volumes=5).jobs()[0].volume_id})
    fault = Fault(on=Kind.CREATE, do=Do.FAIL, code=NO_SERVICE, volumes=lonely)
    night = Night(volumes=5, scenario=on_cinder(fault)).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 4, JobState.FAILED: 1}
    assert night.jobs()[0].code == "Cinder.NoService"
    later_for = night.settings.retry.later_for
    assert later_for <= night.clock.passed < later_for + HOUR


@pytest.mark.parametrize("allowed", [True, False])
def test_an_increment_without_a_parent_becomes_a_full_backup_where_the_plan_allows_it(
    allowed: bool,
) -> None:
    def one_has_a_parent(night: Night) -> None:
        night.cloud.add_backup(night.jobs()[0].volume_id, "old")

    night = Night(
        volumes=10,
        scenario=CINDER,
        backup=BackupSettings(full=False, full_if_no_parent=allowed),
        settings=with_settings(retry={"attempts": 1}),
        before=one_has_a_parent,
    ).run()
    check(night)
    made = night.cloud.project.order[1:]
    assert [backup.incremental for backup in made].count(True) == 1
    if allowed:
        assert night.states() == {JobState.SUCCEEDED: 10}
    else:
        assert night.states() == {JobState.SUCCEEDED: 1, JobState.FAILED: 9}
        assert {job.code for job in night.jobs()} == {None, "Cinder.NoParent"}
