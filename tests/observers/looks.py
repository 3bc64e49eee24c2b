"""A run at one moment, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.store.fixtures import NOW, a_job, a_run
from vbsbatch.model import Address, Channel, Job, JobState, Message, Pace, Run, Wall
from vbsbatch.observers.facts import Fact, facts


@dataclass(kw_only=True)
class Look:
    """See `vbsbatch.observers.facts.RunLook`."""

    run: Run = field(default_factory=a_run)
    now: Wall = field(default_factory=lambda: Wall(NOW + 10_000))
    counts: Mapping[JobState, int] = field(default_factory=dict)
    gone_for: tuple[str, float] | None = None
    """Why nothing drives the run, and for how many seconds."""
    engine_since: Wall | None = None
    sends_since: Wall | None = None
    gate: tuple[int, int] | None = None
    pace: Pace = field(default_factory=Pace)
    attempts: int = 0
    open_jobs: Sequence[Job] = ()
    failed_jobs: Sequence[Job] = ()

    def gone(self, after: float) -> str | None:
        why, silent = self.gone_for or ("", 0.0)
        return why if self.gone_for is not None and silent > after else None

    def job(self, no: int) -> Job:
        found = [job for job in self.failed_jobs if job.no == no]
        return found[0] if found else a_job(no)


def a_channel(**fields: Any) -> Channel:
    given: dict[str, Any] = {
        "name": "ops",
        "address": Address(url="json://127.0.0.1/x"),
        "kind": "json",
    }
    return Channel(**(given | fields))


def told_of(look: Look, channel: Channel | None = None, *told: Message) -> list[Fact]:
    return list(facts(look, channel or a_channel(), told))


def as_told(fact: Fact, at: float) -> Message:
    """The message about a fact, as the store has it."""
    return Message(
        run_id="20261118-1200-aaaa",
        fact=fact.name,
        channel="ops",
        first_at=Wall(at),
        title="",
        body="",
        due_at=Wall(at),
    )
