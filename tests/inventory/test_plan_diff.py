"""What changed since a plan was written: volumes gone, new, changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.inventory.samples import FLEET, loaded, text, uuid, volume
from vbsbatch.inventory.plan_diff import PlanDifference, differences
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import CloudServer
from vbsbatch.plan import Plan, VolumeSelection, load

PLAN = loaded(text(FLEET))


def told(fleet: VolumesByServer, plan: Plan = PLAN) -> list[tuple[str, str]]:
    return [(each.kind, each.name) for each in differences(plan, fleet)]


def changed(**facts: Any) -> list[tuple[str, str | None, str | None]]:
    """What is told when volume 2 (db01-data) is otherwise."""
    volumes = {**FLEET.volumes, uuid(2): replace(FLEET.volumes[uuid(2)], **facts)}
    names = {**FLEET.names, "s-new": "new01"}
    (found,) = differences(PLAN, VolumesByServer(volumes, names)) or [
        PlanDifference(kind="", volume_id="", name="")
    ]
    return [(change.what, change.was, change.now) for change in found.changes]


def test_nothing_differs_from_a_plan_that_was_just_written() -> None:
    assert differences(PLAN, FLEET) == []


def test_volumes_gone_and_new_are_told_new_ones_by_server() -> None:
    volumes = dict(FLEET.volumes)
    del volumes[uuid(1)], volumes[uuid(4)]
    more = [
        volume(9, "zz"),
        volume(8, "web02-root", server_ids=("s-web",)),
        volume(7, "dead", status="error"),
    ]
    volumes |= {each.id: each for each in more}
    assert told(VolumesByServer(volumes, FLEET.names)) == [
        ("gone", "web01-root"),
        ("gone", "old"),
        ("new", "web02-root"),
        ("new", "zz"),
    ]


@pytest.mark.parametrize(
    ("facts", "change"),
    [
        ({"name": "db01-DATA"}, [("name", "db01-data", "db01-DATA")]),
        ({"size": 1000}, [("size", "500 GB", "1000 GB")]),
        ({"status": "error"}, [("status", "in-use", "error")]),
        ({"status": "backing-up"}, []),
        ({"status": None, "size": None, "volume_type": None}, []),
        ({"volume_type": "SAS"}, [("type", "SSD", "SAS")]),
        ({"server_ids": ("s-new",)}, [("server", "db01", "new01")]),
        ({"server_ids": ("s-new", "s-db")}, []),
        (
            {"server_ids": (), "status": "available"},
            [("status", "in-use", "available"), ("server", "db01", None)],
        ),
    ],
)
def test_what_the_plan_knows_of_a_volume_is_compared(
    facts: dict[str, Any], change: list[tuple[str, str | None, str | None]]
) -> None:
    assert changed(**facts) == change


def test_a_volume_that_was_attached_to_nothing_and_now_is_has_changed() -> None:
    volumes = {**FLEET.volumes, uuid(4): replace(FLEET.volumes[uuid(4)], server_ids=("s-db",))}
    (found,) = differences(PLAN, VolumesByServer(volumes, FLEET.names))
    (change,) = found.changes
    assert (change.what, change.was, change.now) == ("server", None, "db01")


def test_a_server_that_was_renamed_or_regrouped_by_a_person_is_no_change() -> None:
    names = VolumesByServer.of(FLEET.volumes.values(), [CloudServer(id="s-db", name="DB-ONE")])
    assert differences(PLAN, names) == []
    regrouped = replace(PLAN, volumes=[replace(each, group="mine") for each in PLAN.volumes])
    assert differences(regrouped, FLEET) == []


def test_new_is_only_what_the_plan_was_asked_for() -> None:
    plan = loaded(text(FLEET, VolumeSelection(name=("db*",), server=("db01",))))
    assert told(FLEET, plan) == []
    volumes = {**FLEET.volumes, uuid(9): volume(9, "db02-data", server_ids=("s-db",))}
    assert told(VolumesByServer(volumes, FLEET.names), plan) == [("new", "db02-data")]
    gone = VolumesByServer({}, {})
    assert told(gone, plan) == [("gone", "db01-data"), ("gone", "db01-log")]


def test_a_plan_of_a_person_s_own_hand_is_compared_by_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    ids = [
        f"  - {{id: {each}, name: {FLEET.volumes[each].name}}}" for each in map(uuid, range(1, 6))
    ]
    path.write_text("\n".join(["volumes:", *ids]))
    plan = load(path)
    assert [(each.kind, each.name) for each in differences(plan, FLEET)] == [
        ("changed", "broken"),
        ("new", "busy"),
    ]


def test_a_volume_whose_name_a_person_did_not_write_down_has_no_other_name_now(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ids.yaml"
    path.write_text("\n".join(["volumes:", *(f"  - {{id: {uuid(n)}}}" for n in (1, 2, 4))]))
    kinds = {each.volume_id: each.kind for each in differences(load(path), FLEET)}
    assert not {uuid(1), uuid(2), uuid(4)} & set(kinds)
