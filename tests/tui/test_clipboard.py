from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.piloting import opened
from vbsbatch.tui.dialogs import Pick

tmux = shutil.which("tmux")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A tmux server of its own; its socket."""
    assert tmux is not None
    socket = str(tmp_path / "tmux")
    command = [tmux, "-S", socket, "-f", "/dev/null", "new-session", "-d", "sleep 60"]
    environ = {k: v for k, v in os.environ.items() if k != "TMUX"}
    subprocess.run(command, check=True, env={**environ, "TERM": "xterm-256color"})
    yield socket
    subprocess.run([tmux, "-S", socket, "kill-server"], check=False)


@pytest.mark.anyio
@pytest.mark.skipif(tmux is None, reason="there is no tmux")
async def test_copied_text_reaches_tmux_inside_tmux(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMUX", f"{server},1,0")
    async with opened() as stage:
        await stage.in_plan_order()
        await stage.press("y")
        await stage.until(lambda: isinstance(stage.app.screen, Pick))
        await stage.press("enter")
        await stage.until(lambda: bool(stage.app.said))
        volume = stage.source.jobs[0].volume_id
        assert stage.app.said == [f"copied (and tmux): {volume}"]
        assert stage.app.clipboard == volume
    assert tmux is not None
    shown = subprocess.run([tmux, "-S", server, "show-buffer"], check=True, capture_output=True)
    assert shown.stdout.decode() == volume
