"""When to look at the cloud's list again: soon while something is due, seldom while nothing
moves."""

from __future__ import annotations

from collections.abc import Iterable

from vbsbatch.engine.tuning import Tuning
from vbsbatch.model import Elapsed


class PollSchedule:
    """Learns how long this run's backups take, and keeps the calls within a budget."""

    def __init__(self, tuning: Tuning, *, in_flight: int) -> None:
        self._tuning = tuning
        # One sweep can free no more places than there are: few places need more sweeps a backup.
        self._sweeps_per_create = max(tuning.sweeps_per_create, 2 / in_flight)
        self._shortest: float | None = None
        self._sweeps = 0

    def ended(self, took: float) -> None:
        """A backup ended `took` seconds after its create."""
        self._shortest = took if self._shortest is None else min(self._shortest, took)

    def swept(self) -> None:
        """One page of the list was read."""
        self._sweeps += 1

    def next(
        self, *, last: Elapsed, creates: int, sent: Iterable[Elapsed], settle: Iterable[Elapsed]
    ) -> Elapsed:
        """When to sweep next. `last`: the sweep before; `creates`: creates sent by this engine;
        `sent`: when each running backup was asked for; `settle`: when each unknown job can
        be judged.
        """
        wanted = list(settle)
        oldest = min(sent, default=None)
        if oldest is not None:
            wanted.append(self._due(oldest, last))
        stale = last + self._tuning.stale
        if not wanted:
            return stale
        soonest = max(min(*wanted, stale), last + self._tuning.freshest)
        return self._within_budget(soonest, last, creates, last if oldest is None else oldest)

    def _due(self, oldest: Elapsed, last: Elapsed) -> Elapsed:
        """When a running backup is next worth a look."""
        tuning = self._tuning
        if self._shortest is None:
            # Nothing has ended yet: look at growing ages of the oldest, so that short
            # ones are seen soon.
            return last + min(max((last - oldest) / 2, tuning.freshest), tuning.fresh)
        rest = min(max(self._shortest / 20, tuning.freshest), tuning.fresh)
        due = max(oldest + self._shortest * 0.9, last + rest)
        return min(due, last + tuning.stale)

    def _within_budget(self, at: Elapsed, last: Elapsed, creates: int, oldest: Elapsed) -> Elapsed:
        tuning = self._tuning
        if self._sweeps < tuning.sweeps_free + self._sweeps_per_create * creates:
            return at
        # Out of budget: freshness in proportion to how long the backups take anyway.
        patience = tuning.thrifty
        if self._shortest is not None:
            patience = min(patience, max(3 * self._shortest, tuning.freshest))
        return max(at, last + max(patience, (last - oldest) / 50))
