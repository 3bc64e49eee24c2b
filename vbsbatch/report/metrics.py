"""What a store's runs are at, as values: what `as_prometheus` turns into metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vbsbatch.model import JobState, Operation, PlanTotals, Rate, Run, RunState
from vbsbatch.report.data import CodeCount


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFigures:
    """One run as the store's queries return it."""

    run: Run
    counts: Mapping[JobState, int]
    failures: Sequence[CodeCount] = ()
    """Failed jobs by the status and code they failed with."""
    live: bool | None = False
    """Whether an engine drives the run at this moment; None where that is not known."""
    rate: Rate | None = None
    """The rate at which the engine allows itself to send, as of its heartbeat."""
    oldest_at: float | None = None
    """When the oldest of the creates was sent whose backups run now, in epoch seconds."""

    @property
    def begun(self) -> bool:
        """Whether an engine should drive the run: it neither ended nor stopped in good order."""
        return self.run.state in (RunState.RUNNING, RunState.PAUSED)

    @property
    def driven(self) -> bool:
        """Whether an engine may drive the run, so that what it last reported holds."""
        return self.begun and self.live is not False


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsData:
    """The runs that metrics are about, newest first, and the totals of all plans."""

    now: float
    """Epoch seconds."""
    runs: Sequence[RunFigures] = ()
    totals: Sequence[PlanTotals] = ()
    warning: str | None = None
    """Why other users may have forged what the store holds; None if they cannot."""

    def current(self) -> list[RunFigures]:
        """Of each plan the newest backup run, and any other that an engine drives."""
        found, seen = [], set()
        for each in self.runs:
            if each.run.settings.operation is not Operation.BACKUP:
                continue
            if each.run.plan not in seen or each.driven:
                found.append(each)
            seen.add(each.run.plan)
        return found
