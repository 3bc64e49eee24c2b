"""What `run` and `resume` do more when the clock starts them: they remember what was missed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import remark
from vbsbatch.cli.options import open_store
from vbsbatch.errors import StoreError, VbsbatchError

if TYPE_CHECKING:
    from vbsbatch.cli.options import DrivingOptions
    from vbsbatch.model import Run
    from vbsbatch.policy.timetable import Scheduled
    from vbsbatch.store import RunStore


class ScheduledType(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """What `vbsbatch schedule add` writes into units, see `policy.timetable.Scheduled`."""

    name = "schedule"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Scheduled:
        """Parse the text, or fail."""
        from vbsbatch.policy.timetable import parse_scheduled

        try:
            return parse_scheduled(str(value))
        except (ValueError, KeyError, OSError):
            self.fail(f"{value!r} is not what vbsbatch schedule add writes", param, ctx)


scheduled_option = click.option("--scheduled", type=ScheduledType(), hidden=True)


class ScheduledStart:
    """A start of a plan, by the clock or (without a schedule) by a person."""

    def __init__(self, scheduled: Scheduled | None, db: Path | None) -> None:
        from vbsbatch.model.clocks import wall

        self._scheduled = scheduled
        self._db = db
        self._now = float(wall())
        self._late_for: float | None = None
        self._made = False

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Remember an error by which no run was made, so that the night is not just missing."""
        try:
            yield
        except VbsbatchError as error:
            if self._scheduled is not None and not self._made:
                with suppress(StoreError), open_store(self._db, create=True) as store:
                    self._record_failure(store, str(error))
            raise

    def begin(self, store: RunStore) -> None:
        """Remember the moments that have passed without a run, before the one that is due."""
        if self._scheduled is None:
            return
        from vbsbatch.api.upkeep import last_start, passed_starts
        from vbsbatch.policy.timetable import LATE

        due = self._scheduled.timetable.last(self._now)
        if due is None:
            return
        for missed in passed_starts(store, self._scheduled, due - 1):
            store.record_missed_start(missed)
        known = max(self._scheduled.since, last_start(store, self._scheduled.plan))
        if known < due <= self._now - LATE:
            self._late_for = due

    def made(self, store: RunStore, run: Run) -> None:
        """Note that a run was made, and whether it is late."""
        self._made = True
        if self._late_for is not None:
            from vbsbatch.report.text import in_words

            text = f"it was started {in_words(self._now - self._late_for)} after its time"
            self._record(store, self._late_for, "late", run.id, text)

    def end(self, store: RunStore) -> None:
        """Remember the moments that passed while the run was going on."""
        if self._scheduled is not None:
            from vbsbatch.api.upkeep import passed_starts
            from vbsbatch.model.clocks import wall

            for missed in passed_starts(store, self._scheduled, float(wall())):
                store.record_missed_start(missed)

    def _record_failure(self, store: RunStore, error: str) -> None:
        """Record it once for each moment of the schedule, however often it is tried."""
        assert self._scheduled is not None
        self.begin(store)
        due = self._scheduled.timetable.last(self._now) or 0.0
        plan = self._scheduled.plan
        known = (each for each in store.missed_starts() if each.plan == plan)
        if not any(float(each.at) >= due for each in known):
            self._record(store, self._now, "missed", None, f"no run was made: {error}")

    def _record(self, store: RunStore, at: float, kind: str, run_id: str | None, text: str) -> None:
        from vbsbatch.model import MissedKind, MissedStart, Wall
        from vbsbatch.report.text import clean

        assert self._scheduled is not None
        store.record_missed_start(
            MissedStart(
                plan=self._scheduled.plan,
                at=Wall(at),
                kind=MissedKind(kind),
                run_id=run_id,
                text=clean(text),
            )
        )


def interrupted_run(
    store: RunStore,
    plan: str,
    by: str,
    scheduled: Scheduled | None,
    how: DrivingOptions,
    style: str,
) -> str | None:
    """The id of the plan's newest run if this interrupted it; else says why nothing is done."""
    from vbsbatch.api.upkeep import Interruption, newest_of_plan, why_not_resumed
    from vbsbatch.model.clocks import wall

    run = newest_of_plan(store, plan, how.cloud)
    if run is None:
        remark(f"nothing to do: there is no run of plan {plan}", style)
        return None
    reason = Interruption(by)
    why = why_not_resumed(store, run, by=reason, scheduled=scheduled, now=float(wall()))
    if why is not None:
        remark(f"run {run.id}: nothing to do, {why}", style)
        return None
    return run.id
