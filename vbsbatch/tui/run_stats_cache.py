"""Whole-run figures, kept up to date by what changed: a look at every job only the first time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vbsbatch.model import JobState
from vbsbatch.report.progress import LOUD_NOTES
from vbsbatch.store import Event, ReadPosition
from vbsbatch.store.run_stats import RunStats
from vbsbatch.store.screen_queries import ScreenQueries

FOLLOWED = 8
"""Runs that are followed at a time."""

LIMITER_KINDS = ("limiter", "breaker")
LIMITER_NOTES = 20

LOUD_EVENTS = 1000
"""Events that matter, remembered of each run."""


@dataclass(kw_only=True, slots=True)
class Followed:
    """What is known of a run so far."""

    tally: RunStats = field(default_factory=RunStats)
    mark: ReadPosition | None = None
    grouped: bool = False
    """Whether any job has a group."""
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=LOUD_EVENTS))
    """The newest that the plain output would tell too: failures, control, limiter."""
    limiter: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=LIMITER_NOTES))
    """The newest notes of limiter and breaker, oldest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A run's figures in the list of runs."""

    counts: Mapping[JobState, int]
    failures: Sequence[tuple[int | None, str | None, int]]


class RunStatsCache:
    """The runs that a screen follows, and summaries of those that it only lists."""

    def __init__(self, screen: ScreenQueries) -> None:
        self._screen = screen
        self._followed: dict[str, Followed] = {}
        self._summaries: dict[str, tuple[int, Summary]] = {}

    def follow(self, run_id: str) -> Followed:
        """What is known of the run, brought up to date."""
        followed = self._followed.pop(run_id, None) or Followed()
        before = followed.mark
        if before is None or self._screen.rev(run_id) != before.rev:
            mark = self._screen.follow(run_id, followed.tally, before)
            if before is None:
                followed.grouped = self._screen.has_groups(run_id)
            after = 0 if before is None else before.event
            events = self._screen.loud_events(
                run_id, LOUD_NOTES, after=after, until=mark.event, limit=LOUD_EVENTS
            )
            followed.events.extend(events)
            notes = [event for event in events if event.kind in LIMITER_KINDS]
            followed.limiter.extend((note.at, note.text or "") for note in notes)
            followed.mark = mark
        self._followed[run_id] = followed
        if len(self._followed) > FOLLOWED:
            del self._followed[next(iter(self._followed))]
        return followed

    def adopt(self, other: RunStatsCache) -> None:
        """Take over what another reader of the same store has found out."""
        self._followed.update(other._followed)
        self._summaries.update(other._summaries)

    def summary(self, run_id: str, *, live: bool) -> Summary:
        """Of a run that changes all the time, from its tally; of any other, counted once."""
        rev = self._screen.rev(run_id)
        known = self._summaries.get(run_id)
        if known is None or known[0] != rev:
            by_tally = live or run_id in self._followed
            known = (rev, self._tallied(run_id) if by_tally else self._counted(run_id))
            self._summaries[run_id] = known
        return known[1]

    def _tallied(self, run_id: str) -> Summary:
        tally = self.follow(run_id).tally
        return Summary(counts=tally.counts, failures=tally.failures)

    def _counted(self, run_id: str) -> Summary:
        return Summary(counts=self._screen.counts(run_id), failures=self._screen.failures(run_id))
