"""Failures by status and code, the most frequent first; each can be chosen as a filter."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from vbsbatch.report.text import clean
from vbsbatch.tui import bindings, formatting
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.line_widgets import Lines

Failure = tuple[int | None, str | None, int]
"""HTTP status, code, jobs."""

_LEAD = " fail by code: "
_HINT = " (Tab, Enter on code = filter)"


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
        super().__init__([((_LEAD, "dim"),)])
        self._failures: Sequence[Failure] = ()
        self._known = False
        self._index = 0
        self._first = 0
        """The failure that stands first; further ones do not fit in front of the chosen one."""

    def follow(self, failures: Sequence[Failure]) -> None:
        """Show these; the choice stays on its kind."""
        self._known = True
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
        if not self._known:
            return
        width = self.size.width
        self._first = 0
        while self.has_focus and self._index >= self._first + len(self._shown(width)):
            self._first += 1
        chosen = self._index - self._first if self.has_focus else None
        self.show([_line(self._failures, self._first, self._shown(width), chosen, width)])

    def _shown(self, width: int) -> Sequence[Failure]:
        """What fits, from the first one on; always one at least, if there is any."""
        at = len(_LEAD) + len(_before(self._first))
        for index in range(self._first, len(self._failures)):
            at += len(_word(self._failures[index])) + 2
            if index > self._first and at + len(f"+{len(self._failures) - index}") > width:
                return self._failures[self._first : index]
        return self._failures[self._first :]

    def action_choose(self, by: int) -> None:
        """Choose the next or the one before."""
        self._index = max(0, min(self._index + by, len(self._failures) - 1))
        self._draw()

    def action_filter(self) -> None:
        """Ask for the filter."""
        if self._chosen is not None:
            self.post_message(self.Wanted(self._chosen))

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show the choice, or hide it."""
        super().watch_has_focus(has_focus)
        self._draw()

    def on_resize(self) -> None:
        """Show as many as fit."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Filter by the one under the pointer."""
        end = len(_LEAD) + len(_before(self._first))
        for index, failure in enumerate(self._shown(self.size.width), self._first):
            start, end = end, end + len(_word(failure)) + 2
            if start <= event.x < end:
                self._index = index
                self.action_filter()
                return


def _word(failure: Failure) -> str:
    status, code, count = failure
    return f"{clean(formatting.failure(status, code))[:40]}:{count}"


def _before(first: int) -> str:
    return f" +{first} " if first else ""


def _line(
    failures: Sequence[Failure],
    first: int,
    shown: Sequence[Failure],
    chosen: int | None,
    width: int,
) -> Line:
    """The failures `shown` from `first` on, how many stand before and behind them, the `chosen`."""
    line: Line = ((_LEAD + _before(first), "dim"),)
    if not failures:
        return (*line, (" none", "dim"))
    for index, failure in enumerate(shown):
        here = index == chosen
        text = f">{_word(failure)}<" if here else f" {_word(failure)} "
        line = (*line, (text, "chosen" if here else "fail"))
    if more := len(failures) - first - len(shown):
        return (*line, (f" +{more}", "dim"))
    return (*line, (_HINT, "dim")) if formatting.width_of(line) + len(_HINT) <= width else line
