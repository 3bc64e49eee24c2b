"""Drives one run in this process: store, cloud, engine, signals and voice, wired together."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING

import anyio

from vbsbatch.cli import INTERRUPTED, STOPPED, remark
from vbsbatch.cli.exit_status import next_command, outcome
from vbsbatch.cli.progress import ProgressPrinter
from vbsbatch.cli.retrying import Tries, ask_again
from vbsbatch.cli.stop_signals import StopSignals
from vbsbatch.cloud import CloudChoice, CloudService, connect, stand_in
from vbsbatch.engine import Engine, EngineResult
from vbsbatch.errors import CloudError, CloudRefused, CloudUnavailable, SignInError, UsageError
from vbsbatch.model import Quota, Run, RunState, Service, Settings
from vbsbatch.model.clocks import elapsed, wall
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


class SystemClock:
    """The machine's two clocks."""

    elapsed = staticmethod(elapsed)
    wall = staticmethod(wall)


@dataclass(frozen=True, kw_only=True, slots=True)
class DriveOptions:
    """How to drive: what to show, and what the command line sets for this engine."""

    progress: str
    verbose: bool = False
    options: Sequence[str] = ()
    """What the command line said of the cloud's addresses: the next command needs it too."""
    resumed: bool = True
    """Another engine may have driven the run before; not so for one that was made just now."""


@asynccontextmanager
async def signed_in(choice: CloudChoice, settings: Settings) -> AsyncIterator[CloudService]:
    """A service that is ready to be used; raises `SignInError` before anything is stored."""
    timeouts, workers = settings.timeouts, settings.limits.connections
    async with connect(choice, timeouts=timeouts, workers=workers) as service:
        yield service


def warn(service: CloudService, style: str = "plain") -> None:
    """Say what a person should know about the way to the cloud."""
    for warning in service.warnings:
        remark(f"warning: {warning}", style, "warning")


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
    """A run belongs to one project in one region: in another, nothing of it could be found, and
    all sent twice."""
    if run.project_id is not None and run.project_id != service.project_id:
        raise UsageError(
            f"run {run.id} belongs to project {run.project_id}, "
            f"and these credentials lead to {service.project_id}: sign in to the same project"
        )
    # The regions of a cloud share their projects.
    if None not in (run.region, service.region) and run.region != service.region:
        raise UsageError(
            f"run {run.id} belongs to region {run.region}, and this sign-in leads to "
            f"{service.region}: set OS_REGION_NAME={shlex.quote(str(run.region))}, "
            "or region_name in clouds.yaml"
        )


async def drive(store: Store, run: Run, service: CloudService, manner: DriveOptions) -> int:
    """Drive `run` until it ends or is stopped; the exit code."""
    check_project(run, service)
    if run.endpoint == service.endpoint:
        service.worked_before()
    voice = ProgressPrinter(style=manner.progress, verbose=manner.verbose, run=run)
    async with AsyncExitStack() as held:
        held.enter_context(store.lock(run.id))
        run = store.run(run.id)  # as the engine left it that held the lock before
        # The heartbeat of a killed engine lacks its last calls; every create is an attempt.
        run = replace(run, create_calls=max(run.create_calls, store.attempt_total(run.id)))
        other = stand_in(service, run, store.jobs(run.id), elapsed)
        engine = Engine(
            run=run,
            journal=await held.enter_async_context(store.journal(run.id)),
            service=other or service,
            clock=SystemClock(),
            random=SystemRandom(),
            listeners=[voice.hear, *([other.hear] if other else [])],
            resumed=manner.resumed,
        )
        with StopSignals(engine.stop) as signals:
            ending = await _attended(engine, voice)
            await held.aclose()
            interrupted = await signals.settled()
            return _farewell(store, run.id, ending, voice, manner, interrupted=interrupted)


async def _attended(engine: Engine, voice: ProgressPrinter) -> EngineResult:
    """The engine with its progress lines beside it."""
    endings: list[EngineResult] = []
    # The terminal may go, the run goes on.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(voice.tell, engine, name="progress")
            endings.append(await engine.drive())
            group.cancel_scope.cancel()
    finally:
        signal.signal(signal.SIGHUP, before)
    return endings[0]


def _farewell(
    store: Store,
    run_id: str,
    ending: EngineResult,
    voice: ProgressPrinter,
    manner: DriveOptions,
    *,
    interrupted: bool,
) -> int:
    """Say how it ended; the exit code."""
    run = store.run(run_id)
    code = exit_code(ending, interrupted=interrupted)
    command = next_command(store, run)
    if command is not None and manner.options:
        command += f" {shlex.join(manner.options)}"
    voice.end(run, ending.counts, code, command if code else None)
    return code


def exit_code(ending: EngineResult, *, interrupted: bool) -> int:
    """What the way a run was left means to whoever started it."""
    if interrupted:
        return INTERRUPTED
    if ending.state is RunState.STOPPED:
        return STOPPED
    return outcome(ending.counts)


__all__ = [
    "DriveOptions",
    "SignInError",
    "check_project",
    "drive",
    "exit_code",
    "objections",
    "reach",
    "signed_in",
    "warn",
]
