"""As the first process of a container the screen ends every engine when it ends, and asks first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tui.piloting import opened
from tests.tui.scripted import RUN, ScriptedSource
from vbsbatch.cli import screen_launcher
from vbsbatch.tui import header
from vbsbatch.tui.dialogs import LeaveContainer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_leaving_asks_while_an_engine_drives_a_run(key: str) -> None:
    async with opened(ends_engines=True) as stage:
        await stage.press(key)
        assert isinstance(stage.app.screen, LeaveContainer)
        assert f"The engine of {RUN} would end too" in stage.text
        assert f"vbsbatch resume {RUN}" in stage.text
        await stage.press(key)
        assert isinstance(stage.app.screen, LeaveContainer), "not by the same key twice"
        await stage.press("n")
        assert not isinstance(stage.app.screen, LeaveContainer)
        assert not stage.app._exit
        await stage.press(key, "y")
        await stage.until(lambda: stage.app._exit)
        assert stage.app.return_code == 0


async def test_without_an_engine_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ScriptedSource()
    gone = [replace(line, standing="STALE") for line in source.runs()]
    monkeypatch.setattr(source, "runs", lambda: gone)
    async with opened(source, ends_engines=True) as stage:
        await stage.press("q")
        await stage.until(lambda: stage.app._exit)


@pytest.mark.parametrize(
    ("pid", "parent", "first", "ends"),
    [
        (1, 0, "vbsbatch", True),
        (7, 1, "tini", True),
        (7, 1, "systemd", False),
        (7, 5, "tini", False),
    ],
)
def test_the_first_process_of_a_container_is_known(
    monkeypatch: pytest.MonkeyPatch, pid: int, parent: int, first: str, ends: bool
) -> None:
    monkeypatch.setattr("os.getpid", lambda: pid)
    monkeypatch.setattr("os.getppid", lambda: parent)
    monkeypatch.setattr(screen_launcher, "_name_of_first", lambda: first)
    assert screen_launcher._first_of_container() is ends


async def test_the_header_names_the_region_beside_the_cloud() -> None:
    source = ScriptedSource()
    seen = source.overview(RUN)
    placed = replace(seen, run=replace(seen.run, region="eu-de"))
    who = header.title(placed, source.now, 140, read_only=False)
    assert "on otc/eu-de" in "".join(text for text, _ in who)
