"""A process at a pseudo-terminal of 80x24, and when it wrote what there."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

COLUMNS, LINES = 80, 24
PATIENCE = 40.0
"""Seconds until what is awaited counts as never painted."""


def open_terminal(columns: int, lines: int) -> tuple[int, int]:
    """Open a pseudo-terminal of a size; the descriptors of its main and its child side."""
    main, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    return main, child


class Terminal:
    """Starts a command and reads all that it writes, at once, on a thread of its own."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self._main, child = open_terminal(COLUMNS, LINES)
        self._output = bytearray()
        self._news = threading.Condition()
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            command,
            stdin=child,
            stdout=child,
            stderr=child,
            cwd=folder,
            start_new_session=True,
            env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )
        os.close(child)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        os.close(self._main)

    def _read(self) -> None:
        while True:
            try:
                written = os.read(self._main, 65536)
            except OSError:  # the process has ended
                return
            with self._news:
                self._output += written
                self._news.notify_all()

    @property
    def written(self) -> int:
        """Bytes so far."""
        return len(self._output)

    def press(self, key: bytes) -> None:
        """Type."""
        os.write(self._main, key)

    def output(self, since: int = 0) -> bytes:
        """All that was written from byte `since` on."""
        with self._news:
            return bytes(self._output[since:])

    def painted(self, fits: Callable[[bytes], object], since: int = 0) -> float:
        """Wait until what was written from byte `since` on fits; the monotonic time it did."""
        with self._news:
            if not self._news.wait_for(lambda: fits(bytes(self._output[since:])), PATIENCE):
                raise AssertionError(f"never painted: {self._output[-2000:]!r}")
            return time.monotonic()

    @property
    def memory(self) -> float:
        """Peak memory of the process in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    @property
    def cpu(self) -> float:
        """CPU seconds of the process so far, user and system."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
