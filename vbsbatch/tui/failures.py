"""Failures by status and code, the most frequent first; each can be chosen as a filter."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from vbsbatch.report.text import clean
from vbsbatch.tui import bindings, words
from vbsbatch.tui.lines import Lines
from vbsbatch.tui.words import Line

Failure = tuple[int | None, str | None, int]
"""HTTP status, code, jobs."""

_LEAD = " fail by code:  "


class Failures(Lines, can_focus=True):
    """One line; left and right choose, Enter filters by what is chosen."""

    DEFAULT_CSS = "Failures { height: 1; }"
    BINDINGS = bindings.hidden(
        "left,h choose(-1)", "right,l choose(1)", "enter,space filter", "escape screen.codes"
    )

    class Wanted(Message):
        """The user wants the jobs that failed this way."""

        def __init__(self, failure: Failure) -> None:
            super().__init__()
            self.failure = failure

    def __init__(self) -> None:
        super().__init__([_line((), None, 80)])
        self._failures: Sequence[Failure] = ()
        self._index = 0

    def follow(self, failures: Sequence[Failure]) -> None:
        """Show these; the choice stays on its kind."""
        chosen = self._chosen
        kinds = [kind[:2] for kind in failures]
        self._failures = failures
        if chosen is not None and chosen[:2] in kinds:
            self._index = kinds.index(chosen[:2])
        self._index = max(0, min(self._index, len(failures) - 1))
        self._draw()

    @property
    def _chosen(self) -> Failure | None:
        return self._failures[self._index] if self._index < len(self._failures) else None

    def _draw(self) -> None:
        chosen = self._chosen if self.has_focus else None
        self.show([_line(self._failures, chosen, self.size.width)])

    def action_choose(self, by: int) -> None:
        """Choose the next or the one before."""
        self._index = max(0, min(self._index + by, len(self._failures) - 1))
        self._draw()

    def action_filter(self) -> None:
        """Ask for the filter."""
        if self._chosen is not None:
            self.post_message(self.Wanted(self._chosen))

    def on_focus(self) -> None:
        """Show the choice."""
        self._draw()

    def on_blur(self) -> None:
        """Hide the choice."""
        self._draw()

    def on_resize(self) -> None:
        """Show as many as fit."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Filter by the one under the pointer."""
        start = len(_LEAD)
        for index, failure in enumerate(self._failures):
            end = start + len(_word(failure))
            if start <= event.x < end:
                self._index = index
                self.action_filter()
                return
            start = end + 2


def _word(failure: Failure) -> str:
    status, code, count = failure
    return f"{clean(words.failure(status, code))[:40]}:{count}"


def _line(failures: Sequence[Failure], chosen: Failure | None, width: int) -> Line:
    line: Line = ((_LEAD, "dim"),)
    if not failures:
        return (*line, ("none", "dim"))
    for index, failure in enumerate(failures):
        word = _word(failure)
        more = f"+{len(failures) - index}"
        if index and words.width_of(line) + len(word) + len(more) + 2 > width:
            return (*line, (more, "dim"))
        text = f">{word}<" if failure is chosen else word
        line = (*line, (text, "chosen" if failure is chosen else "fail"), ("  ", "plain"))
    hint = "(Tab, Enter on code = filter)"
    return (*line, (hint, "dim")) if words.width_of(line) + len(hint) <= width else line
