"""One token for all workers. It is renewed once for all, before it expires or when refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from vbsbatch.cloud.credentials import Proof
from vbsbatch.errors import CloudUnavailable, SignInError

_MARGIN = 300.0  # seconds before expiry at which a token is renewed …
_MARGIN_SHARE = 0.1  # … or this share of its life, whichever is less
_SHORT_LIFE = 600.0  # seconds, of a token that does not say how long it lives
_LONGEST_LIFE = 30 * 86400.0  # one that claims more has an odd date in it
_AGAIN = 30.0  # seconds between two renewals ahead of expiry that failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """One sign-in's token; its value is never shown. Times are epoch seconds of our clock."""

    value: str = field(repr=False)
    got_at: float
    expires_at: float
    end_told: bool = True
    """Whether the identity service said when it expires."""

    @property
    def renew_at(self) -> float:
        """When to fetch a new one although this one still works."""
        if self.expires_at == float("inf"):
            return self.expires_at
        return self.expires_at - min(_MARGIN, _MARGIN_SHARE * (self.expires_at - self.got_at))


def life_told(access: Any, before: float) -> float | None:
    """The life in seconds from `before` (our clock) that an access of keystoneauth names.

    None if it names none: no end, an end in the past or in the far future, no date at all.
    The server's clock may differ from ours, so what counts is the time since the issue.
    """
    expires, issued = _moment(access, "expires"), _moment(access, "issued")
    if expires is None:
        return None
    life = expires - (before if issued is None else issued)
    return life if 0 < life <= _LONGEST_LIFE else None


def _moment(access: Any, name: str) -> float | None:
    """A time of the token as epoch seconds; keystoneauth fails on some, in many ways."""
    try:
        moment = getattr(access, name)
        return None if moment is None else float(moment.timestamp())
    except Exception:
        return None


def token_of(value: str, access: Any, before: float, after: float, *, renewable: bool) -> Token:
    """The token of one sign-in, which lasted from `before` to `after` by our clock.

    One without an end counts as short-lived, unless it cannot be renewed.
    """
    life = life_told(access, before)
    usual = _SHORT_LIFE if renewable else float("inf")
    return Token(
        value=value,
        got_at=after,
        expires_at=before + (usual if life is None else life),
        end_told=life is not None,
    )


class Tokens:
    """The `Credentials` that a token is; `fetch` signs in once, `calls` counts its requests.

    With `early` a token is renewed before it expires; else `fetch` can do no better than the first.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Token]],
        now: Callable[[], float],
        *,
        first: Token | None = None,
        calls: Callable[[], int] | None = None,
        early: bool = True,
    ) -> None:
        self._fetch = fetch
        self._early = early
        self._now = now
        self._current = first
        self._proof: tuple[Token, Proof] | None = None
        self._lock = anyio.Lock()
        self._not_before = float("-inf")
        self._fetches = 0
        self._count = calls

    @property
    def calls(self) -> int:
        """Requests to the identity service so far."""
        return self._fetches if self._count is None else self._count()

    async def ready(self, refused_at: float | None = None) -> None:
        """Make sure that there is a token, one got after `refused_at`; see `Credentials.ready`."""
        await self.token(refused_at)

    def prove(self, method: str, url: httpx.URL, body: bytes) -> Proof | None:
        """Return the newest token, whatever its age, as the header of any request."""
        token = self._current
        if token is None:
            return None
        if self._proof is None or self._proof[0] is not token:
            value = token.value.encode("latin-1", "replace")
            self._proof = token, Proof(headers=((b"X-Auth-Token", value),), secrets=(value,))
        return self._proof[1]

    def refused(self, headers: Mapping[str, str], body: bytes) -> None:
        """Do nothing: whatever the refusal says, the next step is a new token."""

    async def token(self, newer_than: float | None = None) -> Token:
        """The token to use; with `newer_than`, one that was fetched after that time.

        Raises `SignInError` or `CloudUnavailable` when there is none: a renewal ahead of expiry
        that fails leaves the old token in use for as long as it lives.
        """
        if token := self._good(newer_than):
            return token
        async with self._lock:
            # Another task may have renewed it while this one waited.
            if token := self._good(newer_than):
                return token
            return await self._renew(newer_than)

    def _good(self, newer_than: float | None) -> Token | None:
        token = self._current
        if token is None:
            return None
        if newer_than is not None:
            return token if token.got_at > newer_than else None
        now = self._now()
        fresh_until = token.renew_at if self._early else token.expires_at
        return token if now < fresh_until or now < min(self._not_before, token.expires_at) else None

    async def _renew(self, newer_than: float | None) -> Token:
        self._fetches += 1
        try:
            token = await self._fetch()
        except (SignInError, CloudUnavailable):
            now, old = self._now(), self._current
            if newer_than is not None or old is None or now >= old.expires_at:
                raise
            self._not_before = now + _AGAIN
            return old
        self._current = token
        return token
