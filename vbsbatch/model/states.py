"""The states of runs and jobs, every legal move, and what one answer means for a job.

A job's life::

               +------------------------- retry due --------------------------+
               v                                                              |
    waiting -> submitting -> running -> succeeded                             |
       |          |  |          |  `-> failed (cloud job failed for good)     |
       |          |  |          `----> waiting (cloud job failed, retry) -----+
       |          |  `-> waiting (refused, retry) / failed (refused for good)
       |          `----> unknown -> running (found) / waiting (proved absent) / failed
       `-> cancelled / skipped               failed, cancelled -> waiting (operator's retry)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class JobState(StrEnum):
    """The state of one volume's backup."""

    WAITING = "waiting"  # nothing is under way; may be sent from `due_at` on
    SUBMITTING = "submitting"  # the intent to send a create is durable; no answer is recorded yet
    UNKNOWN = "unknown"  # a create was sent; nothing proves that it was accepted or refused
    RUNNING = "running"  # the cloud accepted the create and is working on it
    SUCCEEDED = "succeeded"  # the backup is available
    FAILED = "failed"  # ended without a backup; `code` and `message` say why
    CANCELLED = "cancelled"  # cancelled by the operator before it was sent
    SKIPPED = "skipped"  # needs no backup; `message` says why


MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset(
        {
            JobState.SUBMITTING,
            JobState.RUNNING,
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.SKIPPED,
        }
    ),
    JobState.SUBMITTING: frozenset(
        {JobState.RUNNING, JobState.WAITING, JobState.UNKNOWN, JobState.FAILED}
    ),
    JobState.UNKNOWN: frozenset({JobState.RUNNING, JobState.WAITING, JobState.FAILED}),
    JobState.RUNNING: frozenset(
        {JobState.SUCCEEDED, JobState.WAITING, JobState.UNKNOWN, JobState.FAILED}
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset({JobState.WAITING}),
    JobState.CANCELLED: frozenset({JobState.WAITING}),
    JobState.SKIPPED: frozenset(),
}
"""Every legal move of a job; `running -> unknown` is a cloud job that the cloud no longer knows,
`waiting -> running` a backup of this run that the store did not know, as in an old copy."""


OPEN_STATES = frozenset({JobState.SUBMITTING, JobState.UNKNOWN, JobState.RUNNING})
"""States in which the cloud may be working on the volume; they count against the in-flight cap."""


ENDED_STATES = frozenset(
    {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED}
)
"""Terminal states: a run ends when every job is in one of them."""


class RunState(StrEnum):
    """The state of a run as its engine recorded it (a dead engine leaves `running` behind)."""

    RUNNING = "running"  # an engine drives it, or did until it died
    PAUSED = "paused"  # an engine tracks what runs and sends no new create
    STOPPED = "stopped"  # stopped before its end; can be resumed; `reason` says why
    ENDED = "ended"  # every job is in a terminal state


class Verdict(StrEnum):
    """What one answer to a create means for its job."""

    ACCEPTED = "accepted"  # the cloud is working on it
    RETRY = "retry"  # refused now; a new create may succeed; costs an attempt
    LATER = "later"  # the volume is busy; retried on a separate time budget
    UNKNOWN = "unknown"  # may have been accepted; check the cloud before anything else
    REAUTH = "reauth"  # the token was refused; try once with a fresh one, then stop
    THROTTLE = "throttle"  # too fast; slow everything down; costs no attempt
    FAIL = "fail"  # refused for good; the reason is the request or the volume itself
    STOP = "stop"  # the next volume would be refused too: stop the run, resumable


class IllegalMoveError(ValueError):
    """A move that `MOVES` does not list: a bug in the program, never the cloud's fault."""


def check_move(came_from: JobState, to: JobState) -> None:
    """Raise `IllegalMoveError` unless a job in `came_from` may go to `to`."""
    if to not in MOVES[came_from]:
        raise IllegalMoveError(f"a job cannot go from {came_from} to {to}")
