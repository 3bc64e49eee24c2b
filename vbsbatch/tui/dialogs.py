"""Questions: confirm, type the number, type a value, choose one. Esc always means no."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from vbsbatch.errors import VbsbatchError
from vbsbatch.report.text import clean
from vbsbatch.tui import bindings
from vbsbatch.tui.alphabet import MORE
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.line_widgets import Lines, Rows
from vbsbatch.tui.sanitize import cut
from vbsbatch.tui.screen_protocols import TypedLine, monitor
from vbsbatch.tui.view_models import Source

TYPE_ABOVE = 100
"""From this many jobs on, a key is too little: the number must be typed."""

_WIDTH = 64

Result = TypeVar("Result")

_MOST_OPTIONS = 18
"""Lines of a list at most."""

_FRAME = 2
"""Lines and cells that the frame takes; there is none on a terminal without room for it."""

_CSS = """
Dialog { align: center middle; background: $background 60%; }
Dialog > Vertical { width: 64; max-width: 100%; height: auto; max-height: 100%;
                    background: $panel; border: round $primary; padding: 0 1; }
Dialog Lines, Dialog Rows { background: $panel; }
Dialog Input { background: $surface; }
Dialog.-bare > Vertical { border: none; }
"""


class Dialog(ModalScreen[Result], Generic[Result]):
    """A question over the screen, which stays up to date behind it."""

    TAKES_TYPED = True
    """Whether keys that were typed before the question was shown are used."""
    DEFAULT_CSS = _CSS
    BINDINGS = bindings.hidden("escape refuse")

    def __init__(self, text: Sequence[str]) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The question, then what answers it."""
        with Vertical():
            yield Lines(id="question")
            yield from self.answers()

    def on_mount(self) -> None:
        """Use what was typed before the question was shown, unless that would answer it unseen."""
        self._fit()
        release = partial(monitor(self).typed_ahead.release, again=self.TAKES_TYPED)
        self.call_after_refresh(release)

    def on_resize(self) -> None:
        """Fit the question to the new size."""
        self._fit()

    def _fit(self) -> None:
        """Show as much of the question as leaves room for what answers it."""
        inside = self.app.size.height - self._frame
        found = list(self._question(self.inner_width))
        shown = found[: max(1, inside - self.least(inside))]
        if len(shown) < len(found):
            (text, role), *_ = shown[-1]
            shown[-1] = ((cut(f"{text} {MORE}", self.inner_width), role),)
        self.query_one("#question", Lines).show(shown)
        self.give(max(1, inside - len(shown)))

    @property
    def _frame(self) -> int:
        return _FRAME if self.app.size.height >= bindings.FRAMED_FROM else 0

    @property
    def inner_width(self) -> int:
        """Cells between the frame's sides."""
        return max(8, min(_WIDTH, self.app.size.width) - _FRAME - self._frame)

    def _question(self, width: int) -> Iterator[Line]:
        for index, text in enumerate(self._text):
            for piece in textwrap.wrap(clean(text), width, subsequent_indent="  "):
                yield ((cut(piece, width), "strong" if index == 0 else "plain"),)

    def least(self, inside: int) -> int:
        """Lines that the answers need of those inside the frame."""
        raise NotImplementedError

    def give(self, lines: int) -> None:
        """Show the answers in so many lines at most."""

    def answers(self) -> ComposeResult:
        """The widgets that take the answer."""
        raise NotImplementedError

    def action_refuse(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """Yes or no, No first; `y`, `n` and Esc answer at once."""

    TAKES_TYPED = False
    BINDINGS = bindings.hidden(
        *("y answer(1)", "n answer(0)", "left,right,h,l,tab,shift+tab turn", "enter take")
    )

    def __init__(self, text: Sequence[str]) -> None:
        super().__init__(text)
        self._yes = False

    def answers(self) -> ComposeResult:
        """The two words."""
        yield Lines(id="answers")

    def least(self, inside: int) -> int:
        """The words, and an empty line above them where there is room."""
        return 2 if inside >= bindings.FRAMED_FROM - _FRAME else 1

    def give(self, lines: int) -> None:
        """The words in the last line."""
        empty: list[Line] = [()] if lines > 1 else []
        self.query_one("#answers", Lines).show([*empty, self._words()])

    def _words(self) -> Line:
        no, yes = ("chosen", "dim") if not self._yes else ("dim", "chosen")
        left, right = ("> No <", "  Yes  ") if not self._yes else ("  No  ", "> Yes <")
        return ((left, no), ("    ", "plain"), (right, yes), ("    (y / n / Esc)", "dim"))

    def action_turn(self) -> None:
        """To the other word."""
        self._yes = not self._yes
        self._fit()

    def action_take(self) -> None:
        """Answer what is chosen."""
        self.dismiss(self._yes)

    def action_answer(self, yes: int) -> None:
        """Answer."""
        self.dismiss(bool(yes))

    def action_refuse(self) -> None:
        """Esc is no."""
        self.dismiss(False)

    def on_click(self, event: events.Click) -> None:
        """A click on a word answers."""
        answers = self.query_one("#answers", Lines)
        if event.widget is answers and event.y == len(answers.lines) - 1:
            self.dismiss(event.x >= 10 and event.x < 17)


class Typed(Dialog[str]):
    """One line to type; Enter takes it if `fault` finds nothing wrong.

    `value` is proposed, and selected: typing replaces it.
    """

    def __init__(
        self, text: Sequence[str], *, value: str = "", fault: Callable[[str], str | None]
    ) -> None:
        super().__init__(text)
        self._value = value
        self._fault = fault

    def answers(self) -> ComposeResult:
        """The line, and below it what is wrong with it."""
        yield TypedLine(self._value, select_on_focus=True, compact=True)
        yield Lines([(("Enter takes it, Esc leaves", "dim"),)], id="fault")

    def least(self, inside: int) -> int:
        """Both lines."""
        return 2

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, or say what is wrong."""
        wrong = self._fault(event.value)
        if wrong is None:
            self.dismiss(event.value)
        else:
            self.query_one("#fault", Lines).show([((cut(wrong, self.inner_width), "fail"),)])


class TypedCount(Typed):
    """The number of jobs, typed to confirm that all of them are meant."""

    TAKES_TYPED = False

    def __init__(self, text: Sequence[str], count: int) -> None:
        def fault(typed: str) -> str | None:
            return None if typed.strip() == str(count) else f"type {count}, or press Esc"

        super().__init__([*text, f"Type {count} to go on:"], fault=fault)


class Listed(Dialog[Result], Generic[Result]):
    """Something to choose in a list that scrolls when it has no room."""

    def answers(self) -> ComposeResult:
        """The list."""
        yield Rows(id="options")

    def options(self) -> list[Line]:
        """The rows."""
        raise NotImplementedError

    def least(self, inside: int) -> int:
        """Half of the room for a long list."""
        return min(len(self.options()), max(1, inside // 2))

    def give(self, lines: int) -> None:
        """The rows that fit, the cursor's among them."""
        rows, found = self.query_one(Rows), self.options()
        rows.styles.height = min(_MOST_OPTIONS, len(found), lines)
        rows.show(found)

    def action_take(self) -> None:
        """Take the row under the cursor."""
        raise NotImplementedError

    def on_rows_chosen(self) -> None:
        """A double click takes it."""
        self.action_take()


class Pick(Listed[int]):
    """One of several; the answer is its index. `start` is where the cursor begins."""

    BINDINGS = bindings.hidden("enter take", "q refuse")

    def __init__(self, text: Sequence[str], options: Sequence[str], *, start: int = 0) -> None:
        super().__init__(text)
        self._options = options
        self._start = start

    def options(self) -> list[Line]:
        """One line each."""
        width = max(1, self.inner_width - 2)
        return [((cut(option, width), "plain"),) for option in self._options]

    def on_mount(self) -> None:
        """Begin at the default."""
        rows = self.query_one(Rows)
        rows.show(self.options(), self._start)
        self.set_focus(rows)

    def action_take(self) -> None:
        """Answer with the row under the cursor."""
        self.dismiss(self.query_one(Rows).cursor)


_DRIVEN = ("LIVE", "PAUSED")


class LeaveContainer(Confirm):
    """Whether to end the container (this is its first process), and the engines in it."""

    def __init__(self, runs: Sequence[str]) -> None:
        engines = "The engine" if len(runs) == 1 else "The engines"
        run_id = runs[0]
        super().__init__(
            [
                "Leave, and end this container?",
                "vbsbatch is its first process: with it the container ends.",
                f"{engines} of {', '.join(runs)} would end too, as if killed.",
                f"Resume later: vbsbatch resume {run_id}",
            ]
        )


def driven_runs(source: Source) -> list[str]:
    """The runs that an engine drives at this moment; none where that cannot be read."""
    with suppress(VbsbatchError):
        return [each.run.id for each in source.runs() if each.standing in _DRIVEN]
    return []
