"""The right-hand side of a wide screen: failures, pace, latency, limiter, slowest jobs."""

from __future__ import annotations

from collections.abc import Sequence

from vbsbatch.report.text import clock, span
from vbsbatch.tui import formatting
from vbsbatch.tui.failures import Failure
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.line_widgets import Lines
from vbsbatch.tui.sanitize import cut, fit
from vbsbatch.tui.view_models import Panes

_BARS = 6
_CHART = 4
_SLOWEST = 6
_LIMITER = 5


class SidePane(Lines):
    """Everything that is worth a look beside the jobs."""

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
    """A column a minute, the newest at the right; its foot shows that there was any at all."""
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
