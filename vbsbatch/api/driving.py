"""Drives one run in this process: connects store, cloud, engine and observers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from random import SystemRandom
from typing import TypeVar

import anyio

from vbsbatch.api.notices import open_desk
from vbsbatch.api.results import exit_code
from vbsbatch.api.sessions import check_project
from vbsbatch.cloud import CloudService, stand_in
from vbsbatch.engine import Engine, EngineResult
from vbsbatch.model import Run
from vbsbatch.model.clocks import elapsed, wall
from vbsbatch.observers import Observer, Observers, RunEnded, RunStarted
from vbsbatch.store import RunStore

Result = TypeVar("Result")

_CANCELLED = "its caller was cancelled"


class SystemClock:
    """The machine's two clocks."""

    elapsed = staticmethod(elapsed)
    wall = staticmethod(wall)


async def drive(
    store: RunStore,
    run: Run,
    service: CloudService,
    *,
    observers: Iterable[Observer] = (),
    resumed: bool = True,
) -> EngineResult:
    """Drive `run` until it ends or is stopped, and pass every event to the observers.

    `resumed` is false only for a run that this process has just created. A cancelled caller waits
    until pending answers have been recorded; the run is then stopped and can be resumed.
    Raises `RunIsLive` while another engine drives it, `StoreFailed` when the store fails.
    """
    stopping = _Stopping()
    step = partial(_drive, store, run, service, Observers(observers), resumed, stopping)
    return await _drained(step, stopping)


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


async def _drive(
    store: RunStore,
    run: Run,
    service: CloudService,
    observers: Observers,
    resumed: bool,
    stopping: _Stopping,
) -> EngineResult:
    check_project(run, service)
    if resumed and run.endpoint == service.endpoint:
        service.worked_before()
    async with AsyncExitStack() as held:
        held.enter_context(store.lock(run.id))
        run = store.run(run.id)  # another engine may have changed it before we got the lock
        if run.settings.limits.per_checkpoint == 1:
            # A killed engine's last heartbeat misses its last calls; count attempts instead.
            run = replace(run, create_calls=max(run.create_calls, store.attempt_total(run.id)))
        other = stand_in(service, run, store.jobs(run.id), elapsed)
        engine = Engine(
            run=run,
            journal=await held.enter_async_context(store.journal(run.id)),
            service=other or service,
            clock=SystemClock(),
            random=SystemRandom(),
            listeners=[observers, *([other.hear] if other else [])],
            resumed=resumed,
        )
        stopping.begin(engine)
        desk = partial(open_desk, store, run.id)
        sizes = partial(store.sizes, run.id)
        observers(RunStarted(run=run, live=engine, sizes=sizes, desk=desk))
        result = await _beside(observers, engine)
    code = exit_code(result.state, result.counts)
    observers(RunEnded(run=store.run(run.id), counts=result.counts, exit_code=code))
    async with anyio.create_task_group() as group:
        for task in observers.finishing:
            group.start_soon(_guarded, task, name="observer's end")
    return result


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
