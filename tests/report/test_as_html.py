import io
from html.parser import HTMLParser

from hypothesis import given

from vbsbatch.model import BackupSettings, JobState, Operation, RunState, Settings
from vbsbatch.report import ReportData, write
from vbsbatch.report.text import clean
from vbsbatch.report.timeline import FEW

from .samples import T0, any_text, hostile_job, hostile_report, job, one_of_each, report, run

EMPTY = {"meta"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "pre"),
    *("table", "thead", "tbody", "tr", "th", "td", "p", "small"),
    *("svg", "g", "rect", "path", "text"),
}
DRAWN = {"viewbox", "role", "x", "y", "width", "height", "d"}


class Strict(HTMLParser):
    """Fails on tags that do not nest and on everything the page has no business with."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        meta = {"lang", "charset", "http-equiv", "content", "name"}
        assert {name for name, _ in attrs} <= meta | {"scope", "class"} | DRAWN
        if tag not in EMPTY:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "small"):
            self.cells[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def page(data: ReportData) -> str:
    stream = io.StringIO()
    write(data, "html", stream)
    return stream.getvalue()


def parsed(text: str) -> Strict:
    parser = Strict()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


@given(any_text)
def test_hostile_text_stays_in_its_cell_and_is_shown_literally(text: str) -> None:
    cells = parsed(page(hostile_report(text))).cells
    jobs = [cells[-8 * n :][:8] for n in range(1, len(JobState) + 1)]
    assert {(row[1], row[7]) for row in jobs} == {(clean(text), clean(text))}


@given(any_text)
def test_hostile_names_stay_in_the_picture_too(text: str) -> None:
    parsed(page(report([hostile_job(no, text) for no in range(1, 4)])))
    parsed(page(report([hostile_job(no, text) for no in range(1, 2 * FEW)])))


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


def test_failed_volumes_are_listed_with_their_reason_and_then_every_volume() -> None:
    text = page(report(one_of_each()))
    failures, volumes = text.split("<h2>All volumes</h2>")
    assert "too many backups<small>the disk has reached the limit of 20 backups</small>" in failures
    assert "db-0006" not in failures.split("<h2>Failed and skipped jobs</h2>")[1]
    assert [f"db-{no:04}" in volumes for no in range(1, 10)] == [True] * 9


def test_a_volume_has_its_backup_size_kind_times_and_attempts() -> None:
    made = job(
        6,
        state=JobState.SUCCEEDED,
        size=40,
        settings=BackupSettings(full=True),
        attempts=2,
        backup_id="b6",
        first_sent_at=T0,
        ended_at=T0 + 600,
    )
    row = parsed(page(report([made]))).cells[-8:]
    assert row == [
        "succeeded",
        f"db-0006{made.volume_id}",
        *("40", "full", "2026-11-23 07:27:39Z", "10m", "2"),
        "nightly-db-0006b6",
    ]


def test_a_page_says_what_kind_of_run_it_is_about_in_a_sentence() -> None:
    for operation, words in (
        (Operation.BACKUP, "Backup report: run 20261123-0715-k3f9</h1>"),
        (Operation.RESTORE, "1 of 9 volumes were restored, 1 failed, 1 cancelled, 1 skipped."),
        (Operation.PRUNE, "1 of 9 backups were deleted, 1 failed"),
    ):
        settings = Settings(operation=operation, source_run="r")
        assert words in page(report(one_of_each(), run=run(settings=settings)))
    stopped = run(state=RunState.STOPPED, ended_at=None, heartbeat_at=T0 + 5)
    assert ">The run has not ended. 1 of 9" in page(report(one_of_each(), run=stopped))


def test_a_page_is_for_a4_with_numbered_pages() -> None:
    text = page(report(one_of_each()))
    for rule in ("size: A4", "counter(page)", "break-inside: avoid", "table-header-group"):
        assert rule in text
