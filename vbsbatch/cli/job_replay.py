"""A job as it was at one of its moves, from what the store keeps: moves, attempts, the job today.

The answer to each create is kept with its attempt. What the cloud said otherwise (why its own job
failed, say) stays on the job until the next answer; a move from before that one has no code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vbsbatch.model import (
    ENDED_STATES,
    NO_PARENT,
    Answer,
    Attempt,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Verdict,
    Wall,
    as_wall,
)
from vbsbatch.store import Event

NOT_SENT = "not sent"
"""The note of a job that was claimed and given back: there was no create."""

_SLACK = 0.002
"""Seconds by which times that were rounded to milliseconds may differ."""

_FREE = frozenset({Verdict.LATER, Verdict.THROTTLE, Verdict.REAUTH, Verdict.STOP})
_ENDED_BY_OPERATOR = frozenset({JobState.FAILED, JobState.CANCELLED})


def is_as_then(job: Job, at: float, to: JobState) -> bool:
    """Whether nothing has happened to the job since it went to this state at that time."""
    latest = Wall(at + _SLACK)
    sent_since = job.intent_at is not None and as_wall(job.intent_at) > latest
    ended_since = job.ended_at is not None and job.ended_at > latest
    return job.state is to and not sent_since and not ended_since


def as_it_was(job: Job, attempts: Sequence[Attempt], moves: Iterable[Event], move: Event) -> Job:
    """The job as it was just after `move`; `attempts` and `moves` are all of the job, in order."""
    assert move.to is not None
    past = _Past(job=job, attempts=attempts, moves=tuple(moves))
    answered = answering(attempts, move)
    at = Wall(move.at)
    later = [attempt for attempt in attempts if attempt.sent_at > at]
    number = past.sent_by(move, answered, later)
    then = replace(
        job,
        state=move.to,
        attempts=number,
        uncharged=past.uncharged(number, move.at),
        ended_at=at if move.to in ENDED_STATES else None,
        due_at=Elapsed(float(later[0].sent_at if later else max(as_wall(job.due_at), at))),
        progress=None,
    )
    if answered is None and not later:
        return then  # what the job says of the newest answer is still what it said then
    said = answered or next((a for a in reversed(attempts) if a.sent_at <= at), None)
    answer = Answer() if said is None else said.answer
    return replace(
        then,
        http_status=answer.status,
        code=answer.code,
        message=answer.message,
        cloud_job_id=answer.cloud_job_id,
        backup_id=answer.backup_id,
    )


def as_moved(job: Job, attempts: Sequence[Attempt], move: Event) -> JobMoved:
    """The move as its engine told it, with the job as it was then."""
    assert move.came_from is not None
    return JobMoved(
        job=job,
        came_from=move.came_from,
        at=Wall(move.at),
        attempt=answering(attempts, move),
        note=move.text,
    )


def answering(attempts: Sequence[Attempt], move: Event) -> Attempt | None:
    """The attempt whose answer made the move, if an answer did."""
    if move.came_from is not JobState.SUBMITTING or move.text == NOT_SENT:
        return None
    for attempt in reversed(attempts):
        if attempt.took is not None and attempt.sent_at <= Wall(move.at):
            answered_at = attempt.sent_at + attempt.took
            return attempt if abs(Wall(move.at) - answered_at) <= _PROMPT else None
    return None


_PROMPT = 0.5
"""Seconds within which an engine puts down what an answer means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Past:
    job: Job
    attempts: Sequence[Attempt]
    moves: Sequence[Event]

    def sent_by(self, move: Event, answered: Attempt | None, later: Sequence[Attempt]) -> int:
        """How many creates had been sent by then, those without a recorded answer too."""
        if answered is not None:
            return answered.number
        if later:
            return later[0].number - 1
        return self.job.attempts - (self.job.state is JobState.SUBMITTING)

    def uncharged(self, number: int, at: float) -> int:
        """How many of the first `number` attempts counted for nothing at that time."""
        return sum(no <= number for no in self._free(self._renewed_by(at)) | self._excused())

    def _renewed_by(self, at: float) -> int:
        """The last attempt before the newest `retry` by then: those up to it count no more."""
        asked = [move.at for move in self.moves if _is_retry(move) and move.at <= at]
        before = [a.number for a in self.attempts if asked and a.sent_at <= Wall(asked[-1])]
        return max(before, default=0)

    def _free(self, renewed: int) -> set[int]:
        costly = {a.number for a in self.attempts if not self._costs_nothing(a)}
        everything = range(1, self.job.attempts + 1)
        return {no for no in everything if no <= renewed or no not in costly}

    def _excused(self) -> set[int]:
        """What an outage did not cost: the store knows how many, and takes the first for them."""
        renewed = self._renewed_by(float("inf"))
        known = self._free(renewed)
        doubtful = [
            a.number for a in self.attempts if a.verdict is Verdict.UNKNOWN and a.number > renewed
        ]
        return set(doubtful[: max(0, self.job.uncharged - len(known))])

    def _costs_nothing(self, attempt: Attempt) -> bool:
        made_full = attempt.answer.code == NO_PARENT and self.job.settings.full_if_no_parent
        return attempt.verdict in _FREE or made_full


def _is_retry(move: Event) -> bool:
    return move.to is JobState.WAITING and move.came_from in _ENDED_BY_OPERATOR
