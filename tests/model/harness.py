"""The only module that connects the model to the code under test: its clocks, its store, its
engine.

If the engine's constructor, clock, journal or service change, only this file changes.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

import anyio
import httpx

from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.operation_services import stand_in
from vbsbatch.cloud.service import CloudService
from vbsbatch.cloud.services import service_class
from vbsbatch.cloud.session import Session
from vbsbatch.cloud.tokens import Token, Tokens
from vbsbatch.engine import Engine, EngineResult, Listener, Tuning
from vbsbatch.model import BackupSettings, Elapsed, Job, Run, Settings, Wall
from vbsbatch.simulator.virtual import START, VirtualClock
from vbsbatch.simulator.virtual import run as run_virtual
from vbsbatch.store.memory import MemoryJournal, MemoryStore
from vbsbatch.store.memory.runs import Held
from vbsbatch.store.sqlite.store import SqliteStore

RUN = "20260923-2200-test"
PROJECT = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e"
ROOT = "http://127.0.0.1"

PACE = Tuning(poll=3.5, heartbeat=60.0, freshest=15.0, fresh=40.0)
"""Few sweeps and few polls: each is a decision, or costs time."""

TIMERS = 1e6
"""Where the timers start, far from the other clocks, so that a timer's value can be recognised."""


class Clocks:
    """What every clock shows.

    True time is what passes; no component sees it. Timers stand still while the machine is
    suspended; elapsed and wall go on. Wall and the cloud's clock may be set.
    """

    def __init__(self) -> None:
        self.virtual = VirtualClock(START)
        self.virtual.passed = TIMERS
        self._anchor = 0.0
        self.suspended = 0.0
        self.wall_set = 0.0
        self.cloud_set = 0.0

    def timers(self) -> float:
        """What the event loop's timers count."""
        return self.virtual.passed - TIMERS

    def true(self) -> float:
        """Epoch seconds, for the cloud's own affairs."""
        return START + self.timers() + self.suspended

    def elapsed(self) -> Elapsed:
        return Elapsed(self._anchor + self.timers() + self.suspended)

    def wall(self) -> Wall:
        return Wall(self.true() + self.wall_set)

    def new_process(self) -> None:
        """Start an engine: its elapsed clock continues from what the wall clock shows."""
        self._anchor = float(self.wall()) - self.timers() - self.suspended

    def cloud(self) -> float:
        return self.true() + self.cloud_set

    def run(self, live: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a night on these clocks."""
        run_virtual(live, clock=self.virtual)


class Kept(Protocol):
    """A store of either kind, as the model uses it."""

    def create(self, run: Run, jobs: Iterable[Job]) -> None: ...
    def journal(self) -> Any: ...
    def crash(self, journal: Any) -> None: ...
    def run(self) -> Run: ...
    def jobs(self) -> list[Job]: ...
    def copy(self) -> Any: ...
    def put_back(self, copy: Any) -> None: ...
    def ask(self, verb: str, argument: dict[str, Any]) -> int: ...
    def ask_and_give_up(self, verb: str, argument: dict[str, Any]) -> None: ...
    def unanswered(self) -> list[str]: ...
    def close(self) -> None: ...


class MemoryKept:
    """The in-memory store; a copy contains what is written, not what is pending."""

    def __init__(self) -> None:
        self.store = MemoryStore(clock=lambda: Wall(0.0))

    def create(self, run: Run, jobs: Iterable[Job]) -> None:
        self.store.create_run(run, jobs)

    @asynccontextmanager
    async def journal(self) -> AsyncIterator[MemoryJournal]:
        yield self.store.journal(RUN)

    def crash(self, journal: MemoryJournal) -> None:
        journal.crash()

    def run(self) -> Run:
        return self.store.run(RUN)

    def jobs(self) -> list[Job]:
        return list(self.store.jobs(RUN))

    def copy(self) -> Held:
        return self.store.held.copy()

    def put_back(self, copy: Held) -> None:
        self.store.held = copy.copy()

    def ask(self, verb: str, argument: dict[str, Any]) -> int:
        return self.store.ask(RUN, verb, argument, "operator")

    def ask_and_give_up(self, verb: str, argument: dict[str, Any]) -> None:
        """Asked, not answered, told as failed."""
        self.store.withdraw(self.ask(verb, argument))

    def unanswered(self) -> list[str]:
        return [
            command.verb
            for number, (_, command) in sorted(self.store.held.asked.items())
            if number not in self.store.held.answered
        ]

    def close(self) -> None:
        """Nothing to close."""


_empty: dict[Path, bytes] = {}
"""A new store as files: creating its tables each time would be most of the work."""


class SqliteKept:
    """A real file in `folder`; a copy includes the files that SQLite keeps next to it."""

    def __init__(self, folder: Path, clocks: Clocks) -> None:
        self.path = folder / "runs.db"
        for left in folder.iterdir():
            left.unlink()
        self._clocks = clocks
        self._copies = 0
        if empty := _empty.get(folder):
            self.path.write_bytes(empty)
        self._store = SqliteStore.open(self.path, create=True, clock=clocks.wall)
        _empty[folder] = empty or self.path.read_bytes()

    def create(self, run: Run, jobs: Iterable[Job]) -> None:
        self._store.create_run(run, jobs, BackupSettings())

    def journal(self) -> Any:
        return self._store.journal(RUN, inline=True)

    def crash(self, journal: Any) -> None:
        journal.crash()

    def run(self) -> Run:
        return self._store.run(RUN)

    def jobs(self) -> list[Job]:
        return list(self._store.jobs(RUN))

    def copy(self) -> list[Path]:
        self._copies += 1
        return [
            Path(shutil.copy(file, file.with_name(f"{self._copies}-copy-{file.name}")))
            for file in self._files()
            if not file.name.endswith("-shm")
        ]

    def put_back(self, copy: list[Path]) -> None:
        self._store.close()
        for file in self._files():
            file.unlink()
        for file in copy:
            shutil.copy(file, file.with_name(file.name.partition("-copy-")[2]))
        self._store = SqliteStore.open(self.path, clock=self._clocks.wall)

    def _files(self) -> Iterator[Path]:
        beside = (self.path.with_name(self.path.name + end) for end in ("", "-wal", "-shm"))
        return (file for file in beside if file.exists())

    def ask(self, verb: str, argument: dict[str, Any]) -> int:
        return self._store.ask(RUN, verb, argument, "operator")

    def ask_and_give_up(self, verb: str, argument: dict[str, Any]) -> None:
        """Asked, not answered, told as failed."""
        self._store.withdraw(self.ask(verb, argument))

    def unanswered(self) -> list[str]:
        return []  # states are compared on the in-memory store only

    def close(self) -> None:
        self._store.close()


@dataclass(frozen=True, kw_only=True)
class Life:
    """What one engine works with."""

    clocks: Clocks
    kept: Kept
    journal: Any
    transport: httpx.AsyncBaseTransport
    sign_in: Callable[[float], str]
    """Signs in; given the elapsed clock, a token's value."""
    listen: Listener
    first: bool
    """No engine has driven the run before."""


def engine_of(life: Life) -> Engine:
    """One engine's life: the real engine with the real cloud room."""
    life.clocks.new_process()
    run = life.kept.run()
    real = _service(life, run.settings)
    other = stand_in(real, run, life.kept.jobs(), life.clocks.elapsed)
    return Engine(
        run=run,
        journal=life.journal,
        service=other or real,
        clock=life.clocks,
        random=Random(0),
        listeners=[life.listen, *([other.hear] if other else [])],
        tuning=PACE,
        resumed=not life.first,
    )


async def drive(engine: Engine) -> EngineResult:
    """Drive the run to its end or a stop."""
    return await engine.drive()


def _service(life: Life, settings: Settings) -> CloudService:

    def seconds() -> float:
        return float(life.clocks.elapsed())

    session = Session(
        Tokens(_fetch(life), seconds),
        settings.timeouts,
        workers=settings.limits.connections,
        transport=lambda: life.transport,
        now=seconds,
    )
    roots = {"vbs": ROOT, "cbr": ROOT, "block_storage": ROOT}
    kind = service_class(settings.service)
    return kind(session, Endpoints(project_id=PROJECT, roots=roots))


def _fetch(life: Life) -> Callable[[], Awaitable[Token]]:
    async def fetch() -> Token:
        now = float(life.clocks.elapsed())
        return Token(value=life.sign_in(now), got_at=now, expires_at=now + 86400.0)

    return fetch


async def rest(seconds: float) -> None:
    """Let time pass without an engine."""
    await anyio.sleep(seconds)
