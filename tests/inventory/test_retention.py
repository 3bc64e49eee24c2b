"""Which backups may be deleted: whatever the cloud has and whatever is asked for."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.inventory.retention import (
    LAST_GOOD,
    PARENT,
    Fate,
    Holdings,
    MadeBackup,
    fates,
    keeper,
    room,
    spared,
)
from vbsbatch.model import (
    Backup,
    Cloud,
    Job,
    JobState,
    Pin,
    Retention,
    Run,
    RunState,
    Settings,
    Wall,
)
from vbsbatch.policy.retention import kept

NOW = 1_780_000_000.0
DAY = 86400.0
VOLUMES = ("v1", "v2")
STATUSES = ("available", "available", "available", "error", "restoring", "deleting", None)


def a_run(number: int, state: RunState = RunState.ENDED) -> Run:
    return Run(
        id=f"r{number}",
        plan="nightly",
        cloud=None,
        state=state,
        settings=Settings(),
        created_at=Wall(NOW),
    )


def a_made(number: int, volume: str = "v1", *, run: Run | None = None, **facts: Any) -> MadeBackup:
    """The backup `b<number>`, made so many days ago."""
    made_at = Cloud(NOW - DAY * number)
    known = {"name": f"n{number}", "status": "available", "created_at": made_at, "size": 1}
    backup = Backup(id=f"b{number}", volume_id=volume, **{**known, **facts})
    job = Job(
        no=1,
        volume_id=volume,
        volume_name=f"name of {volume}",
        backup_name=f"n{number}",
        state=JobState.SUCCEEDED,
        backup_id=f"b{number}",
    )
    return MadeBackup(run=run or a_run(number), job=job, backup=backup)


def held(made: Collection[MadeBackup], *others: Backup, **facts: Any) -> Holdings:
    backups = [*(found.backup for found in made), *others]
    return Holdings(**{"backups": backups, "made": list(made), "reserved": {}, "now": NOW, **facts})


def a_pin(run: str, backup: str | None = None) -> Pin:
    return Pin(run_id=run, backup_id=backup, pinned_at=Wall(NOW), pinned_by="ann")


@st.composite
def holdings(draw: st.DrawFn) -> Holdings:
    """A project in which anything may be: backups of ours and of others, pins, other prunes."""
    runs = [
        a_run(number, draw(st.sampled_from([RunState.ENDED, RunState.ENDED, RunState.STOPPED])))
        for number in range(4)
    ]
    made = []
    for number in range(draw(st.integers(0, 10))):
        found = a_made(
            number,
            draw(st.sampled_from(VOLUMES)),
            run=draw(st.sampled_from(runs)),
            status=draw(st.sampled_from(STATUSES)),
            incremental=draw(st.sampled_from([True, True, False, None])),
        )
        if draw(st.integers(0, 9)) == 0:
            found = a_made(number, run=found.run, name="another")
        made.append(found)
    foreign = [
        Backup(
            id=f"f{number}",
            volume_id=draw(st.sampled_from(VOLUMES)),
            status=draw(st.sampled_from(STATUSES)),
            created_at=Cloud(NOW - DAY * draw(st.integers(0, 10)) - 1),
            incremental=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 3)))
    ]
    ids = [found.id for found in made]
    some = st.lists(st.sampled_from(ids), unique=True, max_size=2) if ids else st.just([])
    leaving = draw(some)
    pins = [a_pin(found.run.id, found.id) for found in made if found.id in draw(some)]
    pins += [a_pin(f"r{number}") for number in draw(st.lists(st.integers(0, 9), max_size=1))]
    return held(
        made,
        *foreign,
        pins=pins,
        reserved=dict.fromkeys(leaving, "run p is to delete it"),
        deleted_soon=leaving,
        chains=draw(st.booleans()),
    )


def check_going(known: Holdings, going: Collection[str], *, even_last: bool = False) -> None:
    """None of these must stay, for a reason that no rule can outweigh."""
    by_id = {found.id: found for found in known.made}
    for found in (by_id[each] for each in going):
        assert found.run.state is RunState.ENDED
        assert found.backup.name == found.job.backup_name
        assert found.backup.volume_id == found.job.volume_id
        assert not [
            pin
            for pin in known.pins
            if pin.run_id == found.run.id and pin.backup_id in (None, found.id)
        ]
        assert found.id not in known.reserved
    if not even_last:
        for volume in {by_id[each].volume for each in going if by_id[each].good}:
            of_it = [found for found in known.made if found.volume == volume]
            assert keeper(of_it, {*going, *known.deleted_soon}) is not None
    if known.chains:
        assert not needed(known, going).intersection(going)


def needed(known: Holdings, going: Collection[str]) -> set[str]:
    """What incremental backups that stay build on: each on the next older one of its volume."""
    found: set[str] = set()
    for volume in VOLUMES:
        there = [
            backup
            for backup in known.backups
            if backup.volume_id == volume and backup.status != "deleting"
        ]
        newest_first = sorted(there, key=lambda backup: -float(backup.created_at or 0))
        for child, parent in pairwise(newest_first):
            stays = child.id not in going or child.id in found
            if stays and child.incremental:
                found.add(parent.id)
    return found


@given(known=holdings(), even_last=st.booleans())
def test_whatever_is_wanted_to_go_what_must_stay_stays(known: Holdings, even_last: bool) -> None:
    stay = spared(known, known.made, even_last=even_last)
    going = {found.id for found in known.made} - stay.keys()
    check_going(known, going, even_last=even_last)


@given(known=holdings(), last=st.integers(1, 3), daily=st.integers(0, 3))
def test_rules_let_go_only_what_none_of_them_keeps(known: Holdings, last: int, daily: int) -> None:
    rules = Retention(last=last, daily=daily)
    runs = {"r0", "r1", "r2"}
    told = fates(known, rules, runs)
    going = {fate.found.id for fate in told if fate.goes}
    check_going(known, going)
    assert all(fate.found.run.id in runs for fate in told), "the rules are about one plan"
    for volume in VOLUMES:
        counted = [
            fate.found
            for fate in told
            if fate.found.volume == volume
            and fate.found.good
            and fate.found.id not in known.deleted_soon
        ]
        by = kept({found.id: found.made_at for found in counted}, rules, now=NOW)
        assert {fate.found.id: [*fate.rules] for fate in told if fate.found in counted} == by
    assert all(fate.goes or fate.rules or fate.stays for fate in told)


def test_what_goes_is_what_no_rule_keeps_and_the_table_is_by_volume_newest_first() -> None:
    made = [a_made(4, "v2"), *(a_made(number) for number in (3, 1, 2))]
    told = fates(held(made), Retention(last=2), {f"r{n}" for n in range(9)})
    assert [(fate.found.id, fate.goes) for fate in told] == [
        ("b1", False),
        ("b2", False),
        ("b3", True),
        ("b4", False),
    ]


def test_a_backup_that_no_rule_counts_stays_with_the_reason() -> None:
    made = [a_made(1), a_made(2, status="error"), a_made(3, created_at=None)]
    told = fates(held(made), Retention(last=1), {"r1", "r2", "r3"})
    assert {fate.found.id: fate.stays for fate in told} == {
        "b1": None,
        "b2": "it is error, and no rule counts such a backup",
        "b3": "the cloud does not tell when it was made",
    }


def test_of_one_run_the_last_good_backup_stays_unless_it_is_asked_for() -> None:
    run = a_run(1)
    made = [a_made(1, run=run), a_made(2, "v2", run=run), a_made(3, "v2")]
    known = held(made)
    assert spared(known, made[:2]) == {"b1": LAST_GOOD}
    assert spared(known, made[:2], even_last=True) == {}
    assert spared(held(made, deleted_soon=["b3"]), made[:2]) == {"b1": LAST_GOOD, "b2": LAST_GOOD}


def test_others_backups_are_no_reason_to_delete_the_last_one_of_ours() -> None:
    foreign = Backup(id="f", volume_id="v1", status="available", created_at=Cloud(NOW))
    assert spared(held([a_made(1)], foreign), [a_made(1)]) == {"b1": LAST_GOOD}


def test_a_chain_stays_as_long_as_its_youngest_increment() -> None:
    made = [
        a_made(1, incremental=True),
        a_made(2, incremental=True),
        a_made(3, incremental=False),
        a_made(4, incremental=True),
        a_made(5, incremental=False),
    ]
    plan = {f"r{n}" for n in range(9)}
    told = fates(held(made, chains=True), Retention(last=1), plan)
    assert {fate.found.id: fate.stays for fate in told if not fate.rules} == {
        "b2": PARENT,
        "b3": PARENT,
        "b4": None,
        "b5": None,
    }
    assert [f.found.id for f in fates(held(made), Retention(last=1), plan) if f.goes] == [
        *("b2", "b3", "b4", "b5")
    ]


def test_as_many_go_first_as_there_is_no_room_for_and_the_oldest() -> None:
    made = [a_made(n) for n in range(1, 5)]
    told = [Fate(found=found) for found in made]
    backups = {"v1": [found.backup for found in made]}
    assert [found.id for found in room(told, backups, 4)["v1"]] == ["b4"]
    assert [found.id for found in room(told, backups, 3)["v1"]] == ["b4", "b3"]
    assert room(told, backups, 5) == {}, "there is room"
    assert room(told[:1], backups, 3) == {}, "one is not enough"
