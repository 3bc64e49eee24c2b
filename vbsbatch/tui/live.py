"""Screens that follow the store: asked to look often, never breaking on its errors."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from textual.dom import DOMNode
from textual.screen import Screen

from vbsbatch.errors import VbsbatchError
from vbsbatch.tui import bindings

if TYPE_CHECKING:
    from vbsbatch.tui.app import MonitorApp
    from vbsbatch.tui.values import Source


def monitor(node: DOMNode) -> MonitorApp:
    """The application that a widget or a screen is part of."""
    return cast("MonitorApp", node.app)


@contextmanager
def reading(node: DOMNode) -> Iterator[None]:
    """Read from the source: an error of the store is shown as a banner, and the screen goes on."""
    try:
        yield
    except VbsbatchError as error:
        monitor(node).store_failed(str(error))


class LiveScreen(Screen[None]):
    """A screen over the source."""

    AUTO_FOCUS = ""
    DEFAULT_CSS = "LiveScreen { background: $background; color: $foreground; }"
    WHERE = "everywhere"
    """Whose keys of the table are its own."""
    ready = True
    """Whether what takes long once has been found out."""

    @property
    def monitor(self) -> MonitorApp:
        """The application."""
        return monitor(self)

    @property
    def source(self) -> Source:
        """Where everything comes from."""
        return self.monitor.source

    @property
    def now(self) -> float:
        """The time that ages count to, epoch seconds."""
        return self.monitor.clock()

    async def prepare(self, run_id: str | None) -> None:
        """Find out what takes long once on a thread; the keys work meanwhile."""
        try:
            await asyncio.to_thread(self.source.prepare, run_id)
        except VbsbatchError as error:
            self.monitor.store_failed(str(error))  # the next look tries again
        self.ready = True

    def look(self, changed: bool, second: bool) -> None:
        """Show what is new: `changed` says the store was written to, `second` that a second began.

        Called four times a second, less often when looking takes long.
        """
        raise NotImplementedError

    def banner(self, text: str) -> None:
        """Say something above everything else; the empty text takes it away."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A read-only screen has no action that changes the run."""
        if action in bindings.STEERING and self.source.read_only:
            return False
        return super().check_action(action, parameters)

    def say(self, text: str, *, error: bool = False) -> None:
        """Tell the user something in passing."""
        self.monitor.say(text, error=error)

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        """Do what may ask the user something, in a task of its own: the screen goes on meanwhile.

        What is typed before the question is there waits for it.
        """
        self.monitor.typed_ahead.hold()
        self.run_worker(self._released(work), name="question", exclusive=True)

    async def _released(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        finally:
            self.monitor.typed_ahead.release()

    async def put(self, question: Screen[Any]) -> Any:
        """Ask the user; only within `begin`."""
        try:
            return await self.app.push_screen_wait(question)
        finally:
            self.monitor.typed_ahead.hold()

    def requested(self, what: str) -> None:
        """Tell the user that something was asked of an engine and is not answered yet."""
        self.say(f"{what} requested")
