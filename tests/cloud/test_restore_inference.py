"""What became of a restore that nobody confirmed: proved only where backup and volume agree."""

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
from vbsbatch.model import Backup, CloudVolume

SINCE = 1_000_000.0
NOW = SINCE + 3600.0
BEFORE, AFTER, NEAR = SINCE - 60.0, SINCE + 60.0, SINCE + SLACK
statuses = st.sampled_from(["available", "restoring", "error_restoring", "error", None])
volume_statuses = st.sampled_from(
    ["available", "in-use", "restoring-backup", "error_restoring", "error", None]
)
times = st.none() | st.floats(SINCE - 3600, SINCE + 3600)


def backup(status: str | None = "available", updated_at: float | None = BEFORE) -> Backup:
    return Backup(id="b", status=status, updated_at=updated_at)


def volume(status: str | None = "available", updated_at: float | None = BEFORE) -> CloudVolume:
    return CloudVolume(id="v", status=status, updated_at=updated_at)


def test_both_untouched_since_proves_that_it_never_began() -> None:
    assert unconfirmed(backup(), volume(), (SINCE, SINCE), NOW) is RestoreTrace.NEVER


def test_both_touched_and_available_proves_that_it_is_done() -> None:
    assert (
        unconfirmed(backup(updated_at=AFTER), volume(updated_at=AFTER), (SINCE, SINCE), NOW)
        is RestoreTrace.DONE
    )


@pytest.mark.parametrize("touched", [AFTER, BEFORE, NEAR, None])
@pytest.mark.parametrize("other", [NEAR, None])
def test_what_is_too_near_or_not_told_proves_nothing(
    touched: float | None, other: float | None
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


def test_what_touched_both_at_different_times_was_not_one_restore() -> None:
    later = volume(updated_at=AFTER + TOGETHER + 1.0)
    assert unconfirmed(backup(updated_at=AFTER), later, (SINCE, SINCE), NOW) is RestoreTrace.UNCLEAR
    soon = volume(updated_at=AFTER + TOGETHER)
    assert unconfirmed(backup(updated_at=AFTER), soon, (SINCE, SINCE), NOW) is RestoreTrace.DONE


def test_what_was_seen_at_work_together_may_end_apart() -> None:
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


def test_a_volume_that_is_used_again_is_for_a_person_to_judge() -> None:
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


def test_a_confirmed_restore_is_done_when_nothing_works_on_its_volume_any_more() -> None:
    assert confirmed(volume("restoring-backup")) is RestoreTrace.UNDER_WAY
    assert confirmed(volume()) is RestoreTrace.DONE
    assert confirmed(volume("in-use")) is RestoreTrace.DONE
    assert confirmed(None) is RestoreTrace.FAILED


@given(statuses, times, volume_statuses, times)
def test_nothing_is_proved_unless_both_times_are_told_and_agree(
    status: str | None, at: float | None, volume_status: str | None, volume_at: float | None
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
