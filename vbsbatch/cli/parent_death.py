"""Ends child processes when their parent dies, even by `kill -9`.

The parent holds the writing end of a pipe, and tied processes inherit the reading end. When the
parent dies, the kernel closes the writing end, and tied processes read the end of the pipe.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

TIED = "VBSBATCH_TIED_TO"
"""The variable that gives a tied process the descriptor of its reading end."""

PATIENCE = 20.0
"""Seconds that a tied process has for a clean end."""


class ParentDeath:
    """The parent's side: tied processes live as long as this is open."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def __enter__(self) -> ParentDeath:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._writing)
        os.close(self._reading)

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables of a tied process."""
        return {TIED: str(self._reading)}

    @property
    def passed(self) -> tuple[int, ...]:
        """The descriptors that a tied process inherits."""
        return (self._reading,)


def is_tied() -> bool:
    """Whether this process is tied; its cloud and store may vanish with its parent."""
    return TIED in os.environ


def passed_on() -> tuple[int, ...]:
    """The descriptors for a child tied to the same parent; none if this process is not tied."""
    number = os.environ.get(TIED, "")
    with suppress(OSError, ValueError):
        if stat.S_ISFIFO(os.fstat(int(number)).st_mode):
            return (int(number),)
    return ()


def end_with_parent() -> None:
    """End this process, cleanly if possible, when its parent dies."""
    for descriptor in passed_on():
        arguments = (descriptor,)
        threading.Thread(target=_wait_and_end, args=arguments, name="tie", daemon=True).start()


def _wait_and_end(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass  # nothing is written; ignore it if something is
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)
