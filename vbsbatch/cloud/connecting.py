"""Signing in and handing out a service: what the command line calls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from vbsbatch.cloud.catalog import Catalog, Found, find_endpoints, no_cinder, no_vbs
from vbsbatch.cloud.cinder import CinderService
from vbsbatch.cloud.identity import Account
from vbsbatch.cloud.service import CloudService
from vbsbatch.cloud.session import Connect, Session
from vbsbatch.cloud.tokens import Tokens
from vbsbatch.cloud.trust import ssl_context
from vbsbatch.cloud.vbs import VbsService
from vbsbatch.errors import CloudRefused, CloudUnavailable, SignInError
from vbsbatch.model import Service, Timeouts

Done = TypeVar("Done")


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudChoice:
    """Which cloud, and where its services are if the catalog does not say so.

    `cloud` is an entry of clouds.yaml; None means `OS_CLOUD`, the `OS_*` variables, or the only
    entry there is. An endpoint given here wins over clouds.yaml, which wins over the catalog.
    """

    cloud: str | None = None
    vbs_endpoint: str | None = None
    block_storage_endpoint: str | None = None
    service: Service | None = None
    """Which service makes the backups; None takes what the cloud offers, VBS first."""


@asynccontextmanager
async def connect(
    choice: CloudChoice,
    *,
    timeouts: Timeouts | None = None,
    workers: int = 16,
    transport: Connect | None = None,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[CloudService]:
    """Sign in to a cloud and give its backup service, closed at the end.

    `workers` is how many creates run at once. Raises `SignInError`, one line that says what to do,
    for anything that keeps the first request from being sent.
    """
    timeouts = timeouts or Timeouts()
    account = await _in_thread(partial(Account, choice.cloud, timeouts, now))
    try:
        tls = await _in_thread(partial(ssl_context, account.trust))
        first = await _in_thread(account.sign_in)
        project_id = account.project_id
        catalog: Catalog = account.catalog()
        found = find_endpoints(
            catalog,
            account.config,
            project_id,
            vbs=choice.vbs_endpoint,
            block_storage=choice.block_storage_endpoint,
        )
        session = Session(
            Tokens(
                lambda: _in_thread(account.sign_in), now, first=first, calls=lambda: account.calls
            ),
            timeouts,
            workers=workers,
            transport=transport,
            tls=tls,
            now=now,
        )
        place = {"cloud_name": account.name, "region": account.region}
        vbs = VbsService(session, found.endpoints, **place)
        cinder = CinderService(session, found.endpoints, **place)
        try:
            yield await _chosen(choice.service, found, catalog, vbs, cinder)
        finally:
            with anyio.CancelScope(shield=True):
                await session.aclose()
    finally:
        account.close()


async def _in_thread(step: Callable[[], Done]) -> Done:
    """Run a blocking step in a thread; a cancelled caller does not wait for it."""
    return await anyio.to_thread.run_sync(step, abandon_on_cancel=True)


async def _chosen(
    wanted: Service | None,
    found: Found,
    catalog: Catalog,
    vbs: VbsService,
    cinder: CinderService,
) -> CloudService:
    """The service that was asked for, or that the cloud offers: VBS where there is one.

    Where the catalog names no VBS, block storage is asked once whether it serves VBS too.
    """
    if wanted is Service.CINDER:
        missing = no_cinder(catalog)
        if found.block_storage_supposed or not await _asked(cinder.offers_backups, missing):
            raise missing
        return cinder
    missing = no_vbs(catalog)
    if not found.vbs_supposed or await _asked(vbs.offers_vbs, missing):
        return vbs
    if wanted is Service.VBS or not await _asked(cinder.offers_backups, missing):
        raise missing
    return cinder


async def _asked(offers: Callable[[], Awaitable[bool]], missing: SignInError) -> bool:
    """What block storage says of a service that nothing but it could tell of."""
    try:
        return await offers()
    except (CloudUnavailable, CloudRefused) as error:
        raise SignInError(f"{missing}; block storage says: {error}") from error
