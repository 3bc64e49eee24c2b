"""How far the server's clock is ahead of ours, from the `Date` headers of its answers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

from vbsbatch.cloud.response_values import http_date

_SAMPLES = 15
_EVERY = 1.0  # seconds between samples; a date costs more to read than the rest of an answer
_AGREE = 2.5  # seconds by which two samples may differ, besides their round trips
_NO_WORSE = 1.0  # seconds by which a round trip may be longer than the shortest one


@dataclass(frozen=True, slots=True)
class _Sample:
    ahead: float
    took: float
    """The round trip: the server looked at its clock at some moment of it."""

    def contradicts(self, ahead: float) -> bool:
        return abs(self.ahead - ahead) > _AGREE + self.took / 2


class ServerClock:
    """The median of the recent samples with the shortest round trips.

    `Date` cuts to whole seconds, so half a second is added. A sample that contradicts what was
    known means that the server's clock was set, or that the answer comes from another server: what
    was known is forgotten.
    """

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES)
        self._next = float("-inf")

    @property
    def ahead(self) -> float:
        """Server clock minus ours in seconds; 0 before the first date."""
        if not self._samples:
            return 0.0
        shortest = min(sample.took for sample in self._samples)
        return median(s.ahead for s in self._samples if s.took <= shortest + _NO_WORSE)

    @property
    def last(self) -> float | None:
        """The newest sample alone, which follows a changed clock at once; None without one."""
        return self._samples[-1].ahead if self._samples else None

    def see(self, date: str | None, sent_at: float, answered_at: float) -> None:
        """Take the `Date` of an answer; the times of request and answer are by our clock."""
        if date is None or sent_at < self._next <= sent_at + _EVERY:
            return
        moment = http_date(date)
        if moment is not None:
            middle = (sent_at + answered_at) / 2
            sample = _Sample(moment + 0.5 - middle, max(answered_at - sent_at, 0.0))
            if self._samples and sample.contradicts(self.ahead):
                self._samples.clear()
            self._samples.append(sample)
            self._next = sent_at + _EVERY
