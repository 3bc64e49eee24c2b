from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

from tests.tui.scripted import HOSTILE
from vbsbatch.tui.sanitize import LiteralFilter, cut, fit

_BAD = {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def harmless(text: str) -> bool:
    return not any(ord(c) in _BAD or unicodedata.category(c) == "Cs" for c in text)


@given(st.text(max_size=300), st.integers(0, 60), st.booleans())
@example(HOSTILE, 20, False)
@example("x" * 10_000, 12, True)
@example("e" + "\u0301" * 10_000, 5, False)
@example("\u5bbf" * 40, 7, False)
def test_a_text_takes_exactly_the_cells_it_is_given(text: str, width: int, right: bool) -> None:
    shown = fit(text, width, right=right)
    assert cell_len(shown) == width
    assert harmless(shown)
    assert len(shown) <= 5 * width


@given(st.text(max_size=100), st.integers(1, 40))
def test_a_cut_text_is_never_wider_and_says_that_it_was_cut(text: str, width: int) -> None:
    shown = cut(text, width)
    assert cell_len(shown) <= width
    if len(text) > 4 * width:
        assert shown.endswith("…")


@given(st.text(max_size=100))
@example(HOSTILE)
def test_the_last_wall_lets_no_control_character_through(text: str) -> None:
    mine, textuals = Segment(text), Segment("\x1b[2J", None, [(2, 0)])  # type: ignore[list-item]
    shown, kept = LiteralFilter().apply([mine, textuals], Color(0, 0, 0))
    assert harmless(shown.text)
    assert len(shown.text) == len(text)
    assert kept is textuals


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("\u2764\ufe0f db", "\u2764 db"),
        ("1\ufe0f\u20e3 db", "1\u20e3 db"),
        ("\U0001f44d\U0001f3fd db", "\U0001f44d db"),
        ("\U0001f469\u200d\U0001f680 db", "\U0001f469\U0001f680 db"),
        ("a\u115fb\u3164c", "abc"),
        ("\u5bbf\u6cca e\u0301", "\u5bbf\u6cca e\u0301"),
    ],
)
def test_a_column_has_no_characters_of_ambiguous_width(name: str, seen: str) -> None:
    assert cut(name, 20) == seen
    assert cell_len(seen) == sum(map(cell_len, seen))
