"""One thing to wait for: "something changed, look again"."""

from __future__ import annotations

import anyio


class Signal:
    """Wakes every present waiter; whoever waits next waits for the next change."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def notify(self) -> None:
        """Wake everyone who waits now; costs next to nothing while nobody does."""
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
