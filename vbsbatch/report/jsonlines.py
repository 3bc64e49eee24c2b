"""Progress as one JSON object a line (`--progress json`), ASCII; the counterpart of `plain`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vbsbatch.model import JobMoved, JobState, Run, RunNoted
from vbsbatch.report.data import SCHEMA, calls_values, counts_values, ended, job_values, percent
from vbsbatch.report.progress import OUTCOMES, End, Progress
from vbsbatch.report.text import Moment, clean, cleaned, utc


def line(event: JobMoved | RunNoted, *, attempts: int) -> str:
    """One event as one line without its line end; `attempts` is what the plan allows each job."""
    if isinstance(event, RunNoted):
        return _line(event.at, "note", {"kind": clean(event.kind), "text": clean(event.text)})
    return _line(event.at, "job", _moved(event, attempts))


def progress(now: Progress) -> str:
    """The run at one instant as one line."""
    values = {
        "total": sum(now.counts.values()),
        "ended": ended(now.counts),
        "percent": percent(now.counts),
        "counts": counts_values(now.counts),
        "retry": now.retry,
        "rate": round(now.rate, 3),
        "eta_seconds": None if now.eta is None else round(now.eta),
        "waits_for": cleaned(now.waits_for),
    }
    return _line(now.at, "progress", values)


def calls(at: float, run: Run, counts: Mapping[JobState, int]) -> str:
    """What the run has called so far as one line."""
    return _line(at, "calls", dict(calls_values(run, counts)))


def end(how: End) -> str:
    """The last line of an engine's work: outcome, exit code, and what to type next."""
    values = {
        "run": clean(how.run.id),
        "outcome": OUTCOMES.get(how.exit_code, "failed"),
        "counts": counts_values(how.counts),
        "calls": calls_values(how.run, how.counts),
        "exit": how.exit_code,
        "next": cleaned(how.next),
    }
    return _line(how.at, "end", values)


def _line(at: Moment, event: str, values: Mapping[str, Any]) -> str:
    return json.dumps({"schema": SCHEMA, "event": event, "at": utc(at), **values})


def _moved(event: JobMoved, attempts: int) -> dict[str, Any]:
    return {
        "no": event.job.no,
        "came_from": event.came_from.value,
        "charged": event.job.charged,
        "allowed": attempts,
        "verdict": None if event.attempt is None else event.attempt.verdict.value,
        "note": cleaned(event.note),
        "job": job_values(event.job),
    }
