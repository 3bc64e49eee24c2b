"""Maps (status, code) to a verdict.

The order of precedence: the plan's own rules, except for an accepted create, a refused token or an
answer that is not the service's; then messages about requests that come too fast; then answers that
prove nothing (no answer, 408, 5xx, an unreadable 2xx), which are unknown whatever their code says;
then the code, because most refusals are 400 with a code in the body; then the status alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from vbsbatch.model import BLOCKED, Answer, Rule, Verdict, is_too_fast, names_quota
from vbsbatch.policy.codes import ERROR, table

STOPPING_STATUSES = {
    403: "no permission, or a quota is used up",
    404: "the API does not exist at this endpoint",
    405: "wrong endpoint",
    406: "wrong endpoint or version",
    407: "the proxy wants its own sign-in",
    410: "the service has been switched off",
    413: "a quota is used up",
    501: "the service does not offer this",
}
"""A create refused with one of these would be refused for the next volume too."""

OURS = {
    "deadline": "the plan's deadline passed before it could be sent",
    "busy": "another run of this store holds the volume",
    "released": "another run took the volume over; what the cloud makes of the backup stays there",
    "stuck": "the cloud did not finish the backup in the time that the plan gives it",
    "lost": "the cloud accepted the backup, and later knew neither its job nor a backup",
    "deleted": "the backup was deleted before it was available",
    "uncertain": "the cloud does not tell what became of the request",
    "unrestored": "the restore failed, and the volume is left in error",
    "undeleted": "the deletion failed, and the backup is left in error",
    "never-begun": "the cloud had the request, and did nothing",
    "gone": "the backup was gone already",
    "deleting": "the backup is being deleted already",
    "not-ours": "the backup of this id has another name or volume than the run's own",
    "backup-busy": "the backup is being made or restored",
    "dependants": "newer incremental backups depend on the backup",
    "pinned": "the backup is pinned (vbsbatch keep)",
    "last-good": "the good backup that was to stay instead is gone: this one may be the last",
    "kept": "the rules of the plan keep the backup now",
    ERROR: "the backup ended in error",
}
"""Codes that vbsbatch itself gives to a failed job."""

_NOT_TO_BE_RULED = frozenset({Verdict.ACCEPTED, Verdict.REAUTH})
_TRIED_AGAIN = frozenset({Verdict.RETRY, Verdict.LATER, Verdict.UNKNOWN})

_DOCUMENTED = frozenset(
    {None, 200, 202, 400, 401, 403, 404, 405, 406, 407, 408, 409, 413, 422, 429}
    | {500, 501, 502, 503, 504}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What an answer means."""

    verdict: Verdict
    meaning: str
    """In words for people."""
    outage: bool = False
    """The service itself seems to be down: counts for the circuit breaker."""
    conflict: bool = False
    """A backup of this volume is under way, and it may be ours."""
    stop_after: int | None = None
    passing: bool = False
    """Something in front of the service answered, and may be gone soon: nothing was done."""
    doubtful: bool = False
    """Throttling that may be a used-up quota or a ban: if it persists, it counts as that."""
    slower: bool = False
    """The service wants fewer requests, whatever happened to this one."""


def judge(answer: Answer, rules: Iterable[Rule] = ()) -> Judgement:
    """Return what `answer` to a create means; `rules` are the plan's and come first."""
    if answer.skipped:  # the request succeeded, and refuses this volume
        answer = replace(answer, status=400)
    shipped = (
        _gateway_answer(answer)
        or _too_fast(answer)
        or _unproved(answer)
        or _by_code(answer)
        or _by_status(answer)
    )
    if shipped.passing or shipped.verdict in _NOT_TO_BE_RULED:
        return shipped
    for rule in rules:
        if matches(rule, answer.status, answer.code):
            # An outage that the plan retries is still an outage.
            outage = shipped.outage and rule.verdict in _TRIED_AGAIN
            words = meaning(answer.code, answer.status)
            return Judgement(verdict=rule.verdict, meaning=words, outage=outage)
    return shipped


def judge_cloud_job(code: str | None, rules: Iterable[Rule] = ()) -> Judgement:
    """Return what the failure of an accepted cloud job means; an unknown code is retried."""
    for rule in rules:
        if rule.code is not None and rule.status is None and matches(rule, None, code):
            return Judgement(verdict=rule.verdict, meaning=meaning(code, None))
    entry = table().get(code or "")
    if entry is None:
        words = OURS.get(code or "", "the cloud job failed")
        return Judgement(verdict=Verdict.RETRY, meaning=words)
    # The cloud job has certainly ended, so a throttle or a busy volume becomes a retry. A service
    # that is down is still waited for.
    verdict = (
        entry.verdict
        if entry.outage
        else {
            Verdict.LATER: Verdict.RETRY,
            Verdict.THROTTLE: Verdict.RETRY,
            Verdict.REAUTH: Verdict.RETRY,
        }.get(entry.verdict, entry.verdict)
    )
    return Judgement(verdict=verdict, meaning=entry.meaning, stop_after=entry.stop_after)


def matches(rule: Rule, status: int | None, code: str | None) -> bool:
    """Whether `rule` matches this status and code; in `rule.code` only `*` is special.

    A rule with a code, even `*`, does not match an answer without one.
    """
    if rule.status is not None and rule.status != status:
        return False
    if rule.code is None:
        return True
    return code is not None and _glob(rule.code).fullmatch(code) is not None


def meaning(code: str | None, status: int | None) -> str:
    """Return what a code (or, without a known one, a status) means, in words for people."""
    entry = table().get(code or "")
    if entry is not None:
        return entry.meaning
    if status is None:
        return "no answer"
    return STOPPING_STATUSES.get(status) or {
        400: "the request was refused",
        401: "the token was refused",
        408: "the service gave up waiting",
        409: "the volume is busy",
        422: "the request was refused",
        429: "too many requests",
    }.get(status, "the service is in trouble" if status >= 500 else f"HTTP {status}")


def documented(code: str | None, status: int | None) -> str | None:
    """Return what a code means; None if neither the service's reference nor vbsbatch knows it."""
    if code is None and status == 404:
        # A job fails with it only if the service itself answered; a missing API stops the run.
        return "the disk or the backup does not exist"
    if code is None:
        return meaning(None, status) if status in _DOCUMENTED else None
    entry = table().get(code)
    return entry.meaning if entry is not None else OURS.get(code)


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def _gateway_answer(answer: Answer) -> Judgement | None:
    """Return the verdict on an answer from a gateway in front of a service that answered
    recently."""
    if not answer.passing:
        return None
    said = f"{answer.status}: something in front of the service answers in its place"
    return Judgement(verdict=Verdict.LATER, meaning=said, passing=True)


def _too_fast(answer: Answer) -> Judgement | None:
    """Return the verdict on a refusal that says, or may say, that requests come too fast."""
    status, entry = answer.status or 0, table().get(answer.code or "")
    if status < 400 or status == 408 or (status >= 500 and status != 503):
        return None
    if entry is not None and not _may_throttle(entry.verdict, status):
        return None
    full = names_quota(answer.code, answer.message)
    if entry is not None:
        full, words = entry.verdict is not Verdict.THROTTLE, entry.meaning
    elif status == BLOCKED:
        full, words = True, "blocked, for too many requests it seems"
    elif is_too_fast(status, answer.code, answer.message):
        words = meaning(None, 429)
    elif status == 413 and not full:
        full, words = True, "too many requests, or a quota that is used up"
    else:
        return None
    return Judgement(verdict=Verdict.THROTTLE, meaning=words, doubtful=full)


def _may_throttle(verdict: Verdict, status: int) -> bool:
    return verdict is Verdict.THROTTLE or status == 429


def _unproved(answer: Answer) -> Judgement | None:
    """Return the verdict on an answer that proves neither acceptance nor refusal."""
    status = answer.status
    if status is None:
        return _unknown(answer.message or "no answer", outage=True)
    if status >= 500 and (entry := table().get(answer.code or "")) and entry.definite:
        return None
    if status == 408 or (status >= 500 and status != 501) or status < 200:
        slower = status == 503 and answer.retry_after is not None
        return _unknown(meaning(answer.code, status), outage=True, slower=slower)
    if status < 300 and (not answer.readable or not (answer.cloud_job_id or answer.backup_id)):
        words = "accepted, it seems, but the answer names no cloud job"
        return _unknown(words, outage=not answer.json)
    if status in (400, 422) and not answer.json:
        # A proxy's page. The service has not answered, so the status proves nothing.
        return _unknown("something in front of the service answered", outage=True)
    return None


def _unknown(words: str, *, outage: bool = False, slower: bool = False) -> Judgement:
    return Judgement(verdict=Verdict.UNKNOWN, meaning=words, outage=outage, slower=slower)


def _by_code(answer: Answer) -> Judgement | None:
    entry = table().get(answer.code or "")
    if entry is None or entry.where == "query" or (answer.status or 0) < 400:
        return None
    return Judgement(
        verdict=entry.verdict,
        meaning=entry.meaning,
        outage=entry.outage,
        conflict=entry.conflict,
        stop_after=entry.stop_after,
    )


def _by_status(answer: Answer) -> Judgement:
    status = answer.status or 0
    words = meaning(None, status)
    if status < 300:
        return Judgement(verdict=Verdict.ACCEPTED, meaning="accepted")
    if status < 400:
        return Judgement(
            verdict=Verdict.STOP,
            meaning="redirected: this is not the service (a sign-in page, or a wrong endpoint)",
        )
    if status == 401:
        return Judgement(verdict=Verdict.REAUTH, meaning=words)
    if status == 409:
        return Judgement(verdict=Verdict.LATER, meaning=words, conflict=True)
    if status == 404 and answer.json:
        return Judgement(verdict=Verdict.FAIL, meaning="the disk does not exist")
    if status in STOPPING_STATUSES:
        return Judgement(verdict=Verdict.STOP, meaning=words)
    return Judgement(verdict=Verdict.FAIL, meaning=answer.message or words)
