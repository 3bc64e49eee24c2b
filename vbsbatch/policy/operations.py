"""What an answer means where the request restored or deleted a backup instead of making one.

The table of codes and the order of rules are those of `verdicts`; this module has the differences.
An answer that proves nothing is unknown for every operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from vbsbatch.model import Answer, Operation, Rule, Verdict
from vbsbatch.policy.verdicts import OURS, Judgement, judge, judge_cloud_job

_OURS = {
    "gone": Verdict.ACCEPTED,
    "deleting": Verdict.ACCEPTED,
    "not-ours": Verdict.FAIL,
    "backup-busy": Verdict.LATER,
    "dependants": Verdict.LATER,
}
"""Results of our check before a deletion, and what they mean; `OURS` has the words."""

_ENDS = {"never-begun": Verdict.RETRY}
"""Our own codes of a failed restore or deletion that may be tried again."""

_NOT_NOW = re.compile(r"\bmust be\b.*\bavailable\b|\bstatus\b.*\bmust\b", re.IGNORECASE)
"""Block storage has no codes: its words for a backup or volume in the wrong status."""


def judge_request(
    answer: Answer, rules: Iterable[Rule] = (), operation: Operation = Operation.BACKUP
) -> Judgement:
    """What `answer` to the one request of a job means; `rules` are the plan's."""
    if operation is Operation.BACKUP:
        return judge(answer, rules)
    if answer.code in _OURS:
        return Judgement(verdict=_OURS[answer.code], meaning=OURS[answer.code])
    shipped = judge(answer)
    if shipped.passing:
        return shipped
    if answer.status == 404 and shipped.verdict is Verdict.FAIL:
        return _not_there(operation)
    if answer.status == 400 and answer.code is None and _NOT_NOW.search(answer.message or ""):
        shipped = replace(shipped, verdict=Verdict.LATER, meaning="not available at the moment")
    # What blocks a restore may be an earlier one of ours: check before waiting.
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
    """What the failure of something accepted means.

    A failed restore that may have overwritten the volume is not repeated.
    """
    if operation is Operation.BACKUP:
        return judge_cloud_job(code, rules)
    if code in OURS:
        return Judgement(verdict=_ENDS.get(code, Verdict.FAIL), meaning=OURS[code])
    ended = judge_cloud_job(code)
    if ended.verdict is Verdict.UNKNOWN:
        return replace(ended, verdict=Verdict.FAIL)
    return ended
