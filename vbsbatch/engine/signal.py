"""A signal to wait for: something changed, check again."""

from __future__ import annotations

import anyio


class Signal:
    """Wakes every current waiter; later waiters wait for the next change."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def notify(self) -> None:
        """Wake all current waiters; costs almost nothing when there are none."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self, timeout: float | None = None) -> None:
        """Wait for the next change, at most `timeout` seconds."""
        if self._event is None:
            self._event = anyio.Event()
        event = self._event
        with anyio.move_on_after(timeout):
            await event.wait()
