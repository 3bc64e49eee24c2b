"""Progress as one JSON object a line (`--progress json`), ASCII. `plain` writes it for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from vbsbatch.model import JobMoved, JobState, Run, RunNoted, Verdict
from vbsbatch.report.data import ended, percent
from vbsbatch.report.documents import (
    SCHEMA,
    CallsDocument,
    Count,
    Counts,
    GigabytesDocument,
    JobDocument,
    NotNegative,
    Percent,
    calls_document,
    counts_document,
    gigabytes_document,
    job_document,
)
from vbsbatch.report.progress import OUTCOMES, End, Outcome, Progress
from vbsbatch.report.text import Moment, clean, cleaned, utc


class JobLine(TypedDict):
    """A job moved."""

    no: Count
    came_from: JobState
    charged: Count
    allowed: Count
    verdict: Verdict | None
    note: str | None
    job: JobDocument


class NoteLine(TypedDict):
    """Something happened to the run as a whole."""

    kind: str
    text: str


class ProgressLine(TypedDict):
    """The run at one instant."""

    total: Count
    ended: Count
    percent: Percent
    counts: Counts
    retry: Count
    rate: NotNegative
    eta_seconds: int | None
    waits_for: str | None
    gigabytes: GigabytesDocument


class EndLine(TypedDict):
    """How an engine's work on a run ended."""

    run: str
    outcome: Outcome
    counts: Counts
    calls: CallsDocument
    exit: int
    next: str | None


LINES: Mapping[str, Any] = {
    "job": JobLine,
    "note": NoteLine,
    "progress": ProgressLine,
    "calls": CallsDocument,
    "end": EndLine,
}
"""Each `event`, and what its line has after `schema`, `event` and `at`."""


def line(event: JobMoved | RunNoted, *, attempts: int) -> str:
    """One event as one line without its line end; `attempts` is what the plan allows each job."""
    if isinstance(event, RunNoted):
        note: NoteLine = {"kind": clean(event.kind), "text": clean(event.text)}
        return _line(event.at, "note", note)
    moved: JobLine = {
        "no": event.job.no,
        "came_from": event.came_from,
        "charged": event.job.charged,
        "allowed": attempts,
        "verdict": None if event.attempt is None else event.attempt.verdict,
        "note": cleaned(event.note),
        "job": job_document(event.job),
    }
    return _line(event.at, "job", moved)


def progress(now: Progress) -> str:
    """The run at one instant as one line."""
    values: ProgressLine = {
        "total": sum(now.counts.values()),
        "ended": ended(now.counts),
        "percent": percent(now.counts),
        "counts": counts_document(now.counts),
        "retry": now.retry,
        "rate": round(now.rate, 3),
        "eta_seconds": None if now.eta is None else round(now.eta),
        "waits_for": cleaned(now.waits_for),
        "gigabytes": gigabytes_document(now.sizes),
    }
    return _line(now.at, "progress", values)


def calls(at: float, run: Run, counts: Mapping[JobState, int]) -> str:
    """What the run has called so far as one line."""
    return _line(at, "calls", calls_document(run, counts))


def end(how: End) -> str:
    """The last line of an engine's work: outcome, exit code, and what to type next."""
    values: EndLine = {
        "run": clean(how.run.id),
        "outcome": OUTCOMES.get(how.exit_code, "failed"),
        "counts": counts_document(how.counts),
        "calls": calls_document(how.run, how.counts),
        "exit": how.exit_code,
        "next": cleaned(how.next),
    }
    return _line(how.at, "end", values)


def _line(at: Moment, event: str, values: Mapping[str, object]) -> str:
    return json.dumps({"schema": SCHEMA, "event": event, "at": utc(at), **values})
