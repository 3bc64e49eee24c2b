"""What the jobs of a run tell the poll schedule: what runs, what waits, and when all will end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd, inf

from vbsbatch.engine.ledger import Ledger
from vbsbatch.engine.poll_schedule import Demand, RunningBackup
from vbsbatch.engine.reconcile import SLACK
from vbsbatch.model import AT_ONCE, NEVER, Backup, Elapsed, Job, JobState, Settings
from vbsbatch.policy.durations import Curves, Durations, Kind, kind_of
from vbsbatch.policy.night_length import expected_length

PERCENT_TRUSTED = 0.25
"""By what share of the duration percentages may have been wrong so far."""
_ROUGHLY = 60.0
"""A duration that is known to so many seconds, or to a half, teaches something."""
_IDLE = 0.04
"""The share of its time for which a place usually stays empty, until its end is seen."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Between which durations that of a running backup lies, by the percentages told so far."""

    low: float = 0.0
    high: float = inf

    def told(self, age: float, percent: int, step: int) -> Whole:
        """Narrower, as it was at this percentage at this age; percentages are told in steps."""
        low = max(self.low, age * 100 / min(percent + step, 100))
        return Whole(low, max(min(self.high, age * 100 / percent), low))


class Outlook:
    """What the schedule needs to know of the ledger's jobs.

    `in_flight` is the cap in force, `per_second` the rate; `began_at` is when the engine began.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        durations: Durations,
        *,
        in_flight: Callable[[], int],
        per_second: Callable[[], float],
        began_at: Elapsed,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._durations = durations
        self._in_flight = in_flight
        self._per_second = per_second
        self._began_at = began_at
        self._wholes: dict[int, Whole] = {}
        """Of running jobs whose percentage the cloud tells."""
        self._step = 0
        """The percentages that the cloud tells are multiples of this."""
        self._percent_error = 0.05
        """By what share of the duration the last percentages were wrong, lately."""

    def since(self, job: Job) -> Elapsed:
        """Since when this engine has waited for the job's backup.

        No clock tells for how long an earlier engine had waited.
        """
        return max(job.intent_at or AT_ONCE, self._began_at)

    def told(self, job: Job, percent: int | None, now: Elapsed) -> None:
        """Take the percentage that a running backup has reached."""
        if percent is None or not 0 < percent <= 100 or self.since(job) == self._began_at:
            return  # nothing is told, or an earlier engine sent the create
        self._step = gcd(self._step, percent)
        age, known = now - self.since(job), self._wholes.get(job.no, Whole())
        self._wholes[job.no] = known.told(age, percent, self._step)

    def ended(self, job: Job, backup: Backup | None, *, last: Elapsed, now: Elapsed) -> None:
        """Learn from a backup that ended between the last look and now."""
        told, since = self._wholes.pop(job.no, None), self.since(job)
        if since == self._began_at:
            return
        seconds = _took(backup, max(last - since, 0.0), now - since)
        if seconds is None:
            return
        self._durations.ended(seconds, _kind(job))
        if told is not None:
            wrong = max(told.low - seconds, seconds - told.high, 0.0) / max(seconds, 1.0)
            self._percent_error += 0.1 * (min(wrong, 1.0) - self._percent_error)

    def forget(self, no: int) -> None:
        """Drop what is known of a job's backup: the next attempt makes another."""
        self._wholes.pop(no, None)

    def running(self, last: Elapsed) -> list[RunningBackup]:
        """What runs, as of the last look."""
        jobs = self._ledger.open.values()
        return [self._backup(job, last) for job in jobs if job.state is JobState.RUNNING]

    def _backup(self, job: Job, last: Elapsed) -> RunningBackup:
        age, told, error = last - self.since(job), self._wholes.get(job.no), self._percent_error
        if told is None or error > PERCENT_TRUSTED:
            return RunningBackup(_kind(job), age)
        return RunningBackup(_kind(job), age, told.low * (1 - error), told.high * (1 + error))

    def demand(self, last: Elapsed, now: Elapsed) -> Demand:
        """What waits for a place."""
        ledger, most = self._ledger, self._in_flight()
        waiting = ledger.counts[JobState.WAITING]
        free = most - len(ledger.open)
        places, after, gate = waiting, 0.0, 0 if waiting else most
        if waiting and free > 0 and not ledger.one_create_each:
            if ledger.earliest_due <= now:  # the rate holds them up, until the places are used
                places, after = max(waiting - free, 0), now - last + free / self._per_second()
            elif self._settings.waves and ledger.earliest_due == NEVER:
                places, gate = 0, min(waiting, most)
            elif not self._settings.limits.capped:  # else an end may make room in a group or zone
                places = 0
        rounds = max(ledger.counts.total() / most, 1.0)
        return Demand(in_flight=most, places=places, after=after, gate=gate, rounds=rounds)

    def ends_in(self, now: Elapsed, curves: Curves) -> float | None:
        """Seconds until the run is expected to have ended; None while too little is known."""
        if not self._durations.enough:
            return None
        running = [(each.kind, max(0.0, each.age)) for each in self.running(now)]
        # Where a vault's backups run together, so many places are in use at a time.
        in_use = max(len(running), 1) if self._ledger.one_create_each else self._in_flight()
        return expected_length(
            running,
            [(None, None)] * self._ledger.counts[JobState.WAITING],
            curves,
            places=in_use,
            per_second=self._per_second(),
            idle=_IDLE,
        )


def _kind(job: Job) -> Kind:
    return kind_of(job.settings.full, job.size)


def _took(backup: Backup | None, least: float, most: float) -> float | None:
    """How long a backup took that ended between these ages: as the cloud tells it, if it can be
    so; None where nothing tells it even roughly, as after a machine slept."""
    if backup is not None and backup.created_at is not None and backup.updated_at is not None:
        told = float(backup.updated_at) - float(backup.created_at)
        if least - SLACK <= told <= most + SLACK and told > 0:
            return told
    return (least + most) / 2 if most - least <= max(_ROUGHLY, most / 2) else None
