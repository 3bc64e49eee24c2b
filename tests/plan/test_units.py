from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import Rate
from vbsbatch.plan import parse_duration, parse_rate


@pytest.mark.parametrize(
    ("text", "count", "per"),
    [
        ("5/s", 5, 1),
        ("100/min", 100, 60),
        ("1000/h", 1000, 3600),
        ("2.5/s", 2.5, 1),
        ("5/10s", 5, 10),
        ("0.5/s", 1, 2),
        (" 5/s ", 5, 1),
        ("1/24h", 1, 86400),
    ],
)
def test_a_rate_is_a_count_in_a_span_of_seconds(text: str, count: float, per: float) -> None:
    assert parse_rate(text) == Rate(count=count, per=per)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5", "must say per what: 5/s or 5/min, not 5 alone"),
        ("0/s", "must be more than 0"),
        ("5/0s", "must be more than 0"),
        ("-5/s", 'must be a rate such as 5/s, 100/min or 1000/h, not "-5/s"'),
        ("5/m", 'must be per s, min or h, not per "m"'),
        ("10001/s", "must be at most 10000/s"),
        ("1/48h", "must be at least 1/24h"),
        ("", 'must be a rate such as 5/s, 100/min or 1000/h, not ""'),
        ("\u0665/s", 'must be a rate such as 5/s, 100/min or 1000/h, not "\u0665/s"'),
    ],
)
def test_a_wrong_rate_says_what_would_be_right(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_rate(text)
    assert str(caught.value) == why


@given(st.integers(1, 10_000), st.sampled_from([1.0, 60.0, 3600.0, 10.0, 7200.0]))
def test_a_printed_rate_is_read_as_the_same_rate(count: int, per: float) -> None:
    rate = Rate(count=count, per=per)
    assert parse_rate(str(rate)) == rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("30s", 30), ("5m", 300), ("2h", 7200), ("0", 0), ("1.5h", 5400), ("0s", 0)],
)
def test_a_duration_is_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("30", "must have a unit: 30s, 30m or 30h, not 30 alone"),
        ("30d", 'must be in ms, s, m or h, not in "d"'),
        ("1h30m", 'must be a duration such as 200ms, 30s, 5m or 2h, not "1h30m"'),
        ("-1s", 'must be a duration such as 200ms, 30s, 5m or 2h, not "-1s"'),
        ("\x1b[31m", 'must be a duration such as 200ms, 30s, 5m or 2h, not "\\x1b[31m"'),
    ],
)
def test_a_wrong_duration_says_what_would_be_right(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_duration(text)
    assert str(caught.value) == why


@given(st.text())
def test_any_text_is_a_rate_or_a_value_error(text: str) -> None:
    for parse in (parse_rate, parse_duration):
        with suppress(ValueError):
            parse(text)


def test_parsing_a_rate_imports_neither_pydantic_nor_yaml() -> None:
    code = (
        "import sys; from vbsbatch.plan import parse_rate; parse_rate('5/s');"
        "sys.exit(bool({'pydantic', 'yaml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
