"""coverage: the volumes of a project without a good backup young enough, whoever made it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.cli.clouds import GlassCloud
from tests.cli.harness import FAST, Harness
from vbsbatch.errors import CloudError, CloudRefused, CloudUnavailable, UsageError

COVERAGE = ("coverage", "--cloud", "simulator")
DAY = 86400.0
HOSTILE = "=1+1 <script>\x1b[31m\u202e"


def volumes_of(cloud: GlassCloud) -> list[Any]:
    return sorted(cloud.world.project.volumes.values(), key=lambda volume: volume.name)


def prepared(harness: Harness, more: str = "") -> list[Any]:
    """A cloud with four volumes: covered, too old, only failed, none."""
    cloud = harness.cloud(FAST + more, volumes=4)
    found = volumes_of(cloud)
    cloud.world.add_backup(found[0].id, "by-somebody", age=3 * DAY)
    cloud.world.add_backup(found[0].id, "by-somebody", age=3600)
    cloud.world.add_backup(found[1].id, HOSTILE, age=2 * DAY)
    cloud.world.add_backup(found[1].id, "tried", status="error", age=60)
    cloud.world.add_backup(found[2].id, "tried", status="error", age=60)
    return found


@pytest.mark.parametrize("service", ["", "services: cinder\n", "services: cbr\n"])
def test_the_table_says_which_volumes_lack_a_backup_why_and_how_old_the_last_is(
    harness: Harness, service: str
) -> None:
    found = prepared(harness, service)
    shown = harness.ask(*COVERAGE, code=1).splitlines()
    assert shown[0].split() == [
        *("VOLUME", "ID", "GB", "SERVER", "STATUS", "WHY", "AGE", "NEWEST", "GOOD", "BACKUP")
    ]
    assert [(line.split()[0], line.split()[1]) for line in shown[1:4]] == [
        (found[at].name, found[at].id) for at in (3, 2, 1)
    ]
    assert "no backup" in shown[1]
    assert "only failed backups (1)" in shown[2]
    assert "too old, 1 failed since  2d00h" in shown[3]
    assert f" {found[1].size} " in shown[3]
    assert (found[1].server_name or "-") in shown[3]
    assert shown[-1].startswith("1 of 4 volumes covered by a good backup of the last 24 h, ")


def test_a_longer_age_and_the_filters_of_plan_new_choose(harness: Harness) -> None:
    found = prepared(harness)
    two = ("--name", found[0].name, "--name", found[1].name)
    shown = harness.ask(*COVERAGE, *two, "--max-age", "7d")
    size = found[0].size + found[1].size
    assert shown == (
        f"2 of 2 volumes covered by a good backup of the last 7 d, {size:,} of {size:,} GB\n"
    )
    shown = harness.ask(*COVERAGE, *two, "--exclude", found[1].id, "--max-age", "30m", code=1)
    assert "0 of 1 volumes covered by a good backup of the last 30 min" in shown
    assert found[1].name not in shown
    with pytest.raises(UsageError, match="none of the cloud's 4 volumes matches"):
        harness.ask(*COVERAGE, "--name", "nobody")


def test_ages_are_by_the_clouds_clock(harness: Harness) -> None:
    prepared(harness, "clock_ahead: 72h\n")
    document = json.loads(harness.ask(*COVERAGE, "--format", "json", "--all", code=1))
    ages = {each["reason"]: each["age_seconds"] for each in document["listed"]}
    assert ages[None] == pytest.approx(3600, abs=60)
    assert ages["old"] == pytest.approx(2 * DAY, abs=60)
    assert (document["volumes"], document["covered"]) == (4, 1)


def test_json_csv_and_html_hold_the_same_and_hostile_names_harm_none(harness: Harness) -> None:
    prepared(harness)
    listed = json.loads(harness.ask(*COVERAGE, "--format", "json", code=1))["listed"]
    rows = list(csv.DictReader(io.StringIO(harness.ask(*COVERAGE, "--format", "csv", code=1))))
    assert [each["volume_id"] for each in rows] == [each["volume_id"] for each in listed]
    assert [each["reason"] for each in listed] == ["none", "failed", "old"]
    assert rows[2]["backup_name"].startswith("'=1+1")
    page = harness.folder / "page.html"
    assert harness.ask(*COVERAGE, "--format", "html", "--output", str(page), code=1) == ""
    text = page.read_text()
    assert "<script>" not in text
    assert text.isascii()
    assert all(each["volume_id"] in text for each in listed)
    assert "1 of 4 volumes covered" in text
    assert "1 of 4 volumes covered" in harness.heard[-1] + harness.heard[-2]


@pytest.mark.parametrize(
    ("on", "status", "error", "why"),
    [
        ("list", 403, CloudRefused, "cannot read the list of backups of VBS"),
        ("volumes", 403, CloudRefused, "cannot read the list of volumes"),
        ("list", 503, CloudUnavailable, "cannot read the list of backups of VBS"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error_and_no_volume_counts_as_covered(
    harness: Harness, on: str, status: int, error: type[CloudError], why: str
) -> None:
    prepared(harness, f"faults: [{{on: {on}, do: status, status: {status}}}]\n")
    with pytest.raises(error, match=why) as caught:
        harness.ask(*COVERAGE, "--format", "json")
    assert caught.value.exit_code in (2, 3)
