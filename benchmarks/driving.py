"""The candidate: the real engine over the real VBS service and the real store, on the real disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from sqlite3 import Connection

from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.session import Session
from vbsbatch.cloud.tokens import Token, Tokens
from vbsbatch.cloud.vbs import VbsService
from vbsbatch.engine import Engine, EngineResult
from vbsbatch.model import (
    BackupSettings,
    Job,
    JobMoved,
    Limits,
    Rate,
    Run,
    RunNoted,
    RunState,
    Settings,
)
from vbsbatch.model.clocks import elapsed, elapsed_seconds, wall
from vbsbatch.store import Store

NO_LIMIT = Rate(count=10_000)
"""The highest rate a plan may name: far above what any client here reaches."""

DAY = 86400.0


class Clock:
    """The machine's clocks."""

    elapsed = staticmethod(elapsed)
    wall = staticmethod(wall)


@dataclass(frozen=True, kw_only=True, slots=True)
class Driven:
    """What an engine did."""

    ending: EngineResult
    commits: int
    sent: list[float]
    """When each create was sent, by our clock."""


def new_run(store: Store, jobs: Callable[[str], Iterable[Job]], limits: Limits) -> Run:
    """Freeze a run; `jobs` makes its jobs from its id."""
    now = time.time()
    run = Run(
        id=store.new_run_id(now),
        plan="bench",
        cloud="answerer",
        state=RunState.RUNNING,
        settings=Settings(limits=limits),
        created_at=now,
    )
    store.create_run(run, jobs(run.id), BackupSettings())
    return store.run(run.id)


def vbs(url: str, limits: Limits) -> VbsService:
    """The service at an answerer, signed in."""
    now = time.time()
    token = Token(value="token", got_at=now, expires_at=now + DAY)

    async def never() -> Token:
        raise AssertionError("a fresh token was asked for")

    settings = Settings()
    session = Session(
        Tokens(never, elapsed_seconds, first=token), settings.timeouts, workers=limits.connections
    )
    return VbsService(session, Endpoints(project_id="project", vbs=url, block_storage=url))


async def drive(
    store: Store,
    run: Run,
    url: str,
    *,
    stop_after: int | None = None,
    factory: type[Connection] = Connection,
) -> Driven:
    """Drive the run to its end, or until so many creates were answered."""
    service = vbs(url, run.settings.limits)
    sent: list[float] = []

    def hear(event: JobMoved | RunNoted) -> None:
        if isinstance(event, JobMoved) and event.attempt is not None:
            sent.append(event.attempt.sent_at)
            if len(sent) == stop_after:
                engine.stop("measured")

    async with store.journal(run.id, factory=factory) as journal:
        engine = Engine(
            run=run,
            journal=journal,
            service=service,
            clock=Clock(),
            random=Random(1),
            listeners=[hear] if stop_after else [],
            resumed=False,
        )
        ending = await engine.drive()
        commits = journal.commits
    return Driven(ending=ending, commits=commits, sent=sorted(sent))
