"""Decides what the answer to a create does to its job: pure arithmetic, no sending, no sleeping."""

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
"""This many times a throttled job comes back at once: the limiter controls the pace."""

BUSY_FREE = 8
"""This many attempts of a job are free before a service that names a time counts as simply down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The state a job moves to, what changes on it, and whether the run must stop."""

    to: JobState
    changes: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None
    stop: str | None = None
    """Why the run must stop, resumable; None if it continues."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What counts besides the answer: the plan's retry settings, the time, and chance."""

    retry: Retry
    now: Elapsed
    wall: Wall
    random: Random
    closed: bool = False
    """The run's deadline has passed: no job may wait for another create."""


def of_answer(job: Job, answer: Answer, judgement: Judgement, rules: Rules) -> Outcome:
    """Return what `answer` means for `job`, which is submitting."""
    facts = _facts(answer, judgement)
    match Verdict.THROTTLE if judgement.passing else judgement.verdict:
        case Verdict.ACCEPTED:
            return _accepted(job, facts, answer)
        case Verdict.UNKNOWN:
            return _in_doubt(job, facts, judgement, rules)
        case Verdict.LATER:
            if judgement.conflict and job.attempts > 1:
                # An earlier create of ours may be under way: check before waiting.
                since = job.later_since or rules.now
                lookup = {
                    "unknown_at": rules.now,
                    "later_since": since,
                    "uncharged": job.uncharged + 1,
                }
                return Outcome(to=JobState.UNKNOWN, changes=facts | lookup)
            return _later(job, facts | {"uncharged": job.uncharged + 1}, answer.retry_after, rules)
        case Verdict.THROTTLE | Verdict.REAUTH:
            due = rules.now + _step_back(job, rules)
            return _again(facts | {"uncharged": job.uncharged + 1, "due_at": due}, rules)
        case Verdict.FAIL if _full_may_help(job, answer):
            return _again(facts | {"uncharged": job.uncharged + 1, "due_at": rules.now}, rules)
        case Verdict.FAIL:
            return _failed(facts, rules)
        case Verdict.STOP:
            return _stopped(job, facts, judgement, rules)
        case Verdict.RETRY:
            return of_refusal(job, judgement, rules, facts, answer.retry_after)


def of_busy_vault(job: Job, answer: Answer, judgement: Judgement, rules: Rules) -> Outcome:
    """Handle a refusal because another create of this run is at work on the vault: wait at no
    cost, until the vault is free."""
    waits = {"uncharged": job.uncharged + 1, "due_at": rules.now}
    return _again(_facts(answer, judgement) | waits, rules)


def of_absence(job: Job, rules: Rules) -> Outcome:
    """Handle proved absence: the cloud does not know the backup that unknown `job` may have
    made."""
    facts: dict[str, Any] = {"unknown_at": None}
    if job.cloud_job_id is not None:
        # It was accepted once. That the cloud lost it is never a reason to submit again.
        return _failed(facts | {"code": "lost", "message": OURS["lost"]}, rules)
    if job.later_since is not None:
        return _later(job, facts, None, rules)
    return _retry(job, facts, None, rules)


def of_refusal(
    job: Job,
    judgement: Judgement,
    rules: Rules,
    facts: Mapping[str, Any],
    retry_after: float | None = None,
) -> Outcome:
    """Handle a create or cloud job that certainly failed; `facts` are the fields that record
    why."""
    if judgement.verdict is Verdict.STOP:
        return _stopped(job, facts, judgement, rules)
    if judgement.verdict is Verdict.FAIL:
        return _failed(facts, rules)
    if judgement.verdict is Verdict.LATER:
        return _later(job, {**facts, "uncharged": job.uncharged + 1}, retry_after, rules)
    if judgement.stop_after is not None and job.charged >= judgement.stop_after:
        return _stopped(job, facts, judgement, rules)
    return _retry(job, facts, retry_after, rules)


def _facts(answer: Answer, judgement: Judgement) -> dict[str, Any]:
    """What the answer to a create leaves on its job."""
    return {
        "http_status": answer.status,
        "code": answer.code,
        "message": answer.message or judgement.meaning,
        "cloud_job_id": None,
        "backup_id": None,
    }


def _full_may_help(job: Job, answer: Answer) -> bool:
    """Whether a full backup may help: once, for an increment without a parent, where the plan
    allows it.

    The code that stays on the job makes the next create ask for a full backup.
    """
    allowed = job.settings.full_if_no_parent and job.code != NO_PARENT
    return allowed and answer.code == NO_PARENT


def past_deadline(rules: Rules, facts: Mapping[str, Any] | None = None) -> Outcome:
    """Fail a job that waited, or would have to wait again, after the run's deadline."""
    return _failed({**(facts or {}), "code": "deadline", "message": OURS["deadline"]}, rules)


def still_busy(job: Job, holder: BlockingRun, rules: Rules) -> Outcome:
    """Handle a volume for which another run of this store has an open job: treat it as a busy
    volume."""
    return _later(job, {"code": "busy", "message": holders.held_by(holder)}, None, rules)


def _accepted(job: Job, facts: Mapping[str, Any], answer: Answer) -> Outcome:
    accepted = {
        "cloud_job_id": answer.cloud_job_id,
        "backup_id": answer.backup_id,
        "message": None,
        "code": None,
        # Cinder accepts creates that no backup service will handle, and reports that in the errored
        # backup. The time that the job may spend waiting for a service goes on.
        "later_since": None if answer.cloud_job_id else job.later_since,
        "unknown_at": None,
        "progress": None,
    }
    return Outcome(to=JobState.RUNNING, changes={**facts, **accepted})


def _in_doubt(job: Job, facts: Mapping[str, Any], judgement: Judgement, rules: Rules) -> Outcome:
    uncharged = job.uncharged + (judgement.slower and job.uncharged < BUSY_FREE)
    doubt = {"unknown_at": rules.now, "later_since": None, "uncharged": uncharged}
    return Outcome(to=JobState.UNKNOWN, changes={**facts, **doubt})


def _step_back(job: Job, rules: Rules) -> float:
    """Seconds for which a throttled job lets others go first; 0 unless it is throttled repeatedly.

    It may be the only throttled job, and must not take every permit.
    """
    often = job.uncharged - UNDELAYED + 1
    if often <= 0:
        return 0.0
    return backoff(often, base=rules.retry.base, cap=rules.retry.cap, random=rules.random)


def _retry(job: Job, facts: Mapping[str, Any], retry_after: float | None, rules: Rules) -> Outcome:
    if job.charged >= rules.retry.attempts:
        tried = "1 attempt" if job.charged == 1 else f"{job.charged} attempts"
        return _failed(facts, rules, note=f"gave up after {tried}")
    pause = backoff(job.charged, base=rules.retry.base, cap=rules.retry.cap, random=rules.random)
    due = rules.now + max(pause, retry_after or 0.0)
    return _again({**facts, "later_since": None, "due_at": due}, rules)


def _later(job: Job, facts: Mapping[str, Any], retry_after: float | None, rules: Rules) -> Outcome:
    since = job.later_since or rules.now
    if rules.now - since >= rules.retry.later_for:
        return _failed({**facts, "later_since": None}, rules, note="gave up after later_for")
    due = rules.now + max(rules.retry.later_every, retry_after or 0.0)
    return _again({**facts, "later_since": since, "due_at": due}, rules)


def _again(changes: Mapping[str, Any], rules: Rules) -> Outcome:
    if rules.closed:
        return past_deadline(rules, changes)
    return Outcome(to=JobState.WAITING, changes=changes)


def _failed(facts: Mapping[str, Any], rules: Rules, note: str | None = None) -> Outcome:
    return Outcome(to=JobState.FAILED, changes={**facts, "ended_at": rules.wall}, note=note)


def _stopped(job: Job, facts: Mapping[str, Any], judgement: Judgement, rules: Rules) -> Outcome:
    """Return the job to waiting at no cost: the next engine starts with this job."""
    code = facts.get("code") or f"HTTP {facts.get('http_status')}"
    changes = {**facts, "uncharged": job.uncharged + 1, "due_at": AT_ONCE}
    outcome = _again(changes, rules)
    words = f"{code}: {judgement.meaning}"
    return Outcome(to=outcome.to, changes=outcome.changes, note=outcome.note, stop=words)
