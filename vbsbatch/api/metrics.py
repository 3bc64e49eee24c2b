"""Reads what metrics show of a store, again and again, at little cost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from anyio import to_thread

from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.errors import StoreFailed
from vbsbatch.model import JobState, Run, RunState
from vbsbatch.report.data import CodeCount
from vbsbatch.report.metrics import MetricsData, RunFigures
from vbsbatch.store import RunStore, ScreenReader

ENDED, UNFINISHED = 10, 20
"""How many of the newest runs that have ended, and of those that no engine drives, are shown."""

PLANS = 50
"""Of so many plans the newest run is shown, however old it is."""

CONSIDERED = 100
"""How many unfinished runs are looked at for those that an engine drives."""

_Place: TypeAlias = tuple[int, int]
"""Device and inode of a store file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counted:
    """What takes a look at every job of a run, as of one revision."""

    rev: int
    counts: Mapping[JobState, int]
    failures: Sequence[CodeCount]


async def metrics(*, store: StoreName = None) -> str:
    """What the runs of the store are at, in Prometheus's text format; raises `StoreError`.

    A program that asks again and again keeps a `MetricsReader`.
    """
    from vbsbatch.report.as_prometheus import exposition

    return exposition(await to_thread.run_sync(MetricsReader(store).read))


class MetricsReader:
    """Opens the store for each reading, so that it may be missing, locked or replaced meanwhile.

    The jobs of a run are counted again only when the run has changed.
    """

    def __init__(self, store: StoreName = None) -> None:
        self._store = store
        self._place: _Place | None = None
        self._counted: dict[str, _Counted] = {}

    def read(self) -> MetricsData:
        """Read everything; blocks. Raises `StoreError` for a store that cannot be read now."""
        with opened_store(self._store, readonly=True) as store:
            screen = store.screen()
            try:
                self._forget_another(store.path)
                runs = tuple(self._figures(store, screen))
                return MetricsData(
                    now=time.time(),
                    runs=runs,
                    totals=screen.totals(),
                    warning=_warning(store),
                )
            finally:
                screen.close()

    def _forget_another(self, path: Path) -> None:
        """Count everything again if the file was replaced: another one has other revisions."""
        try:
            status = path.stat()
        except OSError:
            place = None
        else:
            place = (status.st_dev, status.st_ino)
        if place is None or place != self._place:
            self._place = place
            self._counted = {}

    def _figures(self, store: RunStore, screen: ScreenReader) -> Iterator[RunFigures]:
        before, self._counted = self._counted, {}
        for run, live in _shown(store):
            counted = self._count(screen, run.id, before.get(run.id))
            self._counted[run.id] = counted
            yield RunFigures(
                run=run,
                counts=counted.counts,
                failures=counted.failures,
                live=live,
                rate=screen.sending_rate(run.id),
                oldest_at=_oldest(screen, run.id) if counted.counts.get(JobState.RUNNING) else None,
            )

    def _count(self, screen: ScreenReader, run_id: str, before: _Counted | None) -> _Counted:
        rev = screen.rev(run_id)  # before the counts: a change in between is counted again
        if before is not None and before.rev == rev:
            return before
        counts = screen.counts(run_id)
        failures = screen.failures(run_id) if counts.get(JobState.FAILED) else []
        return _Counted(rev=rev, counts=counts, failures=failures)


def _warning(store: RunStore) -> str | None:
    try:
        return store.untrusted()
    except OSError as error:  # the file went away meanwhile
        raise StoreFailed(f"{store.path}: {error.strerror or error}") from error


def _shown(store: RunStore) -> Iterator[tuple[Run, bool | None]]:
    """The runs that are shown, newest first, each with whether an engine drives it."""
    unfinished = 0
    for run in store.newest_runs(unfinished=CONSIDERED, ended=ENDED, plans=PLANS):
        if run.state is RunState.ENDED:
            yield run, False
            continue
        holder = store.is_live(run.id)
        live = False if holder is None else holder.live
        unfinished += live is not True
        if live or unfinished <= UNFINISHED:
            yield run, live


def _oldest(screen: ScreenReader, run_id: str) -> float | None:
    """When the oldest create whose backup runs was sent, in epoch seconds."""
    times = [job.intent_at for job in screen.slowest(run_id, limit=1)]
    return next((float(at) for at in times if at is not None), None)
