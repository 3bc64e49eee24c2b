"""How an engine left a run. Imports neither engine nor cloud: commands that steer a run use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vbsbatch.model import Job, JobState, RunState
from vbsbatch.store import RunStore

SUCCEEDED, FAILED, STOPPED = 0, 1, 3
"""Exit codes of a run: all succeeded or skipped; some failed or were cancelled; resumable."""

_WITHOUT_BACKUP = (JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """How an engine left a run."""

    run_id: str
    state: RunState
    """`ended`, or `stopped`: then it can be resumed."""
    reason: str | None
    """Why it stopped."""
    counts: Mapping[JobState, int]
    """Jobs by state; states without jobs are left out."""
    exit_code: int
    """0 all succeeded or skipped, 1 some failed or were cancelled, 3 stopped."""
    failed: tuple[Job, ...]
    """Every job that ended without a backup: failed or cancelled."""


def exit_code(state: RunState, counts: Mapping[JobState, int]) -> int:
    """The exit code of a run that its engine has left."""
    if state is not RunState.ENDED:
        return STOPPED
    return FAILED if any(counts.get(each) for each in _WITHOUT_BACKUP) else SUCCEEDED


def result_of(store: RunStore, run_id: str) -> RunResult:
    """Read the run's result from the store."""
    run = store.run(run_id)
    counts = store.counts(run.id)
    return RunResult(
        run_id=run.id,
        state=run.state,
        reason=None if run.state is RunState.ENDED else run.reason,
        counts=counts,
        exit_code=exit_code(run.state, counts),
        failed=tuple(store.jobs(run.id, states=_WITHOUT_BACKUP)),
    )
