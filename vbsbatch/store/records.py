"""What all stores record in the same way: numbers of states, queued writes, moves of operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vbsbatch.errors import RunIsLive, StoreUnusable
from vbsbatch.model import (
    Cloud,
    Command,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Run,
    RunNoted,
    RunState,
    Verdict,
    Wall,
    check_move,
    renewed,
)
from vbsbatch.store.ports import CodeCount

RETRIED = (JobState.FAILED, JobState.CANCELLED)
"""The states of jobs that an operator may retry."""

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


def one_of(words: Sequence[Any], number: object, what: str) -> Any:
    """The word that a number stands for; raises `StoreUnusable` where it stands for none."""
    if type(number) is not int or not 0 <= number < len(words):
        raise damaged(what)
    return words[number]


def damaged(what: str) -> StoreUnusable:
    """The error for a store in which something is not as it was written."""
    return StoreUnusable(
        f"the store holds {what} that no vbsbatch wrote: restore the store from a backup, or name"
        " another with --db"
    )


def most_frequent(counts: Counter[tuple[int | None, str | None]]) -> list[CodeCount]:
    """The counts of status and code, the highest first; ties in the order of their values."""
    rows = [(status, code, number) for (status, code), number in counts.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0] or 0, row[1] or ""))


def is_told_by_attempt(move: JobMoved) -> bool:
    """Whether the move is a create that was accepted: its attempt says all there is to say."""
    accepted = move.attempt is not None and move.attempt.verdict is Verdict.ACCEPTED
    return accepted and move.job.state is JobState.RUNNING and move.note is None


def gigabytes_done(entries: Iterable[Entry]) -> int:
    """GB of the volumes of jobs that succeed with these entries; a job succeeds only once."""
    moves = (entry for entry in entries if isinstance(entry, JobMoved))
    return sum(move.job.size or 0 for move in moves if move.job.state is JobState.SUCCEEDED)


def refuse_second(run: Run, others: Iterable[Run], instead_of: Collection[str]) -> None:
    """Raise `RunIsLive` if another run makes the same backups and has not ended; but for some."""
    for other in others:
        unended = other.state is not RunState.ENDED and other.id not in instead_of
        if unended and other.backs_up(run.plan, run.project_id, run.region, run.settings.service):
            raise RunIsLive(f"run {other.id} of the same plan has not ended")


def forgotten(at: Wall, events: int, attempts: int) -> RunNoted:
    """What a run notes in place of the history that a compaction removed."""
    words = f"compacted: {events} events and {attempts} attempts of this run were removed"
    return RunNoted(at=at, kind="run", text=words)


# Moves that no engine makes


def begun_as(job: Job, at: Wall) -> JobMoved | None:
    """The first move of a job that a new run skips; None for any other."""
    if job.state is not JobState.SKIPPED:
        return None
    return JobMoved(job=job, came_from=JobState.WAITING, at=at, note=job.message)


def requeued(job: Job, at: Wall) -> JobMoved:
    """The failed or cancelled job waits again, at once and with all its attempts."""
    check_move(job.state, JobState.WAITING)
    waiting = replace(job, state=JobState.WAITING, **renewed(job))
    return JobMoved(job=waiting, came_from=job.state, at=at, note="retry asked for")


def cancelled(job: Job, at: Wall) -> JobMoved:
    """An operator cancels the waiting job."""
    check_move(job.state, JobState.CANCELLED)
    taken_back = replace(job, state=JobState.CANCELLED, ended_at=at)
    return JobMoved(job=taken_back, came_from=job.state, at=at)


def released(job: Job, at: Wall, taker: str) -> JobMoved:
    """The open job is given up for good: another run took its volume over."""
    check_move(job.state, JobState.FAILED)
    words = f"run {taker} took the volume over; its backup in the cloud, if any, is kept"
    given_up = replace(
        job,
        state=JobState.FAILED,
        ended_at=at,
        code="released",
        message=words,
        unknown_at=None,
        later_since=None,
        progress=None,
    )
    return JobMoved(job=given_up, came_from=job.state, at=at, note=words)


def taken_over(at: Wall, asked_by: str, taker: str, volumes: int) -> RunNoted:
    """What both runs note when one took volumes of the other."""
    words = f"{asked_by}: take-over: run {taker} has {volumes} of the volumes now"
    return RunNoted(at=at, kind="command", text=words)
