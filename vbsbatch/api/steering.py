"""Steers a run: sends commands to its engine, or changes a run that has none.

A command is a row in the store that the engine answers. A caller that gives up withdraws it; then
it is never carried out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from shlex import quote
from typing import Any

import anyio

from vbsbatch.api.reading import check_volumes
from vbsbatch.api.results import RunResult, result_of
from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.errors import StoreError, UsageError
from vbsbatch.model import WITHDRAWN, BlockingRun, Rate, Run, RunState, holders
from vbsbatch.report import clean
from vbsbatch.store import RunStore, db_option

PATIENCE = 30.0
"""Seconds to wait for the answer: the engine reads commands twice a second unless very busy."""

ACTOR = "api"
"""Who asks, in the run's history, when the caller gives no name."""

_LOOK = 0.1
_LOOK_AT_RUN = 0.5
_UNDER_WAY = (RunState.RUNNING, RunState.PAUSED)


async def pause(run_id: str, *, store: StoreName = None, asked_by: str = ACTOR) -> str:
    """Send no new create for now; backups that run in the cloud are still followed.

    Returns the engine's answer, cleaned. Raises `UsageError` when no engine drives the run or none
    answers.
    """
    return await _to_live(run_id, "pause", store, asked_by)


async def unpause(run_id: str, *, store: StoreName = None, asked_by: str = ACTOR) -> str:
    """Send creates again after a pause, or despite a closed gate. Returns and raises as `pause`."""
    return await _to_live(run_id, "unpause", store, asked_by)


async def stop(
    run_id: str, *, now: bool = False, store: StoreName = None, asked_by: str = ACTOR
) -> str:
    """Stop a run before its end; it can be resumed. Returns and raises as `pause`.

    `now` does not wait for pending answers. Running backups continue in the cloud.
    """
    return await _to_live(run_id, "stop-now" if now else "stop", store, asked_by)


async def cancel(
    run_id: str,
    *,
    volumes: Sequence[str] = (),
    store: StoreName = None,
    asked_by: str = ACTOR,
) -> str:
    """Cancel jobs that have not been sent: all, or those of these volumes (ids or names).

    Returns what was done. Raises `UsageError` for a volume that the run does not have.
    """
    argument: dict[str, Any] = {"volumes": list(volumes)} if volumes else {"all": True}
    with opened_store(store) as opened:
        found = opened.run(run_id)
        check_volumes(opened, found.id, volumes)
        if opened.is_live(found.id) is not None:
            return await ask(opened, found.id, "cancel", argument, asked_by)
        return f"cancelled {opened.cancel(found.id, argument)}"


async def set_rate(
    run_id: str, rate: Rate, *, store: StoreName = None, asked_by: str = ACTOR
) -> str:
    """Change how fast a run sends creates, now or when it is resumed. Returns what was done."""
    with opened_store(store) as opened:
        found = opened.run(run_id)
        opened.set_limits(found.id, rate=rate)
        if opened.is_live(found.id) is None:
            return f"rate is {rate} when run {found.id} is resumed"
        argument = {"count": rate.count, "per": rate.per}
        return await ask(opened, found.id, "rate", argument, asked_by)


async def set_in_flight(
    run_id: str, count: int, *, store: StoreName = None, asked_by: str = ACTOR
) -> str:
    """Change how many backups of a run may be open at once. Returns as `set_rate`."""
    with opened_store(store) as opened:
        found = opened.run(run_id)
        opened.set_limits(found.id, in_flight=count)
        if opened.is_live(found.id) is None:
            return f"at most {count} in flight when run {found.id} is resumed"
        return await ask(opened, found.id, "in-flight", {"count": count}, asked_by)


async def take_over(
    run_id: str, *, store: StoreName = None, asked_by: str = ACTOR
) -> list[BlockingRun]:
    """Take the volumes that the run waits for from runs that have no engine.

    Jobs of those runs fail for good as `released`. Returns which run gave up how many.
    """
    with opened_store(store) as opened:
        return opened.take_over(opened.run(run_id).id, asked_by)


def takeable(store: RunStore, run_id: str) -> list[BlockingRun]:
    """List runs that hold volumes of this run; raises `UsageError` if engines drive them all."""
    held = store.holders(run_id)
    if held and all(holder.driven for holder in held):
        raise UsageError(
            f"nothing can be taken over by run {run_id}: {holders.who_holds(held)}; "
            f"an engine is working on them: wait, or stop it first"
        )
    return list(held)


async def wait(run_id: str = "latest", *, store: StoreName = None) -> RunResult:
    """Wait until no engine drives the run any more, and return its result."""
    with opened_store(store, readonly=True) as opened:
        found = opened.run(run_id)
        while is_under_way(opened, found):
            await anyio.sleep(_LOOK_AT_RUN)
            found = opened.run(found.id)
        return result_of(opened, found.id)


def is_under_way(store: RunStore, run: Run) -> bool:
    """Whether an engine drives the run, or may drive it: that is not always known."""
    holder = store.is_live(run.id)
    return holder is not None and (holder.live or run.state in _UNDER_WAY)


async def ask(
    store: RunStore, run_id: str, verb: str, argument: Mapping[str, Any], asked_by: str = ACTOR
) -> str:
    """Send a command to the run's engine, and wait for its answer, cleaned for display.

    Raises `UsageError` when none comes; the command is then withdrawn and never carried out.
    """
    command = store.ask(run_id, verb, argument, asked_by)
    try:
        return await _answer(store, run_id, command)
    except BaseException:  # cancellation too: nothing is carried out after giving up
        with suppress(StoreError):
            store.withdraw(command)
        raise


async def _answer(store: RunStore, run_id: str, command: int) -> str:
    deadline = time.monotonic() + PATIENCE
    gone = False
    while time.monotonic() < deadline and not gone:
        gone = store.is_live(run_id) is None
        result = store.command_result(command)
        if result == WITHDRAWN:
            raise UsageError(f"the engine of run {run_id} ended before it took the command")
        if result is not None:
            return clean(result)  # it may contain the name of a wave
        await anyio.sleep(_LOOK)
    withdrawn = store.withdraw(command)
    if not withdrawn and (result := store.command_result(command)) not in (None, WITHDRAWN):
        return clean(str(result))
    raise UsageError(_no_answer(run_id, withdrawn=withdrawn, gone=gone))


def _no_answer(run_id: str, *, withdrawn: bool, gone: bool) -> str:
    why = "ended before it answered" if gone else f"has not answered within {PATIENCE:g} s"
    if withdrawn:
        return f"the engine of run {run_id} {why}: the command is withdrawn, nothing was done"
    return (
        f"the engine of run {run_id} took the command and {why}: it may have been carried out, "
        f"look at `vbsbatch status {run_id}`"
    )


async def _to_live(run_id: str, verb: str, store: StoreName, asked_by: str) -> str:
    with opened_store(store) as opened:
        found = opened.run(run_id)
        if opened.is_live(found.id) is None:
            raise UsageError(_not_live(opened, found))
        return await ask(opened, found.id, verb, {}, asked_by)


def _not_live(store: RunStore, run: Run) -> str:
    if run.state is RunState.ENDED:
        return f"run {run.id} has ended: there is nothing to steer"
    command = f"vbsbatch resume {quote(run.id)}{db_option(store.path)}"
    return f"no engine drives run {run.id} ({run.state}): {command}"
