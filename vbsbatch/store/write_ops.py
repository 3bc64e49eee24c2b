"""What a journal writes behind: entries that nobody waits for, in the order of the calls."""

from __future__ import annotations

from dataclasses import dataclass

from vbsbatch.model import Cloud, Command, Elapsed, Job, JobMoved, JobState, RunNoted, Wall


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
