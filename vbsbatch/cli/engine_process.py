"""Drives one run in this process: store, cloud, engine, signals and voice, wired together."""

from __future__ import annotations

import re
import shlex
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING

import anyio

from vbsbatch.cli import INTERRUPTED, STOPPED
from vbsbatch.cli.asking import Tries, ask_again
from vbsbatch.cli.endings import next_command, outcome
from vbsbatch.cli.progress import Voice
from vbsbatch.cloud import CloudChoice, CloudService, connect, stand_in
from vbsbatch.engine import Ending, Engine
from vbsbatch.errors import CloudError, CloudRefused, CloudUnavailable, SignInError, UsageError
from vbsbatch.model import Quota, Run, RunState, Service, Settings
from vbsbatch.store import Store

if TYPE_CHECKING:
    from vbsbatch.plan import Plan

REACHING = Tries(pauses=(0.5, 1.0), longest=1.0)
"""The first look at the service is repeated: one dropped connection is no fault."""

_ENDPOINTS = {
    Service.VBS: "--vbs-endpoint, vbs_endpoint_override",
    Service.CINDER: "--block-storage-endpoint, block_storage_endpoint_override",
}

_ENDED = re.compile(r"discontinued|end.of.(?:life|service)|no longer (?:available|offered)", re.I)
"""Words of a service that has come to its end, whatever its status."""

ECHO = 0.25
"""A signal that follows the first so soon is the same one: `timeout` sends each twice."""


class WallClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the Unix epoch (UTC)."""
        return time.time()


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How to drive: what to show, and what the command line sets for this engine."""

    progress: str
    verbose: bool = False
    options: Sequence[str] = ()
    """What the command line said of the cloud's addresses: the next command needs it too."""


@asynccontextmanager
async def signed_in(choice: CloudChoice, settings: Settings) -> AsyncIterator[CloudService]:
    """A service that is ready to be used; raises `SignInError` before anything is stored."""
    timeouts, workers = settings.timeouts, settings.limits.connections
    async with connect(choice, timeouts=timeouts, workers=workers) as service:
        yield service


async def reach(service: CloudService) -> tuple[Quota, ...] | CloudError:
    """Ask the service something small before a run is stored: a wrong address or a certificate
    that is not trusted must not begin a night. Raises `SignInError`, for a redirect, for a service
    that takes no token of ours and for one that is switched off too; any other answer will do, an
    error among them: what it says is for others to deal with."""
    try:
        return await ask_again(service.quota, REACHING)
    except CloudRefused as error:
        if error.status == 401 or 300 <= (error.status or 0) < 400:
            raise SignInError(
                f"the backup service lets nobody in: {error}: {_check_endpoint(service)}"
            ) from error
        if (why := await _why_off(service, error)) is not None:
            raise SignInError(
                f"the backup service is switched off, it seems: {why}: {_check_endpoint(service)}"
            ) from error
        return error
    except CloudUnavailable as error:
        if error.status is None:
            raise SignInError(
                f"cannot reach the backup service: {error}: {_check_endpoint(service)}"
            ) from error
        return error


def _check_endpoint(service: CloudService) -> str:
    return f"check its endpoint ({_ENDPOINTS[service.kind]} in clouds.yaml, the catalog)"


async def _why_off(service: CloudService, error: CloudRefused) -> str | None:
    """Why no create can be taken by a service that refused to tell its quota; None if one may."""
    if error.status in (200, 410) or _ENDED.search(str(error)):
        return str(error)
    if error.status not in (404, 405):
        return None
    try:  # not every cloud tells the quota: whether creates arrive tells one that names no volume
        return await ask_again(service.why_no_creates, REACHING)
    except CloudError:
        return None


async def objections(plan: Plan, service: CloudService) -> list[str]:
    """What of the plan's settings the service cannot do, or why that cannot be found out."""
    try:
        return await ask_again(partial(service.objections, plan.backup_settings()), REACHING)
    except CloudUnavailable as error:
        return [str(error)]


def check_project(run: Run, service: CloudService) -> None:
    """A run belongs to one project: in another, nothing of it could be found, and all sent
    twice."""
    if run.project_id is not None and run.project_id != service.project_id:
        raise UsageError(
            f"run {run.id} belongs to project {run.project_id}, "
            f"and these credentials lead to {service.project_id}: sign in to the same project"
        )


async def drive(store: Store, run: Run, service: CloudService, manner: Manner) -> int:
    """Drive `run` until it ends or is stopped; the exit code."""
    check_project(run, service)
    # The heartbeat of an engine that was killed lacks its last calls; every create is an attempt.
    run = replace(run, create_calls=max(run.create_calls, store.attempt_total(run.id)))
    voice = Voice(style=manner.progress, verbose=manner.verbose, run=run)
    clock = WallClock()
    other = stand_in(service, run.settings, store.jobs(run.id), clock.now)
    with store.lock(run.id):
        async with store.journal(run.id) as journal:
            engine = Engine(
                run=run,
                journal=journal,
                service=other or service,
                clock=clock,
                random=SystemRandom(),
                listeners=[voice.hear, *([other.hear] if other else [])],
            )
            ending, interrupted = await _attended(engine, voice)
    return _farewell(store, run.id, ending, voice, manner, interrupted=interrupted)


async def _attended(engine: Engine, voice: Voice) -> tuple[Ending, bool]:
    """The engine with its signal handling and its progress lines around it."""
    aborted = False
    endings: list[Ending] = []

    async def obey_signals() -> None:
        nonlocal aborted
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            first_at: float | None = None
            async for number in signals:
                now = time.monotonic()
                if first_at is not None and now - first_at < ECHO:
                    continue
                aborted = first_at is not None
                first_at = first_at or now
                engine.stop(f"stopped by {signal.Signals(number).name}", now=aborted)

    # The terminal may go, the run goes on.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(obey_signals, name="signals")
            group.start_soon(voice.tell, engine, name="progress")
            endings.append(await engine.drive())
            group.cancel_scope.cancel()
    finally:
        signal.signal(signal.SIGHUP, before)
    return endings[0], aborted


def _farewell(
    store: Store, run_id: str, ending: Ending, voice: Voice, manner: Manner, *, interrupted: bool
) -> int:
    """Say how it ended; the exit code."""
    run = store.run(run_id)
    code = exit_code(ending, interrupted=interrupted)
    command = next_command(store, run)
    if command is not None and manner.options:
        command += f" {shlex.join(manner.options)}"
    voice.end(run, ending.counts, code, command if code else None)
    return code


def exit_code(ending: Ending, *, interrupted: bool) -> int:
    """What the way a run was left means to whoever started it."""
    if interrupted:
        return INTERRUPTED
    if ending.state is RunState.STOPPED:
        return STOPPED
    return outcome(ending.counts)


__all__ = [
    "Manner",
    "SignInError",
    "check_project",
    "drive",
    "exit_code",
    "objections",
    "reach",
    "signed_in",
]
