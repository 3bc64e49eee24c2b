import io
from html.parser import HTMLParser

from hypothesis import given

from vbsbatch.model import JobState
from vbsbatch.report import ReportData, write
from vbsbatch.report.text import clean

from .samples import any_text, hostile_report, one_of_each, report

EMPTY = {"meta"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "pre"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class Strict(HTMLParser):
    """Fails on tags that do not nest and on everything the page has no business with."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        assert {name for name, _ in attrs} <= {
            "lang",
            "charset",
            "http-equiv",
            "content",
            "name",
        } | {
            "scope",
            "class",
        }
        if tag not in EMPTY:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def page(data: ReportData, *, all_jobs: bool = False) -> str:
    stream = io.StringIO()
    write(data, "html", stream, all_jobs=all_jobs)
    return stream.getvalue()


def parsed(text: str) -> Strict:
    parser = Strict()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


@given(any_text)
def test_hostile_text_stays_in_its_cell_and_is_shown_literally(text: str) -> None:
    cells = parsed(page(hostile_report(text), all_jobs=True)).cells
    jobs = [cells[-8 * n :][:8] for n in range(1, len(JobState) + 1)]
    assert {row[5] for row in jobs} == {clean(text)}


def test_the_page_needs_nothing_from_outside_and_runs_nothing() -> None:
    text = page(report(one_of_each()))
    assert "default-src 'none'" in text
    for word in ("<script", "<link", "<img", "http://", "https://", "url(", "@import", "onerror"):
        assert word not in text
    assert text.isascii()


def test_the_page_is_for_light_and_dark_and_paper_with_heads_that_stay() -> None:
    text = page(report(one_of_each()))
    for rule in ("prefers-color-scheme: dark", "@media print", "position: sticky"):
        assert rule in text


def test_failed_jobs_are_listed_and_all_when_asked_for() -> None:
    data = report(one_of_each())
    assert "db-0007" in page(data)
    assert "db-0006" not in page(data)
    assert "db-0006" in page(data, all_jobs=True)
    assert "the disk has reached the limit of 20 backups" in page(data)
