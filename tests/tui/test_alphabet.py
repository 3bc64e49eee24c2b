from __future__ import annotations

import pytest
from rich.segment import Segment
from textual.color import Color

from tests.tui.piloting import opened
from vbsbatch.tui.alphabet import AsciiFilter, bar, needs_ascii, sparkline


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(140, 40), (80, 24), (40, 10)])
async def test_ascii_has_the_same_cells_as_unicode(size: tuple[int, int]) -> None:
    async with opened(size=size) as stage:
        unicode = stage.lines
    async with opened(size=size, ascii_only=True) as stage:
        ascii_only = stage.lines
    assert [len(line) for line in ascii_only] == [len(line) for line in unicode]
    for plain, drawn in zip(ascii_only, unicode, strict=True):
        assert all(a == b or a in "+-|#>*~.xv^ _:=" for a, b in zip(plain, drawn, strict=True))
        names = plain.replace("\u5bbf", "").replace("\u6cca", "")
        assert names.isascii(), plain


def test_only_drawings_and_signs_are_replaced() -> None:
    [found] = AsciiFilter().apply([Segment("\u256d\u2500 \u2713 ok \u5bbf\u6cca")], Color(0, 0, 0))
    assert found.text == "+- + ok \u5bbf\u6cca"


@pytest.mark.parametrize(
    ("environment", "ascii_only"),
    [
        ({"LANG": "en_US.UTF-8", "TERM": "xterm-256color"}, False),
        ({"LC_CTYPE": "C.utf8", "TERM": "tmux"}, False),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, True),
        ({"LC_ALL": "", "LANG": "de_DE.UTF-8"}, False),
        ({}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "linux"}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "vt100"}, True),
    ],
)
def test_ascii_is_used_where_nothing_else_can_be_shown(
    environment: dict[str, str], ascii_only: bool
) -> None:
    assert needs_ascii(environment) is ascii_only


@pytest.mark.parametrize(
    ("share", "filled"),
    [(0.0, ""), (0.5, "\u2588\u2588"), (0.6, "\u2588\u2588\u258d"), (1.0, "\u2588" * 4)],
)
def test_a_bar_is_filled_by_eighths(share: float, filled: str) -> None:
    assert bar(share, 4) == (filled, " " * (4 - len(filled)))


def test_a_sparkline_is_as_high_as_its_largest_value() -> None:
    assert sparkline([0, 1, 4, 8]) == "\u2581\u2581\u2584\u2588"
    assert sparkline([]) == ""
