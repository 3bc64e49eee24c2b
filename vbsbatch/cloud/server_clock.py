"""How far the server's clock is ahead of ours, from the `Date` headers of its answers."""

from __future__ import annotations

from collections import deque
from statistics import median

from vbsbatch.cloud.answers import http_date

_SAMPLES = 15
_EVERY = 1.0  # seconds; a date costs more to read than the rest of the answer


class ServerClock:
    """The median of recent samples; `Date` cuts to whole seconds, so half a second is added."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self._next = float("-inf")

    @property
    def ahead(self) -> float:
        """Server clock minus ours in seconds; 0 until a date was seen."""
        return median(self._samples) if self._samples else 0.0

    @property
    def last(self) -> float | None:
        """The newest sample alone, which follows a clock that is set at once; None without one."""
        return self._samples[-1] if self._samples else None

    def see(self, date: str | None, sent_at: float, answered_at: float) -> None:
        """Take the `Date` of an answer; the times of request and answer are by our clock."""
        if date is None or sent_at < self._next <= sent_at + _EVERY:
            return
        moment = http_date(date)
        if moment is not None:
            self._samples.append(moment + 0.5 - (sent_at + answered_at) / 2)
            self._next = sent_at + _EVERY
