"""The filter line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import OPEN_STATES, JobState
from vbsbatch.tui.filter_syntax import LONGEST, of_lines, parse, text
from vbsbatch.tui.view_models import FilterTerms


def criteria(line: str) -> FilterTerms:
    return replace(parse(line), text="")


def test_an_empty_line_filters_nothing() -> None:
    assert parse("") == FilterTerms()
    assert criteria("  \t ") == FilterTerms()


def test_words_are_kept_as_typed_and_once() -> None:
    assert criteria("db01  Über db01") == FilterTerms(words=("db01", "Über"))


@pytest.mark.parametrize(
    ("line", "states", "retrying"),
    [
        ("state:fail,retry", {JobState.FAILED}, True),
        ("state:failed", {JobState.FAILED}, False),
        ("state:OK,succeeded", {JobState.SUCCEEDED}, False),
        ("state:run state:wait", {JobState.RUNNING, JobState.WAITING}, False),
        ("state:send,unknown", {JobState.SUBMITTING, JobState.UNKNOWN}, False),
        ("state:cancel,skip", {JobState.CANCELLED, JobState.SKIPPED}, False),
        ("state:active", OPEN_STATES, False),
        ("state:retrying", set(), True),
    ],
)
def test_states_have_their_words_and_those_of_the_screen(
    line: str, states: set[JobState], retrying: bool
) -> None:
    assert criteria(line) == FilterTerms(states=frozenset(states), retrying=retrying)


def test_statuses_are_numbers_and_a_dash_or_0_is_no_answer() -> None:
    assert criteria("status:503,0 HTTP:429") == FilterTerms(statuses=frozenset({503, 0, 429}))
    assert criteria("http:-") == FilterTerms(statuses=frozenset({0}))


def test_vb_stands_for_volume_backup_unless_it_is_quoted() -> None:
    assert criteria("code:VB.09,APIG vb.0022") == FilterTerms(
        words=("VolumeBackup.0022",), codes=("VolumeBackup.09", "APIG")
    )
    assert criteria('code:"VB.09" vb.server') == FilterTerms(words=("vb.server",), codes=("VB.09",))


def test_quotes_keep_blanks_commas_colons_and_quotes() -> None:
    line = r'"two words" group:"tier 1,a",b "state:fail" "say \"x\" \\"'
    assert criteria(line) == FilterTerms(
        words=("two words", "state:fail", 'say "x" \\'), groups=frozenset({"tier 1,a", "b"})
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("stat:fail", 'unknown key "stat": did you mean state?'),
        ("frobnicate:x", "quote a word that holds a colon"),
        ("state:faled", "did you mean failed?"),
        ("state:zzz", "use wait, retry"),
        ("state:", "needs a value"),
        ("code:a,,b", "needs a value"),
        ("status:5o3", "is no HTTP status"),
        ("status:²", "is no HTTP status"),
        ("status:-1", "is no HTTP status"),
        ('group:"db', "a quote is not closed"),
        (" ".join(["x"] * 51), "at most 50 words"),
        ("x" * (LONGEST + 1), "at most 2000 characters"),
        ("\x1b]0;x\x07:x", 'unknown key "\ufffd]0;x\ufffd"'),
    ],
)
def test_a_line_that_makes_no_sense_says_why(line: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(line)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


def test_terms_made_by_the_program_get_a_line_that_says_them() -> None:
    terms = FilterTerms(
        words=("VB.09", "a b", "ok"),
        states=frozenset({JobState.FAILED, JobState.UNKNOWN}),
        retrying=True,
        statuses=frozenset({503, 0}),
        codes=("VolumeBackup.0900", "-"),
        groups=frozenset({'a"b'}),
    )
    line = text(terms)
    assert line == (
        '"VB.09" "a b" ok state:unknown,failed,retry status:0,503 '
        r'code:VB.0900,- group:"a\"b"'
    )
    assert criteria(line) == terms


def test_a_line_that_no_longer_fits_its_terms_is_written_anew() -> None:
    terms = parse("db01   http:503")
    assert text(terms) == "db01   http:503"
    assert text(replace(terms, statuses=frozenset({429}))) == "db01 status:429"
    assert text(FilterTerms(text='"', words=("a",))) == "a"


pieces = st.sampled_from(
    ["state:", "status:", "http:", "code:", "group:", '"', "\\", ",", " ", ":", "VB.", "vb.1", "-",
     "fail", "retry", "active", "503", "0", "db", "ä", "\ud800", "\x1b", "\u2028", "\x00"]
)  # fmt: skip
lines = st.one_of(st.text(max_size=60), st.lists(pieces, max_size=14).map("".join))


@given(line=lines)
def test_a_line_parses_or_is_a_value_error_and_its_terms_read_back(line: str) -> None:
    try:
        terms = parse(line)
    except ValueError:
        return
    assert parse(text(terms)) == terms
    bare = replace(terms, text="")
    assert criteria(text(bare)) == bare


def test_pasted_lines_become_alternatives_and_what_has_no_room_is_counted() -> None:
    text, left_out = of_lines(["db 01", "db02", "VB.09"])
    assert text == 'any:"db 01",db02,"VB.09"'
    assert parse(text).any_words == ("db 01", "db02", "VB.09")
    assert left_out == 0
    assert of_lines([f"db{no:02}" for no in range(60)])[1] == 10
    assert of_lines(["x" * 400] * 9)[1] == 7
