"""Signing in and handing out a service: what the command line calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
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
    region_of,
)
from vbsbatch.cloud.cinder import CinderService
from vbsbatch.cloud.cloud_config import load_cloud
from vbsbatch.cloud.identity import Account, trust_of
from vbsbatch.cloud.key_account import KeyAccount
from vbsbatch.cloud.plain_http import check_endpoints, check_trust
from vbsbatch.cloud.server_clock import ServerClock
from vbsbatch.cloud.service import CloudService, SignInEnd
from vbsbatch.cloud.session import Connect, Session
from vbsbatch.cloud.tokens import Token, Tokens
from vbsbatch.cloud.trust import ssl_context
from vbsbatch.cloud.vbs import VbsService
from vbsbatch.errors import CloudRefused, CloudUnavailable, SignInError
from vbsbatch.model import Service, Timeouts
from vbsbatch.model.clocks import elapsed_seconds

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
    now: Callable[[], float] = elapsed_seconds,
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
        on_vbs = service.kind is Service.VBS
        service.endpoint = endpoints.vbs if on_vbs else endpoints.block_storage
        service.project_name, service.ends = entrance.project_name, entrance.ends
        service.region = (
            region_of(entrance.catalog, service.endpoint, endpoints.project_id) or service.region
        )
        service.warnings = entrance.warnings
        if key is not None:
            await _make_sure_of_key(service)
        yield service


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entrance:
    """A session that the cloud lets in, and what it leads to."""

    session: Session
    catalog: Catalog
    found: Found
    warnings: tuple[str, ...]
    project_name: str | None
    ends: SignInEnd | None = None


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
        first = await _first_token(account, timeouts)
        project_id, catalog = account.project_id, account.catalog()
        found, warnings = _find(catalog, account, project_id, choice)
        ends = _end_of(first, account.ends_with)
        tokens = Tokens(
            lambda: _sign_in(account, timeouts),
            now,
            first=first,
            calls=lambda: account.calls,
            early=ends is None,
        )
        async with _closing(opening(tokens, tls=tls)) as session:
            yield _Entrance(
                session=session,
                catalog=catalog,
                found=found,
                project_name=account.project_name,
                warnings=warnings,
                ends=ends,
            )
    finally:
        account.close()


def _end_of(token: Token, signed_in_with: str | None) -> SignInEnd | None:
    if signed_in_with is None:
        return None
    return SignInEnd(signed_in_with=signed_in_with, at=token.expires_at if token.end_told else None)


async def _sign_in(account: Account, timeouts: Timeouts) -> Token:
    """Sign in, within the time that any read may take."""
    from vbsbatch.cloud.bounded_sign_in import span, within  # the sign-in library, imported late

    seconds = span(timeouts)
    try:
        return await within(seconds, partial(_in_thread, account.sign_in))
    except TimeoutError as error:
        raise account.late(seconds) from error


async def _first_token(account: Account, timeouts: Timeouts) -> Token:
    """Sign in, again after a while where the identity service is but busy or restarting."""
    for pause in AGAIN:
        try:
            return await _sign_in(account, timeouts)
        except SignInError as error:
            if not error.passing:
                raise
            wait = min(error.retry_after or 0.0, LONGEST)
        await anyio.sleep(max(pause, wait))
    return await _sign_in(account, timeouts)


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
        found, warnings = _find(catalog, account, project_id, choice)
        name = account.project_name
        yield _Entrance(
            session=session, catalog=catalog, found=found, project_name=name, warnings=warnings
        )


@asynccontextmanager
async def _closing(session: Session) -> AsyncIterator[Session]:
    try:
        yield session
    finally:
        with anyio.CancelScope(shield=True):
            await session.aclose()


def _find(
    catalog: Catalog, account: Account | KeyAccount, project_id: str, choice: CloudChoice
) -> tuple[Found, tuple[str, ...]]:
    """The endpoints, and what a person should know about the way to them."""
    named = choice.vbs_endpoint, choice.block_storage_endpoint
    found = find_endpoints(
        catalog, account.config, project_id, vbs=named[0], block_storage=named[1]
    )
    warnings = check_endpoints(found.endpoints, account.config, *named)
    return found, (*check_trust(account.trust), *warnings)


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


def trust_warnings(cloud: str | None) -> tuple[str, ...]:
    """The warnings about certificates that a sign-in to this cloud would give; no network, and
    none where its entry cannot be read."""
    try:
        region, _ = load_cloud(cloud)
    except SignInError:
        return ()
    return check_trust(trust_of(region))
