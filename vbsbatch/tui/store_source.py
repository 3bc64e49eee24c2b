"""Where the screens get everything from: `view_models.Source` over the store file."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from vbsbatch.errors import UsageError
from vbsbatch.model import (
    WITHDRAWN,
    Job,
    Rate,
    Run,
    RunState,
    Wall,
)
from vbsbatch.report import ReportData, as_csv, as_json, clean, opened
from vbsbatch.report.comparison import RunComparison, compare
from vbsbatch.report.data import standing
from vbsbatch.report.sizes import sizes_of
from vbsbatch.store import RunStore
from vbsbatch.store.ports import ScreenReader
from vbsbatch.store.run_stats import RunStats
from vbsbatch.tui import pace
from vbsbatch.tui.store_caches import RowOrders, RunStatsCache
from vbsbatch.tui.view_models import (
    Asked,
    Detail,
    Overview,
    Panes,
    RunLine,
    Sent,
    Told,
    View,
)

SLOWEST = 10
"""Running jobs in the right-hand pane at most."""

CHUNK = 500
"""Jobs in memory at a time when many are exported."""

NOT_TAKEN = "not taken: the engine ended before it took this, and no other will"


class StoreSource:
    """`view_models.Source` over one store; for one thread at a time, except where a method says so.

    `meaning(code, status)` puts a failure into words, `request(run, job)` is what it
    sends, `starter(run_id)` starts an engine process,
    `asked_by` says who uses the screen. All text is raw: whoever prints it cleans it.
    """

    def __init__(
        self,
        store: RunStore,
        *,
        read_only: bool,
        meaning: Callable[[str | None, int | None], str | None],
        request: Callable[[Run, Job], Sent],
        starter: Callable[[str], object],
        asked_by: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.read_only = read_only
        self._store = store
        self._screen = store.screen()
        self._figures = RunStatsCache(self._screen)
        self._orders = RowOrders(self._screen, monotonic)
        self._meaning = meaning
        self._request = request
        self._starter = starter
        self._asked_by = asked_by
        self._clock = clock
        self._version: int | None = None
        self._asked_of: dict[int, str] = {}

    def close(self) -> None:
        """Close the screen's own connection; the store stays open."""
        self._screen.close()

    def changed(self) -> bool:
        """Whether anything was written since the last call; true of the first."""
        before, self._version = self._version, self._screen.data_version()
        return before != self._version

    def prepare(self, run_id: str | None) -> None:
        """Read what takes long the first time: the figures of one run, or of all runs.

        On a thread of its own beside any other call.
        """
        with closing(self._store.screen()) as screen:
            figures = RunStatsCache(screen)
            if run_id is not None:
                figures.follow(run_id)
            for run in screen.runs() if run_id is None else ():
                figures.summary(run.id, live=self._live(run) is not False)
        self._figures.adopt(figures)

    # Runs

    def runs(self) -> list[RunLine]:
        """Every run of the store, newest first."""
        return [self._line(run) for run in self._screen.runs()]

    def overview(self, run_id: str) -> Overview:
        """The run as it stands."""
        holder = self._store.is_live(run_id)
        run = self._screen.run(run_id)
        followed = self._figures.follow(run_id)
        tally = followed.tally
        now = self._clock()
        return Overview(
            run=run,
            holder=holder,
            counts=tally.counts,
            retrying=tally.retrying,
            rate_now=pace.rate(tally, now, _seconds(run.started_at)) if holder is not None else 0.0,
            rate_limit=self._rate_limit(run, live=holder is not None),
            eta=_left(run, now) if holder is not None else None,
            failures=tally.failures,
            grouped=followed.grouped,
            sizes=sizes_of(tally.sizes, self._per_hour(run, tally, now)),
        )

    def _per_hour(self, run: Run, tally: RunStats, now: float) -> float | None:
        """GB an hour: lately while the run goes on, over the whole run when it has ended."""
        if run.ended_at is None:
            return pace.per_hour(tally.completed_gigabytes, now, _seconds(run.started_at))
        took = float(run.ended_at) - float(run.started_at or run.ended_at)
        return 3600 * sum(tally.completed_gigabytes.values()) / took if took >= 60 else None

    def panes(self, run_id: str) -> Panes:
        """The right-hand pane."""
        followed = self._figures.follow(run_id)
        newest = followed.tally.newest
        return Panes(
            per_minute=pace.per_minute(followed.tally.completed, self._clock()),
            latency=pace.percentiles(self._screen.took(run_id, newest, limit=len(newest))),
            limiter=tuple(followed.limiter),
            slowest=self._screen.slowest(run_id, limit=SLOWEST),
        )

    def compare(self, left: str, right: str) -> RunComparison:
        """Two runs by their figures and their volumes; on a thread of its own."""
        with closing(self._store.screen()) as screen:
            return compare(*(self._data(screen, run_id) for run_id in (left, right)))

    def _data(self, screen: ScreenReader, run_id: str) -> ReportData:
        """What a comparison needs of a run."""
        run = screen.run(run_id)
        return ReportData(
            run=run,
            counts=screen.counts(run_id),
            meaning=self._meaning,
            now=self._clock(),
            live=self._live(run),
            jobs=partial(screen.jobs, run_id),
        )

    def _line(self, run: Run) -> RunLine:
        live = self._live(run)
        summary = self._figures.summary(run.id, live=live is not False)
        data = ReportData(
            run=run, counts=summary.counts, meaning=self._meaning, now=self._clock(), live=live
        )
        return RunLine(
            run=run,
            standing=standing(data),
            counts=summary.counts,
            top=next(iter(summary.failures), None),
            sizes=sizes_of(summary.sizes),
            eta=_left(run, self._clock()) if live else None,
        )

    def _live(self, run: Run) -> bool | None:
        holder = None if run.state is RunState.ENDED else self._store.is_live(run.id)
        return False if holder is None else holder.live

    def _rate_limit(self, run: Run, *, live: bool) -> Rate:
        """The engine's present limit; without an engine, the one the next will begin with."""
        said = self._screen.sending_rate(run.id) if live else None
        return said or run.rate or run.settings.limits.rate

    # Jobs

    def size(self, run_id: str, view: View) -> int:
        """How many jobs the view has."""
        return len(self._orders.numbers(run_id, view))

    def page(self, run_id: str, view: View, first: int, count: int) -> list[Job]:
        """`count` jobs of the view from row `first` on, as they are at this moment."""
        return self._screen.jobs_at(run_id, self.numbers(run_id, view, first, count))

    def row_of(self, run_id: str, view: View, no: int) -> int | None:
        """The row that job `no` has in the view; None when the view does not have it."""
        try:
            return self._orders.numbers(run_id, view).index(no)
        except ValueError:
            return None

    def numbers(self, run_id: str, view: View, first: int, count: int | None) -> list[int]:
        """The numbers of the jobs in these rows (of all rows from `first` on when None)."""
        begin = max(0, first)
        end = None if count is None else begin + max(0, count)
        return list(self._orders.numbers(run_id, view)[begin:end])

    def events(self, run_id: str, *, limit: int, every: bool = False) -> list[Told]:
        """The newest `limit` events that matter (all there are, when `every`), oldest first."""
        if every:
            found = self._screen.newest_events(run_id, limit=limit)
        else:
            found = list(self._figures.follow(run_id).events)[-limit:]
        numbers = {event.no for event in found if event.no is not None}
        jobs = {job.no: job for job in self._screen.jobs_at(run_id, numbers)}
        return [(event, None if event.no is None else jobs.get(event.no)) for event in found]

    def detail(self, run_id: str, no: int) -> Detail:
        """Everything about one job."""
        job = self._screen.job(run_id, no)
        return Detail(
            job=job,
            run=self._screen.run(run_id),
            attempts=self._screen.attempts(run_id, no),
            events=list(self._screen.events(run_id, no=no)),
            meaning=self._meaning(job.code, job.http_status),
        )

    def request(self, detail: Detail) -> Sent:
        """The job's request; on a thread of its own beside any other call."""
        return self._request(detail.run, detail.job)

    def export(self, run_id: str, view: View, form: str, path: str) -> int:
        """Write the jobs of the view to a file as `csv` or `json`; how many.

        `~` is the home folder. 100,000 jobs take seconds: this call alone may run on a thread of
        its own beside any other.
        """
        if form not in ("csv", "json"):
            raise UsageError(f"no format {clean(form)!r}: use csv or json")
        place = os.path.abspath(os.path.expanduser(path))  # `-` is a file too: no standard output
        with closing(self._store.screen()) as screen, opened(place) as stream:
            numbers = RowOrders(screen).numbers(run_id, view)
            jobs = _each(screen, run_id, numbers)
            if form == "csv":
                as_csv.write_jobs(jobs, stream)
            else:
                as_json.write_jobs(run_id, jobs, stream)
        return len(numbers)

    # Steering

    def ask(self, run_id: str, verb: str, argument: Mapping[str, Any]) -> Asked:
        """Ask the run's engine for something; on a thread of its own beside any other call.

        Without an engine, what needs none is done at once: a rate or a cap is kept for the next
        engine, jobs are cancelled, and jobs to be retried get a new engine. Anything else is a
        `UsageError`: the next engine would carry it out unexpectedly.
        """
        self._check_writable()
        self._keep_limit(run_id, verb, argument)
        if self._store.is_live(run_id) is None:
            result = self._without_engine(run_id, verb, argument)
            return Asked(id=0, result=result)
        number = self._store.ask(run_id, verb, argument, self._asked_by)
        self._asked_of[number] = run_id
        return Asked(id=number)

    def asked(self, request: Asked) -> Asked:
        """The same request, with the engine's answer once there is one."""
        if request.result is not None:
            return request
        run_id = self._asked_of.get(request.id)
        gone = run_id is not None and self._store.is_live(run_id) is None
        result = self._screen.command_result(request.id)
        if result is None and gone:
            self._store.withdraw(request.id)
            result = self._screen.command_result(request.id) or NOT_TAKEN
        if result == WITHDRAWN:
            result = NOT_TAKEN
        return replace(request, result=result)

    def resume(self, run_id: str) -> None:
        """Start a new engine for a run without one; on a thread of its own beside any other."""
        self._check_writable()
        holder = self._store.is_live(run_id)
        if holder is not None:
            raise UsageError(holder.refusal(run_id))
        self._starter(run_id)

    def _check_writable(self) -> None:
        if self.read_only:
            raise UsageError("this screen is read-only: attach without --read-only to steer")

    def _keep_limit(self, run_id: str, verb: str, argument: Mapping[str, Any]) -> None:
        if verb == "rate":
            rate = Rate(count=_positive(argument, "count"), per=_positive(argument, "per"))
            self._store.set_limits(run_id, rate=rate)
        elif verb == "in-flight":
            self._store.set_limits(run_id, in_flight=max(1, int(_positive(argument, "count"))))

    def _without_engine(self, run_id: str, verb: str, argument: Mapping[str, Any]) -> str:
        match verb:
            case "rate" | "in-flight":
                return "kept for the run's next engine"
            case "cancel":
                return f"cancelled {self._store.cancel(run_id, argument)}"
            case "retry":
                jobs = self._store.requeue(run_id, argument)
                if jobs:
                    self._starter(run_id)
                return f"to be tried again: {jobs}"
            case _:
                raise UsageError(f"no engine drives run {run_id}: resume it first")


def _seconds(at: Wall | None) -> float | None:
    return None if at is None else float(at)


def _each(screen: ScreenReader, run_id: str, numbers: Sequence[int]) -> Iterator[Job]:
    for first in range(0, len(numbers), CHUNK):
        yield from screen.jobs_at(run_id, numbers[first : first + CHUNK])


def _positive(argument: Mapping[str, Any], key: str) -> float:
    try:
        value = float(argument[key])
    except (KeyError, TypeError, ValueError):
        value = 0.0
    if not 0 < value < math.inf:
        raise UsageError(f"{key} must be a number above 0")
    return value


def _left(run: Run, now: float) -> float | None:
    """Seconds until the run is expected to end, as its engine last told."""
    if run.ends_at is None or run.state is not RunState.RUNNING:
        return None
    return max(float(run.ends_at) - now, 0.0)
