"""What a message says about a fact: counts, failures by code in words, and what to type.

Names and codes come from a cloud or a plan: they are cleaned, and cannot become a mention, a link
or markup in a chat.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from shlex import quote

from vbsbatch.model import Job, JobState, Notice, Operation, Run, Wall
from vbsbatch.observers.facts import Fact
from vbsbatch.report import ReportData
from vbsbatch.report import data as figures
from vbsbatch.report.text import clean, cut, in_words, moment

LINES = 10
"""Failures or jobs that are listed; more are counted."""

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MARKUP = str.maketrans(
    {"<": "\u2039", ">": "\u203a", "@": "\uff20", "*": "\u2217", "`": "'", "[": "(", "]": ")"}
)

_STATES: Mapping[JobState, str] = {
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
    JobState.SKIPPED: "skipped",
    JobState.RUNNING: "running",
    JobState.SUBMITTING: "being sent",
    JobState.UNKNOWN: "unknown",
    JobState.WAITING: "waiting",
}


def compose(fact: Fact, data: ReportData, now: Wall) -> tuple[str, str]:
    """Title and body of the message about a fact."""
    run = data.run
    title = f"vbsbatch: {_plain(run.plan)}: {_headline(fact, data)} (run {run.id})"
    return cut(title, 200), "\n".join(_body(fact, data, now))


def test_message() -> tuple[str, str]:
    """Title and body of the message of `vbsbatch notify test`."""
    body = f"vbsbatch on {_plain(socket.gethostname())} can reach this channel."
    return "vbsbatch: a test message", f"{body}\nNothing has happened, and there is nothing to do."


def _headline(fact: Fact, data: ReportData) -> str:
    failed, total = data.count(JobState.FAILED), data.total
    match fact.notice:
        case Notice.END:
            lost = failed + data.count(JobState.CANCELLED)
            return (
                f"ended, {lost} of {total} without a backup" if lost else f"ended, all {total} done"
            )
        case Notice.FAILURES:
            return f"{failed} of {total} failed"
        case Notice.STOPPED:
            return f"stopped: {_plain(cut(fact.text, 80))}" if fact.text else "stopped"
        case Notice.GATE:
            return "the next wave waits for you"
        case Notice.STUCK:
            return f"{len(fact.jobs)} stuck"
        case Notice.SILENT:
            return f"nothing has ended for {fact.text}"
        case Notice.ENGINE_GONE:
            return "no sign of life from its engine"


def _body(fact: Fact, data: ReportData, now: Wall) -> Iterator[str]:
    yield _sentence(fact, data)
    yield f"{data.total} volumes: {_counts(data)}."
    if fact.jobs:
        yield from ("", "Stuck:", *_jobs(fact.jobs, now))
    if failures := figures.failures(data):
        yield from ("", "Failures:", *map(_failure, failures[:LINES]))
        if more := len(failures) - LINES:
            yield from [f"  and {more} other codes"] if more > 0 else []
    if commands := _commands(fact, data):
        yield from ("", "Type:", *(f"  {command}" for command in commands))
    yield ""
    yield f"{_place(data.run)}, as of {moment(now)} on {_plain(socket.gethostname())}"


def _sentence(fact: Fact, data: ReportData) -> str:
    run = data.run
    work = "" if run.settings.operation is Operation.BACKUP else f" ({run.settings.operation})"
    named = f"Run {run.id}{work} of plan {_plain(run.plan)}"
    why = f": {_plain(fact.text)}" if fact.text else ""
    took = figures.duration(data)
    match fact.notice:
        case Notice.END:
            return f"{named} has ended" + (f" after {in_words(took)}." if took is not None else ".")
        case Notice.FAILURES:
            return f"{named}{why}."
        case Notice.STOPPED:
            return f"{named} has stopped before its end{why}."
        case Notice.GATE:
            return f"{named} is paused{why}."
        case Notice.STUCK:
            return f"{named} has backups that take longer than expected."
        case Notice.SILENT:
            return f"{named} is under way, and nothing has ended for {fact.text}."
        case Notice.ENGINE_GONE:
            return f"{named} has not ended{why}."


def _counts(data: ReportData) -> str:
    parts = (f"{data.count(state)} {word}" for state, word in _STATES.items() if data.count(state))
    return ", ".join(parts) or "none"


def _failure(row: figures.Failure) -> str:
    code = row.code if row.code and _CODE.fullmatch(row.code) else None
    unknown = "a code that vbsbatch does not know" if row.code else "refused without a code"
    parts = [None if row.http_status is None else f"HTTP {row.http_status}", code]
    answer = ", ".join(part for part in parts if part)
    return f"  {row.count} x {_plain(row.meaning or unknown)}" + (f" ({answer})" if answer else "")


def _jobs(jobs: tuple[Job, ...], now: Wall) -> Iterator[str]:
    for job in jobs[:LINES]:
        since = None if job.intent_at is None else float(now) - float(job.intent_at)
        took = "" if since is None else f" for {in_words(since)}"
        yield f"  {_plain(cut(job.volume_name, 60))} (job {job.no}): {job.state}{took}"
    if more := len(jobs[LINES:]):
        yield f"  and {more} more"


def _commands(fact: Fact, data: ReportData) -> list[str]:
    if commands := figures.next_commands(data):
        return commands[:2]
    run_id = quote(data.run.id)
    command = {
        Notice.FAILURES: f"vbsbatch jobs {run_id} --state failed",
        Notice.STUCK: f"vbsbatch jobs {run_id} --state active",
    }.get(fact.notice, f"vbsbatch status {run_id}")
    return [command + data.db_option]


def _place(run: Run) -> str:
    parts = {"cloud": run.cloud, "region": run.region, "project": run.project_name}
    return ", ".join(f"{word} {_plain(text)}" for word, text in parts.items() if text) or "vbsbatch"


def _plain(text: str) -> str:
    """The text cleaned, without what chats take for mentions, links or markup."""
    return clean(text).translate(_MARKUP)
