"""Signing in and handing out a service: what the command line calls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from vbsbatch.cloud.catalog import (
    BLOCK_STORAGE_TYPES,
    VBS_TYPES,
    Catalog,
    Found,
    find_endpoints,
    names,
    no_cinder,
    no_vbs,
)
from vbsbatch.cloud.cinder import CinderService
from vbsbatch.cloud.cloud_config import load_cloud
from vbsbatch.cloud.identity import Account
from vbsbatch.cloud.key_account import KeyAccount
from vbsbatch.cloud.server_clock import ServerClock
from vbsbatch.cloud.service import CloudService
from vbsbatch.cloud.session import Connect, Session
from vbsbatch.cloud.tokens import Token, Tokens
from vbsbatch.cloud.trust import ssl_context
from vbsbatch.cloud.vbs import VbsService
from vbsbatch.errors import CloudRefused, CloudUnavailable, SignInError
from vbsbatch.model import Service, Timeouts

AGAIN = (1.0, 3.0)
"""Seconds before a first sign-in is repeated: no resume at night must end for one busy moment."""

LONGEST = 60.0
"""Seconds for which a first sign-in is put off at most where the identity service asks for it."""

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
    region, key = await _in_thread(partial(load_cloud, choice.cloud))
    clock = ServerClock()
    opening = partial(
        Session, timeouts=timeouts, workers=workers, transport=transport, now=now, clock=clock
    )
    if key is None:
        entered = _with_token(region, choice, timeouts, now, opening)
    else:
        entered = _with_key(KeyAccount(region, key, clock, now), choice, opening)
    async with entered as entrance:
        session, endpoints = entrance.session, entrance.found.endpoints
        place = {"cloud_name": str(region.name), "region": region.get_region_name() or None}
        vbs = VbsService(session, endpoints, **place)
        cinder = CinderService(session, endpoints, **place)
        service = await _chosen(choice.service, entrance.found, entrance.catalog, vbs, cinder)
        if key is not None:
            await _make_sure_of_key(service)
        yield service


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entrance:
    """A session that the cloud lets in, and what it leads to."""

    session: Session
    catalog: Catalog
    found: Found


@asynccontextmanager
async def _with_token(
    region: Any,
    choice: CloudChoice,
    timeouts: Timeouts,
    now: Callable[[], float],
    opening: Callable[..., Session],
) -> AsyncIterator[_Entrance]:
    """Sign in for a token, which brings project and catalog along."""
    account = await _in_thread(partial(Account, region, timeouts, now))
    try:
        tls = await _in_thread(partial(ssl_context, account.trust))
        first = await _first_token(account)
        project_id, catalog = account.project_id, account.catalog()
        found = _find(catalog, account.config, project_id, choice)
        tokens = Tokens(
            lambda: _in_thread(account.sign_in), now, first=first, calls=lambda: account.calls
        )
        async with _closing(opening(tokens, tls=tls)) as session:
            yield _Entrance(session=session, catalog=catalog, found=found)
    finally:
        account.close()


async def _first_token(account: Account) -> Token:
    """Sign in, again after a while where the identity service is but busy or restarting."""
    for pause in AGAIN:
        try:
            return await _in_thread(account.sign_in)
        except SignInError as error:
            if not error.passing:
                raise
            wait = min(error.retry_after or 0.0, LONGEST)
        await anyio.sleep(max(pause, wait))
    return await _in_thread(account.sign_in)


@asynccontextmanager
async def _with_key(
    account: KeyAccount, choice: CloudChoice, opening: Callable[..., Session]
) -> AsyncIterator[_Entrance]:
    """Sign every request with the key; project and catalog are asked for where not known."""
    tls = await _in_thread(partial(ssl_context, account.trust))
    async with _closing(opening(account.signer, tls=tls)) as session:
        project_id = await account.project_id(session)
        if choice.service is Service.CINDER:
            told = choice.block_storage_endpoint or names(account.config, BLOCK_STORAGE_TYPES)
        else:
            told = choice.vbs_endpoint or names(account.config, VBS_TYPES)
        catalog = {} if told else await account.catalog(session)
        found = _find(catalog, account.config, project_id, choice)
        yield _Entrance(session=session, catalog=catalog, found=found)


@asynccontextmanager
async def _closing(session: Session) -> AsyncIterator[Session]:
    try:
        yield session
    finally:
        with anyio.CancelScope(shield=True):
            await session.aclose()


def _find(
    catalog: Catalog, config: Mapping[str, Any], project_id: str, choice: CloudChoice
) -> Found:
    return find_endpoints(
        catalog,
        config,
        project_id,
        vbs=choice.vbs_endpoint,
        block_storage=choice.block_storage_endpoint,
    )


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
        if found.block_storage_supposed or await _denied(cinder.offers_backups):
            raise missing
        if not found.vbs_supposed and await _denied(cinder.makes_backups):
            raise missing
        return cinder
    missing = no_vbs(catalog)
    if wanted is Service.VBS:
        if found.vbs_supposed and await _denied(vbs.offers_vbs):
            raise missing
        return vbs
    if not found.vbs_supposed or await _asked(vbs.offers_vbs):
        return vbs
    if not await _asked(cinder.offers_backups):
        raise missing
    return cinder


async def _denied(offers: Callable[[], Awaitable[bool]]) -> bool:
    """Whether block storage says that it does not offer what the plan or a run is sure of.

    While it is away or busy it says nothing: whoever goes on deals with that.
    """
    try:
        return not await offers()
    except CloudUnavailable:
        return False
    except CloudRefused as error:
        raise SignInError(str(error)) from error


async def _asked(offers: Callable[[], Awaitable[bool]]) -> bool:
    """What block storage says of a service that nothing but it could tell of; again after a while
    where it is but busy or restarting."""
    try:
        for pause in AGAIN:
            with suppress(CloudUnavailable):
                return await offers()
            await anyio.sleep(pause)
        return await offers()
    except (CloudUnavailable, CloudRefused) as error:
        raise SignInError(
            f"block storage cannot be asked for its backups: {error}: check its endpoint"
            " (--block-storage-endpoint, block_storage_endpoint_override in clouds.yaml,"
            " the catalog), or name that of VBS (--vbs-endpoint)"
        ) from error


async def _make_sure_of_key(service: CloudService) -> None:
    """Ask the service something small: nobody has said yet that the key is good."""
    try:
        await service.quota()
    except CloudRefused as error:
        if error.status == 401:
            raise SignInError(str(error)) from error
    except CloudUnavailable:
        return  # no matter of the key: whoever goes on deals with it
