from __future__ import annotations

from typing import Any

import pytest
from textual.screen import Screen

from tests.tui.piloting import opened
from vbsbatch.errors import UsageError
from vbsbatch.tui import bindings, themes
from vbsbatch.tui.app import MonitorApp
from vbsbatch.tui.bindings import KEYS
from vbsbatch.tui.comparison_screen import ComparisonScreen
from vbsbatch.tui.detail import DetailScreen
from vbsbatch.tui.job_table import JobTable
from vbsbatch.tui.line_widgets import MOST, chosen
from vbsbatch.tui.overview import OverviewScreen
from vbsbatch.tui.runs import RunsScreen

SCREENS: dict[str, type] = {
    "overview": OverviewScreen,
    "job": DetailScreen,
    "runs": RunsScreen,
    "comparison": ComparisonScreen,
    "move": JobTable,
    "everywhere": MonitorApp,
}


def test_every_key_has_a_name_of_its_own_and_an_action_that_exists() -> None:
    assert len({key.id for key in KEYS}) == len(KEYS)
    for key in KEYS:
        name = key.action.partition("(")[0]
        assert hasattr(SCREENS[key.where], f"action_{name}"), key


def test_no_default_key_clashes_and_f10_and_f11_are_left_alone() -> None:
    bindings.checked({})
    taken = {one for key in KEYS for one in key.keys.split(",")}
    assert taken.isdisjoint({"f10", "f11"})


@pytest.mark.parametrize("where", ["overview", "job", "runs", "comparison"])
@pytest.mark.parametrize("width", [20, 40, 79, 80, 200])
def test_a_footer_fits_its_width_and_never_hides_help_or_the_way_out(
    where: str, width: int
) -> None:
    found = chosen(bindings.here(where, "everywhere"), {}, width)
    assert len(found) <= MOST
    assert sum(len(word) + 2 for _, word in found) - 2 <= width
    assert {"help", "detach"} <= {key.id for key, _ in found}


@pytest.mark.parametrize(
    ("keymap", "words"),
    [
        ({"retri": "f5"}, "no action is called 'retri'"),
        ({"retry": "ctl+r"}, "'retry': no key is called 'ctl\\+r'"),
        ({"retry": "?"}, "cannot be"),
        ({"retry": 7}, "needs a key"),
        ({"retry": ""}, "needs a key"),
        ({"retry": "p"}, "'p' cannot be"),
        ({"retry": "j"}, "cannot be"),
    ],
)
def test_a_keymap_that_makes_no_sense_is_refused(keymap: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        bindings.checked(keymap)


@pytest.mark.anyio
async def test_a_remapped_key_works_and_is_shown_in_footer_and_help() -> None:
    keymap = {"filter": "f5", "stop": "ctrl+k", "failures": "/"}
    async with opened(keymap=keymap) as stage:
        await stage.in_plan_order()
        assert "f5 Filter" in stage.lines[-1]
        await stage.press("slash")
        assert "filter state:failed" in stage.text
        await stage.press("ctrl+k")
        await stage.until(lambda: "Stop this run?" in stage.text)
        await stage.press("escape", "question_mark")
        assert " f5         Filter the jobs" in stage.text


@pytest.mark.anyio
async def test_help_shows_how_to_call_an_action_without_a_key() -> None:
    async with opened(keymap={"pause": "ctrl+p", "more": ":"}) as stage:
        await stage.in_plan_order()
        await stage.press("question_mark")
        assert " ^p         Pause" in stage.text
        assert " (:)        Retry all filtered jobs" in stage.text
        assert "names for (:)" in stage.text


@pytest.mark.anyio
async def test_help_and_palette_list_every_action_of_the_screen() -> None:
    async with opened(size=(100, 200)) as stage:
        await stage.in_plan_order()
        screen: Screen[Any] = stage.app.screen
        names = {c.title.partition(":")[0] for c in stage.app.get_system_commands(screen)}
        wanted = {key.id for key in bindings.here("overview", "everywhere", "move")} - {"more"}
        assert wanted <= names
        await stage.press("f1")
        for key in KEYS:
            assert f"({key.id})" in stage.text
        await stage.press("escape")
        stage.screen(OverviewScreen)


@pytest.mark.anyio
async def test_t_goes_through_the_themes_and_the_palette_names_them() -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        seen = [stage.app.theme]
        for _ in themes.THEMES:
            await stage.press("t")
            seen.append(stage.app.theme)
        assert seen == [*themes.THEMES, "dark"]


@pytest.mark.parametrize("theme", list(themes.THEMES))
@pytest.mark.parametrize("role", themes.ROLES)
def test_every_theme_has_a_style_for_every_role(theme: str, role: str) -> None:
    assert themes.style(theme, role) is not None


@pytest.mark.anyio
@pytest.mark.parametrize("keys", [["q"], ["ctrl+c"], ["slash", "ctrl+c"], ["s", "ctrl+c"]])
async def test_q_and_ctrl_c_detach_wherever_the_user_is(keys: list[str]) -> None:
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press(*keys)
        await stage.until(lambda: stage.app._exit)
        assert stage.app.return_code == 0
        assert stage.source.commands == []
