"""Signing in: one account of one cloud, through openstacksdk's config and any keystoneauth plugin.

Everything here blocks and belongs in a worker thread. The libraries are imported when first used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vbsbatch.cloud.catalog import Catalog, Entry, offered
from vbsbatch.cloud.cloud_config import quiet
from vbsbatch.cloud.endpoints import shown
from vbsbatch.cloud.gateway_outages import GatewayOutages
from vbsbatch.cloud.response_parser import read_object
from vbsbatch.cloud.response_values import clean
from vbsbatch.cloud.sign_in_faults import only_once, translated
from vbsbatch.cloud.tokens import Token, token_of
from vbsbatch.cloud.transport_errors import causes, told, without
from vbsbatch.cloud.trust import Trust, obey_proxy_rule
from vbsbatch.errors import CloudUnavailable, SignInError
from vbsbatch.masking import keep_secret
from vbsbatch.model import Timeouts

_SECRET_OPTION = re.compile(r"password|secret|token|passcode|passphrase|api_?key|^sk$", re.I)
_SIGN_IN = "POST /v3/auth/tokens"


class Account:
    """One cloud of the configuration (`region`), with its session to the identity service."""

    def __init__(self, region: Any, timeouts: Timeouts, now: Callable[[], float]) -> None:
        self._now = now
        self._region = region
        self._calls = 0
        self._signed_in = False
        self._way = GatewayOutages(now)
        self._elsewhere = False  # the newest answer was not from Keystone
        self.name = str(self._region.name)
        self.trust = trust_of(self._region)
        auth = self._region.config.get("auth") or {}
        self._where = where_of(self.name, auth)
        self._secrets = frozenset(_secrets(self._region.config))
        self.ends_with = only_once(self._region.config)
        """The means of a sign-in that cannot be renewed, in words; None if it can be renewed."""
        for secret in self._secrets:
            keep_secret(secret)
        self._check_password(auth)
        self._plugin = self._region.get_auth()
        self._session = self._open_session(timeouts)
        self._access: Any = None

    @property
    def calls(self) -> int:
        """Answers of the identity service so far."""
        return self._calls

    @property
    def config(self) -> Mapping[str, Any]:
        """The cloud's entry, merged from every source."""
        config: Mapping[str, Any] = self._region.config
        return config

    @property
    def region(self) -> str | None:
        """The region's name, where one is configured."""
        return self._region.get_region_name() or None

    @property
    def project_id(self) -> str:
        """The project that the token belongs to; raises `SignInError` without one."""
        project_id = self._access.project_id
        if not project_id:
            raise SignInError(
                f"{self._where}: the token belongs to no project:"
                " set project_name (or project_id) under auth: in clouds.yaml"
            )
        return str(project_id)

    def sign_in(self) -> Token:
        """Get a token. Raises `SignInError`; `CloudUnavailable` for an outage after the first."""
        if self._signed_in and self.ends_with and "one-time" in self.ends_with:
            raise SignInError(
                f"{self._where}: the sign-in with {self.ends_with} has ended, and it cannot be used"
                " twice: get a new one"
            )
        before = self._now()
        try:
            with quiet():
                self._plugin.invalidate()
                access = self._plugin.get_access(self._session)
                token = _token(access, before, self._now(), renewable=self.ends_with is None)
        except Exception as error:  # any plugin, so any exception
            raise self._fault(error, renewing=self._signed_in) from _shareable(error, self._secrets)
        self._access = access
        self._signed_in = True
        self._way.heard(_SIGN_IN)
        return token

    @property
    def project_name(self) -> str | None:
        """The project's name, if the token has it."""
        return clean(self._access.project_name, 255)

    def catalog(self) -> Catalog:
        """Return what the catalog has for our region and interface: (region, URL) pairs by type."""
        try:
            catalog = self._access.service_catalog
            for service in catalog.catalog or ():
                service["endpoints"] = service.get("endpoints") or []
            found: dict[str, list[Any]] = catalog.get_endpoints_data() if catalog.catalog else {}
            entries = [
                Entry(
                    kind=kind,
                    region=str(each.region_name or ""),
                    interface=str(each.interface).removesuffix("URL"),
                    url=str(each.url),
                )
                for kind, many in found.items()
                for each in many
            ]
            region = self._region
            return offered(
                entries, lambda kind: region.get_region_name(kind) or None, region.get_interface
            )
        except Exception as error:  # an odd catalog raises anything
            raise self._fault(error, renewing=False) from _shareable(error, self._secrets)

    def late(self, seconds: float) -> SignInError | CloudUnavailable:
        """Return the error for a sign-in that did not end within so many seconds."""
        error = TimeoutError(f"the identity service did not answer within {seconds:g} s")
        return self._fault(error, renewing=self._signed_in)

    def close(self) -> None:
        """Close the connections to the identity service."""
        self._session.session.close()

    def _fault(self, error: Exception, *, renewing: bool) -> SignInError | CloudUnavailable:
        kind = str(self._region.config.get("auth_type"))
        blocked = self._way.passing(_SIGN_IN, page=True) if self._elsewhere else None
        return translated(
            error,
            self._where,
            self._secrets,
            renewing=renewing,
            auth_type=kind,
            blocked=blocked,
        )

    def _open_session(self, timeouts: Timeouts) -> Any:
        with quiet():
            session = self._region.get_session()
        # Otherwise a 401 during the sign-in makes the session ask its plugin for a token, which
        # waits for the same sign-in for ever.
        session.auth = None
        session.timeout = session.timeout or (timeouts.connect, timeouts.read)
        from vbsbatch.cloud.bounded_sign_in import bind, span

        auth = self._region.config.get("auth") or {}
        bind(session, auth.get("auth_url"), span(timeouts))
        session.session.hooks["response"].append(self._count)
        obey_proxy_rule(session.session)
        return session

    def _count(self, answer: Any, *args: Any, **kwargs: Any) -> None:
        self._calls += 1
        self._elsewhere = _is_elsewhere(answer)

    def _check_password(self, auth: Mapping[str, Any]) -> None:
        """Refuse at once what a server could only answer with a 401, and plugins without tokens."""
        if not hasattr(self._region.get_auth(), "get_access"):
            kind = self._region.config.get("auth_type")
            raise SignInError(f"{self._where}: auth_type {kind!r} does not sign in to Keystone")
        if self._region.config.get("auth_type") not in ("password", "v3password"):
            return
        if not (auth.get("username") or auth.get("user_id")):
            raise SignInError(f"{self._where}: no username or access key in clouds.yaml")
        if not auth.get("password"):
            raise SignInError(f"{self._where}: no password in clouds.yaml or secure.yaml")


def _is_elsewhere(answer: Any) -> bool:
    """Whether an answer is not from Keystone, by its form: no JSON, or no error in it."""
    status: int = answer.status_code
    if status >= 300 and status not in (403, 404, 405):
        return False
    document = read_object(answer.content)
    return document is None or (status >= 400 and "error" not in document)


def _shareable(error: Exception, secrets: frozenset[str]) -> Exception | None:
    """The original to raise from, unless its traceback would show a secret."""
    text = " ".join(map(told, causes(error)))
    return None if without(text, secrets) != text else error


def where_of(name: str, auth: Mapping[str, Any]) -> str:
    """Name a cloud and its identity service, as errors do."""
    url = auth.get("auth_url")
    return f"cloud {name!r}" + (f", {shown(str(url))}" if url else "")


def trust_of(region: Any) -> Trust:
    """Return the TLS settings of a cloud."""
    with quiet():
        verify, cert = region.get_requests_verify_args()
    return Trust(verify=True if verify is None else verify, cert=cert or None)


def _token(access: Any, before: float, after: float, *, renewable: bool) -> Token:
    """The token, with its life on our clock: the server's may differ."""
    value = access.auth_token
    if not value or not str(value).isascii() or not str(value).isprintable():
        raise SignInError("the identity service gave no usable token")
    keep_secret(str(value))
    return token_of(str(value), access, before, after, renewable=renewable)


def _secrets(config: Mapping[str, Any]) -> Iterator[str]:
    """Every secret of the configuration, so that no message shows one."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and value and _SECRET_OPTION.search(str(name)):
            yield value
