"""Failures by code in one line, and the right-hand pane of a wide screen."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from vbsbatch.report.text import clean, clock, span
from vbsbatch.tui import bindings, formatting
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.line_widgets import Lines
from vbsbatch.tui.sanitize import cut, fit
from vbsbatch.tui.view_models import Panes

_BARS = 6
_CHART = 4
_SLOWEST = 6
_LIMITER = 5


class SidePane(Lines):
    """Figures beside the jobs."""

    DEFAULT_CSS = "SidePane { height: 1fr; width: 44; padding: 0 0 0 2; }"

    _figures: tuple[Panes, Sequence[Failure], float] | None = None

    def follow(self, panes: Panes, failures: Sequence[Failure], now: float) -> None:
        """Show these figures."""
        self._figures = panes, failures, now
        self.show(lines(panes, failures, now, self.size.width))

    def on_resize(self) -> None:
        """Fit them into the new width: there is none before the terminal is wide."""
        if self._figures is not None:
            self.follow(*self._figures)


def lines(panes: Panes, failures: Sequence[Failure], now: float, width: int) -> list[Line]:
    """The pane's lines, each at most `width` cells."""
    return [
        *_titled("failures by code", _bars(failures, width)),
        *_titled(_pace_title(panes.per_minute), _chart(panes.per_minute)),
        *_titled("create latency", _latency(panes)),
        *_titled("limiter", [_note(at, text, width) for at, text in panes.limiter[-_LIMITER:]]),
        *_titled("slowest running", _slowest(panes, now, width)),
    ]


def _titled(title: str, body: list[Line]) -> list[Line]:
    nothing: list[Line] = [((" -", "dim"),)]
    return [((title, "title"),), *(body or nothing), ()]


def _bars(failures: Sequence[Failure], width: int) -> list[Line]:
    most = max((count for _, _, count in failures), default=0)
    room = max(1, width - 26)
    return [
        (
            (fit(f" {formatting.failure(status, code)}", 17), "plain"),
            (fit(str(count), 7, right=True), "strong"),
            (" " + "#" * max(1, count * room // most), "fail"),
        )
        for status, code, count in failures[:_BARS]
    ]


def _pace_title(per_minute: Sequence[int]) -> str:
    most = max(per_minute, default=0)
    return f"completed per minute, 30 min (top {most})"


def _chart(per_minute: Sequence[int]) -> list[Line]:
    """A column per minute, the newest at the right."""
    most = max(per_minute, default=0)
    if not most:
        return []
    heights = [-(-count * _CHART // most) for count in per_minute]
    levels: list[Line] = [
        ((" " + "".join("#" if height > level else " " for height in heights), "ok"),)
        for level in reversed(range(_CHART))
    ]
    return [*levels, ((" " + "-" * len(per_minute), "dim"),)]


def _latency(panes: Panes) -> list[Line]:
    if panes.latency is None:
        return []
    p50, p95, most = (_milliseconds(value) for value in panes.latency)
    return [((f" p50 {p50}  p95 {p95}  max {most}", "plain"),)]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms" if seconds < 10 else span(seconds)


def _note(at: float, text: str, width: int) -> Line:
    short = text.replace("reason=", "").replace("retry_after=", "after ")
    return ((f" {clock(at)[:-1]} ", "dim"), (cut(short, width - 10), "plain"))


def _slowest(panes: Panes, now: float, width: int) -> list[Line]:
    return [
        (
            (" " + fit(job.volume_name, max(1, width - 15)), "plain"),
            (fit(formatting.age(job, now), 7, right=True), "strong"),
            (fit(formatting.next_step(job, now), 6, right=True), "run"),
        )
        for job in panes.slowest[:_SLOWEST]
    ]


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
        """Index of the first failure that is shown."""

    def follow(self, failures: Sequence[Failure]) -> None:
        """Show these; the same kind stays chosen."""
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
        """Those that fit, from the first one on; at least one, if there is any."""
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
    """The failures `shown` from `first` on, how many come before and after, the `chosen`."""
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
