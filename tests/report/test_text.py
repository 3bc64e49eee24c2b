import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.report.text import clean, clock, cut, moment, quoted, span, utc, word

from .samples import HOSTILE, T0, any_text

FORBIDDEN = {
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
    *map(chr, range(0xFDD0, 0xFDF0)),
    *(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)),
    *"\u200e\u200f\u061c\u2028\u2029",
}


def is_harmless(text: str) -> bool:
    return not FORBIDDEN & set(text) and not any(unicodedata.category(c) == "Cs" for c in text)


@given(any_text)
def test_clean_text_is_one_line_that_drives_no_terminal_and_can_be_encoded(text: str) -> None:
    cleaned = clean(text)
    assert is_harmless(cleaned)
    assert len(cleaned) == len(text)
    assert len(cleaned.splitlines()) <= 1
    cleaned.encode("utf-8")


@given(any_text)
def test_cleaning_changes_forbidden_characters_only(text: str) -> None:
    for before, after in zip(text, clean(text), strict=True):
        assert after == ("\ufffd" if not is_harmless(before) else before)


def test_every_forbidden_character_is_replaced_at_any_place() -> None:
    for character in (*FORBIDDEN, "\ud800", "\udfff"):
        assert clean(f"a{character}b") == "a\ufffdb"


def test_letters_of_any_script_pass() -> None:
    text = "naïve 漢字 עברית e\u0301 👩‍💻 [b]"
    assert clean(text) is text


@given(any_text)
def test_quoted_text_is_a_json_string_on_one_line(text: str) -> None:
    shown = quoted(text)
    assert is_harmless(shown)
    assert json.loads(shown) == clean(text)


@given(any_text)
def test_a_bare_word_cannot_start_another_pair(text: str) -> None:
    shown = word(text)
    assert is_harmless(shown)
    if not shown.startswith('"'):
        assert shown == text
        assert not set(shown) & set(' ="\\')


def test_an_absent_word_is_a_dash_and_a_dash_is_quoted() -> None:
    assert word(None) == "-"
    assert word("-") == '"-"'
    assert word("VolumeBackup.0013") == "VolumeBackup.0013"


@given(st.text(max_size=50), st.integers(min_value=3, max_value=40))
def test_a_cut_text_fits_and_says_that_it_was_cut(text: str, length: int) -> None:
    shown = cut(text, length)
    assert len(shown) <= length
    assert shown == text or shown.endswith("...")


def test_times_are_utc() -> None:
    assert utc(T0) == "2026-11-23T07:27:39.120Z"
    assert utc(0.0) == "1970-01-01T00:00:00.000Z"
    assert moment(T0) == "2026-11-23 07:27:39Z"
    assert clock(T0) == "07:27:39Z"


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_a_time_stored_in_milliseconds_is_written_with_exactly_these(ms: int) -> None:
    assert utc(ms / 1000).endswith(f".{ms % 1000:03d}Z")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (31.4, "31s"),
        (59.9, "1m00s"),
        (131, "2m11s"),
        (960, "16m"),
        (4320, "1h12m"),
        (190_800, "2d05h"),
    ],
)
def test_a_duration_reads_in_two_units_at_most(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_the_hostile_samples_are_hostile() -> None:
    assert sum(not is_harmless(text) for text in HOSTILE) >= 10
