import csv
import io
import unicodedata

import pytest
from hypothesis import given

from vbsbatch.model import Job
from vbsbatch.report import write
from vbsbatch.report.as_csv import FIRST_FIELDS, PLACE_FIELDS, cell
from vbsbatch.report.documents import JOB_FIELDS
from vbsbatch.report.text import clean

from .samples import HOSTILE, any_text, failed, hostile_job, one_of_each, report

INVISIBLE = " \u00a0\u3000\u200b\ufeff\ufffd\u00ad\u2060"


def text_of(jobs: list[Job]) -> str:
    stream = io.StringIO(newline="")
    write(report(jobs), "csv", stream)
    return stream.getvalue()


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def starts_formula(value: str) -> bool:
    start = unicodedata.normalize("NFKC", value.lstrip(INVISIBLE)[:1])
    return start[:1] in {"=", "+", "-", "@", "\t", "\r", "\u2212"}


def test_there_is_a_header_and_a_row_for_each_job_with_crlf() -> None:
    text = text_of(one_of_each())
    rows = rows_of(text)
    newest = ("size_gb", "kind", "took_seconds", "pinned", "pinned_until")
    assert rows[0] == [*FIRST_FIELDS, *PLACE_FIELDS, *newest]
    assert [*FIRST_FIELDS, *newest] == [*JOB_FIELDS]
    assert [len(row) for row in rows] == [25] * 10
    assert text.count("\r\n") == text.count("\n") == 10


@given(any_text)
def test_no_cell_starts_a_formula_and_each_parses_back(text: str) -> None:
    rows = rows_of(text_of([hostile_job(1, text)]))
    assert len(rows) == 2
    shown = rows[1][JOB_FIELDS.index("message")]
    assert not starts_formula(shown)
    assert shown.replace("'", "") == clean(text).replace("'", "")


@given(any_text)
def test_no_formula_appears_where_semicolons_separate(text: str) -> None:
    line = text_of([hostile_job(1, text)]).split("\r\n")[1]
    for part in line.split(";")[1:]:
        assert not starts_formula(part.lstrip(INVISIBLE + '"'))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1", "'=1"),
        ("  =1", "'  =1"),
        ("\u200b\ufeff=1", "'\u200b\ufeff=1"),
        ("\uff1d1", "'\uff1d1"),
        ("\uff0b1", "'\uff0b1"),
        ("\ufe63" + "1", "'\ufe63" + "1"),
        ("\uff20x", "'\uff20x"),
        ("-1", "'-1"),
        ("a;=1", "a;'=1"),
        ('a; "=1', "a;' \"=1"),
        ("a=1", "a=1"),
        ("db-prod", "db-prod"),
        ("", ""),
        (-5, -5),
        (None, None),
    ],
)
def test_an_apostrophe_goes_before_a_formula_and_nowhere_else(
    value: str | int | None, shown: str | int | None
) -> None:
    assert cell(value) == shown


def test_a_tab_or_a_carriage_return_never_reaches_a_cell() -> None:
    for text in HOSTILE:
        for value in rows_of(text_of([failed(message=text)]))[1]:
            assert not set(value) & set("\t\r\n\x00\x1b")
