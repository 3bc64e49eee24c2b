"""What every store records: words by their numbers, what a journal queues, first moves of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vbsbatch.errors import StoreUnusable
from vbsbatch.model import Cloud, Command, Elapsed, Job, JobMoved, JobState, RunNoted, Verdict, Wall

STATES = (
    JobState.WAITING,
    JobState.SUBMITTING,
    JobState.UNKNOWN,
    JobState.RUNNING,
    JobState.SUCCEEDED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.SKIPPED,
)
"""Job states by their number in the file; append only. 1, 2 and 3 are the open ones."""

VERDICTS = (
    Verdict.ACCEPTED,
    Verdict.RETRY,
    Verdict.LATER,
    Verdict.UNKNOWN,
    Verdict.REAUTH,
    Verdict.THROTTLE,
    Verdict.FAIL,
    Verdict.STOP,
)
"""Verdicts by their number in the file; append only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledged:
    """The engine answered a command."""

    command: Command
    at: Wall
    result: str


Entry = JobMoved | RunNoted | Acknowledged | Job
"""A move, a note, an answer to a command, or a job whose fields changed within its state."""


def ms(seconds: float | Elapsed | Wall | Cloud) -> int:
    """Epoch seconds as the store keeps and compares them: whole milliseconds."""
    return round(float(seconds) * 1000)


def begun_as(job: Job, at: Wall) -> JobMoved | None:
    """The first move of a job that a new run skips; None for any other."""
    if job.state is not JobState.SKIPPED:
        return None
    return JobMoved(job=job, came_from=JobState.WAITING, at=at, note=job.message)


def one_of(words: Sequence[Any], number: object, what: str) -> Any:
    """The word that a number stands for; raises `StoreUnusable` where it stands for none."""
    if type(number) is not int or not 0 <= number < len(words):
        raise damaged(what)
    return words[number]


def damaged(what: str) -> StoreUnusable:
    """The error for a store in which something is not as it was written."""
    return StoreUnusable(
        f"the store holds {what} that no vbsbatch wrote: put back a backup of it, or name another"
        " with --db"
    )
