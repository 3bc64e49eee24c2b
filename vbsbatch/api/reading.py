"""Reads runs, jobs and events from the store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel

from vbsbatch.api.job_replay import as_it_was, as_moved, is_as_then
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.cloud.services import facts_of, service_class
from vbsbatch.errors import UsageError
from vbsbatch.model import (
    Job,
    JobMoved,
    JobState,
    Operation,
    Pin,
    Run,
    RunNoted,
    RunState,
    Wall,
    did_you_mean,
    plain_id,
)
from vbsbatch.model.clocks import wall
from vbsbatch.policy import documented
from vbsbatch.report import ReportData, comparison
from vbsbatch.report.comparison import RunComparison
from vbsbatch.store import Event, RunStore, db_option

_CHUNK = 500
"""Jobs that are read before other tasks may run."""


async def runs(*, store: StoreName = None) -> list[Run]:
    """List the runs of the store, newest first."""
    with opened_store(store, readonly=True) as opened:
        return list(opened.runs())


async def status(run_id: str = "latest", *, store: StoreName = None) -> ReportData:
    """Read the status of a run: counts, failures by code, calls, what to do next.

    The jobs are read before this returns.
    """
    with opened_store(store, readonly=True) as opened:
        data = report_data(opened, opened.run(run_id))
        kept = tuple(data.jobs())
        return replace(data, jobs=lambda: iter(kept))


async def compare(left: str, right: str, *, store: StoreName = None) -> RunComparison:
    """Compare two runs: counts, durations, the volumes that failed or that only one of them has.

    Both are ids or beginnings of ids; raises `UsageError` for an unknown run.
    """
    with opened_store(store, readonly=True) as opened:
        return compare_runs(opened, left, right)


def compare_runs(store: RunStore, left: str, right: str) -> RunComparison:
    """The same of a store that is open."""
    return comparison.compare(*(report_data(store, store.run(name)) for name in (left, right)))


async def jobs(
    run_id: str = "latest",
    *,
    store: StoreName = None,
    states: Iterable[JobState | str] = (),
    statuses: Sequence[int] = (),
    codes: Sequence[str] = (),
    volumes: Sequence[str] = (),
) -> AsyncIterator[Job]:
    """List the jobs of a run that match every given criterion, in plan order.

    `states` are `JobState`s or their names; `statuses` are HTTP statuses, 0 for no answer; `codes`
    are the service's; `volumes` are ids or names. Raises `UsageError` for an unknown run or state.
    """
    wanted = frozenset(map(_state, states))
    with ExitStack() as held:
        opened = held.enter_context(opened_store(store, readonly=True))
        found = opened.run(run_id)
        fitting = opened.jobs(
            found.id, states=wanted, statuses=statuses, codes=codes, volumes=volumes
        )
        for number, job in enumerate(fitting, 1):
            yield job
            if number % _CHUNK == 0:
                await anyio.lowlevel.checkpoint()


def _state(state: JobState | str) -> JobState:
    try:
        return JobState(state)
    except ValueError:
        near = did_you_mean(str(state), JobState)
        raise UsageError(f"no job state {str(state)!r}{near}") from None


def headline(store: RunStore, run: Run) -> ReportData:
    """Read what the list of runs shows."""
    holder = store.is_live(run.id)
    return ReportData(
        run=run,
        counts=store.counts(run.id),
        meaning=documented,
        now=time.time(),
        failures=store.failures(run.id),
        live=False if holder is None else holder.live,
        pins=pins_of(store, run),
    )


def pins_of(store: RunStore, run: Run) -> list[Pin]:
    """The pins of a run and of its backups that hold now."""
    now = wall()
    return [pin for pin in store.pins() if pin.run_id == run.id and pin.holds(now)]


def report_data(store: RunStore, run: Run, *, temporary: bool = False) -> ReportData:
    """Read what reports show of a run; its jobs are read only when they are needed.

    `temporary`: the store ends with this process, so no next command is given.
    """
    return replace(
        headline(store, run),
        service=facts_of(run.settings.service).mention,
        answers=store.answers(run.id),
        jobs=partial(store.jobs, run.id),
        attempts=store.attempt_total(run.id),
        retrying=store.retrying(run.id),
        db_option=db_option(store.path),
        holders=[] if run.state is RunState.ENDED else store.holders(run.id),
        temporary=temporary,
        sizes=store.sizes(run.id),
        waves=store.wave_counts(run.id) if run.settings.waves else {},
    )


def new_events(
    store: RunStore, run_id: str, after: int
) -> Iterator[tuple[int, JobMoved | RunNoted]]:
    """Read the events of a run after the event `after`, each with its number."""
    for event in store.events(run_id, after=after):
        yield event.id, as_recorded(store, run_id, event)


def as_recorded(store: RunStore, run_id: str, event: Event) -> JobMoved | RunNoted:
    """Rebuild the event that observers received, with the job as it was then."""
    if event.no is None or event.to is None:
        return RunNoted(at=Wall(event.at), kind=event.kind, text=event.text or "")
    job, attempts = store.job(run_id, event.no), store.attempts(run_id, event.no)
    if not is_as_then(job, event.at, event.to):
        job = as_it_was(job, attempts, store.events(run_id, no=event.no), event)
    return as_moved(job, attempts, event)


def job_request(run: Run, job: Job) -> tuple[str, Mapping[str, Any] | None]:
    """The request line and body that a job of this run sends, as its service documents them."""
    service = service_class(run.settings.service)
    match run.settings.operation:
        case Operation.RESTORE:
            line = f"POST {service.restores or '/backups'}/{job.settings.source_backup_id}/restore"
            return line, {"restore": {"volume_id": job.volume_id}}
        case Operation.PRUNE:
            return f"DELETE /backups/{job.settings.source_backup_id}", None
    return f"POST {service.creates}", {service.create_key: service.create_body(job)}


def unknown_codes(store: RunStore, run_id: str, codes: Iterable[str]) -> list[tuple[str, str]]:
    """Find codes that no answer of the run had, each with a hint at a similar one that occurred."""
    wanted = tuple(codes)
    if not wanted:
        return []
    rows = (*store.failures(run_id), *store.answers(run_id))
    had = {code for _, code, _ in rows if code is not None}
    return [(code, did_you_mean(code, had)) for code in wanted if code not in had]


def check_volumes(store: RunStore, run_id: str, volumes: Iterable[str]) -> None:
    """Raise `UsageError` for a name or id that no job of the run has."""
    wanted = tuple(volumes)
    fitting = store.jobs(run_id, volumes=wanted) if wanted else ()
    found = {known for job in fitting for known in (job.volume_name, plain_id(job.volume_id))}
    for name in wanted:
        if not found.intersection((name, plain_id(name))):
            known = (
                each for job in store.jobs(run_id) for each in (job.volume_name, job.volume_id)
            )
            near = did_you_mean(name, known)
            raise UsageError(f"run {run_id} has no volume {name!r}{near}")
