"""What an answer means if the request restored or deleted a backup instead of making one.

The table of codes and the order of precedence are those of `verdicts`; this module holds the
differences. An answer that proves nothing stays unknown, whatever the operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from vbsbatch.model import Answer, Operation, Rule, Verdict
from vbsbatch.policy.codes import table
from vbsbatch.policy.verdicts import OURS, Judgement, judge, judge_cloud_job

_OURS = {
    "gone": Verdict.ACCEPTED,
    "deleting": Verdict.ACCEPTED,
    "not-ours": Verdict.FAIL,
    "backup-busy": Verdict.LATER,
    "dependants": Verdict.LATER,
    "pinned": Verdict.FAIL,
    "last-good": Verdict.FAIL,
    "kept": Verdict.FAIL,
}
"""Verdicts for what we find when we check a backup before its deletion; `OURS` has the words."""

_ENDS = {"never-begun": Verdict.RETRY}
"""Our own codes for a restore or deletion that ended badly and may be tried again."""

_NOT_NOW = re.compile(r"\bmust be\b.*\bavailable\b|\bstatus\b.*\bmust\b", re.IGNORECASE)
"""How block storage, which has no codes, reports that a backup or volume is in another status."""


def judge_request(
    answer: Answer, rules: Iterable[Rule] = (), operation: Operation = Operation.BACKUP
) -> Judgement:
    """Return what `answer` to a job's request means; `rules` are the plan's."""
    if operation is Operation.BACKUP:
        return judge(answer, rules)
    if answer.code in _OURS:
        return Judgement(verdict=_OURS[answer.code], meaning=OURS[answer.code])
    shipped = judge(answer)
    if shipped.passing:
        return shipped
    entry = table().get(answer.code or "")
    gone = entry is not None and entry.gone
    if gone or (answer.status == 404 and shipped.verdict is Verdict.FAIL):
        return _not_there(operation)
    if answer.status == 400 and answer.code is None and _NOT_NOW.search(answer.message or ""):
        shipped = replace(shipped, verdict=Verdict.LATER, meaning="not available at the moment")
    # A restore may be blocked by an earlier one of ours: check before waiting.
    ours = operation is Operation.RESTORE and shipped.verdict is Verdict.LATER
    return replace(shipped, conflict=ours)


def _not_there(operation: Operation) -> Judgement:
    if operation is Operation.PRUNE:
        return Judgement(verdict=Verdict.ACCEPTED, meaning=OURS["gone"])
    words = "the volume or the backup does not exist"
    return Judgement(verdict=Verdict.FAIL, meaning=words)


def judge_end(
    code: str | None, rules: Iterable[Rule] = (), operation: Operation = Operation.BACKUP
) -> Judgement:
    """Return what the failure of an accepted request means.

    A restore that failed after it may have done its work must not be repeated.
    """
    if operation is Operation.BACKUP:
        return judge_cloud_job(code, rules)
    if code in OURS:
        return Judgement(verdict=_ENDS.get(code, Verdict.FAIL), meaning=OURS[code])
    ended = judge_cloud_job(code)
    if ended.verdict is Verdict.UNKNOWN:
        return replace(ended, verdict=Verdict.FAIL)
    return ended
