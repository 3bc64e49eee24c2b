"""SIGINT and SIGTERM as an engine in the foreground takes them: the first stops, a second aborts.

Times are taken in the handler itself, so that a busy event loop makes no two signals one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import anyio

from vbsbatch.cli.parent_death import is_tied
from vbsbatch.errors import StoreError

ECHO = 0.03
"""The same signal again so soon is no second one: whoever sends it to a process and to its group
sends it twice. A key that is held down repeats more slowly."""

ECHO_OF_A_PARENT = 0.25
"""The same under a parent that is known to do so, and may be held up between the two."""

DOUBLE = 0.25
"""Seconds after a first signal in which the end is not told: whoever presses Ctrl-C twice aborts,
however fast the run has stopped."""


class Interruption:
    """Which signals came, and whether a second is among them: pure, `now` in monotonic seconds."""

    def __init__(self, echo: float = ECHO) -> None:
        self._echo = echo
        self.first_at: float | None = None
        self.aborted = False
        self._last: tuple[int, float] | None = None

    def take(self, number: int, now: float) -> bool:
        """Note a signal; False for an echo of the one before."""
        before, self._last = self._last, (number, now)
        if before is not None and before[0] == number and now - before[1] < self._echo:
            return False
        self.aborted = self.first_at is not None
        self.first_at = now if self.first_at is None else self.first_at
        return True


class StopSignals:
    """A context in which both signals call `stop(reason, now=...)` on the event loop.

    `settled` ends it: from then on they are ignored, because what was told of the end stands.
    """

    def __init__(self, stop: Callable[..., None]) -> None:
        self._stop = stop
        self._seen = Interruption(ECHO_OF_A_PARENT if _parent_repeats() else ECHO)
        self._settled = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._settled:
            for number, before in self._before.items():
                signal.signal(number, before)

    async def settled(self) -> bool:
        """Whether the run was aborted, for good: the process is to end with what is told now."""
        if self._seen.first_at is not None and not self._seen.aborted:
            await anyio.sleep(max(0.0, self._seen.first_at + DOUBLE - time.monotonic()))
        self._settled = True
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)
        return self._seen.aborted

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._seen.take(number, time.monotonic()):
            reason = f"stopped by {signal.Signals(number).name}"
            with suppress(RuntimeError):  # the loop is closed: there is nothing left to stop
                self._loop.call_soon_threadsafe(self._call, reason, self._seen.aborted)

    def _call(self, reason: str, now: bool) -> None:
        with suppress(StoreError):  # a journal that failed has stopped the run itself
            self._stop(reason, now=now)


def _parent_repeats() -> bool:
    """Whether our parent sends on what its group gets too: GNU `timeout`, and our own demo."""
    try:
        name = Path(f"/proc/{os.getppid()}/comm").read_text(encoding="utf-8").strip()
    except OSError:  # another system, or a parent of somebody else's
        name = ""
    return name == "timeout" or is_tied()
