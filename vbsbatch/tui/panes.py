"""Failures by code in one line, and the right-hand pane of a wide screen."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.geometry import Size
from textual.message import Message

from vbsbatch.model import Operation
from vbsbatch.report.text import clean, clock, span
from vbsbatch.tui import alphabet, bindings, event_words, formatting, frames
from vbsbatch.tui.alphabet import TIMES
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.line_widgets import Lines
from vbsbatch.tui.sanitize import cut, fit
from vbsbatch.tui.view_models import Overview, Panes

_BARS = 6
_SLOWEST = 7
_LIMITER = 5

_DONE = {
    Operation.BACKUP: "backups",
    Operation.RESTORE: "restores",
    Operation.PRUNE: "deletions",
}
"""What the jobs of a run are called."""


class SidePane(Lines):
    """Figures beside the jobs."""

    DEFAULT_CSS = "SidePane { height: 1fr; width: 44; }"

    _figures: tuple[Panes, Overview, float] | None = None

    def follow(self, panes: Panes, seen: Overview, now: float) -> None:
        """Show these figures."""
        self._figures = panes, seen, now
        self.show(lines(panes, seen, now, self.size))

    def on_resize(self) -> None:
        """Fit them into the new width: there is none before the terminal is wide."""
        if self._figures is not None:
            self.follow(*self._figures)


def lines(panes: Panes, seen: Overview, now: float, size: Size) -> list[Line]:
    """The pane's boxes, each line as wide as `size`; what has nothing to show takes no room, nor
    what comes below the last line."""
    inner = size.width - frames.INSET
    what = _DONE[seen.run.settings.operation]
    limiter = [_note(at, text, inner) for at, text in panes.limiter[-_LIMITER:]]
    boxes: list[tuple[str, list[Line]]] = [
        ("failed, by code", _bars(seen.failures, inner)),
        (f"{what} completed per minute", _chart(panes.per_minute, inner)),
        ("how long a request takes", _latency(panes)),
        ("changes of the rate", limiter),
        (f"{what} running longest", _slowest(panes, now, inner)),
    ]
    found: list[Line] = []
    for title, body in boxes:
        room = size.height - len(found) - 2
        found += frames.box(title, body[: max(0, room)], size.width)
    return found


def _bars(failures: Sequence[Failure], width: int) -> list[Line]:
    most = max((count for _, _, count in failures), default=0)
    room = max(1, width - 23)
    return [
        (
            (fit(formatting.failure(status, code), 15), "plain"),
            (fit(f"{count:,}", 7, right=True) + " ", "strong"),
            (alphabet.bar(max(1, count * room / most) / room, room)[0], "fail"),
        )
        for status, code, count in failures[:_BARS]
    ]


def _chart(per_minute: Sequence[int], width: int) -> list[Line]:
    """One cell per minute, the newest at the right, and what the last and the best had."""
    most = max(per_minute, default=0)
    if not most:
        return []
    newest = per_minute[-2] if len(per_minute) > 1 else per_minute[-1]
    chart = alphabet.sparkline(list(per_minute))
    figures = f"most {most:,}"
    rest = max(1, width - len(chart) - len(figures))
    last = f"{newest:,} in the last full minute, over {len(per_minute)} min"
    return [
        ((chart, "key"), (" " * rest + figures, "dim")),
        ((cut(last, width), "plain"),),
    ]


def _latency(panes: Panes) -> list[Line]:
    """The median, the 95th percentile and the longest, in words."""
    if panes.latency is None:
        return []
    half, most, longest = (_milliseconds(value) for value in panes.latency)
    return [((f"half under {half}, 95 % under {most}", "plain"),), ((f"longest {longest}", "dim"),)]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 10 else span(seconds)


def _note(at: float, text: str, width: int) -> Line:
    short = event_words.of_limiter(text, short=True)
    return ((f"{clock(at)[:-1]} ", "dim"), (cut(short, width - 9), "plain"))


def _slowest(panes: Panes, now: float, width: int) -> list[Line]:
    return [
        (
            (fit(job.volume_name, max(1, width - 14)), "plain"),
            (fit(formatting.age(job, now), 8, right=True), "strong"),
            (fit(formatting.next_step(job, now), 6, right=True), "run"),
        )
        for job in panes.slowest[:_SLOWEST]
    ]


Failure = tuple[int | None, str | None, int]
"""HTTP status, code, jobs."""

_LEAD = "failed by code:"
_HINT = "  (Tab: filter by one)"


class Failures(Lines, can_focus=True):
    """One line, hidden without a failure; left and right choose, Enter filters by the choice."""

    DEFAULT_CSS = "Failures { height: 1; display: none; } Failures.-some { display: block; }"
    BINDINGS = bindings.hidden(
        "left,h choose(-1)", "right,l choose(1)", "enter,space filter", "escape screen.codes"
    )

    class Wanted(Message):
        """The user wants the jobs that failed this way."""

        def __init__(self, failure: Failure) -> None:
            super().__init__()
            self.failure = failure

    def __init__(self) -> None:
        super().__init__()
        self._failures: Sequence[Failure] = ()
        self._index = 0
        self._first = 0
        """Index of the first failure that is shown."""

    def follow(self, failures: Sequence[Failure]) -> None:
        """Show these; the same kind stays chosen."""
        chosen = self._chosen
        kinds = [kind[:2] for kind in failures]
        self._failures = failures
        if chosen is not None and chosen[:2] in kinds:
            self._index = kinds.index(chosen[:2])
        self._index = max(0, min(self._index, len(failures) - 1))
        self.set_class(bool(failures), "-some")
        self._draw()

    @property
    def _chosen(self) -> Failure | None:
        return self._failures[self._index] if self._index < len(self._failures) else None

    def _draw(self) -> None:
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
    return f"{clean(formatting.failure(status, code))[:40]} {TIMES}{count:,}"


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
    for index, failure in enumerate(shown):
        here = index == chosen
        text = f">{_word(failure)}<" if here else f" {_word(failure)} "
        line = (*line, (text, "chosen" if here else "fail"))
    if more := len(failures) - first - len(shown):
        return (*line, (f" +{more}", "dim"))
    return (*line, (_HINT, "dim")) if formatting.width_of(line) + len(_HINT) <= width else line
