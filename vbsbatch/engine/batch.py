"""What the jobs of one create have in common, and what their answers mean for the request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vbsbatch.model import Answer, Elapsed, Job, Verdict, Wall
from vbsbatch.policy import Judgement


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """An answer and its verdict."""

    answer: Answer
    judgement: Judgement


def of_request(judged: Sequence[Judged]) -> Judged:
    """What the answers to the jobs of one request mean for the request: if one is accepted, so was
    the request."""
    accepted = (each for each in judged if each.judgement.verdict is Verdict.ACCEPTED)
    return next(accepted, judged[0])


def as_sent(job: Job, at: Wall, began: Elapsed) -> Job:
    """The job as its create leaves: the machine may have slept since the claim."""
    return replace(
        job,
        intent_at=began,
        first_sent_at=job.first_sent_at or at,
        first_cloud_at=job.first_cloud_at or job.intent_cloud_at,
    )
