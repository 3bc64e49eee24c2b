"""A job's moves in order, with those that the journal leaves to the attempts."""

from __future__ import annotations

from vbsbatch.model import Attempt, JobState, Verdict
from vbsbatch.store import Event
from vbsbatch.tui.view_models import Detail


def moves(detail: Detail) -> list[Event]:
    """Everything that happened to the job, oldest first.

    That a create was sent, and that it was accepted, the store keeps as the attempt alone.
    """
    found = list(detail.events)
    for position, attempt in enumerate(detail.attempts):
        found.append(_sent(detail, attempt))
        newer = detail.attempts[position + 1 : position + 2]
        until = float(newer[0].sent_at) if newer else float("inf")
        told = any(
            event.came_from is JobState.SUBMITTING and float(attempt.sent_at) <= event.at < until
            for event in detail.events
        )
        if attempt.verdict is Verdict.ACCEPTED and not told:
            found.append(_accepted(detail, attempt))
    return sorted(found, key=lambda event: event.at)


def _sent(detail: Detail, attempt: Attempt) -> Event:
    return Event(
        id=0,
        at=float(attempt.sent_at),
        no=detail.job.no,
        kind="move",
        came_from=JobState.WAITING,
        to=JobState.SUBMITTING,
        text=f"attempt {attempt.number}",
    )


def _accepted(detail: Detail, attempt: Attempt) -> Event:
    return Event(
        id=0,
        at=float(attempt.sent_at) + (attempt.took or 0.0),
        no=detail.job.no,
        kind="move",
        came_from=JobState.SUBMITTING,
        to=JobState.RUNNING,
        text="accepted",
    )
