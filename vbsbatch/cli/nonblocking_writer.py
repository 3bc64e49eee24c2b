"""Writes lines without ever making the writer wait."""

from __future__ import annotations

import os
import queue
import threading
from typing import TextIO

MOST = 10_000
"""Lines kept for a reader that does not read; what comes on top is counted and dropped."""

PATIENCE = 2.0
"""Seconds that the end waits for a slow reader."""


class NonblockingWriter:
    """A thread that writes to `stream`; a closed stream ends it silently.

    A terminal held by ctrl-S, or a pipe that nobody reads, blocks whoever writes to it: that must
    not be the engine. The thread goes past Python's own buffers, whose locks it could still hold
    when the process ends.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(MOST)
        self._dropped = 0
        try:
            self._descriptor = None if stream is None else stream.fileno()
        except (OSError, ValueError):
            self._descriptor = None
        self._thread = threading.Thread(target=self._write, name="scribe", daemon=True)
        if self._descriptor is not None:
            self._thread.start()

    def write(self, line: str) -> None:
        """Have a line written, without its line end."""
        if self._descriptor is None:
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Wait a little until everything is written."""
        if self._descriptor is None:
            return
        if self._dropped:
            self.write(f"vbsbatch: {self._dropped} lines were not shown: nobody read them")
        try:
            self._lines.put(None, timeout=PATIENCE)
        except queue.Full:
            return
        self._thread.join(PATIENCE)

    def _write(self) -> None:
        assert self._descriptor is not None
        while (line := self._lines.get()) is not None:
            rest = f"{line}\n".encode(errors="backslashreplace")
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError:
                self._descriptor = None
                return
