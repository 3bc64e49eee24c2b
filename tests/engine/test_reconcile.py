from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.engine.reconcile import (
    Index,
    Observations,
    Observed,
    Snapshot,
    is_ours,
    needed_since,
    reaches_back,
    status,
)
from vbsbatch.model import Backup, Cloud, Job, JobState, plain_id

from .harness import NOW, a_job, volume

SETTLE = 30.0


def a_backup(no: int = 1, **fields: Any) -> Backup:
    given: dict[str, Any] = {
        "id": f"backup-{no}",
        "name": f"nightly-{no}",
        "volume_id": volume(no),
        "status": "creating",
        "created_at": NOW + 1.0,
    }
    return Backup(**(given | fields))


def unknown(no: int = 1, **fields: Any) -> Job:
    given: dict[str, Any] = {
        "state": JobState.UNKNOWN,
        "attempts": 1,
        "intent_at": NOW,
        "first_sent_at": NOW,
        "unknown_at": NOW + 1.0,
    }
    return a_job(no, **(given | fields))


def running(no: int = 1, **fields: Any) -> Job:
    return unknown(no, **({"state": JobState.RUNNING, "unknown_at": None} | fields))


def snapshot(**fields: Any) -> Snapshot:
    given: dict[str, Any] = {
        "started_at": NOW + 100.0,
        "clock_ahead": 0.0,
        "names_unique": True,
        "settle": SETTLE,
    }
    return Snapshot(**(given | fields))


def finding(job: Job, *backups: Backup, complete: bool = True, **fields: Any) -> Observed:
    seen = Observations(index=Index([job]), snapshot=snapshot(**fields))
    seen.add(backups)
    return seen.of(job, complete=complete)


# Which job a backup may belong to ---------------------------------------------------------------


@pytest.mark.parametrize(
    "spelt",
    [volume(1), volume(1).upper(), volume(1).replace("-", ""), volume(1).replace("-", "").upper()],
)
def test_a_volume_id_matches_in_every_spelling(spelt: str) -> None:
    assert Index([unknown()]).job_of(a_backup(volume_id=spelt))
    assert Index([unknown(volume_id=spelt)]).job_of(a_backup())
    assert plain_id(spelt) == plain_id(volume(1))


@pytest.mark.parametrize(
    "name", ["Nightly-1", "nightly-1 ", " nightly-1", "nightly-11", "níghtly-1"]
)
def test_a_name_matches_only_exactly(name: str) -> None:
    assert Index([unknown()]).job_of(a_backup(name=name)) is None


def test_the_name_on_another_volume_is_not_ours() -> None:
    assert Index([unknown()]).job_of(a_backup(volume_id=volume(2))) is None


def test_a_backup_without_a_volume_id_matches_by_its_name() -> None:
    assert finding(unknown(), a_backup(volume_id=None)) is Observed.WORKING
    assert finding(unknown(), a_backup(volume_id=None, name="nightly-2")) is Observed.ABSENT


def test_a_backup_of_the_volume_without_a_name_may_be_ours_unless_it_is_older() -> None:
    assert finding(unknown(), a_backup(name=None)) is Observed.UNCERTAIN
    assert finding(unknown(), a_backup(name=None, created_at=None)) is Observed.UNCERTAIN
    assert finding(unknown(), a_backup(name=None, created_at=NOW - 60.0)) is Observed.ABSENT


@pytest.mark.parametrize("missing", ["name", "volume_id"])
def test_a_backup_without_name_or_volume_matches_by_its_id(missing: str) -> None:
    without: dict[str, Any] = {missing: None}
    assert Index([running(backup_id="backup-1")]).job_of(a_backup(**without))


# Whether it belongs to the job ------------------------------------------------------------------


def test_a_unique_name_is_proof_whatever_the_age_says() -> None:
    for created_at in (None, NOW - 86400.0, NOW + 86400.0):
        assert is_ours(unknown(), a_backup(created_at=created_at), snapshot()) is True


def test_a_reused_name_proves_only_backups_made_since_the_first_create() -> None:
    common = snapshot(names_unique=False, started_at=NOW + 700.0)
    job = unknown(first_sent_at=NOW, intent_at=NOW + 500.0)
    assert is_ours(job, a_backup(created_at=NOW), common) is True
    assert is_ours(job, a_backup(created_at=NOW + 600.0), common) is True
    assert is_ours(job, a_backup(created_at=NOW - 60.0), common) is False


def test_a_backup_from_the_future_is_undecided() -> None:
    """The cloud's clock was set back after it was made, at an unknown time."""
    common = snapshot(names_unique=False)
    assert is_ours(unknown(), a_backup(created_at=NOW + 3600.0), common) is None


def test_a_time_between_the_two_readings_of_a_cloud_clock_that_was_set_is_undecided() -> None:
    job = unknown(intent_at=NOW, intent_cloud_at=NOW, first_sent_at=NOW, first_cloud_at=NOW)
    common = snapshot(names_unique=False, clock_ahead=-3600.0, started_at=NOW + 3700.0)
    assert is_ours(job, a_backup(created_at=NOW + 1.0), common) is True
    assert is_ours(job, a_backup(created_at=NOW - 1800.0), common) is None
    assert is_ours(job, a_backup(created_at=NOW - 3700.0), common) is False


def test_a_cloud_whose_clock_was_set_back_between_two_creates_may_have_made_either() -> None:
    """By that clock its newest create is older than its first."""
    back = -86400.0
    job = unknown(
        first_sent_at=NOW,
        first_cloud_at=NOW,
        intent_at=NOW + 600.0,
        intent_cloud_at=NOW + 600.0 + back,
    )
    common = snapshot(names_unique=False, clock_ahead=back, started_at=NOW + 700.0)
    assert is_ours(job, a_backup(created_at=NOW + 601.0 + back), common) is True
    assert is_ours(job, a_backup(created_at=NOW + 500.0 + back), common) is False


@pytest.mark.parametrize("ahead", [-40.0, 0.0, 3600.0])
def test_ages_are_compared_by_the_servers_clock(ahead: float) -> None:
    common = snapshot(names_unique=False, clock_ahead=ahead)
    assert is_ours(unknown(), a_backup(created_at=NOW + ahead + 1.0), common) is True
    assert is_ours(unknown(), a_backup(created_at=NOW + ahead - 10.0), common) is False


def test_whole_seconds_on_both_sides_do_not_make_a_backup_of_ours_too_old() -> None:
    common = snapshot(names_unique=False, clock_ahead=-1.0)
    assert is_ours(unknown(intent_at=NOW + 0.9), a_backup(created_at=NOW - 1.0), common) is True


def test_a_name_used_before_on_a_backup_without_age_is_undecided() -> None:
    nameless = a_backup(created_at=None)
    assert is_ours(unknown(), nameless, snapshot(names_unique=False)) is None
    assert finding(unknown(), nameless, names_unique=False) is Observed.UNCERTAIN


def test_a_younger_backup_that_is_ours_settles_the_doubt_about_one_without_age() -> None:
    both = [a_backup(created_at=None, id="x"), a_backup(status="available")]
    assert finding(unknown(), *both, names_unique=False) is Observed.AVAILABLE


def test_doubt_about_an_old_backup_is_no_verdict_before_ours_had_time_to_show() -> None:
    early = finding(unknown(), a_backup(created_at=None), names_unique=False, started_at=NOW + 5.0)
    assert early is Observed.UNSEEN


@pytest.mark.parametrize("word", ["error", "deleting", "error_deleting", "deleted"])
def test_an_errored_backup_of_an_earlier_attempt_is_not_the_newest_ones(word: str) -> None:
    job = unknown(first_sent_at=NOW - 900.0, attempts=2)
    left = a_backup(status=word, created_at=NOW - 899.0)
    assert is_ours(job, left, snapshot()) is False
    assert finding(job, left) is Observed.ABSENT
    assert is_ours(job, replace(left, created_at=None), snapshot()) is False


def test_the_errored_backup_on_record_is_never_taken_for_a_new_one() -> None:
    job = unknown(errored_backup_id="backup-1", attempts=2)
    for word in ("error", "deleting", "available", "creating"):
        assert is_ours(job, a_backup(status=word), snapshot()) is False
    its_own = running(errored_backup_id="backup-1", backup_id="backup-1")
    assert is_ours(its_own, a_backup(status="error"), snapshot()) is True


def test_a_job_that_knows_its_backup_takes_no_other() -> None:
    job = running(backup_id="backup-9")
    assert is_ours(job, a_backup(), snapshot()) is False
    assert is_ours(job, a_backup(id="backup-9", name="renamed"), snapshot()) is True


# What its status means --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("available", Observed.AVAILABLE),
        ("restoring", Observed.AVAILABLE),
        ("error_restoring", Observed.AVAILABLE),
        ("creating", Observed.WORKING),
        (None, Observed.WORKING),
        ("never-seen", Observed.WORKING),
        ("error", Observed.ERRORED),
        ("deleting", Observed.DELETED),
        ("error_deleting", Observed.DELETED),
        ("deleted", Observed.DELETED),
    ],
)
def test_every_status_has_one_meaning(word: str | None, means: Observed) -> None:
    assert status(a_backup(status=word)) is means
    assert finding(running(backup_id="backup-1"), a_backup(status=word)) is means


def test_of_several_backups_the_good_one_counts_in_any_order() -> None:
    several = [
        a_backup(id="a", status="error", created_at=NOW + 9),
        a_backup(id="b", status="available", created_at=NOW + 1),
        a_backup(id="c", status="creating", created_at=NOW + 5),
    ]
    assert finding(unknown(), *several) is Observed.AVAILABLE
    assert finding(unknown(), *reversed(several)) is Observed.AVAILABLE


def test_absence_is_proved_only_by_a_complete_sweep_that_began_after_the_settle_time() -> None:
    settled = NOW + 1.0 + SETTLE
    assert finding(unknown(), started_at=settled) is Observed.ABSENT
    assert finding(unknown(), started_at=settled - 0.1) is Observed.UNSEEN
    assert finding(unknown(), started_at=settled, complete=False) is Observed.UNSEEN
    assert finding(unknown(unknown_at=None), started_at=settled) is Observed.UNSEEN


def test_the_settle_time_restarts_when_lists_can_be_read_again() -> None:
    back = NOW + 5.0
    early, late = back + SETTLE - 0.1, back + SETTLE
    assert finding(unknown(), started_at=early, readable_since=back) is Observed.UNSEEN
    assert finding(unknown(), started_at=late, readable_since=back) is Observed.ABSENT


# How far back a sweep must read -----------------------------------------------------------------


def page(*ages: float | None) -> list[Backup]:
    return [
        a_backup(n, created_at=None if age is None else NOW - age) for n, age in enumerate(ages, 1)
    ]


def test_a_page_sorted_newest_first_that_ends_before_the_oldest_create_is_the_last_needed() -> None:
    assert reaches_back(page(*range(0, 50, 5), 100), Cloud(NOW - 60.0))
    assert not reaches_back(page(*range(0, 50, 5), 59), Cloud(NOW - 60.0))


def test_an_unsorted_page_does_not_end_the_sweep() -> None:
    many = range(0, 50, 5)
    assert not reaches_back(page(100, *reversed(many)), Cloud(NOW - 60.0))
    assert not reaches_back(page(*many, None, 100), Cloud(NOW - 60.0))
    assert not reaches_back(page(), Cloud(NOW))
    assert not reaches_back(page(*many, 100), None)


def test_a_few_entries_are_not_surely_sorted() -> None:
    """A list sorted by id, for example: only its end proves that nothing new follows."""
    assert not reaches_back(page(100), Cloud(NOW - 60.0))
    assert not reaches_back(page(90, 100, 110), Cloud(NOW - 60.0))


def test_clocks_of_whole_seconds_leave_a_margin() -> None:
    assert not reaches_back(page(*range(10), 61), Cloud(NOW - 60.0))
    assert reaches_back(page(*range(10), 63), Cloud(NOW - 60.0))


def test_a_job_whose_start_is_not_known_needs_the_whole_list() -> None:
    assert (
        needed_since([unknown(), unknown(2, first_sent_at=None, intent_at=None)], snapshot())
        is None
    )
    assert needed_since([], snapshot()) is None


def test_the_oldest_create_decides_by_the_servers_clock() -> None:
    jobs = [running(first_sent_at=NOW - 500, intent_at=NOW), running(2)]
    assert needed_since(jobs, snapshot(clock_ahead=40.0)) == Cloud(NOW - 460.0)


def test_absence_is_proved_by_pages_of_a_day_more_whatever_clock_was_set_meanwhile() -> None:
    """A regression: a clock set back by two hours ended the sweep before the page with the backup,
    and the create was sent again."""
    jobs = [running(first_sent_at=NOW - 500), unknown(2)]
    assert needed_since(jobs, snapshot(clock_ahead=40.0)) == Cloud(NOW - 460.0 - 86400.0)


def test_a_cloud_whose_clock_was_set_since_a_create_is_read_back_by_both_of_its_times() -> None:
    """Its list is sorted by the time that its clock showed when the backup was made."""
    hour = 3600.0
    set_back = running(first_sent_at=NOW, first_cloud_at=NOW, intent_cloud_at=NOW, intent_at=NOW)
    assert needed_since([set_back], snapshot(clock_ahead=-hour)) == Cloud(NOW - hour)
    assert needed_since([set_back], snapshot(clock_ahead=hour)) == Cloud(NOW)


def test_one_backup_listed_twice_counts_the_same_in_either_order() -> None:
    twice = [Backup(id="backup-1", status=status) for status in ("error", "deleting")]
    for listed in (twice, twice[::-1]):
        job = unknown(state=JobState.RUNNING, backup_id="backup-1")
        seen = Observations(index=Index([job]), snapshot=snapshot())
        seen.add(listed)
        assert seen.of(job, complete=True) is Observed.ERRORED


# Any list ---------------------------------------------------------------------------------------

backups = st.builds(
    Backup,
    id=st.sampled_from(["backup-1", "backup-2", "x"]),
    name=st.sampled_from([None, "nightly-1", "nightly-2", "other"]),
    volume_id=st.sampled_from([None, volume(1), volume(2).upper(), "?"]),
    status=st.sampled_from([None, "creating", "available", "error", "deleting", "odd"]),
    created_at=st.none() | st.floats(NOW - 100.0, NOW + 100.0),
)
jobs = st.builds(
    lambda state, **fields: unknown(**fields, state=state),
    state=st.sampled_from([JobState.UNKNOWN, JobState.RUNNING]),
    backup_id=st.sampled_from([None, "backup-1"]),
    errored_backup_id=st.sampled_from([None, "backup-1", "backup-2"]),
    intent_at=st.floats(NOW - 50.0, NOW + 50.0),
)
snapshots = st.builds(
    snapshot,
    started_at=st.floats(NOW, NOW + 100.0),
    clock_ahead=st.floats(-100.0, 100.0),
    names_unique=st.booleans(),
)


@given(jobs, st.lists(backups, max_size=6), snapshots, st.booleans())
def test_absence_is_never_claimed_beside_a_good_backup_that_may_be_ours(
    job: Job, listed: list[Backup], seen_at: Snapshot, complete: bool
) -> None:
    seen = Observations(index=Index([job]), snapshot=seen_at)
    seen.add(listed)
    said = seen.of(job, complete=complete)
    mine = [b for b in listed if Index([job]).job_of(b) is job and is_ours(job, b, seen_at)]
    if any(b.status == "available" for b in mine):
        assert said is Observed.AVAILABLE
    if mine:
        assert said not in (Observed.ABSENT, Observed.UNSEEN)
    if said is Observed.ABSENT:
        assert complete
        assert not seen.uncertain
    backwards = Observations(index=Index([job]), snapshot=seen_at)
    backwards.add(reversed(listed))
    assert backwards.of(job, complete=complete) is said
