"""What an answer means, and how long to wait: pure functions of (status, code) and of numbers."""

from vbsbatch.policy.backoff import backoff
from vbsbatch.policy.cinder_messages import failure_code, named
from vbsbatch.policy.operations import judge_end, judge_request
from vbsbatch.policy.verdicts import OURS, Judgement, documented, judge, judge_cloud_job, meaning

__all__ = [
    "OURS",
    "Judgement",
    "backoff",
    "documented",
    "failure_code",
    "judge",
    "judge_cloud_job",
    "judge_end",
    "judge_request",
    "meaning",
    "named",
]
