"""Signs in and gives the backup service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from vbsbatch.cloud.catalog import (
    Catalog,
    check_endpoints,
    find_endpoints,
    names,
    not_offered,
    region_of,
)
from vbsbatch.cloud.cloud_config import load_cloud
from vbsbatch.cloud.endpoints import BLOCK_STORAGE
from vbsbatch.cloud.identity import Account, trust_of
from vbsbatch.cloud.key_account import KeyAccount
from vbsbatch.cloud.server_clock import ServerClock
from vbsbatch.cloud.service import CloudService, Found, Question, SignInEnd
from vbsbatch.cloud.services import SERVICES, service_class
from vbsbatch.cloud.session import Connect, Session
from vbsbatch.cloud.tokens import Token, Tokens
from vbsbatch.cloud.trust import check_trust, ssl_context
from vbsbatch.errors import CloudRefused, CloudUnavailable, SignInError
from vbsbatch.model import Service, Timeouts
from vbsbatch.model.clocks import elapsed_seconds

AGAIN = (1.0, 3.0)
"""Seconds before a first sign-in is repeated: a busy moment must not end a resume at night."""

LONGEST = 60.0
"""Seconds that a first sign-in waits at most when the identity service asks for a wait."""

Done = TypeVar("Done")


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudChoice:
    """Which cloud, and where its services are if the catalog does not say so.

    `cloud` is an entry of clouds.yaml; None means `OS_CLOUD`, the `OS_*` variables, or the only
    entry. An endpoint given here wins over clouds.yaml, which wins over the catalog.
    """

    cloud: str | None = None
    vbs_endpoint: str | None = None
    cbr_endpoint: str | None = None
    block_storage_endpoint: str | None = None
    service: Service | None = None
    """Which service makes the backups; None takes the first that the cloud offers."""

    @property
    def endpoints(self) -> dict[str, str]:
        """The endpoints that are named, by their kind's name."""
        named = {
            "vbs": self.vbs_endpoint,
            "cbr": self.cbr_endpoint,
            "block_storage": self.block_storage_endpoint,
        }
        return {name: url for name, url in named.items() if url}


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
    for anything that prevents the first request.
    """
    async with _entered(choice, timeouts or Timeouts(), workers, transport, now) as entrance:
        service = await _chosen(choice.service, entrance.found, entrance.catalog, entrance.services)
        await _describe(service, entrance)
        yield service


@asynccontextmanager
async def connect_all(
    choice: CloudChoice,
    *,
    timeouts: Timeouts | None = None,
    workers: int = 16,
    transport: Connect | None = None,
    now: Callable[[], float] = elapsed_seconds,
) -> AsyncIterator[tuple[CloudService, ...]]:
    """Sign in to a cloud and give every service whose list may show backups that no other shows.

    That of the choice alone, if it names one. Raises `SignInError` as `connect` does, also where it
    cannot be found out whether a service is offered.
    """
    async with _entered(choice, timeouts or Timeouts(), workers, transport, now) as entrance:
        first = await _chosen(choice.service, entrance.found, entrance.catalog, entrance.services)
        offered = [first]
        others = () if choice.service is not None else entrance.services
        for service in others:
            seen = any(_share_a_list(service, each) for each in offered)
            if not seen and await _is_offered(service, entrance.found):
                offered.append(service)
        for service in offered:
            await _describe(service, entrance)
        yield tuple(offered)


@asynccontextmanager
async def _entered(
    choice: CloudChoice,
    timeouts: Timeouts,
    workers: int,
    transport: Connect | None,
    now: Callable[[], float],
) -> AsyncIterator[_Entrance]:
    """A session that is signed in, with a token or a key, and all services over it."""
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
        place = {"cloud_name": str(region.name), "region": region.get_region_name() or None}
        session, endpoints = entrance.session, entrance.found.endpoints
        services = tuple(kind(session, endpoints, **place) for kind in SERVICES)
        yield replace(entrance, services=services, by_key=key is not None)


async def _describe(service: CloudService, entrance: _Entrance) -> None:
    """Tell the service where it is; raises `SignInError` for a key that it refuses."""
    endpoints = entrance.found.endpoints
    service.endpoint = endpoints.roots[service.endpoint_kind.name]
    service.project_name, service.ends = entrance.project_name, entrance.ends
    service.region = (
        region_of(entrance.catalog, service.endpoint, endpoints.project_id) or service.region
    )
    service.warnings = entrance.warnings
    if entrance.by_key:
        await _make_sure_of_key(service)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entrance:
    """A session that is signed in, and what was found with it."""

    session: Session
    catalog: Catalog
    found: Found
    warnings: tuple[str, ...]
    project_name: str | None
    ends: SignInEnd | None = None
    services: tuple[CloudService, ...] = ()
    """One of each kind, offered or not."""
    by_key: bool = False
    """Requests are signed with an access key, which has not been checked so far."""


@asynccontextmanager
async def _with_token(
    region: Any,
    choice: CloudChoice,
    timeouts: Timeouts,
    now: Callable[[], float],
    opening: Callable[..., Session],
) -> AsyncIterator[_Entrance]:
    """Sign in for a token; project and catalog come with it."""
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
    from vbsbatch.cloud.bounded_sign_in import span  # the sign-in library, imported late

    seconds = span(timeouts)
    try:
        with anyio.fail_after(seconds):
            return await _in_thread(account.sign_in)
    except TimeoutError as error:
        raise account.late(seconds) from error


async def _first_token(account: Account, timeouts: Timeouts) -> Token:
    """Sign in, again after a pause if the identity service is only busy or restarting."""
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
    """Sign every request with the key; ask for project and catalog if they are not known."""
    tls = await _in_thread(partial(ssl_context, account.trust))
    async with _closing(opening(account.signer, tls=tls)) as session:
        project_id = await account.project_id(session)
        first = SERVICES[0].endpoint_kind
        kinds = [each.endpoint_kind for each in SERVICES if each.endpoint_kind != BLOCK_STORAGE]
        if choice.service is not None:
            kinds = [service_class(choice.service).endpoint_kind]
        known = any(kind.name in choice.endpoints or names(account.config, kind) for kind in kinds)
        catalog = {} if known else await account.catalog(session, first)
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
    """The endpoints, and warnings about them."""
    found = find_endpoints(catalog, account.config, project_id, choice.endpoints)
    warnings = check_endpoints(found.endpoints, account.config, *choice.endpoints.values())
    return found, (*check_trust(account.trust), *warnings)


async def _in_thread(step: Callable[[], Done]) -> Done:
    """Run a blocking step in a thread; a cancelled caller does not wait for it."""
    return await anyio.to_thread.run_sync(step, abandon_on_cancel=True)


async def _chosen(
    wanted: Service | None, found: Found, catalog: Catalog, services: Sequence[CloudService]
) -> CloudService:
    """The service that was asked for, or the first that the cloud offers."""
    if wanted is not None:
        service = next(each for each in services if each.facts.service == wanted)
        for question in service.offer_checks(found, wanted=True):
            if await _denied(question):
                raise not_offered(type(service), catalog)
        return service
    for service in services:
        if await _is_offered(service, found):
            return service
    raise not_offered(type(services[0]), catalog)


def _share_a_list(one: CloudService, other: CloudService) -> bool:
    return one is other or not (one.has_list_of_its_own or other.has_list_of_its_own)


async def _is_offered(service: CloudService, found: Found) -> bool:
    """Whether the cloud offers the service; raises `SignInError` if that cannot be found out."""
    for question in service.offer_checks(found, wanted=False):
        if not await _asked(question):
            return False
    return True


async def _denied(offers: Question) -> bool:
    """Whether block storage says that it does not offer what the plan or a run names.

    An outage is no such answer: the first real request deals with that.
    """
    try:
        return not await offers()
    except CloudUnavailable:
        return False
    except CloudRefused as error:
        raise SignInError(str(error)) from error


async def _asked(offers: Question) -> bool:
    """What block storage answers where the catalog does not say; asked again after a pause if it is
    only busy or restarting."""
    try:
        for pause in AGAIN:
            with suppress(CloudUnavailable):
                return await offers()
            await anyio.sleep(pause)
        return await offers()
    except (CloudUnavailable, CloudRefused) as error:
        first = SERVICES[0]
        raise SignInError(
            f"block storage does not list its backups: {error}: check its endpoint"
            f" ({BLOCK_STORAGE.ways(', ')} in clouds.yaml, the catalog),"
            f" or name that of {first.facts.label} ({first.endpoint_kind.option})"
        ) from error


async def _make_sure_of_key(service: CloudService) -> None:
    """Ask the service something small: the key has not been checked so far."""
    try:
        await service.quota()
    except CloudRefused as error:
        if error.status == 401:
            raise SignInError(str(error)) from error
    except CloudUnavailable:
        return  # it does not concern the key: the first real request deals with it


def trust_warnings(cloud: str | None) -> tuple[str, ...]:
    """The warnings about certificates that a sign-in to this cloud would give, without the network.

    None if its entry cannot be read.
    """
    try:
        region, _ = load_cloud(cloud)
    except SignInError:
        return ()
    return check_trust(trust_of(region))
