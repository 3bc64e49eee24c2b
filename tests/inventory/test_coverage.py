"""Which volumes have a good backup that is young enough."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inventory.samples import FLEET, uuid, volume
from vbsbatch.inventory.coverage import GOOD, coverage_of
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import Backup, Cloud, Uncovered, VolumeCoverage, plain_id

NOW = Cloud(1_795_000_000.0)
DAY = 86400.0
V1 = uuid(1)


def backup(number: int, age: float | None, status: str | None, **facts: Any) -> Backup:
    made = None if age is None else NOW - age
    known: dict[str, Any] = {"volume_id": V1, "created_at": made, "status": status}
    return Backup(id=f"b{number}", **(known | facts))


def covered(*backups: Backup, fleet: VolumesByServer | None = None) -> list[VolumeCoverage]:
    known = fleet or VolumesByServer.of([volume(1)])
    owned = [("VBS", each) for each in backups]
    return coverage_of(known, known.volumes, owned, now=NOW, max_age=DAY)


@pytest.mark.parametrize(
    ("backups", "reason", "age", "failed"),
    [
        ([], Uncovered.NONE, None, 0),
        ([(5, "available")], None, 5, 0),
        ([(DAY, "available")], None, DAY, 0),
        ([(DAY + 1, "available")], Uncovered.OLD, DAY + 1, 0),
        ([(9 * DAY, "available"), (2 * DAY, "available")], Uncovered.OLD, 2 * DAY, 0),
        ([(2 * DAY, "available"), (9, "error"), (8, "error")], Uncovered.OLD, 2 * DAY, 2),
        ([(9, "available"), (2 * DAY, "error")], None, 9, 0),
        ([(9, "error")], Uncovered.FAILED, None, 1),
        ([(9, "error"), (1, "creating")], Uncovered.UNFINISHED, None, 1),
        ([(2 * DAY, "available"), (1, "creating")], Uncovered.OLD, 2 * DAY, 0),
        ([(9, "deleting")], Uncovered.NONE, None, 0),
        ([(9, None)], Uncovered.NONE, None, 0),
        ([(9, "restoring")], None, 9, 0),
        ([(None, "available")], Uncovered.UNDATED, None, 0),
        ([(None, "available"), (2 * DAY, "available")], Uncovered.OLD, 2 * DAY, 0),
        ([(-3600, "available")], None, 0, 0),
    ],
)
def test_the_newest_good_backup_decides(
    backups: list[tuple[float | None, str | None]],
    reason: Uncovered | None,
    age: float | None,
    failed: int,
) -> None:
    [found] = covered(*(backup(at, *each) for at, each in enumerate(backups)))
    assert (found.reason, found.age, found.failed) == (reason, age, failed)


def test_a_volume_is_told_with_its_size_and_servers_and_the_worst_comes_first() -> None:
    found = covered(
        backup(1, 5, "available"),
        backup(2, 3 * DAY, "available", volume_id=uuid(2).upper().replace("-", "")),
        backup(3, 9, "error", volume_id=uuid(3)),
        fleet=FLEET,
    )
    told = [(each.name, each.size, each.servers, each.reason) for each in found]
    assert told == [
        ("broken", 40, (), Uncovered.NONE),
        ("busy", 40, (), Uncovered.NONE),
        ("old", 40, (), Uncovered.NONE),
        ("db01-log", 100, ("db01",), Uncovered.FAILED),
        ("db01-data", 500, ("db01",), Uncovered.OLD),
        ("web01-root", 40, ("web01",), None),
    ]


def test_a_volume_that_is_being_deleted_needs_no_backup() -> None:
    fleet = VolumesByServer.of([volume(1, status="deleting"), volume(2, status="deleted")])
    assert covered(fleet=fleet) == []


def test_a_backup_in_the_lists_of_two_services_counts_once() -> None:
    known = VolumesByServer.of([volume(1)])
    same = backup(1, 9, "error")
    [found] = coverage_of(
        known, known.volumes, [("VBS", same), ("CBR", same)], now=NOW, max_age=DAY
    )
    assert (found.reason, found.failed) == (Uncovered.FAILED, 1)


statuses = st.sampled_from(["available", "restoring", "creating", "error", "deleting", "odd", None])
backups = st.lists(
    st.builds(
        backup,
        st.integers(0, 9),
        st.none() | st.floats(-DAY, 4 * DAY),
        statuses,
        volume_id=st.sampled_from([V1, V1.upper(), uuid(2), uuid(99), None]),
    ),
    unique_by=lambda each: each.id,
)


@given(backups)
def test_covered_is_exactly_what_has_a_good_backup_that_is_young(known: list[Backup]) -> None:
    fleet = VolumesByServer.of([volume(1), volume(2)])
    found = covered(*known, fleet=fleet)
    assert {each.volume_id for each in found} == {V1, uuid(2)}
    for each in found:
        young = any(
            plain_id(b.volume_id or "") == plain_id(each.volume_id)
            and b.status in GOOD
            and b.created_at is not None
            and b.created_at >= NOW - DAY
            for b in known
        )
        assert (each.reason is None) is young
