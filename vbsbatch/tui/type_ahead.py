"""Keys that are typed faster than the screen follows: they wait for the question they are meant
for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.widgets import Input

if TYPE_CHECKING:
    from textual.app import App

_NEVER_HELD = frozenset({"ctrl+c"})


class TypedLine(Input):
    """A line to type in that knows which key it was given last."""

    newest: events.Key | None = None

    def on_key(self, event: events.Key) -> None:
        """Remember it; what to do with it Textual knows."""
        self.newest = event


class TypedAhead:
    """The keys of one application that came while a question was under way."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self._holding = False
        self._held: list[events.Key] = []

    def hold(self) -> None:
        """A question is under way: keep what is typed until `release`."""
        self._holding = True

    def release(self, *, again: bool = True) -> None:
        """The question is there: type it `again`, or forget it."""
        self._holding = False
        held, self._held = self._held, []
        for event in held if again else ():
            key = events.Key(event.key, event.character)
            key.set_sender(self._app)  # as a terminal's keys: else it ends at whoever releases it
            self._app.post_message(key)

    def takes(self, event: events.Event) -> bool:
        """Whether a key is kept, or goes to the line that it was meant for.

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
