import io
import json
from typing import Any

import pytest
from hypothesis import given

from vbsbatch.model import Job, MissedKind, MissedStart, Wall
from vbsbatch.report import as_json, write
from vbsbatch.report.text import clean

from .samples import HOSTILE, any_text, failed, hostile_report, one_of_each, report, run
from .schema_check import problems


def parsed(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert text.isascii()
    return json.loads(text, parse_constant=refuse)


def whole(data: Any) -> Any:
    stream = io.StringIO()
    write(data, "json", stream)
    return parsed(stream.getvalue())


@pytest.mark.parametrize("jobs", [[], [failed()], one_of_each()])
def test_a_report_is_as_the_schema_says(jobs: list[Job]) -> None:
    said = whole(report(jobs))
    assert problems(said, "report") == []
    assert len(said["jobs"]) == len(jobs)


def test_a_run_that_has_not_started_is_as_the_schema_says() -> None:
    bare = run(cloud=None, started_at=None, ended_at=None)
    assert problems(whole(report(run=bare)), "report") == []


@given(any_text)
def test_hostile_text_arrives_cleaned_and_otherwise_literal(text: str) -> None:
    said = whole(hostile_report(text))
    assert problems(said, "report") == []
    assert {each["message"] for each in said["jobs"]} == {clean(text)}
    assert said["run"]["plan"] == clean(text)


def test_a_job_has_exactly_the_documented_members() -> None:
    assert " ".join(whole(report([failed()]))["jobs"][0]) == (
        "volume_id name backup_name state attempts http_status code message"
        " cloud_job_id backup_id first_sent_at ended_at due_at priority group progress"
        " size_gb kind took_seconds pinned pinned_until"
    )


def test_the_run_has_counts_calls_and_unknown_codes() -> None:
    said = whole(report([*one_of_each(), failed(10, code="VolumeBackup.9999")]))["run"]
    assert said["counts"]["failed"] == 2
    assert sum(said["counts"].values()) == 10
    assert said["calls"] == {"create": 9, "read": 3, "per_succeeded": 12.0}
    assert said["duration_seconds"] == 4212.0
    assert said["unknown_codes"] == [{"http_status": 400, "code": "VolumeBackup.9999", "count": 1}]


def test_status_jobs_and_runs_are_as_the_schema_says() -> None:
    status, jobs, runs, none = (io.StringIO() for _ in range(4))
    as_json.write_status(report(one_of_each()), status)
    as_json.write_jobs("20261123-0715-k3f9", one_of_each(), jobs)
    missed = MissedStart(
        plan="n\x1b", at=Wall(1.8e9), kind=MissedKind.SKIPPED, run_id="20261123-0715-k3f9"
    )
    as_json.write_runs([report(one_of_each()), report()], runs, [missed])
    as_json.write_runs([], none)
    assert problems(parsed(status.getvalue()), "status") == []
    assert problems(parsed(jobs.getvalue()), "jobs") == []
    assert problems(parsed(runs.getvalue()), "runs") == []
    assert parsed(none.getvalue()) == {"schema": 1, "missed_starts": [], "runs": []}


def test_every_job_is_on_a_line_of_its_own() -> None:
    stream = io.StringIO()
    write(report([failed(no, message=text) for no, text in enumerate(HOSTILE)]), "json", stream)
    lines = [line for line in stream.getvalue().splitlines() if '"volume_id"' in line]
    assert len(lines) == len(HOSTILE)
    assert all(json.loads(line.rstrip(",")) for line in lines)


def test_the_schema_check_finds_errors() -> None:
    said = whole(report(one_of_each()))
    said["jobs"][0]["state"] = "lost"
    said["jobs"][1]["ended_at"] = "yesterday"
    said["run"]["percent"] = 101
    said["run"]["attempts"] = True
    said["extra"] = 1
    del said["next"]
    assert len(problems(said, "report")) == 6
