"""What screens share: they follow the store, never break on its errors, and ask engines for things.

Keys that are typed faster than the screen follows wait for the question that they are meant for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual import events
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import Input

from vbsbatch.errors import VbsbatchError
from vbsbatch.model import Run
from vbsbatch.tui import bindings
from vbsbatch.tui.bindings import Keymap
from vbsbatch.tui.line_widgets import KeyLine
from vbsbatch.tui.view_models import Overview, Source

if TYPE_CHECKING:
    from textual.app import App
from collections.abc import Mapping
from dataclasses import dataclass

from vbsbatch.tui.view_models import Asked


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
    """The runs as they were last read."""

    @property
    def even(self) -> bool:
        """True at every second read."""

    def store_failed(self, text: str) -> None:
        """Show that the store could not be read, and go on reading."""

    def follow_run(self, seen: Overview, before: Run | None) -> None:
        """Show the run's state in the terminal's title; notify when it has ended or stopped."""

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a short message, literally."""

    def requests(self, run_id: str) -> Requests:
        """The requests to the run's engine, from all screens."""

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
    """The place in the table of keys whose keys are its own."""
    ready = True
    """Whether `prepare` has finished."""

    @property
    def monitor(self) -> Monitor:
        """The application."""
        return monitor(self)

    @property
    def source(self) -> Source:
        """Where all values come from."""
        return self.monitor.source

    @property
    def now(self) -> float:
        """The time that ages count to, epoch seconds."""
        return self.monitor.clock()

    def key_line(self) -> KeyLine:
        """The footer of this screen."""
        return KeyLine(self.WHERE, read_only=self.source.read_only, keymap=self.monitor.keymap)

    async def prepare(self, run_id: str | None) -> None:
        """Read what takes long the first time, on a thread; the keys work meanwhile."""
        try:
            await asyncio.to_thread(self.source.prepare, run_id)
        except VbsbatchError as error:
            self.monitor.store_failed(str(error))  # the next look tries again
        self.ready = True

    def look(self, changed: bool, second: bool) -> None:
        """Show what is new: `changed` says the store was written to, `second` that a second began.

        Called four times a second, less often when reading takes long.
        """
        raise NotImplementedError

    def banner(self, text: str) -> None:
        """Show a text above everything else; an empty one removes it."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A read-only screen has no action that changes the run."""
        if action in bindings.STEERING and self.source.read_only:
            return False
        return super().check_action(action, parameters)

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a short message."""
        self.monitor.say(text, error=error)

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        """Do what may ask the user something, in a task of its own: the screen goes on meanwhile.

        Keys that are typed before the question is shown wait for it.
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
        """Show that something was requested of an engine and is not answered yet."""
        self.say(f"{what} requested")


_NEVER_HELD = frozenset({"ctrl+c"})


class TypedLine(Input):
    """An input line that knows which key it was given last."""

    newest: events.Key | None = None

    def on_key(self, event: events.Key) -> None:
        """Remember it; Textual handles it."""
        self.newest = event

    def on_paste(self, event: events.Paste) -> None:
        """Insert what is pasted; of several lines as much as the line takes, and say what not."""
        event.prevent_default()
        event.stop()
        lines = [line.strip() for line in event.text.splitlines() if line.strip()]
        text, left_out = self.joined(lines) if len(lines) > 1 else ("".join(lines), 0)
        self.replace(text, *self.selection)
        if left_out:
            monitor(self).say(f"pasted {len(lines) - left_out} of {len(lines)} lines")

    def joined(self, lines: list[str]) -> tuple[str, int]:
        """One line of several, and how many of them are left out: all but the first."""
        return lines[0], len(lines) - 1


class TypedAhead:
    """The keys that were typed before a question was shown."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self._holding = False
        self._held: list[events.Key] = []

    def hold(self) -> None:
        """A question will be shown: keep what is typed until `release`."""
        self._holding = True

    def release(self, *, again: bool = True) -> None:
        """The question is shown: type the keys `again`, or drop them."""
        self._holding = False
        held, self._held = self._held, []
        for event in held if again else ():
            key = events.Key(event.key, event.character)
            # As keys from the terminal: else it would go no further than its sender.
            key.set_sender(self._app)
            self._app.post_message(key)

    def takes(self, event: events.Event) -> bool:
        """Whether a key is kept, or sent to the line that it was meant for.

        A key that comes to the application past the line that has the focus was on its way already
        when the line appeared: the line gets it now, in its turn.
        """
        if not isinstance(event, events.Key) or event.key in _NEVER_HELD:
            return False
        if self._holding:
            self._held.append(event)
            return True
        line = self._app.focused if event.is_forwarded else None
        if isinstance(line, TypedLine) and line.newest is not event:
            event.stop(False)  # it comes here once more
            line.post_message(event)
            return True
        return False


@dataclass(kw_only=True, slots=True, eq=False)
class Request:
    """A command that was sent, and how the screen names it."""

    verb: str
    argument: Mapping[str, Any]
    what: str
    """Such as `retry 12 jobs`."""
    asked: Asked | None = None
    """None until it is in the store."""


class Requests:
    """The requests to one run, of all its screens."""

    def __init__(self, source: Source, run_id: str) -> None:
        self._source = source
        self._run_id = run_id
        self._open: list[Request] = []
        self._turn = asyncio.Lock()

    def begin(self, verb: str, argument: Mapping[str, Any], what: str) -> Request:
        """A request that will be sent: from now on it is waiting."""
        request = Request(verb=verb, argument=argument, what=what)
        self._open.append(request)
        return request

    async def send(self, request: Request) -> str | None:
        """Ask the engine; its answer, if it comes at once.

        The store may be busy, and a new engine takes seconds: a thread waits for them. Requests
        arrive in the order in which they were sent.
        """
        try:
            async with self._turn:
                request.asked = await asyncio.to_thread(
                    self._source.ask, self._run_id, request.verb, request.argument
                )
        finally:
            if request.asked is None or request.asked.result is not None:
                self._open.remove(request)
        return request.asked.result

    def answered(self) -> list[tuple[str, str]]:
        """Each request that was answered since the last call, with the answer."""
        found: list[tuple[str, str]] = []
        for request in list(self._open):
            result = None if request.asked is None else self._source.asked(request.asked).result
            if result is not None:
                self._open.remove(request)
                found.append((request.what, result))
        return found

    def newest(self, verb: str) -> Request | None:
        """The newest unanswered request of this verb."""
        return next((r for r in reversed(self._open) if r.verb == verb), None)

    @property
    def waiting(self) -> str:
        """The unanswered requests in words: `retry 12 jobs requested`; empty without any."""
        if not self._open:
            return ""
        more = f" and {len(self._open) - 1} more" if len(self._open) > 1 else ""
        return f"{self._open[-1].what}{more} requested"
