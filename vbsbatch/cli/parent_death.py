"""Processes that must not outlive the one they work for, however that one ends.

It holds the writing end of a pipe and the tied ones the reading end. When it dies, of `kill -9`
too, the kernel closes the former, and whoever is tied reads the end of it.
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
"""The variable that tells a process of ours the number of its reading end."""

PATIENCE = 20.0
"""Seconds a tied process has to come to a clean end."""


class ParentDeath:
    """What a process holds for as long as those that are tied to it may live."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def __enter__(self) -> ParentDeath:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._writing)
        os.close(self._reading)

    @property
    def variables(self) -> Mapping[str, str]:
        """What belongs into the environment of a tied process."""
        return {TIED: str(self._reading)}

    @property
    def passed(self) -> tuple[int, ...]:
        """The descriptors that a tied process inherits."""
        return (self._reading,)


def is_tied() -> bool:
    """Whether this process works for another, with whose end its cloud and its store may go."""
    return TIED in os.environ


def passed_on() -> tuple[int, ...]:
    """The descriptors for a process that shall be tied like this one: none where it is not."""
    number = os.environ.get(TIED, "")
    with suppress(OSError, ValueError):
        if stat.S_ISFIFO(os.fstat(int(number)).st_mode):
            return (int(number),)
    return ()


def heed() -> None:
    """End this process, cleanly if it can, once the one it is tied to is gone."""
    for descriptor in passed_on():
        arguments = (descriptor,)
        threading.Thread(target=_outlast, args=arguments, name="tie", daemon=True).start()


def _outlast(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass  # nobody writes; be safe from whoever does
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)
