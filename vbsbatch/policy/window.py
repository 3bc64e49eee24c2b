"""Decides when the plan's window is open: clock times of a time zone against seconds since the
epoch.

The local clock time decides. On the night the clocks are set back, some times occur twice, and the
window is open in both or in neither. Times that are skipped when the clocks are set forward are in
no window.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from vbsbatch.model import Window

DAY = 24 * 60 * 60


def is_open(window: Window, at: float) -> bool:
    """Whether creates may be sent at `at` (epoch seconds)."""
    minute = _second(window, int(at // 1)) // 60
    if window.opens < window.closes:
        return window.opens <= minute < window.closes
    return minute >= window.opens or minute < window.closes


def changes_at(window: Window, at: float) -> float:
    """Return the first whole second after `at` at which the window opens or closes.

    Raises `OverflowError` or `ValueError` for times outside the calendar.
    """
    second, was_open = int(at // 1), is_open(window, at)
    target = 60 * (window.closes if was_open else window.opens)
    while True:
        then = second + ((target - _second(window, second)) % DAY or DAY)
        if _offset(window, then) != _offset(window, second):
            # The clocks change in between. The local time just then may already be past the target;
            # otherwise search again from there.
            then = _change_of_clocks(window, second, then)
        if is_open(window, then) is not was_open:
            return float(then)
        second = then


def _change_of_clocks(window: Window, before: int, after: int) -> int:
    """Return the second at which the zone's offset from UTC first differs from that at `before`."""
    offset = _offset(window, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(window, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def local_time(window: Window, at: float) -> str:
    """Return the local time at `at`, such as `Thu 26 Nov 22:00 CET`."""
    return _local(window, at).strftime("%a %d %b %H:%M %Z")


def _local(window: Window, at: float) -> datetime:
    return datetime.fromtimestamp(at, ZoneInfo(window.timezone))


def _second(window: Window, at: int) -> int:
    """Seconds since local midnight, by the local clock."""
    local = _local(window, at)
    return local.hour * 3600 + local.minute * 60 + local.second


def _offset(window: Window, at: int) -> float:
    offset = _local(window, at).utcoffset()
    assert offset is not None
    return offset.total_seconds()
