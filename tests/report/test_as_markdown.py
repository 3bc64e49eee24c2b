import io
from itertools import pairwise

from hypothesis import given
from markdown_it import MarkdownIt

from vbsbatch.model import JobState
from vbsbatch.report import ReportData, write
from vbsbatch.report.text import clean

from .samples import any_text, failed, hostile_report, one_of_each, report

COMMONMARK = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def page(data: ReportData, *, all_jobs: bool = False) -> str:
    stream = io.StringIO()
    write(data, "md", stream, all_jobs=all_jobs)
    return stream.getvalue()


def table_rows(text: str) -> list[list[str]]:
    """The cells of all tables' rows, as shown; fails where a cell holds more than plain text."""
    rows: list[list[str]] = []
    tokens = COMMONMARK.parse(text)
    for before, token in pairwise(tokens):
        if before.type == "tr_open":
            rows.append([])
        if token.type == "inline" and before.type in {"td_open", "th_open"}:
            children = token.children or []
            kinds = {child.type for child in children}
            assert kinds <= {"text", "text_special"}, kinds
            rows[-1].append("".join(child.content for child in children))
    return rows


def test_summary_comes_before_failures_by_code_before_failed_jobs() -> None:
    text = page(report(one_of_each()))
    places = [
        text.index(part) for part in ("# Run", "## Failures by code", "## Failed and skipped jobs")
    ]
    assert places == sorted(places)
    assert "VolumeBackup.0040 | the disk has reached the limit of 20 backups" in text
    assert "    vbsbatch retry 20261123-0715-k3f9 --code VolumeBackup.0040\n" in text


def test_jobs_that_succeeded_are_a_count_unless_all_are_asked_for() -> None:
    data = report(one_of_each())
    assert "db-0006" not in page(data)
    assert "| + ok | 1 |" in page(data)
    assert "db-0006" in page(data, all_jobs=True)


def test_a_run_without_failures_has_no_empty_tables() -> None:
    text = page(report([each for each in one_of_each() if each.state is JobState.SUCCEEDED]))
    assert "Fail" not in text.replace("x FAIL", "")
    assert "never seen" not in text


def test_unknown_codes_are_listed() -> None:
    assert "## Codes never seen before" in page(report([failed(code="X.1")]))


@given(any_text)
def test_hostile_text_stays_in_its_cell_and_is_shown_literally(text: str) -> None:
    data = hostile_report(text)
    rows = table_rows(page(data, all_jobs=True))
    jobs = rows[-len(JobState) :]
    assert {len(row) for row in jobs} == {14}
    shown = {row[5] for row in jobs}
    assert {one.strip() for one in shown} == {clean(text).strip()}


@given(any_text)
def test_there_is_never_html_in_a_page(text: str) -> None:
    kinds = {token.type for token in COMMONMARK.parse(page(hostile_report(text)))}
    assert "html_block" not in kinds
    assert "<" not in page(hostile_report(text))
