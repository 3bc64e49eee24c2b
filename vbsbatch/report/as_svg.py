"""A timeline as inline SVG for a page: no script, no outside resource, pure ASCII.

What failed is outlined and has a cross, so that it is seen without colours too. The page's style
has the colours: `.succeeded`, `.failed`, `.open`, `.axis`.
"""

from __future__ import annotations

from collections.abc import Iterator

from vbsbatch.model import JobState
from vbsbatch.report.markup import literal
from vbsbatch.report.text import clock, cut, span
from vbsbatch.report.timeline import Bar, Slot, Timeline

WIDTH = 720
NAMES = 170
"""Units that the names of volumes take, left of their bars."""
FIGURES = 40
"""Units that the figures of the vertical axis take."""
RIGHT = 30
ROW = 15
PLOT = 150
"""The height of the columns."""
TOP = 16
FOOT = 22

_CLASSES = {JobState.SUCCEEDED: "succeeded", JobState.FAILED: "failed"}


def picture(shown: Timeline) -> Iterator[str]:
    """The lines of the SVG."""
    height = TOP + FOOT + (ROW * len(shown.bars) if shown.bars else PLOT)
    words = "when each volume was at work" if shown.bars else "how many volumes ended when"
    yield f'<svg viewBox="0 0 {WIDTH} {height}" role="img">\n<title>The run: {words}</title>\n'
    yield from _bars(shown) if shown.bars else _columns(shown)
    yield "</svg>\n"


class _Scale:
    """Where times lie between the left edge and the right one."""

    def __init__(self, shown: Timeline, left: int) -> None:
        self.left = left
        self._start = shown.start
        self._per_second = (WIDTH - left - RIGHT) / max(shown.end - shown.start, 1.0)

    def at(self, moment: float) -> float:
        return self.left + (moment - self._start) * self._per_second


def _bars(shown: Timeline) -> Iterator[str]:
    scale, bottom = _Scale(shown, NAMES), TOP + ROW * len(shown.bars)
    yield from _time_axis(shown, scale, bottom)
    for row, bar in enumerate(shown.bars):
        yield _bar(bar, scale, TOP + ROW * row)


def _bar(bar: Bar, scale: _Scale, top: int) -> str:
    left, right = scale.at(bar.since), scale.at(bar.until)
    words = f"{bar.name}: {bar.state.value}, {clock(bar.since)}, {span(bar.until - bar.since)}"
    kind = _CLASSES.get(bar.state, "open")
    name = cut(bar.name, 80)
    cross = _cross(right + 6, top + 7) if bar.state is JobState.FAILED else ""
    return (
        f'<svg y="{top}" width="{NAMES - 8}" height="{ROW}">'
        f'<text y="11">{literal(name)}</text></svg>'
        f'<rect class="{kind}" x="{left:.1f}" y="{top + 3}" width="{max(right - left, 2):.1f}"'
        f' height="{ROW - 6}"><title>{literal(words)}</title></rect>{cross}\n'
    )


def _columns(shown: Timeline) -> Iterator[str]:
    scale, bottom = _Scale(shown, FIGURES), TOP + PLOT
    most = max(slot.succeeded + slot.failed for slot in shown.slots)
    yield from _time_axis(shown, scale, bottom)
    for part in sorted({most, most // 2} - {0}):
        y = bottom - PLOT * part / most
        yield f'<path class="axis" d="M{FIGURES} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="end" x="{FIGURES - 4}" y="{y + 4:.1f}">{part}</text>\n'
    for slot in shown.slots:
        if slot.succeeded or slot.failed:
            yield _column(slot, shown.step, scale, PLOT / most)


def _column(slot: Slot, step: int, scale: _Scale, per_job: float) -> str:
    left, bottom = scale.at(slot.start), TOP + PLOT
    width = max(scale.at(slot.start + step) - left - 1, 1.0)
    good = slot.succeeded * per_job
    bad = max(slot.failed * per_job, 3.0) if slot.failed else 0.0
    until = clock(slot.start + step)
    words = f"{clock(slot.start)} to {until}: {slot.succeeded} succeeded, {slot.failed} failed"
    parts = [
        f'<rect class="{kind}" x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{high:.1f}"/>'
        for kind, y, high in (
            ("succeeded", bottom - good, good),
            ("failed", bottom - good - bad, bad),
        )
        if high
    ]
    cross = _cross(left + width / 2, bottom - good - bad - 6) if slot.failed else ""
    return f"<g><title>{literal(words)}</title>{''.join(parts)}{cross}</g>\n"


def _time_axis(shown: Timeline, scale: _Scale, bottom: int) -> Iterator[str]:
    yield f'<path class="axis" d="M{scale.left} {bottom}H{WIDTH - RIGHT}"/>\n'
    for at, label in shown.ticks:
        x = scale.at(at)
        yield f'<path class="axis" d="M{x:.1f} {TOP}V{bottom + 4}"/>'
        yield f'<text class="middle" x="{x:.1f}" y="{bottom + 16}">{literal(label)}</text>\n'


def _cross(x: float, y: float) -> str:
    return f'<path class="cross" d="M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"/>'
