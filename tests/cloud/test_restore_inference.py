"""The outcome of an unconfirmed restore is proved only if backup and volume agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.cloud.restore_inference import (
    SLACK,
    TOGETHER,
    RestoreTrace,
    confirmed,
    unconfirmed,
    witness,
)
from vbsbatch.model import Backup, Cloud, CloudVolume

SINCE = Cloud(1_000_000.0)
NOW = SINCE + 3600.0
BEFORE, AFTER, NEAR = SINCE - 60.0, SINCE + 60.0, SINCE + SLACK
statuses = st.sampled_from(["available", "restoring", "error_restoring", "error", None])
volume_statuses = st.sampled_from(
    ["available", "in-use", "restoring-backup", "error_restoring", "error", None]
)
times = st.none() | st.floats(float(SINCE) - 3600, float(SINCE) + 3600).map(Cloud)


def backup(status: str | None = "available", updated_at: Cloud | None = BEFORE) -> Backup:
    return Backup(id="b", status=status, updated_at=updated_at)


def volume(status: str | None = "available", updated_at: Cloud | None = BEFORE) -> CloudVolume:
    return CloudVolume(id="v", status=status, updated_at=updated_at)


def test_a_backup_and_volume_unchanged_since_prove_that_the_restore_never_began() -> None:
    assert unconfirmed(backup(), volume(), (SINCE, SINCE), NOW) is RestoreTrace.NEVER


def test_both_changed_since_and_available_prove_that_the_restore_is_done() -> None:
    assert (
        unconfirmed(backup(updated_at=AFTER), volume(updated_at=AFTER), (SINCE, SINCE), NOW)
        is RestoreTrace.DONE
    )


@pytest.mark.parametrize("touched", [AFTER, BEFORE, NEAR, None])
@pytest.mark.parametrize("other", [NEAR, None])
def test_a_time_that_is_too_close_or_missing_proves_nothing(
    touched: Cloud | None, other: Cloud | None
) -> None:
    assert (
        unconfirmed(backup(updated_at=touched), volume(updated_at=other), (SINCE, SINCE), NOW)
        is RestoreTrace.UNCLEAR
    )
    assert (
        unconfirmed(backup(updated_at=other), volume(updated_at=touched), (SINCE, SINCE), NOW)
        is RestoreTrace.UNCLEAR
    )


def test_a_backup_restored_elsewhere_proves_nothing_about_this_volume() -> None:
    assert (
        unconfirmed(backup(updated_at=AFTER), volume(), (SINCE, SINCE), NOW) is RestoreTrace.UNCLEAR
    )


def test_changes_at_different_times_are_not_one_restore() -> None:
    later = volume(updated_at=AFTER + TOGETHER + 1.0)
    assert unconfirmed(backup(updated_at=AFTER), later, (SINCE, SINCE), NOW) is RestoreTrace.UNCLEAR
    soon = volume(updated_at=AFTER + TOGETHER)
    assert unconfirmed(backup(updated_at=AFTER), soon, (SINCE, SINCE), NOW) is RestoreTrace.DONE


def test_a_restore_that_was_seen_running_may_end_at_different_times() -> None:
    assert witness(backup("restoring"), volume("restoring-backup"))
    assert not witness(backup("restoring"), volume())
    assert not witness(backup(), volume("restoring-backup"))
    assert not witness(None, None)
    later = volume(updated_at=AFTER + 100.0)
    ended = unconfirmed(backup(updated_at=AFTER), later, (SINCE, SINCE), NOW, witnessed=True)
    assert ended is RestoreTrace.DONE
    assert (
        unconfirmed(backup(updated_at=AFTER), volume(), (SINCE, SINCE), NOW, witnessed=True)
        is RestoreTrace.UNCLEAR
    )


def test_a_volume_that_is_used_again_is_unclear() -> None:
    used = volume("in-use", AFTER)
    assert unconfirmed(backup(updated_at=AFTER), used, (SINCE, SINCE), NOW) is RestoreTrace.UNCLEAR


def test_a_volume_left_in_error_since_means_that_it_failed() -> None:
    broken = volume("error_restoring", AFTER)
    assert unconfirmed(backup(updated_at=AFTER), broken, (SINCE, SINCE), NOW) is RestoreTrace.FAILED
    assert confirmed(broken) is RestoreTrace.FAILED


def test_a_volume_in_error_from_before_means_nothing() -> None:
    assert (
        unconfirmed(backup(), volume("error_restoring"), (SINCE, SINCE), NOW) is RestoreTrace.NEVER
    )


def test_a_confirmed_restore_is_done_when_its_volume_is_no_longer_being_restored() -> None:
    assert confirmed(volume("restoring-backup")) is RestoreTrace.UNDER_WAY
    assert confirmed(volume()) is RestoreTrace.DONE
    assert confirmed(volume("in-use")) is RestoreTrace.DONE
    assert confirmed(None) is RestoreTrace.FAILED


@given(statuses, times, volume_statuses, times)
def test_nothing_is_proved_unless_both_times_are_known_and_agree(
    status: str | None, at: Cloud | None, volume_status: str | None, volume_at: Cloud | None
) -> None:
    trace = unconfirmed(backup(status, at), volume(volume_status, volume_at), (SINCE, SINCE), NOW)
    if trace is RestoreTrace.NEVER:
        assert at is not None
        assert volume_at is not None
        assert max(at, volume_at) < SINCE - SLACK
    if trace is RestoreTrace.DONE:
        assert at is not None
        assert volume_at is not None
        assert min(at, volume_at) > SINCE + SLACK
        assert abs(at - volume_at) <= TOGETHER
        assert (status, volume_status) == ("available", "available")
    if status == "restoring" or volume_status == "restoring-backup":
        assert trace is RestoreTrace.UNDER_WAY


@given(st.none() | st.builds(backup, statuses, times), st.none())
def test_what_the_cloud_does_not_know_proves_no_success(
    found: Backup | None, gone: CloudVolume | None
) -> None:
    assert unconfirmed(found, gone, (SINCE, SINCE), NOW) not in (
        RestoreTrace.DONE,
        RestoreTrace.NEVER,
    )
