from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace

from tests.report.samples import failed, job, report, run
from tests.report.schema_check import problems
from vbsbatch.model import Job, JobState
from vbsbatch.report import ReportData, as_json, comparison
from vbsbatch.report.comparison import RunComparison, compare


def night(name: str, jobs: Sequence[Job]) -> ReportData:
    return report(jobs, run=run(id=name))


def two_nights() -> RunComparison:
    ok = JobState.SUCCEEDED
    before = [failed(1), failed(2), job(3, state=ok), failed(4), job(5, state=ok)]
    after = [failed(1, code="VolumeBackup.0061"), job(2, state=ok), failed(3), job(6, state=ok)]
    return compare(night("before", before), night("after", after))


def test_volumes_are_compared_by_how_they_ended() -> None:
    found = two_nights()
    assert [(a.no, b.code) for a, b in found.failed_in_both] == [(1, "VolumeBackup.0061")]
    assert [each.no for each in found.failed_only_left] == [2]
    assert [each.no for each in found.failed_only_right] == [3]
    assert [each.no for each in found.only_left] == [4, 5]
    assert [each.no for each in found.only_right] == [6]


def test_an_id_without_hyphens_is_the_same_volume() -> None:
    left = failed(1)
    right = replace(left, volume_id=left.volume_id.replace("-", "").upper())
    found = compare(night("before", [left]), night("after", [right]))
    assert found.failed_in_both == [(left, right)]
    assert not found.only_left
    assert not found.only_right


def test_the_figures_of_both_runs_stand_side_by_side_with_their_difference() -> None:
    rows = {row[0]: row[1:] for row in comparison.figure_rows(two_nights())}
    assert rows["jobs"] == ("5", "4", "-1")
    assert rows["failed"] == ("3", "2", "-1")
    assert rows["succeeded"] == ("2", "2", "")
    assert "waiting" not in rows


def test_the_text_names_each_volume_that_differs() -> None:
    stream = io.StringIO()
    comparison.write(two_nights(), stream)
    text = stream.getvalue()
    assert "failed in both: 1\n" in text
    assert "only in before: 2\n" in text
    assert "VolumeBackup.0061" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_the_document_fits_its_schema() -> None:
    stream = io.StringIO()
    as_json.write_comparison(two_nights(), stream)
    document = json.loads(stream.getvalue())
    assert problems(document, "compare") == []
    assert document["only_right"][0]["left"] is None
    assert document["failed_in_both"][0]["right"]["code"] == "VolumeBackup.0061"
