"""plan new, plan diff: from a cloud to a plan, and back."""

from __future__ import annotations

import json
import os
import stat
from typing import Any

import pytest
import yaml

from tests.cli.clouds import GlassCloud
from tests.cli.harness import FAST, Harness
from vbsbatch.simulator.project_state import SimVolume

NEW = ("plan", "new", "--cloud", "simulator")


def written(harness: Harness, *words: str) -> dict[str, Any]:
    """The plan that `plan new` prints with these options."""
    plan: dict[str, Any] = yaml.safe_load(harness.ask(*NEW, *words))
    return plan


def names(plan: dict[str, Any]) -> set[str]:
    return {volume["name"] for volume in plan["volumes"]}


def test_a_plan_of_the_cloud_is_checked_and_run_as_it_is(harness: Harness) -> None:
    cloud = harness.cloud(volumes=12)
    done = harness(*NEW, "-o", "fleet.yaml")
    assert done.stdout == ""
    assert done.stderr.endswith("GB; next: vbsbatch check fleet.yaml --online\n")
    assert "fleet.yaml: fine: 12 volumes" in harness("check", "fleet.yaml").stdout
    again = harness(*NEW).stdout
    assert again == (harness.folder / "fleet.yaml").read_text().replace(
        "name: fleet", "name: simulator"
    )
    harness("run", "fleet.yaml")
    assert cloud.summary()["backed_up"] == 12
    assert cloud.calls("volumes") <= 6, "a page, and a look whether pages have links, each time"
    assert cloud.calls("servers") <= 4
    assert harness("plan", "diff", "fleet.yaml").stdout == (
        "fleet.yaml: 0 gone, 0 new, 0 changed (12 volumes in the plan, 12 in the cloud)\n"
    )


def test_volumes_are_grouped_by_server_name(harness: Harness) -> None:
    cloud = harness.cloud(volumes=30)
    attached = {v.id: v.server_name for v in cloud.world.project.volumes.values() if v.server_id}
    plan = written(harness)
    assert {v["id"]: v["group"] for v in plan["volumes"] if "group" in v} == attached
    groups = [volume.get("group", "~") for volume in plan["volumes"]]
    assert groups == sorted(groups), "those of no server come last"


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        (("--name", "db*", "--name", "web*"), lambda v: v.name[:2] in ("db", "we")),
        (("--metadata", "trade=mail"), lambda v: v.name.startswith("mail")),
        (("--status", "available"), lambda v: v.status == "available"),
        (("--az", "sim-1b"), lambda v: v.zone == "sim-1b"),
        (("--type", "SAS", "--type", "SATA"), lambda v: v.volume_type != "SSD"),
        (("--min-size", "100", "--max-size", "500"), lambda v: 100 <= v.size <= 500),
        (
            ("--exclude", "*-root", "--exclude", "db*"),
            lambda v: "root" not in v.name and "db" not in v.name,
        ),
    ],
)
def test_only_volumes_that_match_the_options_are_in_the_plan(
    shared: GlassCloud, harness: Harness, words: Any, fits: Any
) -> None:
    plan = written(harness, *words)
    assert names(plan) == {v.name for v in shared.world.project.volumes.values() if fits(v)}
    assert names(plan)


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Any:
    harness = Harness(tmp_path_factory.mktemp("shared"))
    yield harness
    harness.close()


@pytest.fixture(scope="module")
def cloud_of_60(shared_stage: Harness) -> GlassCloud:
    return shared_stage.cloud(volumes=60)


@pytest.fixture
def shared(cloud_of_60: GlassCloud, shared_stage: Harness, harness: Harness) -> GlassCloud:
    harness.clouds.write_text(shared_stage.clouds.read_text())
    return cloud_of_60


def test_a_server_may_be_named_or_given_by_its_id(shared: GlassCloud, harness: Harness) -> None:
    one = next(v for v in shared.world.project.volumes.values() if v.server_id)
    by_name = written(harness, "--server", str(one.server_name))
    assert one.name in names(by_name)
    assert {volume["group"] for volume in by_name["volumes"]} == {one.server_name}
    assert written(harness, "--server", str(one.server_id))["volumes"] == by_name["volumes"]
    line = harness.refused(*NEW, "--server", "nobody")
    assert line == "--server nobody: no server has this name or id"


def test_without_compute_groups_are_named_by_ids_and_names_cannot_be_asked_for(
    harness: Harness,
) -> None:
    cloud = harness.cloud(FAST + "faults: [{on: servers, do: status, status: 403}]", volumes=8)
    one = next(v for v in cloud.world.project.volumes.values() if v.server_id)
    done = harness(*NEW)
    assert "note: groups are named by the ids of servers: compute says: 403" in done.stderr
    assert f"group: {one.server_id}" in done.stdout
    assert "give the server's id" in harness.refused(*NEW, "--server", str(one.server_name))
    plan = written(harness, "--server", str(one.server_id))
    assert one.name in names(plan)


def test_every_page_is_read_and_volumes_come_once(harness: Harness) -> None:
    cloud = harness.cloud(volumes=2500)
    assert len(written(harness)["volumes"]) == 2500
    assert cloud.calls("volumes") == 3
    assert cloud.calls("token") == 1


def test_hostile_names_are_harmless_and_the_plan_is_fine(harness: Harness) -> None:
    cloud = harness.cloud(volumes=1)
    hostile = ["\x1b[31mred", "a\nb: [", "'\"\\", "# no", "{run}", "\U0001f600", "- x", "null", ""]
    for number, name in enumerate(hostile):
        volume = SimVolume(
            id=f"{number:08x}-9dad-11d1-80b4-00c04fd430c8",
            name=name,
            size=1,
            server_id=f"server-{number}",
            server_name=name,
        )
        cloud.world.project.volumes[volume.id] = volume
    harness(*NEW, "-o", "fleet.yaml")
    assert "10 volumes" in harness("check", "fleet.yaml").stdout
    assert "0 gone, 0 new, 0 changed" in harness("plan", "diff", "fleet.yaml").stdout
    assert "\x1b" not in (harness.folder / "fleet.yaml").read_text()


def test_volumes_that_cannot_be_backed_up_are_listed_and_not_in_the_plan(harness: Harness) -> None:
    cloud = harness.cloud(volumes=4)
    broken = next(iter(cloud.world.project.volumes.values()))
    broken.status = "error"
    done = harness(*NEW)
    assert broken.name not in names(yaml.safe_load(done.stdout))
    assert f"# - id: {broken.id}  # {broken.name}, {broken.size} GB, error" in done.stdout
    assert names(written(harness, "--status", "error")) == {broken.name}
    harness(*NEW, "-o", "all.yaml")
    assert "0 new" in harness("plan", "diff", "all.yaml").stdout
    assert "no matching volume can be" in harness.refused(*NEW, "--name", broken.name)


def test_an_existing_file_is_replaced_only_with_force(harness: Harness) -> None:
    harness.cloud(volumes=2)
    own = harness.folder / "own.yaml"
    own.write_text("precious")
    assert "own.yaml exists already: --force" in harness.refused(*NEW, "-o", "own.yaml")
    assert own.read_text() == "precious"
    harness(*NEW, "-o", "own.yaml", "--force")
    assert "volumes:" in own.read_text()
    assert stat.S_IMODE(os.stat(own).st_mode) == 0o600
    assert "folder does not exist" in harness.refused(*NEW, "-o", "no/such.yaml")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--name", "nothing*"), "none of the cloud's 60 volumes matches"),
        (("--cloud", "nowhere"), "no cloud named 'nowhere'"),
    ],
)
def test_a_selection_without_volumes_is_refused_in_one_line(
    shared: GlassCloud, harness: Harness, words: tuple[str, ...], says: str
) -> None:
    assert says in harness.refused(*NEW, *words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--metadata", "novalue"), "is not KEY=VALUE"),
        (("--name", "a\nb"), "visible characters"),
        (("--min-size", "9", "--max-size", "8"), "--min-size is more than --max-size"),
        (("--min-size", "-1"), "--min-size"),
    ],
)
def test_wrong_options_of_plan_new_are_refused_with_the_right_form(
    harness: Harness, words: tuple[str, ...], says: str
) -> None:
    assert says in harness(*NEW, *words, code=2).stderr


def test_a_failed_list_is_retried_and_then_an_error(harness: Harness) -> None:
    cloud = harness.cloud(FAST + "faults: [{on: volumes, do: status, status: 503, first: 2}]")
    assert len(written(harness)["volumes"]) == 10
    cloud.behave(FAST + "faults: [{on: volumes, do: status, status: 403}]")
    done = harness(*NEW, code=2)
    assert done.stderr.startswith("vbsbatch: cannot read the list of volumes: 403")
    assert done.stdout == ""


def test_diff_lists_gone_new_and_changed_volumes_and_exits_with_1(harness: Harness) -> None:
    cloud = harness.cloud(volumes=10)
    harness(*NEW, "--exclude", "*-swap", "-o", "fleet.yaml")
    volumes = cloud.world.project.volumes
    gone, grown, *_ = [each for each in volumes.values() if "swap" not in each.name]
    del volumes[gone.id]
    grown.size += 7
    added = SimVolume(id="6ba7b810-9dad-11d1-80b4-00c04fd430c8", name="new-root", size=9)
    volumes[added.id] = added
    lines = harness("plan", "diff", "fleet.yaml", code=1).stdout.splitlines()
    assert f"gone    {gone.id} {gone.name}" in lines[0] + lines[1]
    assert f"size: {grown.size - 7} GB -> {grown.size} GB" in lines[0] + lines[1]
    assert lines[2:] == [
        f"new     {added.id} new-root, 9 GB",
        "fleet.yaml: 1 gone, 1 new, 1 changed (9 volumes in the plan, 10 in the cloud)",
    ]
    document = json.loads(harness("plan", "diff", "fleet.yaml", "--json", code=1).stdout)
    assert {each["kind"] for each in document["differences"]} == {"gone", "new", "changed"}
    assert "no such file" in harness.refused("plan", "diff", "none.yaml")
