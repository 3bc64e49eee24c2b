"""Drives one run in this process: connects store, cloud, engine and observers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random, SystemRandom
from typing import TypeVar

import anyio

from vbsbatch.api.notices import open_desk
from vbsbatch.api.results import exit_code
from vbsbatch.api.retention import Deleting, apply_rules, make_room
from vbsbatch.api.safeguards import refusals
from vbsbatch.api.sessions import check_project
from vbsbatch.api.system_clock import SYSTEM_CLOCK, Clock
from vbsbatch.cloud import CloudService, stand_in
from vbsbatch.engine import Engine, EngineResult, Tuning
from vbsbatch.model import Operation, Run, RunState
from vbsbatch.observers import Observer, Observers, RunEnded, RunStarted
from vbsbatch.store import RunStore

Result = TypeVar("Result")

_CANCELLED = "its caller was cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What an engine needs beside store and cloud; tests of whole nights pass their own."""

    clock: Clock = SYSTEM_CLOCK
    random: Random = field(default_factory=SystemRandom)
    tuning: Tuning | None = None


async def drive(
    store: RunStore,
    run: Run,
    service: CloudService,
    *,
    observers: Iterable[Observer] = (),
    aside: Iterable[Observer] = (),
    resumed: bool = True,
    machine: Machine | None = None,
) -> EngineResult:
    """Drive `run` until it ends or is stopped, and pass every event to the observers.

    A run with rules of retention is preceded and followed by deletions, see `retention`; events of
    these runs go to `aside`. Of an ended run the rules are applied.

    `resumed` is false only for a run that this process has just created. A cancelled caller waits
    until pending answers have been recorded; the run is then stopped and can be resumed.
    Raises `RunIsLive` while another engine drives it, `StoreFailed` when the store fails.
    """
    stopping = _Stopping()
    work = _Work(
        store=store,
        service=service,
        observers=Observers(observers),
        aside=Observers(aside),
        stopping=stopping,
        machine=machine or Machine(),
    )
    return await _drained(partial(_drive, work, run, resumed), stopping)


class _Stopping:
    """Passes requests to stop on to the engine, including those made before it exists."""

    def __init__(self) -> None:
        self._requests: list[bool] = []
        self._engine: Engine | None = None

    def begin(self, engine: Engine) -> None:
        """Pass on earlier requests now, and later ones as they come."""
        self._engine = engine
        for now in self._requests:
            engine.stop(_CANCELLED, now=now)

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return bool(self._requests)

    def ask(self) -> None:
        """Stop the engine; the second request does not wait for answers."""
        self._requests.append(bool(self._requests))
        if self._engine is not None:
            self._engine.stop(_CANCELLED, now=self._requests[-1])


async def _drained(
    step: Callable[[], Awaitable[EngineResult]], stopping: _Stopping
) -> EngineResult:
    """Run the step to its end even if the caller is cancelled, which asks it to stop.

    The step has a task of its own because asyncio's own cancellation ignores shields.
    """
    outcomes: list[Callable[[], EngineResult]] = []
    done = anyio.Event()

    async def shielded() -> None:
        try:
            with anyio.CancelScope(shield=True):
                outcomes.append(await _outcome(step))
        finally:
            done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(shielded, name="engine")
        try:
            await done.wait()
        except anyio.get_cancelled_exc_class():
            stopping.ask()
            with anyio.CancelScope(shield=True):
                try:
                    await done.wait()
                except anyio.get_cancelled_exc_class():  # a second cancellation by asyncio
                    stopping.ask()
                    raise
            raise
    return outcomes[0]()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """What all engines of one call of `drive` share."""

    store: RunStore
    service: CloudService
    observers: Observers
    aside: Observers
    stopping: _Stopping
    machine: Machine

    def deleting(self, run: Run) -> Deleting:
        """What the deletions for this run need."""
        return Deleting(
            store=self.store,
            run=run,
            service=self.service,
            drive=partial(_drive_aside, self),
            emit=self.observers,
            clock=self.machine.clock,
        )


async def _drive(work: _Work, run: Run, resumed: bool) -> EngineResult:
    store, service = work.store, work.service
    check_project(run, service)
    if resumed and run.endpoint == service.endpoint:
        service.worked_before()
    with store.lock(run.id):
        run = store.run(run.id)  # another engine may have changed it before we got the lock
        deleting = work.deleting(run)
        if run.state is RunState.ENDED:
            result = EngineResult(state=run.state, reason=None, counts=store.counts(run.id))
        else:
            before = _calls(service)
            if run.settings.operation is Operation.BACKUP:
                await make_room(deleting)
            run = _less_calls(run, _calls(service), before)
            result = await _with_engine(work, run, work.observers, resumed)
        if result.state is RunState.ENDED and not work.stopping.asked:
            await apply_rules(deleting)
    code = exit_code(result.state, result.counts)
    work.observers(RunEnded(run=store.run(run.id), counts=result.counts, exit_code=code))
    async with anyio.create_task_group() as group:
        for task in work.observers.finishing:
            group.start_soon(_guarded, task, name="observer's end")
    return result


async def _drive_aside(work: _Work, run: Run, only: Collection[str] | None) -> EngineResult:
    """Drive another run, which deletes backups, before or after the one that was asked for."""
    with work.store.lock(run.id):
        run = _less_calls(work.store.run(run.id), _calls(work.service), (0, 0))
        return await _with_engine(work, run, work.aside, run.started_at is not None, only)


def _calls(service: CloudService) -> tuple[int, int]:
    return service.create_calls, service.read_calls


def _less_calls(run: Run, now: tuple[int, int], before: tuple[int, int]) -> Run:
    """The run without the calls that the session made for others, which the engine counts in."""
    creates, reads = (after - earlier for after, earlier in zip(now, before, strict=True))
    return replace(run, create_calls=run.create_calls - creates, read_calls=run.read_calls - reads)


async def _with_engine(
    work: _Work,
    run: Run,
    observers: Observers,
    resumed: bool,
    only: Collection[str] | None = None,
) -> EngineResult:
    """Drive a run whose lock is held."""
    store, machine = work.store, work.machine
    others = run.create_calls - store.run(run.id).create_calls
    if run.settings.limits.per_checkpoint == 1:
        # A killed engine's last heartbeat misses its last calls; count attempts instead.
        counted = store.attempt_total(run.id) + others
        run = replace(run, create_calls=max(run.create_calls, counted))
    clock, refuses = machine.clock, None
    if run.settings.operation is Operation.PRUNE:
        refuses = refusals(store, run, only, clock=clock)
    other = stand_in(work.service, run, store.jobs(run.id), clock.elapsed, refuses)
    async with store.journal(run.id) as journal:
        engine = Engine(
            run=run,
            journal=journal,
            service=other or work.service,
            clock=clock,
            random=machine.random,
            listeners=[observers, *([other.hear] if other else [])],
            tuning=machine.tuning,
            resumed=resumed,
        )
        work.stopping.begin(engine)
        desk = partial(open_desk, store, run.id)
        sizes = partial(store.sizes, run.id)
        observers(RunStarted(run=run, live=engine, sizes=sizes, desk=desk))
        return await _beside(observers, engine)


async def _beside(observers: Observers, engine: Engine) -> EngineResult:
    """Run the observers' own tasks while the engine runs."""
    async with anyio.create_task_group() as group:
        for task in observers.background:
            group.start_soon(_guarded, task, name="observer")
        outcome = await _outcome(engine.drive)
        group.cancel_scope.cancel()
    return outcome()


async def _outcome(step: Callable[[], Awaitable[Result]]) -> Callable[[], Result]:
    """What the step ends with, to be called outside of task groups, which wrap what is raised."""
    try:
        result = await step()
    except Exception as error:
        failure = error

        def fail() -> Result:
            raise failure

        return fail
    return lambda: result


async def _guarded(task: Callable[[], Awaitable[None]]) -> None:
    with suppress(Exception):  # not our code: a failure must not cost a backup
        await task()
