import io
from xml.etree import ElementTree
from xml.parsers import expat

import pytest
from hypothesis import given

from vbsbatch.model import JobState
from vbsbatch.report import ReportData, write
from vbsbatch.report.text import clean

from .samples import PLACE, any_text, failed, hostile_report, job, one_of_each, report, run


def text_of(data: ReportData) -> str:
    stream = io.StringIO()
    write(data, "junit", stream)
    assert stream.getvalue().isascii()
    return stream.getvalue()


def suite_of(data: ReportData) -> ElementTree.Element:
    [suite] = ElementTree.fromstring(text_of(data).encode())
    return suite


def test_there_is_a_suite_for_the_run_and_a_case_for_each_volume() -> None:
    suite = suite_of(report(one_of_each()))
    assert suite.tag == "testsuite"
    assert suite.get("name") == "nightly 20261123-0715-k3f9"
    assert [case.tag for case in suite] == ["properties", *["testcase"] * 9]
    assert suite[1].get("name") == "db-0001 (6ba7b810-9dad-11d1-80b4-000000000001)"


def test_the_suite_says_which_cloud_the_run_was_started_in() -> None:
    properties = suite_of(report([job()], run=run(**PLACE))).findall("properties/property")
    assert {each.get("name"): each.get("value") for each in properties} == {
        "cloud": "otc",
        "region": "eu-de",
        "project": "prod (0a1b2c)",
        "endpoint": "https://vbs.eu-de.test",
    }


def test_the_totals_of_the_suite_are_those_of_its_cases() -> None:
    suite = suite_of(report(one_of_each()))
    found = {
        name: len(suite.findall(f"testcase/{name}")) for name in ("failure", "error", "skipped")
    }
    assert found == {"failure": 1, "error": 5, "skipped": 2}
    totals = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert totals == ["9", "1", "5", "2"]


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("VolumeBackup.0040", 400, "VolumeBackup.0040"),
        (None, 503, "HTTP 503"),
        (None, None, "unknown"),
    ],
)
def test_a_failure_has_its_code_as_type_and_its_message(
    code: str | None, status: int | None, kind: str
) -> None:
    [failure] = suite_of(report([failed(code=code, http_status=status)]))[-1]
    assert (failure.get("type"), failure.get("message")) == (kind, "too many backups")


def test_a_group_belongs_to_the_class_name() -> None:
    assert suite_of(report([job(group="db01")]))[-1].get("classname") == "nightly.db01"


@given(any_text)
def test_hostile_text_is_legal_xml_and_comes_back(text: str) -> None:
    suite = suite_of(hostile_report(text))
    assert len(suite.findall("testcase")) == len(JobState)
    failure = suite.find("testcase/failure")
    assert failure is not None
    expected = clean(text)
    assert failure.get("type") == (expected or "HTTP 400")
    assert failure.get("message") == (expected or "failed")
    assert (failure.text or "") == (expected or "failed")


@given(any_text)
def test_a_strict_parser_sees_no_comment_section_or_declaration(text: str) -> None:
    seen: list[object] = []
    parser = expat.ParserCreate()
    parser.CommentHandler = seen.append
    parser.StartCdataSectionHandler = lambda: seen.append("cdata")
    parser.ProcessingInstructionHandler = lambda *words: seen.append(words)
    parser.StartDoctypeDeclHandler = lambda *words: seen.append(words)
    parser.Parse(text_of(hostile_report(text)).encode("ascii"), True)
    assert seen == []
