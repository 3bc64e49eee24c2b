"""The baseline of `nights`: how vbsbatch paced its looks before it weighed what a look is worth.

Soon while a backup is due to end by the shortest seen, seldom while nothing moves, and rationed by
a budget of pages.
"""

from __future__ import annotations

from collections.abc import Sequence

from vbsbatch.engine.poll_schedule import Demand, PollSchedule, RunningBackup
from vbsbatch.engine.tuning import Tuning
from vbsbatch.model import Polling
from vbsbatch.policy.durations import Durations, Kind

FRESH, STALE, THRIFTY = 10.0, 60.0, 90.0
FREE, EACH = 20, 0.12


class Shortest(Durations):
    """Remembers the shortest of the backups that ended."""

    shortest: float | None = None

    def ended(self, seconds: float, kind: Kind) -> None:
        """Take one more."""
        super().ended(seconds, kind)
        self.shortest = seconds if self.shortest is None else min(self.shortest, seconds)


class FormerPace(PollSchedule):
    """The same interface; it knows the shortest backup and nothing else."""

    def __init__(self, tuning: Tuning, polling: Polling = Polling.NORMAL) -> None:
        super().__init__(tuning, polling)
        self.durations: Shortest = Shortest()

    def next(self, running: Sequence[RunningBackup], demand: Demand, *, creates: int) -> float:
        """Seconds from the last look to the next."""
        freshest = self._tuning.freshest
        if not running:
            return STALE
        oldest = max(backup.age for backup in running)
        shortest = self.durations.shortest
        if shortest is None:
            due = min(max(oldest / 2, freshest), FRESH)
        else:
            rest = min(max(shortest / 20, freshest), FRESH)
            due = min(max(shortest * 0.9 - oldest, rest), STALE)
        if self._pages < FREE + max(EACH, 2 / demand.in_flight) * creates:
            return max(due, freshest)
        patience = THRIFTY if shortest is None else min(THRIFTY, max(3 * shortest, freshest))
        return max(due, freshest, patience, oldest / 50)
