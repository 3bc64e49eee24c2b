"""Nights on CBR: one create backs up many disks, and its reference leaves much open."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from vbsbatch.model import JobState, Operation
from vbsbatch.simulator import (
    BackupScript,
    Busy,
    Do,
    Fault,
    Kind,
    Scenario,
    Services,
    SimQuota,
    VaultScript,
)

from .fault_schedules import on_cbr, stormy, unsteady
from .night import POINTS, Night, check, with_settings
from .test_nights import HOUR, SEEDS


def on(*faults: Fault, duration: float = 60.0, **vaults: Any) -> Scenario:
    return Scenario(
        services=Services.CBR,
        backups=BackupScript(duration=(duration, duration)),
        vaults=VaultScript(**vaults),
        faults=faults,
    )


def together(count: int = 32, **changes: Any) -> Any:
    return with_settings(limits={"per_checkpoint": count, **changes})


def requests(night: Night) -> int:
    """How many creates the cloud had."""
    return len({row["request"] for row in night.cloud.ledger.of("create")})


@pytest.mark.parametrize("seed", range(max(20, SEEDS // 6)))
def test_a_stormy_night_keeps_every_promise_whatever_the_switches(seed: int) -> None:
    night = on_cbr(stormy(seed))
    check((unsteady(night) if seed % 2 else night).run())


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seed", range(1))
@pytest.mark.parametrize("busy", [Busy.DISK, Busy.NOTHING])
def test_a_kill_at_any_point_changes_nothing_about_the_end(
    point: str, seed: int, busy: Busy
) -> None:
    """Also where nothing but our own guard prevents a second backup."""
    night = Night(
        seed=seed,
        volumes=25,
        lives=8,
        points=(point,),
        scenario=on(number=2, busy=busy),
        settings=together(8),
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 25}


@pytest.mark.parametrize("vaults", [3, 20])
@pytest.mark.parametrize("spread", [0.0, 60.0])
def test_600_backups_of_ten_minutes_take_few_calls_and_no_longer_than_they_must(
    vaults: int, spread: float
) -> None:
    scenario = on(number=vaults)
    script = BackupScript(duration=(600.0 - spread, 600.0 + spread))
    night = Night(
        volumes=600,
        scenario=replace(scenario, backups=script),
        settings=together(in_flight=200, rate=with_settings().limits.rate),
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 600}
    assert night.calls / 600 <= 0.2
    if not spread:  # then the shortest night is known: three times 200 places, one after the other
        assert 3 * 600.0 / night.clock.passed >= 0.95


def test_jobs_of_one_vault_go_into_one_create_and_caps_count_disks() -> None:
    night = Night(volumes=64, scenario=on(number=2), settings=together(in_flight=64)).run()
    check(night)
    assert requests(night) <= 4  # two vaults, two priorities
    capped = Night(
        volumes=64,
        scenario=on(number=2),
        settings=together(in_flight=64, per_group=3),
        order=lambda no: {"group": f"g{no % 4}"},
    ).run()
    check(capped)
    assert capped.cloud.ledger.peak_running <= 4 * 3


def test_a_lost_answer_leaves_all_of_its_jobs_unknown_and_sends_none_twice() -> None:
    lost = Fault(on=Kind.CREATE, do=Do.DROP_AFTER, first=1)
    night = Night(volumes=30, scenario=on(lost, busy=Busy.NOTHING), settings=together()).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 30}
    unknown = {move.job.no for move in night.moves if move.job.state is JobState.UNKNOWN}
    assert len(unknown) == 10  # the in-flight cap


def test_disks_that_a_success_does_not_mention_are_found_in_the_list() -> None:
    night = Night(volumes=30, scenario=on(silent=0.5), settings=together()).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 30}
    assert any(move.job.state is JobState.UNKNOWN for move in night.moves)


def test_a_disk_that_is_busy_is_skipped_and_waits_alone() -> None:
    def begin_another(night: Night) -> None:
        job = night.jobs()[0]
        vault = job.settings.vault
        night.cloud.project.being_made(job.volume_id, night.clock.now())
        night.cloud.add_backup(job.volume_id, "another", vault_id=vault)
        night.cloud.project.order[-1].ends_at = night.clock.now() + 100.0

    night = Night(
        volumes=10, scenario=on(), settings=together(in_flight=10), before=begin_another
    ).run()
    first = night.jobs()[0]
    assert night.states() == {JobState.SUCCEEDED: 10}
    assert first.attempts == 3
    assert {job.attempts for job in night.jobs()[1:]} == {1}


@pytest.mark.parametrize(
    ("vaults", "spread", "share"), [(3, 0.0, 0.95), (3, 60.0, 0.85), (20, 0.0, 0.95)]
)
def test_where_busy_vaults_refuse_a_night_takes_no_longer_than_its_vaults_must(
    vaults: int, spread: float, share: float
) -> None:
    """With 200 places, and 32 volumes in a create."""
    scenario = on(number=vaults, busy=Busy.VAULT)
    script = BackupScript(duration=(600.0 - spread, 600.0 + spread))
    night = Night(
        volumes=600,
        scenario=replace(scenario, backups=script),
        settings=together(in_flight=200, rate=with_settings().limits.rate),
        order=lambda no: {"priority": 0},
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 600}
    assert night.calls / 600 <= 0.2
    per_vault = Counter(job.settings.vault for job in night.jobs()).values()
    creates = max(math.ceil(count / 32) for count in per_vault)
    shortest = 600.0 * max(creates, 600 / 200)
    assert shortest / night.clock.passed >= share


@pytest.mark.parametrize("code", ["BackupService.6125", "BackupService.0002"])
@pytest.mark.parametrize("status", [400, 500])
def test_a_vault_that_refuses_while_it_works_is_used_one_create_at_a_time(
    code: str, status: int
) -> None:
    script: dict[str, Any] = {"busy": Busy.VAULT, "busy_code": code, "busy_status": status}
    night = Night(
        volumes=40,
        scenario=on(number=2, **script),
        settings=together(8, in_flight=40),
    ).run()
    check(night)
    assert night.states() == {JobState.SUCCEEDED: 40}
    assert all(job.charged <= 1 for job in night.jobs())
    (note,) = [note.text for note in night.notes if note.text.startswith(code)]
    assert "takes one create for each vault at a time" in note


def test_the_reason_of_a_failure_comes_from_the_operation_log() -> None:
    broken = frozenset(job.volume_id for job in Night(volumes=10).jobs()[:2])
    fault = Fault(on=Kind.CREATE, do=Do.FAIL, code="BackupService.7004", volumes=broken)
    night = Night(
        volumes=10, scenario=on(fault, logs_after=(3.0, 3.0)), settings=together(in_flight=10)
    ).run()
    check(night)
    failed = [job for job in night.jobs() if job.state is JobState.FAILED]
    assert {job.volume_id for job in failed} == broken
    assert {job.code for job in failed} == {"BackupService.7004"}


def test_a_full_vault_stops_the_run_which_is_resumed_once_there_is_room() -> None:
    full = replace(on(), quota=SimQuota(backups=5))
    night = Night(volumes=20, scenario=full, settings=together(5, in_flight=5))
    with pytest.raises(AssertionError, match=r"BackupService\.6114"):
        night.run()
    night.before = lambda night: night.cloud.change(on())
    check(night.run())
    assert night.states() == {JobState.SUCCEEDED: 20}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("lost", [None, Do.DROP_AFTER, Do.DROP_BEFORE])
def test_restores_run_one_at_a_time_for_each_vault(
    named: bool, hidden: bool, lost: Do | None
) -> None:
    faults = [] if lost is None else [Fault(on=Kind.RESTORE, do=lost, first=2)]
    night = Night(
        volumes=8,
        scenario=on(
            *faults, number=2, restore_job=named, hides_restores=hidden, logs_after=(0.0, 10.0)
        ),
        operation=Operation.RESTORE,
        settings=with_settings(limits={"per_group": 1}, retry={"settle": 60.0}),
        order=lambda no: {"group": f"vault {no % 2}"},
    ).run()
    assert night.states() == {JobState.SUCCEEDED: 8}
    assert len(night.cloud.ledger.of("restore")) == 8
    assert night.clock.passed < HOUR


@pytest.mark.parametrize("point", ["before send", "after send", "on record", "after list"])
def test_a_kill_restores_nothing_twice_even_where_backups_show_no_restore(point: str) -> None:
    night = Night(
        volumes=10,
        lives=6,
        points=(point,),
        scenario=on(hides_restores=True, restores_at_once=True, logs_after=(0.0, 10.0)),
        operation=Operation.RESTORE,
    ).run()
    assert night.states() == {JobState.SUCCEEDED: 10}
    assert len(night.cloud.ledger.of("restore")) == 10


def test_a_prune_deletes_single_backups_and_says_what_a_lock_forbids() -> None:
    night = Night(volumes=8, scenario=on(), operation=Operation.PRUNE).run()
    assert night.states() == {JobState.SUCCEEDED: 8}
    locked = Night(volumes=2, scenario=on(policy_locked=True), operation=Operation.PRUNE).run()
    assert {job.code for job in locked.jobs()} == {"BackupService.6220"}
    assert locked.states() == {JobState.FAILED: 2}
