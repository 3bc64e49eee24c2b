"""Which jobs an action is meant for: frozen as volume ids before the user is asked to confirm."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from vbsbatch.model import Job, JobState
from vbsbatch.report.text import clean
from vbsbatch.tui import formatting
from vbsbatch.tui.view_models import Source, View

_CHUNK = 1000
_SPARSE = 20
"""Where fewer than one row in this many is wanted, rows are fetched one by one."""

ELIGIBLE = {
    "retry": frozenset({JobState.FAILED, JobState.CANCELLED}),
    "cancel": frozenset({JobState.WAITING}),
}
"""States in which a job can be retried or cancelled at all."""


@dataclass(kw_only=True, slots=True)
class ActionTargets:
    """The jobs that an action can be applied to, out of those that were chosen."""

    verb: str
    scope: str
    """Such as `3 marked jobs`."""
    volumes: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    chosen: int = 0

    def add(self, job: Job) -> None:
        """Count a chosen job, and take it if the action fits it."""
        self.chosen += 1
        if job.state in ELIGIBLE[self.verb]:
            self.volumes.append(job.volume_id)
            kind = formatting.failure(job.http_status, job.code)
            self.kinds[kind if job.state is JobState.FAILED else str(job.state)] += 1

    def described(self) -> list[str]:
        """Count, scope and codes: the lines of the question."""
        jobs = formatting.jobs(len(self.volumes))
        lines = [f"{self.verb.capitalize()} {jobs}?", f"scope: {self.scope}"]
        if len(self.volumes) < self.chosen:
            lines.append(f"{self.chosen - len(self.volumes)} others chosen cannot be: left alone")
        kinds = [f"{clean(kind)[:40]}: {count}" for kind, count in self.kinds.most_common(5)]
        rest = len(self.kinds) - len(kinds)
        lines += ["codes: " + ", ".join(kinds) + (f", {rest} more" if rest > 0 else "")]
        return lines


async def freeze(
    source: Source,
    run_id: str,
    view: View,
    targets: ActionTargets,
    *,
    wanted: set[int] | None,
    fits: Callable[[Job], bool],
) -> ActionTargets:
    """Fill `targets` with the jobs of these numbers (of the whole view when None).

    It yields to the event loop between chunks: 100,000 jobs do not freeze the screen.
    """
    numbers = set(source.numbers(run_id, view, 0, None)) if wanted is None else set(wanted)
    async for job in _jobs(source, run_id, view, numbers):
        if fits(job):
            targets.add(job)
    return targets


async def _jobs(source: Source, run_id: str, view: View, left: set[int]) -> AsyncIterator[Job]:
    """Every job of these numbers, once; rows may move between two reads of the view."""
    size = source.size(run_id, view)
    if len(left) * _SPARSE >= size:
        for first in range(0, size, _CHUNK):
            for job in source.page(run_id, view, first, _CHUNK):
                if job.no in left:
                    left.discard(job.no)
                    yield job
            if not left:
                return
            await asyncio.sleep(0)
    for count, no in enumerate(sorted(left)):
        row = source.row_of(run_id, View(), no)  # plan order: nothing moves in it
        for job in [] if row is None else source.page(run_id, View(), row, 1):
            yield job
        if count % 50 == 49:
            await asyncio.sleep(0)
