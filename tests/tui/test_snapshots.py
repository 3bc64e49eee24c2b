"""Pictures of the screens. `pytest --snapshot-update` makes new ones: check each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.piloting import Monitor, prepared
from tests.tui.scripted import NOW, RUN, ScriptedSource

SIZES = [(80, 24), (140, 40), (40, 10)]
SCREENS: dict[str, tuple[str | None, list[str]]] = {
    "overview": (RUN, ["j", "space", "j", "space"]),
    "job": (RUN, ["n", "enter"]),
    "runs": (None, ["j", "space"]),
    "comparison": (None, ["space", "j", "d"]),
}
LOOKS: dict[str, dict[str, Any]] = {
    "dark": {},
    "light": {"theme": "light"},
    "no-colour": {"plain_colours": True},
    "ascii": {"ascii_only": True},
}
MOMENTS: dict[str, list[str]] = {
    "confirm": ["f", "asterisk", "r"],
    "help": ["question_mark"],
    "filter": ["slash", *"status:503"],
    "requested": ["p", "plus"],
    "sort": ["s", *["j"] * 6, "space", "space"],
    "log": ["l"],
    "all-events": ["v"],
    "exchange": ["n", "enter", "tab", "tab"],
    "timeline": ["n", "enter", "shift+tab"],
}

Compare = Callable[..., bool]


def taken(
    compare: Compare,
    size: tuple[int, int],
    keys: list[str],
    source: ScriptedSource | None = None,
    **options: Any,
) -> bool:
    """Compare the screen after these keys with its picture."""
    app = Monitor(source or ScriptedSource(), **options)
    return compare(app, terminal_size=size, run_before=_pressing(keys))


def _pressing(keys: list[str]) -> Callable[[Pilot[None]], Awaitable[None]]:
    async def press(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, Monitor)
        await prepared(pilot)
        for _ in range(4):
            app.look()
        await pilot.press(*keys)
        await prepared(pilot)
        await prepared(pilot)

    return press


@pytest.mark.parametrize("look", list(LOOKS))
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("screen", list(SCREENS))
def test_the_screens_look_as_they_did(
    snap_compare: Compare, screen: str, size: tuple[int, int], look: str
) -> None:
    run_id, keys = SCREENS[screen]
    assert taken(snap_compare, size, keys, run_id=run_id, **LOOKS[look])


@pytest.mark.parametrize("theme", ["contrast", "colour-blind"])
@pytest.mark.parametrize("screen", list(SCREENS))
def test_the_themes_look_as_they_did(snap_compare: Compare, screen: str, theme: str) -> None:
    run_id, keys = SCREENS[screen]
    assert taken(snap_compare, (80, 24), keys, run_id=run_id, theme=theme)


@pytest.mark.parametrize("moment", list(MOMENTS))
def test_moments_of_steering_look_as_they_did(snap_compare: Compare, moment: str) -> None:
    assert taken(snap_compare, (80, 24), MOMENTS[moment], run_id=RUN)


def test_a_run_whose_engine_is_gone_looks_as_it_did(snap_compare: Compare) -> None:
    source = ScriptedSource(pid=None, beat=NOW - 75)
    assert taken(snap_compare, (80, 24), [], source, run_id=RUN)
