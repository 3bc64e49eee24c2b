"""A process at a pseudo-terminal, and everything that it wrote."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from benchmarks.terminal import open_terminal

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


class Terminal:
    """Starts `python -m tests.tui.harness` in a session and a terminal of its own."""

    def __init__(
        self,
        *words: str,
        size: tuple[int, int] = (80, 24),
        controlling: bool = True,
        **environ: str,
    ) -> None:
        self._main, child = open_terminal(*size)
        self.modes_before = termios.tcgetattr(child)
        kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TMUX", "CI")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tui.harness", *words],
            cwd=ROOT,
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
            env={
                **kept,
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                "LC_ALL": "C.UTF-8",
                **environ,
            },
            preexec_fn=_take_terminal if controlling else None,
        )
        self._child = child
        self.output = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._child >= 0:
            os.close(self._child)
        self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal, as a connection that breaks does."""
        if self._main >= 0:
            os.close(self._main)
            self._main = -1

    @property
    def modes(self) -> list[object]:
        """The terminal's settings now."""
        return list(termios.tcgetattr(self._child))

    def _read(self, patience: float) -> bool:
        ready, _, _ = select.select([self._main], [], [], patience)
        if ready:
            self.output += os.read(self._main, 65536)
        return bool(ready)

    def until(self, words: bytes, start: int = 0) -> None:
        """Read until `words` were written after position `start`."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.output[start:]:
            assert time.monotonic() < deadline, self.output[start:][-2000:]
            self._read(0.2)

    def quiet(self) -> None:
        """Read until nothing has come for a moment."""
        while self._read(0.4):
            pass

    def send(self, keys: Sequence[bytes]) -> None:
        """Press keys, each when what the one before did has been painted."""
        for key in keys:
            os.write(self._main, key)
            self.quiet()

    def end(self) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.output[-2000:]
            self._read(0.1)
        while self._read(0.1):
            pass
        return self.process.returncode


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
