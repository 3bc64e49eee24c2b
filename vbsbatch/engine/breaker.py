"""The circuit breaker: a service that is down must not eat the jobs that wait for it."""

from __future__ import annotations

from enum import StrEnum

from vbsbatch.engine.tuning import Tuning


class Circuit(StrEnum):
    """Whether creates may flow."""

    CLOSED = "closed"  # they flow
    OPEN = "open"  # the service seems down; nothing is sent until a probe says otherwise
    PROBING = "probing"  # exactly one create is under way to see whether it is back


class Breaker:
    """Counts outage-class answers in a row, across jobs. Times are epoch seconds.

    The answers that open it, and those that arrive while it is open, cost their jobs no
    attempt; but no job is excused more often than `excuses` times, so that a volume that can
    never be created does not keep a run alive for ever by looking like an outage.
    """

    def __init__(self, *, tuning: Tuning, excuses: int) -> None:
        self._tuning = tuning
        self._excuses = excuses
        self._excused: dict[int, int] = {}
        self._streak: list[int] = []
        self._interval = tuning.probe_first
        self.circuit = Circuit.CLOSED
        self.probe_at = 0.0
        """While open: when the next probe is due."""

    def answered(self) -> bool:
        """The service answered like a service; True when that ends an outage."""
        self._streak.clear()
        reopened = self.circuit is not Circuit.CLOSED
        self.circuit = Circuit.CLOSED
        self._interval = self._tuning.probe_first
        return reopened

    def outage(self, no: int, now: float) -> list[int]:
        """Job `no` met an outage-class answer; the jobs (with repeats) whose attempt is excused."""
        if self.circuit is Circuit.OPEN:
            return self._excuse([no])
        self._streak.append(no)
        if self.circuit is Circuit.PROBING:
            self.wait_longer(now)
        elif len(self._streak) >= self._tuning.outage_after:
            self._open(now)
        else:
            return []
        streak, self._streak = self._streak, []
        return self._excuse(streak)

    def trip(self, now: float) -> None:
        """Open at once: something every create needs (the identity service, say) is down."""
        if self.circuit is not Circuit.OPEN:
            self._open(now)

    def probe(self) -> None:
        """One create is about to test the service."""
        self.circuit = Circuit.PROBING

    def wait_longer(self, now: float) -> None:
        """A probe found the service still down: open again, for longer."""
        self._interval = min(self._interval * 2, self._tuning.probe_longest)
        self._open(now)

    def _open(self, now: float) -> None:
        self.circuit = Circuit.OPEN
        self.probe_at = now + self._interval

    def _excuse(self, jobs: list[int]) -> list[int]:
        excused = []
        for no in jobs:
            if self._excused.get(no, 0) < self._excuses:
                self._excused[no] = self._excused.get(no, 0) + 1
                excused.append(no)
        return excused
