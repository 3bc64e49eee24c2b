"""Every command that inspects an ended run, on one run."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.cli.clouds import Cloud
from tests.cli.harness import FAST, Harness, until
from tests.store.fixtures import a_job, a_run
from vbsbatch.api.reading import headline
from vbsbatch.model import BackupSettings
from vbsbatch.store.sqlite.store import SqliteStore


@pytest.mark.parametrize(
    "words",
    [
        ("runs", "--json"),
        ("status", "latest", "--json"),
        ("status",),
        ("jobs", "--json"),
        ("jobs", "latest", "--csv"),
        ("report", "--format", "json"),
        ("compare", "latest", "latest"),
        ("compare", "latest", "latest", "--json"),
    ],
)
def test_a_separate_process_prints_the_same(
    ended: tuple[Harness, Cloud], words: tuple[str, ...]
) -> None:
    """What the other tests look at without one is what a script gets."""
    harness, _ = ended
    done = harness(*words)
    assert (done.stdout, done.stderr) == (harness.look(*words), "")


def test_runs_are_listed_newest_first(ended: tuple[Harness, Cloud]) -> None:
    harness, _ = ended
    lines = harness("runs").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["STATE", "PART", "DONE"]
    assert [run["counts"]["failed"] for run in harness.runs()] == [2, 0]


def test_a_line_of_the_list_of_runs_reads_no_attempts_and_the_jobs_twice(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path / "vbsbatch.db", create=True) as store:
        store.create_run(a_run("r"), [a_job(1)], BackupSettings())
        asked: list[str] = []
        store._db.set_trace_callback(asked.append)
        headline(store, store.run("r"))
    assert not any("FROM attempts" in query for query in asked)
    assert sum("FROM jobs" in query for query in asked) == 2


def test_a_run_is_named_by_id_prefix_or_latest(ended: tuple[Harness, Cloud]) -> None:
    harness, _ = ended
    newest, oldest = (run["id"] for run in harness.runs())
    assert harness.json("status")["run"]["id"] == newest
    assert harness.json("status", "latest")["run"]["id"] == newest
    assert harness.json("status", oldest)["run"]["id"] == oldest
    assert harness.json("status", oldest[:-1])["run"]["id"] == oldest
    ambiguous = harness.refused("status", newest[:6])
    assert newest in ambiguous
    assert oldest in ambiguous
    assert "no run 'nope'" in harness.refused("status", "nope")


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ((), 6),
        (("--state", "failed"), 2),
        (("--state", "failed", "--state", "succeeded"), 6),
        (("--state", "waiting"), 0),
        (("--status", "400"), 1),
        (("--status", "0"), 0),
        (("--code", "VolumeBackup.0017"), 1),
        (("--code", "VolumeBackup.0017", "--status", "400"), 0),
        (("--code", "VolumeBackup.0017", "--code", "VolumeBackup.0040"), 2),
    ],
)
def test_jobs_are_filtered(
    ended: tuple[Harness, Cloud], words: tuple[str, ...], count: int
) -> None:
    harness, _ = ended
    found = harness.jobs(*words)
    assert len(found) == count
    if words:
        assert len(harness.look("jobs", "latest", *words).splitlines()) == count + 1


def test_jobs_are_found_by_volume_id_and_name(ended: tuple[Harness, Cloud]) -> None:
    harness, cloud = ended
    volume = cloud.volumes()[2]
    by_name = harness.jobs("--volume", volume["Name"])
    by_id = harness.jobs("--volume", volume["ID"].replace("-", "").upper())
    assert [job["volume_id"] for job in by_name + by_id] == [volume["ID"]] * 2


def test_jobs_as_csv_have_the_columns_of_the_json(ended: tuple[Harness, Cloud]) -> None:
    harness, _ = ended
    rows = list(csv.DictReader(io.StringIO(harness.look("jobs", "--csv"))))
    assert [row["state"] for row in rows] == [job["state"] for job in harness.jobs()]
    assert list(rows[0]) == list(harness.jobs()[0])
    (bad,) = (row for row in rows if row["code"] == "VolumeBackup.0040")
    assert bad["message"].startswith("'=1+1"), "no formula"


def test_a_job_in_json_has_every_member(ended: tuple[Harness, Cloud]) -> None:
    harness, _ = ended
    good = harness.jobs("--state", "succeeded")[0]
    assert good["attempts"] == 1
    assert good["http_status"] == 200
    assert good["backup_id"]
    assert good["cloud_job_id"]
    assert good["first_sent_at"].endswith("Z")
    assert good["ended_at"] > good["first_sent_at"]


def test_status_shows_failures_with_their_meaning_and_what_to_do(
    ended: tuple[Harness, Cloud],
) -> None:
    harness, _ = ended
    text = harness.look("status")
    assert "20 backups" in text
    assert "VolumeBackup.0017" in text
    document = harness.json("status")
    assert {row["code"] for row in document["failures"]} == {
        "VolumeBackup.0017",
        "VolumeBackup.0040",
    }
    assert f"vbsbatch retry {harness.run_id()} --code VolumeBackup.0017" in document["next"]


@pytest.mark.parametrize("form", ["table", "json", "csv", "md", "html", "junit"])
def test_a_report_is_the_same_on_stdout_and_in_a_file_but_for_when_it_was_written(
    ended: tuple[Harness, Cloud], form: str
) -> None:
    harness, _ = ended
    # Bytes: a CSV's line ends are part of it.
    text = harness.look("report", "latest", "--format", form)
    harness("report", "latest", "--format", form, "--output", f"report.{form}")
    path = harness.folder / f"report.{form}"
    written = [
        re.sub(r"Written by vbsbatch, .{20}", "", each) for each in (path.read_text("utf-8"), text)
    ]
    assert written[0] == written[1]
    assert path.stat().st_mode & 0o777 == 0o600
    assert "VolumeBackup.0040" in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "<script>" not in text or form in ("json", "csv", "table")


def test_reports_can_be_read_by_other_programs(ended: tuple[Harness, Cloud]) -> None:
    harness, _ = ended
    document = json.loads(harness.look("report", "--format", "json"))
    assert len(document["jobs"]) == 6
    suite = ET.fromstring(harness.look("report", "--format", "junit"))
    assert len(list(suite.iter("testcase"))) == 6
    assert len(list(suite.iter("failure"))) == 2


def test_a_report_into_a_missing_folder_is_refused(ended: tuple[Harness, Cloud]) -> None:
    harness, _ = ended
    assert "folder does not exist" in harness.refused("report", "--output", "none/report.txt")


def test_a_reader_that_closes_the_pipe_causes_no_error(ended: tuple[Harness, Cloud]) -> None:
    harness, _ = ended
    done = harness.finish(
        harness.shell("vbsbatch report --format json | head -c 1; exit ${PIPESTATUS[0]}")
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


def test_two_runs_are_compared(ended: tuple[Harness, Cloud]) -> None:
    harness, _ = ended
    newest, first = (run["id"] for run in harness.runs())
    text = harness("compare", first, "latest").stdout
    assert re.search(rf"run +{first} +{newest}\n", text)
    assert f"failed only in {newest}: " in text
    document = harness.json("compare", first, "latest")
    assert (document["left"]["id"], document["right"]["id"]) == (first, newest)
    listed = ("failed_in_both", "failed_only_right", "only_right")
    assert sum(len(document[name]) for name in listed) >= 2
    assert harness.refused("compare", first, "nosuchrun")


def test_verify_reports_backups_that_are_gone(ended: tuple[Harness, Cloud]) -> None:
    harness, cloud = ended
    assert "the cloud has what the store says" in harness("verify").stdout
    good = harness.jobs("--state", "succeeded")
    cloud.behave(FAST.replace("delete: 50ms", "delete: 60s"))
    cloud.project().delete(good[0]["backup_id"])
    assert "not available" in harness("verify", code=1).stdout
    cloud.behave(FAST)
    cloud.project().delete(good[1]["backup_id"])
    cloud.project().create(good[2]["volume_id"], good[2]["backup_name"])
    failed = harness.jobs("--state", "failed")[0]
    cloud.project().create(failed["volume_id"], failed["backup_name"])

    def settled() -> bool:
        there = cloud.project().backups()
        words = {backup["status"] for backup in there if backup["id"] != good[0]["backup_id"]}
        gone = good[1]["backup_id"] not in {backup["id"] for backup in there}
        return gone and words == {"available"}

    until(settled)
    document = json.loads(harness("verify", "--json", code=1).stdout)
    faults = {row["volume_id"]: row["fault"] for row in document["differences"]}
    assert faults == {
        good[0]["volume_id"]: "not available",
        good[1]["volume_id"]: "missing",
        good[2]["volume_id"]: "duplicate",
        failed["volume_id"]: "unrecorded",
    }
    assert "4 differences" in harness("verify", code=1).stdout
