"""Screens that follow the store: asked to look often, never breaking on its errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

from textual.dom import DOMNode
from textual.screen import Screen

from vbsbatch.errors import VbsbatchError
from vbsbatch.model import Run
from vbsbatch.tui import bindings
from vbsbatch.tui.bindings import Keymap
from vbsbatch.tui.pending_requests import Requests
from vbsbatch.tui.type_ahead import TypedAhead
from vbsbatch.tui.view_models import Overview, Source


class Monitor(Protocol):
    """What screens and widgets need of the application."""

    source: Source
    clock: Callable[[], float]
    """The time that ages count to, epoch seconds."""
    keymap: Keymap
    typed_ahead: TypedAhead
    starting: set[str]
    """Runs for which an engine is being started."""
    started: dict[str, float]
    """When an engine was started for a run that had none."""
    seen: dict[str, Overview]
    """The runs as they were seen last."""

    @property
    def even(self) -> bool:
        """True at every second look."""
        ...

    def store_failed(self, text: str) -> None:
        """Say that the store could not be read; looking goes on."""

    def follow_run(self, seen: Overview, before: Run | None) -> None:
        """Tell the terminal how the run stands, and loudly when it has just ended or stopped."""

    def say(self, text: str, *, error: bool = False) -> None:
        """Tell the user something in passing; shown literally."""

    def requests(self, run_id: str) -> Requests:
        """What was asked of the run's engine, from whichever screen."""
        ...

    def start_engine(self, run_id: str) -> None:
        """Start an engine for a run without one, which takes seconds; say so when it is there."""

    def show_run(self, run_id: str) -> None:
        """Open a run instead of the list."""

    def show_runs(self, run_id: str) -> None:
        """Open the list instead of a run, the cursor on it."""


def monitor(node: DOMNode) -> Monitor:
    """The application that a widget or a screen is part of."""
    return cast(Monitor, node.app)


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
    def monitor(self) -> Monitor:
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
