from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.screen import elsewhere
from benchmarks.terminal import Terminal

ECHO = (
    "import tty; tty.setraw(0); print('ready', flush=True); print(input() * 2, flush=True); input()"
)


def test_a_terminal_tells_when_a_key_was_painted(tmp_path: Path) -> None:
    with Terminal([sys.executable, "-c", ECHO], os.environ, tmp_path) as terminal:
        first = terminal.painted(lambda output: b"ready\n" in output)
        since = terminal.written
        terminal.press(b"ab\n")
        assert terminal.painted(lambda output: b"abab" in output, since) >= first > terminal.began
        assert terminal.output(since).startswith(b"abab")
        assert terminal.memory > 1


def test_a_key_is_painted_when_another_place_is() -> None:
    assert elsewhere(b"7", b"x row 7 of 100,000 row 8 of 100,000")
    assert not elsewhere(b"7", b"x row 7 of 100,000")
    assert not elsewhere(b"7", b"row 8 of 1,000")
