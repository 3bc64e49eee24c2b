"""Signs in to a cloud, and checks the service before a run is stored."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from vbsbatch.api.retrying import Tries, ask_again
from vbsbatch.api.system_clock import SYSTEM_CLOCK, Clock
from vbsbatch.cloud import CloudChoice, CloudService, connect
from vbsbatch.errors import CloudError, CloudRefused, CloudUnavailable, SignInError, UsageError
from vbsbatch.model import Cloud, Quota, Run, RunNoted, Service, Settings
from vbsbatch.model.clocks import wall
from vbsbatch.observers import Observer, Observers
from vbsbatch.report.text import clean, moment, span

if TYPE_CHECKING:
    from vbsbatch.plan import Plan

REACHING = Tries(pauses=(0.5, 1.0), longest=1.0)
"""For the first requests to the service: one dropped connection is not a failure."""

_ENDED = re.compile(r"discontinued|end.of.(?:life|service)|no longer (?:available|offered)", re.I)
"""What a discontinued service says, whatever its status."""


@asynccontextmanager
async def signed_in(
    choice: CloudChoice, settings: Settings, observers: Iterable[Observer] = ()
) -> AsyncIterator[CloudService]:
    """Sign in, and give the service; raises `SignInError` before anything is stored.

    The observers get its warnings (unchecked certificates, an endpoint without TLS).
    """
    timeouts, workers = settings.timeouts, settings.limits.connections
    async with connect(choice, timeouts=timeouts, workers=workers) as service:
        emit = Observers(observers)
        for text in service.warnings:
            emit(RunNoted(at=wall(), kind="warning", text=text))
        yield service


@asynccontextmanager
async def session_for(
    run: Run,
    cloud: str | None,
    vbs_endpoint: str | None,
    cbr_endpoint: str | None,
    block_storage_endpoint: str | None,
    *,
    settings: Settings | None = None,
    observers: Iterable[Observer] = (),
) -> AsyncIterator[CloudService]:
    """Sign in to the cloud of a run; raises `UsageError` when that leads to another project.

    `settings` are those of a new run that works on the backups of `run`; `observers` as in
    `signed_in`.
    """
    choice = choice_for_run(run, cloud, vbs_endpoint, cbr_endpoint, block_storage_endpoint)
    async with signed_in(choice, settings or run.settings, observers) as session:
        check_project(run, session)
        yield session


async def reach(service: CloudService) -> tuple[Quota, ...] | CloudError:
    """Send the service a small request before a run is stored, to find a wrong address or an
    untrusted certificate.

    Raises `SignInError` when it cannot be reached, redirects, rejects our token or is switched off.
    Any other answer is returned, including an error.
    """
    try:
        return await ask_again(service.quota, REACHING)
    except CloudRefused as error:
        if error.status == 401 or 300 <= (error.status or 0) < 400:
            raise SignInError(
                f"the backup service refuses this sign-in: {error}: {_check_endpoint(service)}"
            ) from error
        if (why := await _why_off(service, error)) is not None:
            raise SignInError(
                f"the backup service seems to be disabled: {why}: {_check_endpoint(service)}"
            ) from error
        return error
    except CloudUnavailable as error:
        if error.status is None:
            raise SignInError(
                f"cannot reach the backup service: {error}: {_check_endpoint(service)}"
            ) from error
        return error


def _check_endpoint(service: CloudService) -> str:
    return f"check its endpoint ({service.endpoint_kind.ways(', ')} in clouds.yaml, the catalog)"


async def _why_off(service: CloudService, error: CloudRefused) -> str | None:
    """Why a service that refuses to tell its quota cannot take creates; None if it may."""
    if error.status in (200, 410) or _ENDED.search(str(error)):
        return str(error)
    if error.status not in (404, 405):
        return None
    try:  # not every cloud tells the quota, so send a create without a volume
        return await ask_again(service.why_no_creates, REACHING)
    except CloudError:
        return None


async def objections(plan: Plan, service: CloudService) -> list[str]:
    """List settings that the service does not support, or why that cannot be found out."""
    try:
        return await ask_again(partial(service.objections, plan.backup_settings()), REACHING)
    except CloudUnavailable as error:
        return [str(error)]


def check_project(run: Run, service: CloudService) -> None:
    """Raise `UsageError` when the session is not in the run's project and region.

    Elsewhere none of its backups would be found, and all would be sent again.
    """
    if run.project_id is not None and run.project_id != service.project_id:
        raise UsageError(
            f"run {run.id} belongs to project {run.project_id}, "
            f"but these credentials are for {service.project_id}: sign in to the same project"
        )
    # The regions of a cloud share their projects.
    if None not in (run.region, service.region) and run.region != service.region:
        raise UsageError(
            f"run {run.id} belongs to region {run.region}, but this sign-in is for "
            f"{service.region}: set OS_REGION_NAME={shlex.quote(str(run.region))}, "
            "or region_name in clouds.yaml"
        )


def cloud_now(service: CloudService, clock: Clock = SYSTEM_CLOCK) -> Cloud:
    """The cloud's time now, as far as its answers show it."""
    return Cloud(float(clock.elapsed()) + service.clock_ahead)


def place_line(service: CloudService) -> str:
    """Cloud, region, project and address, cleaned."""
    return clean(str(service.place))


def end_line(service: CloudService) -> str | None:
    """When the sign-in ends, and what happens then; None if it can be renewed."""
    ends = service.ends
    if ends is None:
        return None
    told = f"signed in with {ends.signed_in_with}, which cannot be renewed"
    if ends.at is None:
        return f"{told}; how long it lasts is not reported: when it ends, the run stops"
    left = span(ends.at - time.time())
    return (
        f"{told}: a run stops at {moment(ends.at)}, {left} from now, and is resumed with a new one"
    )


def choice_for_run(
    run: Run,
    cloud: str | None,
    vbs_endpoint: str | None,
    cbr_endpoint: str | None,
    block_storage_endpoint: str | None,
) -> CloudChoice:
    """The cloud of a run, or the entry of clouds.yaml that is named; the run's own service."""
    return CloudChoice(
        cloud=cloud or run.cloud,
        service=run.settings.service,
        vbs_endpoint=vbs_endpoint,
        cbr_endpoint=cbr_endpoint,
        block_storage_endpoint=block_storage_endpoint,
    )


def choice_for_plan(
    plan: Plan,
    cloud: str | None,
    vbs_endpoint: str | None,
    cbr_endpoint: str | None,
    block_storage_endpoint: str | None,
    *,
    service: Service | str | None,
) -> CloudChoice:
    """The entry of clouds.yaml that is named, else the plan's, else that of `OS_CLOUD`.

    `service` wins over the plan's; `auto` takes what the cloud offers.
    """
    wanted = plan.service if service is None else service
    return CloudChoice(
        cloud=cloud or plan.cloud or os.environ.get("OS_CLOUD"),
        service=None if wanted in (None, "auto") else Service(wanted),
        vbs_endpoint=vbs_endpoint,
        cbr_endpoint=cbr_endpoint,
        block_storage_endpoint=block_storage_endpoint,
    )
