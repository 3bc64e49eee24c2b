"""The plan that is written can be read: by a person, and by `check`, whatever the names are."""

from __future__ import annotations

import random

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.inventory.samples import ALL, FLEET, fleets, hostile, loaded, text, uuid, volume
from vbsbatch.inventory.filters import chosen, usable
from vbsbatch.inventory.plan_diff import differences
from vbsbatch.inventory.plan_writer import Heading, plan_text, scalar
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.plan import VolumeSelection
from vbsbatch.plan.volume_collector import shown_name

EVERYTHING = VolumeSelection(
    name=("db*", "'x\"", "#no"),
    metadata=(("env", "a=b"), ("k", "")),
    status=("in-use",),
    az=("null",),
    server=("web 01",),
    type=("SSD",),
    min_size=0,
    max_size=500,
    exclude=("*",),
)


def test_volumes_stand_server_by_server_with_names_and_sizes_for_people() -> None:
    lines = text(FLEET).splitlines()
    volumes = [line for line in lines if "- id" in line or line.startswith("  # ")][4:]
    assert (
        volumes
        == [
            "  # db01: 2 volumes, 600 GB",
            f"  - id: {uuid(2)}  # db01-data, 500 GB",
            f"  - id: {uuid(3)}  # db01-log, 100 GB",
            "  # web01: 1 volume, 40 GB",
            f"  - id: {uuid(1)}  # web01-root, 40 GB",
            "  # Attached to no server: 2 volumes, 80 GB",
            f"  - id: {uuid(6)}  # busy, 40 GB",
            f"  - id: {uuid(4)}  # old, 40 GB",
            "  # Left out, because a volume in this state cannot be backed up:",
            f"  # - id: {uuid(5)}  # broken, 40 GB, error",
        ][-len(volumes) :]
    )
    assert lines[0] == "# 5 volumes, 720 GB, on 2 servers. Made with:"


def test_the_plan_says_what_the_cloud_said() -> None:
    plan = loaded(text(FLEET, cloud="sim"))
    assert (plan.name, plan.cloud, plan.selection) == ("fleet", "sim", None)
    first = plan.volumes[0]
    assert (first.id, first.name, first.group) == (uuid(2), "db01-data", "db01")
    assert first.seen is not None
    assert (first.seen.size, first.seen.status) == (500, "in-use")
    assert (first.seen.type, first.seen.server) == ("SSD", "s-db")


def test_the_order_of_the_cloud_s_pages_does_not_matter() -> None:
    mixed = list(FLEET.volumes.values())
    random.Random(1).shuffle(mixed)
    assert text(VolumesByServer({each.id: each for each in mixed}, FLEET.names)) == text(FLEET)


def test_a_selection_comes_back_and_its_command_is_told() -> None:
    fleet = VolumesByServer.of([volume(1)])
    heading = Heading(name="x", cloud=None, selection=EVERYTHING)
    written = "".join(f"{line}\n" for line in plan_text(fleet, fleet.volumes, heading, left_out={}))
    assert loaded(written).selection == EVERYTHING
    assert "vbsbatch plan new --name 'db*' --name ''\"'\"'x\"' --name '#no'" in written
    assert "--min-size 0 --max-size 500 --exclude '*'" in written


@given(fleets)
def test_whatever_the_names_are_the_plan_is_fine_and_nothing_differs(
    fleet: VolumesByServer,
) -> None:
    volumes = usable(chosen(fleet, ALL), ALL)
    written = text(fleet)
    assert all(line.isprintable() for line in written.split("\n"))
    if not volumes:
        return
    plan = loaded(written)
    assert {each.id for each in plan.volumes} == set(volumes)
    for each in plan.volumes:
        assert each.name == (shown_name(volumes[each.id].name) or each.id)
    assert yaml.safe_load(written)["volumes"][0]["id"] == plan.volumes[0].id
    assert differences(plan, fleet) == []


@given(hostile)
def test_a_scalar_is_the_text_to_every_reader(value: str) -> None:
    shown = shown_name(value)
    assert yaml.safe_load(f"x: {scalar(shown)}") == {"x": shown}
    assert "\n" not in scalar(shown)


@given(st.text(alphabet="0123456789abcdefxXeEonyf._-+:~", min_size=1, max_size=12))
def test_what_looks_like_something_else_is_quoted(value: str) -> None:
    assert yaml.safe_load(f"x: {scalar(value)}") == {"x": value}


def test_ten_thousand_volumes_are_written_and_compared() -> None:
    fleet = VolumesByServer.of(
        volume(number, server_ids=(f"s{number // 3}",), status="in-use") for number in range(10_000)
    )
    plan = loaded(text(fleet))
    assert differences(plan, fleet) == []
    assert len(plan) == 10_000
