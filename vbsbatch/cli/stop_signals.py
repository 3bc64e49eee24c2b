"""SIGINT and SIGTERM for an engine in the foreground: the first stops it, a second aborts.

Times are taken in the handler itself, so that a busy event loop does not merge two signals.
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
"""Seconds: the same signal again within this time is an echo, because some senders signal both a
process and its group. A key that is held down repeats more slowly."""

ECHO_OF_A_PARENT = 0.25
"""The same under a parent that is known to signal twice, and may be delayed between the two."""

DOUBLE = 0.25
"""Seconds after a first signal before the end is printed, so that a double Ctrl-C always aborts,
however fast the run stops."""


class Interruption:
    """Counts signals without echoes. Pure; `now` is in monotonic seconds."""

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
    """A context in which, after `listen`, both signals call `stop(reason, now=...)` on the loop.

    A process that drives several runs, one after the other, listens for each.

    `settled` ends it: later signals are ignored, because the end is printed already.
    """

    def __init__(self) -> None:
        self._stop: Callable[..., None] | None = None
        self._seen = Interruption(ECHO_OF_A_PARENT if _parent_repeats() else ECHO)
        self._settled = False
        self._reason: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        return self

    def listen(self, stop: Callable[..., None]) -> None:
        """Handle signals from now on; one that has come already stops this engine, too."""
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            if number not in self._before:
                self._before[number] = signal.signal(number, self._take)
        if self._reason is not None:
            self._call(self._reason, self._seen.aborted)

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
        """Whether the run was aborted; final, because the end is printed next."""
        if self._seen.first_at is not None and not self._seen.aborted:
            await anyio.sleep(max(0.0, self._seen.first_at + DOUBLE - time.monotonic()))
        self._settled = True
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)
        return self._seen.aborted

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._seen.take(number, time.monotonic()):
            self._reason = f"stopped by {signal.Signals(number).name}"
            with suppress(RuntimeError):  # the loop is closed, so the run is over
                self._loop.call_soon_threadsafe(self._call, self._reason, self._seen.aborted)

    def _call(self, reason: str, now: bool) -> None:
        assert self._stop is not None, "listen comes first"
        with suppress(StoreError):  # a journal that failed has stopped the run itself
            self._stop(reason, now=now)


def _parent_repeats() -> bool:
    """Whether our parent repeats signals that its group gets too: GNU `timeout`, and our demo."""
    try:
        name = Path(f"/proc/{os.getppid()}/comm").read_text(encoding="utf-8").strip()
    except OSError:  # not Linux, or the parent of another user
        name = ""
    return name == "timeout" or is_tied()
