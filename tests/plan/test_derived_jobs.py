"""A run's backups become the jobs of a restore or a prune, or one error with all problems."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.errors import UsageError
from vbsbatch.model import (
    Backup,
    BackupSettings,
    CloudVolume,
    Job,
    JobState,
    Limits,
    Operation,
    Rate,
    Retry,
    Rule,
    Run,
    RunState,
    Service,
    Settings,
    Verdict,
    Wall,
    plain_id,
)
from vbsbatch.plan import derived_jobs
from vbsbatch.plan.derived_jobs import (
    deletions,
    objection_to_deletion,
    objections_to_restore,
    restores,
    settings_for,
    with_backup,
)

NEW = "0b1c8ac0-13fb-4a0c-b8d2-2c4f5a0e6a11"


def volume_id(no: int) -> str:
    return str(UUID(int=no))


def job(no: int, **changes: Any) -> Job:
    known: dict[str, Any] = {
        "no": no,
        "volume_id": volume_id(no),
        "volume_name": f"db{no}",
        "backup_name": f"night-db{no}",
        "state": JobState.SUCCEEDED,
        "backup_id": f"b{no}",
        "ended_at": 1000.0 + no,
    }
    return Job(**{**known, **changes})


RUN = [
    job(1),
    job(2),
    job(3, state=JobState.FAILED, backup_id=None, errored_backup_id="e3"),
    job(4, state=JobState.SKIPPED, backup_id=None),
]


def sources(jobs: list[Job]) -> dict[int, str | None]:
    return {each.no: each.settings.source_backup_id for each in jobs}


def problems(error: pytest.ExceptionInfo[UsageError]) -> list[str]:
    return str(error.value).splitlines()


def test_every_job_that_succeeded_gives_its_backup() -> None:
    assert sources(with_backup(RUN, ())) == {1: "b1", 2: "b2"}


def test_leftovers_in_error_come_only_when_asked_for() -> None:
    assert sources(with_backup(RUN, (), errored=True)) == {1: "b1", 2: "b2", 3: "e3"}


@pytest.mark.parametrize("name", ["db2", volume_id(2), volume_id(2).replace("-", "").upper()])
def test_volumes_are_named_by_id_or_name(name: str) -> None:
    assert sources(with_backup(RUN, (name,))) == {2: "b2"}


def test_unknown_names_and_volumes_without_backup_are_reported_at_once() -> None:
    with pytest.raises(UsageError) as error:
        with_backup(RUN, ("db1", "nope", "db3", "DB1"))
    assert problems(error) == [
        "the run has no volume nope",
        "the run has no volume DB1; did you mean 'db1'?",
        f"the run left no backup of db3 ({volume_id(3)}): failed",
    ]


def test_a_run_without_any_backup_has_nothing_to_give() -> None:
    with pytest.raises(UsageError, match="the run left no backup"):
        with_backup(RUN[2:], ())


def test_each_backup_goes_onto_its_own_volume_as_a_job_that_was_never_sent() -> None:
    (first, second) = restores(with_backup(RUN, ()), ())
    assert first == Job(
        no=1,
        volume_id=volume_id(1),
        volume_name="db1",
        backup_name="night-db1",
        settings=BackupSettings(source_backup_id="b1"),
    )
    assert second.no == 2


@pytest.mark.parametrize("old", ["db2", volume_id(2)])
@pytest.mark.parametrize("new", [NEW, NEW.replace("-", ""), NEW.upper()])
def test_a_backup_is_restored_onto_another_volume_if_asked(old: str, new: str) -> None:
    (_, moved) = restores(with_backup(RUN, ()), (f"{old}={new}",))
    assert (moved.volume_id, moved.volume_name, moved.backup_name) == (NEW, NEW, "night-db2")
    assert moved.settings.source_backup_id == "b2"


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("db1", "not OLD=NEW"),
        ("db1=db2", "a UUID"),
        (f"db9={NEW}", "no volumes to restore are called db9"),
        (f"db3={NEW}", "no volumes to restore are called db3"),
        (f"={NEW}", "no volumes to restore are called "),
        (f"db1={volume_id(2)}", f"2 backups are to be restored onto one volume: {volume_id(2)}"),
    ],
)
def test_a_target_that_makes_no_sense_is_refused(to: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        restores(with_backup(RUN, ()), (to,))
    (problem,) = problems(error)
    assert says in problem


def test_all_problems_of_targets_are_reported_at_once() -> None:
    with pytest.raises(UsageError) as error:
        restores(with_backup(RUN, ()), (f"db1={NEW}", f"db1={volume_id(9)}", f"db2={NEW}", "x=y"))
    assert len(problems(error)) == 3


def test_a_swap_of_two_volumes_is_no_collision() -> None:
    swapped = restores(with_backup(RUN, ()), (f"db1={volume_id(2)}", f"db2={volume_id(1)}"))
    assert [each.volume_id for each in swapped] == [volume_id(2), volume_id(1)]


def test_moving_many_volumes_takes_linear_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = with_backup([job(no) for no in range(1, 101)], ())
    spelled: list[str] = []

    def spell(name: str) -> str:
        spelled.append(name)
        return plain_id(name)

    monkeypatch.setattr(derived_jobs, "plain_id", spell)
    restores(made, [f"db{no}={volume_id(1000 + no)}" for no in range(1, 101)])
    assert len(spelled) <= 3 * len(made)


@given(st.lists(st.integers(1, 8), max_size=8), st.lists(st.integers(1, 8), max_size=8))
def test_no_volume_is_ever_the_target_of_two_backups(old: list[int], new: list[int]) -> None:
    made = with_backup([job(no) for no in range(1, 9)], ())
    to = tuple(f"db{a}={volume_id(b)}" for a, b in zip(old, new, strict=False))
    try:
        jobs = restores(made, to)
    except UsageError:
        return
    targets = [each.volume_id for each in jobs]
    assert len(set(targets)) == len(targets) == 8
    assert sorted(each.settings.source_backup_id or "" for each in jobs) == [
        f"b{no}" for no in range(1, 9)
    ]


def test_the_newest_backup_is_deleted_first() -> None:
    made_at = {"b1": 50.0, "b2": 70.0, "e3": 60.0}
    jobs = deletions(with_backup(RUN, (), errored=True), made_at)
    assert [each.settings.source_backup_id for each in jobs] == ["b2", "e3", "b1"]
    assert [each.no for each in jobs] == [1, 2, 3]
    assert all(each.state is JobState.WAITING and not each.attempts for each in jobs)


def a_run(settings: Settings) -> Run:
    return Run(
        id="20261123-0715-k3f9",
        plan="night",
        cloud="otc",
        state=RunState.ENDED,
        settings=settings,
        created_at=Wall(1.0),
    )


def test_a_restore_is_as_fast_and_patient_as_its_run_but_takes_no_rules_over() -> None:
    settings = Settings(
        limits=Limits(rate=Rate(count=3), in_flight=7, connections=2),
        retry=Retry(settle=5.0, rules=(Rule(verdict=Verdict.RETRY, status=503),)),
        deadline=3600.0,
        delete_errored=True,
        names_unique=False,
        service=Service.CINDER,
        notify=("ops",),
    )
    made = settings_for(Operation.RESTORE, a_run(settings), rate=None, in_flight=9)
    assert made == Settings(
        limits=Limits(rate=Rate(count=3), in_flight=9, connections=2),
        retry=Retry(settle=20.0),
        delete_errored=False,
        service=Service.CINDER,
        operation=Operation.RESTORE,
        source_run="20261123-0715-k3f9",
        notify=("ops",),
    )


def test_a_prune_does_not_wait_for_hours_for_dependent_backups() -> None:
    made = settings_for(Operation.PRUNE, a_run(Settings()), rate=Rate(count=1), in_flight=None)
    assert (made.retry.later_every, made.retry.later_for) == (15.0, 120.0)
    assert made.limits.rate == Rate(count=1)
    patient = a_run(Settings(retry=Retry(settle=600.0)))
    for source, settle in ((patient, 30.0), (a_run(Settings(retry=Retry(settle=2.0))), 2.0)):
        made = settings_for(Operation.PRUNE, source, rate=None, in_flight=None)
        assert made.retry.settle == settle
    hasty = settings_for(
        Operation.PRUNE,
        a_run(Settings(retry=Retry(later_every=1.0, later_for=2.0))),
        rate=None,
        in_flight=None,
    )
    assert (hasty.retry.later_every, hasty.retry.later_for) == (1.0, 2.0)


def test_the_cloud_as_it_is_objects_to_restores_all_at_once() -> None:
    jobs = restores(with_backup([job(no) for no in range(1, 8)], ()), ())
    backups = {
        f"b{no}": Backup(id=f"b{no}", status="available", size=20) for no in range(1, 8) if no != 2
    }
    backups["b3"] = Backup(id="b3", status="restoring", size=20)
    volumes = {
        volume_id(no): CloudVolume(id=volume_id(no), status="available", size=20)
        for no in range(1, 8)
        if no != 4
    }
    volumes[volume_id(5)] = CloudVolume(id=volume_id(5), status="in-use", size=20)
    volumes[volume_id(6)] = CloudVolume(id=volume_id(6), status="available", size=19)
    assert objections_to_restore(jobs, backups, volumes) == [
        f"db2 ({volume_id(2)}): its backup b2 is gone",
        f"db3 ({volume_id(3)}): its backup is restoring, not available",
        f"db4 ({volume_id(4)}): the volume does not exist",
        f"db5 ({volume_id(5)}): the volume is in-use, not available: detach it first",
        f"db6 ({volume_id(6)}): the volume has 19 GB, its backup needs 20 GB",
    ]


@pytest.mark.parametrize(
    ("changes", "objection"),
    [
        ({}, None),
        ({"status": "error"}, None),
        ({"name": " night-db1 "}, None),
        ({"volume_id": volume_id(1).replace("-", "").upper()}, None),
        ({"name": "keep-me"}, "its name is not the one that the run gave it"),
        ({"name": None}, "its name is not the one that the run gave it"),
        ({"volume_id": volume_id(2)}, "it is not of the run's volume"),
        ({"volume_id": None}, "it is not of the run's volume"),
        ({"status": "restoring"}, "it is restoring"),
        ({"status": "creating"}, "it is creating"),
    ],
)
def test_only_a_backup_with_the_name_and_volume_of_the_run_may_be_deleted(
    changes: dict[str, Any], objection: str | None
) -> None:
    (made,) = deletions(with_backup(RUN[:1], ()), {})
    known = {"name": "night-db1", "volume_id": volume_id(1), "status": "available"}
    assert objection_to_deletion(made, Backup(id="b1", **{**known, **changes})) == objection
    assert objection_to_deletion(made, None) == "gone already"
