"""What the answer to a create does to its job: pure arithmetic, no sending, no sleeping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from vbsbatch.model import (
    AT_ONCE,
    NO_PARENT,
    Answer,
    BlockingRun,
    Elapsed,
    Job,
    JobState,
    Retry,
    Verdict,
    Wall,
    holders,
)
from vbsbatch.policy import OURS, Judgement, backoff

UNDELAYED = 4
"""So often a throttled job comes back at once: the pace is the limiter's matter."""

BUSY_FREE = 8
"""So many attempts of a job cost nothing before a service that names a time is only down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Where a job goes, what changes on it, and whether the run must stop."""

    to: JobState
    changes: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None
    stop: str | None = None
    """Why the run must stop, resumable; None when it goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What decides besides the answer: the plan's retry settings, the time, and chance."""

    retry: Retry
    now: Elapsed
    wall: Wall
    random: Random
    closed: bool = False
    """The run's deadline has passed: nothing may wait for another create."""


def of_answer(job: Job, answer: Answer, judgement: Judgement, rules: Rules) -> Outcome:
    """What `answer` means for `job`, which is submitting."""
    seen: dict[str, Any] = {
        "http_status": answer.status,
        "code": answer.code,
        "message": answer.message or judgement.meaning,
        "cloud_job_id": None,
        "backup_id": None,
    }
    match Verdict.THROTTLE if judgement.passing else judgement.verdict:
        case Verdict.ACCEPTED:
            return _accepted(job, seen, answer)
        case Verdict.UNKNOWN:
            return _in_doubt(job, seen, judgement, rules)
        case Verdict.LATER:
            if judgement.conflict and job.attempts > 1:
                # An earlier create of ours may be what is under way: look before waiting.
                since = job.later_since or rules.now
                looking = {
                    "unknown_at": rules.now,
                    "later_since": since,
                    "uncharged": job.uncharged + 1,
                }
                return Outcome(to=JobState.UNKNOWN, changes=seen | looking)
            return _later(job, seen | {"uncharged": job.uncharged + 1}, answer.retry_after, rules)
        case Verdict.THROTTLE | Verdict.REAUTH:
            due = rules.now + _step_back(job, rules)
            return _again(seen | {"uncharged": job.uncharged + 1, "due_at": due}, rules)
        case Verdict.FAIL if _full_may_help(job, answer):
            return _again(seen | {"uncharged": job.uncharged + 1, "due_at": rules.now}, rules)
        case Verdict.FAIL:
            return _failed(seen, rules)
        case Verdict.STOP:
            return _stopped(job, seen, judgement, rules)
        case Verdict.RETRY:
            return of_refusal(job, judgement, rules, seen, answer.retry_after)


def of_absence(job: Job, rules: Rules) -> Outcome:
    """The cloud was asked in time and does not know the backup that unknown `job` may have made."""
    seen: dict[str, Any] = {"unknown_at": None}
    if job.cloud_job_id is not None:
        # It was accepted once: that the cloud forgot it is never a reason to submit again.
        return _failed(seen | {"code": "lost", "message": OURS["lost"]}, rules)
    if job.later_since is not None:
        return _later(job, seen, None, rules)
    return _retry(job, seen, None, rules)


def of_refusal(
    job: Job,
    judgement: Judgement,
    rules: Rules,
    seen: Mapping[str, Any],
    retry_after: float | None = None,
) -> Outcome:
    """A create or a cloud job that failed for certain; `seen` are the fields that record why."""
    if judgement.verdict is Verdict.STOP:
        return _stopped(job, seen, judgement, rules)
    if judgement.verdict is Verdict.FAIL:
        return _failed(seen, rules)
    if judgement.verdict is Verdict.LATER:
        return _later(job, {**seen, "uncharged": job.uncharged + 1}, retry_after, rules)
    if judgement.stop_after is not None and job.charged >= judgement.stop_after:
        return _stopped(job, seen, judgement, rules)
    return _retry(job, seen, retry_after, rules)


def _full_may_help(job: Job, answer: Answer) -> bool:
    """An increment without a parent becomes a full backup where the plan allows it, once: the
    code that stays on the job tells the next create."""
    allowed = job.settings.full_if_no_parent and job.code != NO_PARENT
    return allowed and answer.code == NO_PARENT


def past_deadline(rules: Rules, seen: Mapping[str, Any] | None = None) -> Outcome:
    """A job that still waited, or would have to wait again, when the run's deadline passed."""
    return _failed({**(seen or {}), "code": "deadline", "message": OURS["deadline"]}, rules)


def still_busy(job: Job, holder: BlockingRun, rules: Rules) -> Outcome:
    """Another run of this store has an open job for the volume: the same as a busy volume."""
    return _later(job, {"code": "busy", "message": holders.held_by(holder)}, None, rules)


def _accepted(job: Job, seen: Mapping[str, Any], answer: Answer) -> Outcome:
    accepted = {
        "cloud_job_id": answer.cloud_job_id,
        "backup_id": answer.backup_id,
        "message": None,
        "code": None,
        # Cinder accepts what no backup service will make, and says so in the errored backup: the
        # time that a job may spend waiting for one goes on.
        "later_since": None if answer.cloud_job_id else job.later_since,
        "unknown_at": None,
        "progress": None,
    }
    return Outcome(to=JobState.RUNNING, changes={**seen, **accepted})


def _in_doubt(job: Job, seen: Mapping[str, Any], judgement: Judgement, rules: Rules) -> Outcome:
    uncharged = job.uncharged + (judgement.slower and job.uncharged < BUSY_FREE)
    doubt = {"unknown_at": rules.now, "later_since": None, "uncharged": uncharged}
    return Outcome(to=JobState.UNKNOWN, changes={**seen, **doubt})


def _step_back(job: Job, rules: Rules) -> float:
    """Seconds for which a throttled job lets others go first: none, unless it is throttled again
    and again. It may be the only one that is, and must not take every permit there is."""
    often = job.uncharged - UNDELAYED + 1
    if often <= 0:
        return 0.0
    return backoff(often, base=rules.retry.base, cap=rules.retry.cap, random=rules.random)


def _retry(job: Job, seen: Mapping[str, Any], retry_after: float | None, rules: Rules) -> Outcome:
    if job.charged >= rules.retry.attempts:
        tried = "1 attempt" if job.charged == 1 else f"{job.charged} attempts"
        return _failed(seen, rules, note=f"gave up after {tried}")
    pause = backoff(job.charged, base=rules.retry.base, cap=rules.retry.cap, random=rules.random)
    due = rules.now + max(pause, retry_after or 0.0)
    return _again({**seen, "later_since": None, "due_at": due}, rules)


def _later(job: Job, seen: Mapping[str, Any], retry_after: float | None, rules: Rules) -> Outcome:
    since = job.later_since or rules.now
    if rules.now - since >= rules.retry.later_for:
        return _failed({**seen, "later_since": None}, rules, note="gave up after later_for")
    due = rules.now + max(rules.retry.later_every, retry_after or 0.0)
    return _again({**seen, "later_since": since, "due_at": due}, rules)


def _again(changes: Mapping[str, Any], rules: Rules) -> Outcome:
    if rules.closed:
        return past_deadline(rules, changes)
    return Outcome(to=JobState.WAITING, changes=changes)


def _failed(seen: Mapping[str, Any], rules: Rules, note: str | None = None) -> Outcome:
    return Outcome(to=JobState.FAILED, changes={**seen, "ended_at": rules.wall}, note=note)


def _stopped(job: Job, seen: Mapping[str, Any], judgement: Judgement, rules: Rules) -> Outcome:
    """Back to waiting at no cost: the next engine starts with this very job."""
    code = seen.get("code") or f"HTTP {seen.get('http_status')}"
    changes = {**seen, "uncharged": job.uncharged + 1, "due_at": AT_ONCE}
    outcome = _again(changes, rules)
    words = f"{code}: {judgement.meaning}"
    return Outcome(to=outcome.to, changes=outcome.changes, note=outcome.note, stop=words)
