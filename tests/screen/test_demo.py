"""The demo at a terminal: the same screen, and nothing is left behind, however it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

from tests.cli.harness import Harness, until
from tests.screen.tmux import Tmux, Window


def demo(tmux: Tmux) -> tuple[Window, Path]:
    """A demo whose screen is there, and the folder with its files."""
    window = tmux.open("demo", "--volumes", "400", size=(140, 30))
    window.until(r"active [1-9][\s\S]*q Detach")
    store = re.search(r"store (/\S+)/demo\.db", window.raw().decode())
    assert store
    return window, Path(store[1])


def busy_in(folder: Path) -> set[int]:
    """The processes that work in this folder."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd").removesuffix(" (deleted)") == str(folder):
                found.add(int(process.name))
        except OSError:
            continue
    return found


def test_leaving_a_demo_stops_its_run_and_removes_its_files(harness: Harness, tmux: Tmux) -> None:
    window, folder = demo(tmux)
    assert len(busy_in(folder)) == 3, "simulator, engine, screen"
    window.press("q")
    code, text = window.left()
    assert code == 0
    assert re.search(r"you left the demo early: stopping run \S+, because its cloud ends", text)
    assert not folder.exists()
    until(lambda: not busy_in(folder))
    assert not harness.store.exists()


def test_a_demo_whose_terminal_is_closed_leaves_nothing_behind(tmux: Tmux) -> None:
    window, folder = demo(tmux)
    window.close()
    until(lambda: not folder.exists() and not busy_in(folder))


def test_killing_a_demo_ends_its_cloud_its_engine_and_its_screen(tmux: Tmux) -> None:
    window, folder = demo(tmux)
    assert len(busy_in(folder)) == 3
    os.kill(window.pid(), signal.SIGKILL)
    until(lambda: not busy_in(folder))
    shutil.rmtree(folder)  # nobody is left who could
