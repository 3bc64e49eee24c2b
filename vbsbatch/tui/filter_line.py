"""The line to type a filter into; the jobs follow each key."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from vbsbatch.tui import bindings, filter_syntax
from vbsbatch.tui.line_widgets import Lines
from vbsbatch.tui.type_ahead import TypedLine
from vbsbatch.tui.view_models import FilterTerms

_HINT = "words  state:fail,retry  status:503  code:VB.09  group:db01"


class FilterLine(Horizontal):
    """Hidden until `open`; Enter keeps the filter, Esc goes back to the one before."""

    DEFAULT_CSS = """
    FilterLine { height: 1; display: none; background: $panel; }
    FilterLine Lines { width: 2; background: $panel; }
    FilterLine Input { width: 1fr; background: $panel; }
    """
    BINDINGS = bindings.hidden("escape leave")

    class Typed(Message):
        """A filter that can be shown."""

        def __init__(self, found: FilterTerms) -> None:
            super().__init__()
            self.terms = found

    class Wrong(Message):
        """What is wrong with what is typed; empty when nothing is any more."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """The line is gone again."""

    def __init__(self) -> None:
        super().__init__()
        self._before = FilterTerms()

    def compose(self) -> ComposeResult:
        """A slash and the line."""
        yield Lines([(("/ ", "title"),)])
        yield TypedLine(placeholder=_HINT, select_on_focus=False, compact=True)

    def open(self, before: FilterTerms) -> None:
        """Begin with the filter that is there, ready for one more term."""
        self._before = before
        text = f"{before.text} " if before.text else ""
        self.display = True
        line = self.query_one(Input)
        with self.prevent(Input.Changed):
            line.value = text
        line.cursor_position = len(text)
        self.screen.set_focus(line)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.display:
            self._try(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._try(event.value):
            self._close()

    def _try(self, text: str) -> bool:
        try:
            found = filter_syntax.parse(text.strip())
        except ValueError as error:
            self.post_message(self.Wrong(str(error)))
            return False
        self.post_message(self.Wrong(""))
        self.post_message(self.Typed(found))
        return True

    def action_leave(self) -> None:
        """Back to the filter before."""
        self.post_message(self.Wrong(""))
        self.post_message(self.Typed(self._before))
        self._close()

    def keep(self) -> None:
        """Close it as Enter does, or as Esc does where what is typed makes no sense."""
        if self._try(self.query_one(Input).value):
            self._close()
        else:
            self.action_leave()

    def _close(self) -> None:
        self.display = False
        self.post_message(self.Closed())
