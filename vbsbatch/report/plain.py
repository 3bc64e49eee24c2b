"""Progress as whole lines of plain text, for people, logs, braille lines and cron.

``07:27:39Z fail     job=04733 attempt=5/5 http=500 code=- vol="billing-archive-2021"``

No line holds a line break, a carriage return or an escape; `jsonlines` does it for programs.
"""

from __future__ import annotations

from collections.abc import Mapping

from vbsbatch.model import JobMoved, JobState, Operation, Run, RunNoted, as_wall
from vbsbatch.report.data import active, calls_per_succeeded, ended, percent
from vbsbatch.report.progress import OUTCOMES, End, Progress
from vbsbatch.report.text import Moment, clean, clock, cut, quoted, span, word

NOTE_LENGTH = 300

_WORDS: Mapping[JobState, str] = {
    JobState.WAITING: "retry",
    JobState.SUBMITTING: "send",
    JobState.UNKNOWN: "unknown",
    JobState.RUNNING: "run",
    JobState.SUCCEEDED: "ok",
    JobState.FAILED: "fail",
    JobState.CANCELLED: "cancel",
    JobState.SKIPPED: "skip",
}


_REQUESTS = {
    Operation.BACKUP: ("create", "backup"),
    Operation.RESTORE: ("restore", "restore"),
    Operation.PRUNE: ("delete", "deletion"),
}
"""What a run asks of the cloud for each volume, and what the cloud then does."""


def line(event: JobMoved | RunNoted, *, attempts: int) -> str:
    """One event as one line without its line end; `attempts` is what the plan allows each job."""
    if isinstance(event, RunNoted):
        return _line(event.at, clean(event.kind), clean(event.text))
    return _line(event.at, _WORDS[event.job.state], _moved(event, attempts))


def progress(now: Progress) -> str:
    """The run at one instant as one line."""
    counts = now.counts
    figures = (
        f"{ended(counts)}/{sum(counts.values())} {percent(counts)}%"
        f" ok={counts.get(JobState.SUCCEEDED, 0)} fail={counts.get(JobState.FAILED, 0)}"
        f" retry={now.retry} active={active(counts)} rate={now.rate:.1f}/s"
    )
    if now.sizes.total is not None:
        figures += f" gb={now.sizes.done}/{now.sizes.total}"
        figures += f" unsized={now.sizes.unsized}" if now.sizes.unsized else ""
        figures += f" gb_per_hour={now.sizes.per_hour:.0f}" if now.sizes.per_hour else ""
    figures += f" eta={'-' if now.eta is None else span(now.eta)}"
    if now.waits_for is not None:
        figures += f" waits={quoted(cut(clean(now.waits_for), NOTE_LENGTH))}"
    return _line(now.at, "progress", figures)


def calls(at: float, run: Run, counts: Mapping[JobState, int]) -> str:
    """What the run has called so far, with the calls per job that succeeded, as one line."""
    each = calls_per_succeeded(run, counts)
    request, result = _REQUESTS[run.settings.operation]
    figures = f"{request}={run.create_calls} read={run.read_calls}"
    return _line(at, "calls", f"{figures} per_{result}={'-' if each is None else f'{each:.2f}'}")


def end(how: End) -> str:
    """The last line of an engine's work: outcome, exit code, and what to type next."""
    left = sum(how.counts.values()) - ended(how.counts)
    cancelled = how.counts.get(JobState.CANCELLED)
    figures = [
        OUTCOMES.get(how.exit_code, "failed"),
        f"ok={how.counts.get(JobState.SUCCEEDED, 0)}",
        f"fail={how.counts.get(JobState.FAILED, 0)}",
        *([f"cancelled={cancelled}"] if cancelled else []),
        *([f"left={left}"] if left else []),
        f"exit={how.exit_code}",
        *([f"next={quoted(how.next)}"] if how.next else []),
    ]
    return _line(how.at, "end", " ".join(figures))


def _line(at: Moment, what: str, figures: str) -> str:
    return f"{clock(at)} {what:<8} {figures}"


def _moved(event: JobMoved, attempts: int) -> str:
    job = event.job
    pairs = [
        f"job={job.no:05d}",
        f"attempt={job.charged}/{attempts}",
        f"http={'-' if job.http_status is None else job.http_status}",
        f"code={word(job.code)}",
        *_where_to(event),
        f"vol={quoted(job.volume_name)}",
    ]
    if event.note:
        pairs.append(f"note={quoted(cut(clean(event.note), NOTE_LENGTH))}")
    return " ".join(pairs)


def _where_to(event: JobMoved) -> list[str]:
    job = event.job
    if job.state is JobState.WAITING:
        told = as_wall(job.due_at) - event.at
        return [f"in={span(told if event.due_in is None else event.due_in)}"]
    if job.state is JobState.SUCCEEDED:
        return [f"backup={word(job.backup_id)}"]
    return []
