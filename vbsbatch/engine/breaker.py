"""The circuit breaker: a service that is down must not use up the attempts of the waiting jobs."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from vbsbatch.engine.tuning import Tuning
from vbsbatch.model import AT_ONCE, Elapsed


class Circuit(StrEnum):
    """Whether creates may be sent."""

    CLOSED = "closed"  # creates are sent

    OPEN = "open"  # the service seems down; nothing is sent until a probe succeeds

    PROBING = "probing"  # exactly one create is under way to test the service


class Breaker:
    """Counts outage-class answers in a row, across jobs.

    The answers that open the circuit, and those that arrive while it is open, are excused: they
    cost their jobs no attempt. But volumes that can never be created must not keep a run alive for
    ever by looking like an outage. Two rules prevent that.

    - A job that failed while the service answered others, or that met an outage which others saw
      end, does not open the circuit until the service answers that job itself.
    - If fewer than `tuning.outage_many` jobs met the outage, each of them is excused
      `tuning.excuses` times. After that its failures count, and they close the circuit: probes use
      the jobs with the fewest attempts, so no job with a better chance is left.
    """

    def __init__(self, *, tuning: Tuning) -> None:
        self._tuning = tuning
        self._streak: list[int] = []
        self._excused: Counter[int] = Counter()
        self._alone: set[int] = set()
        """Jobs that met what looked like an outage while other jobs did not, or after others saw it
        end."""
        self._interval = tuning.probe_first
        self.circuit = Circuit.CLOSED
        self.probe_at = AT_ONCE
        """When the next probe is due, while the circuit is open."""

    def answered(self, no: int) -> bool:
        """Record that the service gave job `no` a normal answer; true if that ends an outage."""
        ended = self.circuit is not Circuit.CLOSED
        if ended:
            self._alone.update(self._excused)
            self._excused.clear()
        self._alone.update(self._streak)
        self._alone.discard(no)
        self._streak.clear()
        self._close()
        return ended

    def outage(self, no: int, now: Elapsed) -> list[int]:
        """Record an outage-class answer to job `no`; returns the jobs (with repeats) to excuse for
        it."""
        if self.circuit is Circuit.CLOSED and no in self._alone:
            return []
        if not self._excusable(no):
            self._close()
            return []
        if self.circuit is Circuit.OPEN:
            return self._excuse([no])
        self._streak.append(no)
        if self.circuit is Circuit.PROBING:
            self.wait_longer(now)
        elif len(self._streak) >= self._tuning.outage_after and len(set(self._streak)) > 1:
            self._open(now)
        else:
            return []
        streak, self._streak = self._streak, []
        return self._excuse([each for each in streak if self._excusable(each)])

    def trip(self, now: Elapsed) -> None:
        """Open at once: something that every create needs (the identity service, say) is down."""
        if self.circuit is not Circuit.OPEN:
            self._open(now)

    def probe(self) -> None:
        """Note that one create is about to test the service."""
        self.circuit = Circuit.PROBING

    def wait_longer(self, now: Elapsed) -> None:
        """Open again, for longer: a probe found the service still down."""
        self._interval = min(self._interval * 2, self._tuning.probe_longest)
        self._open(now)

    def _open(self, now: Elapsed) -> None:
        self.circuit = Circuit.OPEN
        self.probe_at = now + self._interval

    def _close(self) -> None:
        self.circuit = Circuit.CLOSED
        self._interval = self._tuning.probe_first

    def _excusable(self, no: int) -> bool:
        many = len(self._excused) >= self._tuning.outage_many
        return many or self._excused[no] < self._tuning.excuses

    def _excuse(self, jobs: list[int]) -> list[int]:
        self._excused.update(jobs)
        return jobs
