"""Which facts about a run a channel is to be told. Pure: everything is read by a `RunLook`.

The same rules hold beside an engine and in `vbsbatch watch`, so both find the same facts, under the
same names, and a store keeps each of them once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vbsbatch.model import Channel, Job, JobState, Message, Notice, Pace, Run, RunState, Wall
from vbsbatch.report.text import in_words

LEAST_STUCK = 3600.0
"""Seconds: a backup that has taken less is never stuck, unless the channel says so."""

LEAST_SILENT = 3600.0
"""Seconds in which nothing ends that are never silence, unless the channel says so."""

FIRST_SILENT = 3 * 3600.0
"""The same while backups run, and none has succeeded yet that shows how long they take."""

LEAST_UNKNOWN = 900.0
"""Seconds that a job may be unknown, at least."""

STUCK_EVERY = 900.0
"""Seconds between two messages about backups that are stuck: one message is about many."""

MOST_STUCK = 500
"""Backups in one message."""

RETRY_ASKED = "retry asked for"
"""Why a run is stopped that had ended before a retry: no engine stopped it."""


class RunLook(Protocol):
    """A run as it is in the store at one moment; what costs something is read when it is asked."""

    @property
    def run(self) -> Run:
        """The run."""
        ...

    @property
    def now(self) -> Wall:
        """When it was looked at."""
        ...

    @property
    def counts(self) -> Mapping[JobState, int]:
        """Jobs by state."""
        ...

    def gone(self, after: float) -> str | None:
        """Why no engine seems to drive the unfinished run, in words; None if one does.

        An engine that cannot be seen may give no sign of life for `after` seconds.
        """
        ...

    @property
    def engine_since(self) -> Wall | None:
        """When the engine that drives it began; None if unknown."""
        ...

    @property
    def sends_since(self) -> Wall | None:
        """Since when creates may be sent without a pause, a gate or a closed window; else None."""
        ...

    @property
    def gate(self) -> tuple[int, int] | None:
        """The wave behind whose end a closed gate is, and how many failed in it."""
        ...

    @property
    def pace(self) -> Pace:
        """How its jobs end."""
        ...

    @property
    def attempts(self) -> int:
        """Creates so far."""
        ...

    @property
    def open_jobs(self) -> Sequence[Job]:
        """Jobs that the cloud may be working on."""
        ...

    @property
    def failed_jobs(self) -> Sequence[Job]:
        """Failed jobs, in the order of their ends."""
        ...

    def job(self, no: int) -> Job:
        """One job."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One thing that a channel is to be told."""

    notice: Notice
    mark: str
    """Tells it from other facts of its kind about the run."""
    text: str
    """What is the matter, in words; empty for what the run itself says."""
    jobs: tuple[Job, ...] = ()
    """The jobs that it is about, if it is about some."""

    @property
    def name(self) -> str:
        """What the store keeps."""
        return f"{self.notice}:{self.mark}"


def facts(look: RunLook, channel: Channel, told: Sequence[Message]) -> Iterator[Fact]:
    """What the channel is to be told now; `told` are the messages to it about this run."""
    known = {message.fact for message in told}
    for notice, find in _FINDERS.items():
        if notice in channel.notices:
            for fact in find(look, channel, told):
                if fact.name not in known:
                    yield fact


def _end(look: RunLook, channel: Channel, told: Sequence[Message]) -> Iterator[Fact]:
    run = look.run
    if run.state is RunState.ENDED and run.ended_at is not None:
        yield Fact(notice=Notice.END, mark=_moment(run.ended_at), text="")


def _stopped(look: RunLook, channel: Channel, told: Sequence[Message]) -> Iterator[Fact]:
    run = look.run
    if run.state is RunState.STOPPED and run.reason != RETRY_ASKED:
        at = _moment(run.heartbeat_at or run.created_at)
        yield Fact(notice=Notice.STOPPED, mark=at, text=run.reason or "")


def _gone(look: RunLook, channel: Channel, told: Sequence[Message]) -> Iterator[Fact]:
    run, why = look.run, look.gone(channel.gone_after)
    if why is not None:
        at = _moment(run.heartbeat_at or run.created_at)
        yield Fact(notice=Notice.ENGINE_GONE, mark=at, text=why)


def _gate(look: RunLook, channel: Channel, told: Sequence[Message]) -> Iterator[Fact]:
    if _is_driven(look, channel) and (gate := look.gate) is not None:
        # The number of creates stands still while the gate is closed, and grows with a retry.
        mark = f"{gate[0]}.{look.attempts}"
        yield Fact(notice=Notice.GATE, mark=mark, text=look.run.reason or "")


def _failures(look: RunLook, channel: Channel, told: Sequence[Message]) -> Iterator[Fact]:
    """Named by the job that was one too many: the fact is known while that one is still failed."""
    failed = look.counts.get(JobState.FAILED, 0)
    ended = look.run.state in (RunState.ENDED, RunState.STOPPED)
    if failed <= channel.failures_over or not (ended or _is_driven(look, channel)):
        return
    if ended and _end_is_told(look, channel):
        return
    for message in told:
        kind, _, mark = message.fact.partition(":")
        if kind == Notice.FAILURES and _is_still_failed(look, mark):
            return
    jobs = look.failed_jobs
    if len(jobs) > channel.failures_over:
        mark = _attempt(jobs[channel.failures_over])
        over = channel.failures_over
        text = f"{len(jobs)} failed" + (f", more than {over}" if over else "")
        yield Fact(notice=Notice.FAILURES, mark=mark, text=text)


def _end_is_told(look: RunLook, channel: Channel) -> bool:
    """Whether another message tells of the same failures: the run has ended or stopped."""
    instead = {RunState.ENDED: Notice.END, RunState.STOPPED: Notice.STOPPED}
    return instead.get(look.run.state) in channel.notices


def _is_still_failed(look: RunLook, mark: str) -> bool:
    job = look.job(int(mark.partition(".")[0]))
    return job.state is JobState.FAILED and _attempt(job) == mark


def _stuck(look: RunLook, channel: Channel, told: Sequence[Message]) -> Iterator[Fact]:
    before = [each for each in told if each.fact.startswith(f"{Notice.STUCK}:")]
    if not _is_driven(look, channel) or any(
        look.now - each.first_at < STUCK_EVERY for each in before
    ):
        return
    known = {mark for each in before for mark in each.fact.partition(":")[2].split(",")}
    late = [job for job in _late(look, channel) if _attempt(job) not in known][:MOST_STUCK]
    if late:
        mark = ",".join(map(_attempt, late))
        yield Fact(notice=Notice.STUCK, mark=mark, text="", jobs=tuple(late))


def _late(look: RunLook, channel: Channel) -> Iterable[Job]:
    """The open jobs that take too long, or are unknown for too long."""
    limit = channel.stuck_after or _expected(look)
    unknown = min(limit, max(LEAST_UNKNOWN, 10 * look.run.settings.retry.settle))
    for job in look.open_jobs:
        longest = unknown if job.state is JobState.UNKNOWN else limit
        if job.intent_at is not None and float(look.now) - float(job.intent_at) > longest:
            yield job


def _expected(look: RunLook) -> float:
    """Seconds that no backup should take, by those that the run has made."""
    longest = look.pace.longest
    if longest is None:
        return max(LEAST_STUCK, look.run.settings.timeouts.backup / 2)
    return max(LEAST_STUCK, 3 * longest)


def _silent(look: RunLook, channel: Channel, told: Sequence[Message]) -> Iterator[Fact]:
    if not _is_driven(look, channel):
        return
    last = look.pace.last_end
    since = _silent_since(look, last)
    if since is not None and look.now - since > (channel.silent_after or _silence(look)):
        mark = "0" if last is None else _moment(last)
        yield Fact(notice=Notice.SILENT, mark=mark, text=in_words(look.now - since))


def _silence(look: RunLook) -> float:
    """Seconds in which something should end."""
    if not any(job.state is JobState.RUNNING for job in look.open_jobs):
        return LEAST_SILENT
    longest = look.pace.longest
    return FIRST_SILENT if longest is None else max(LEAST_SILENT, 2 * longest)


def _silent_since(look: RunLook, last: Wall | None) -> Wall | None:
    """Since when something could have ended, and nothing has; None while nothing can end."""
    began = [each for each in (last, look.engine_since) if each is not None]
    sent = [Wall(float(job.intent_at)) for job in look.open_jobs if job.intent_at is not None]
    if sent:
        return max([*began, min(sent)])
    if look.counts.get(JobState.WAITING) and (sends := look.sends_since) is not None:
        return max([*began, sends])
    return None


def _is_driven(look: RunLook, channel: Channel) -> bool:
    under_way = look.run.state in (RunState.RUNNING, RunState.PAUSED)
    return under_way and look.gone(channel.gone_after) is None


def _attempt(job: Job) -> str:
    return f"{job.no}.{job.attempts}"


def _moment(at: Wall) -> str:
    return str(round(float(at) * 1000))


_FINDERS = {
    Notice.END: _end,
    Notice.STOPPED: _stopped,
    Notice.ENGINE_GONE: _gone,
    Notice.GATE: _gate,
    Notice.FAILURES: _failures,
    Notice.STUCK: _stuck,
    Notice.SILENT: _silent,
}
