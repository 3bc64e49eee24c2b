"""Signing each request with an access key (AK/SK), as Huawei's API gateways verify it.

The algorithm is `SDK-HMAC-SHA256` of the "API Request Signing Guide": the request in a canonical
form, its hash with the time in a string to sign, and that with the secret key in an HMAC. A
gateway refuses a time that is more than 15 minutes from its own, so requests are signed by the
server's clock as of its last answer, at the moment they are sent.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

import httpx

from vbsbatch.cloud.credentials import Proof
from vbsbatch.cloud.response_parser import read_refusal
from vbsbatch.cloud.server_clock import ServerClock
from vbsbatch.errors import SignInError

ALGORITHM = "SDK-HMAC-SHA256"

_NOTICED = 60.0  # seconds; a smaller difference of the clocks is no reason for a refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessKey:
    """An access key; `sk` and `security_token` are never shown."""

    ak: str
    sk: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    """Belongs to a temporary key and is sent with every request."""


class Signer:
    """The `Credentials` that an access key is.

    `clock` learns from answers how far the server's clock is ahead; `now` is our clock. With
    `project_id` requests say in which project they are meant. `where` names the cloud in errors.
    """

    calls = 0
    """The session counts every request."""

    def __init__(
        self, key: AccessKey, clock: ServerClock, now: Callable[[], float], *, where: str
    ) -> None:
        self.project_id: str | None = None
        self._key = key
        self._clock = clock
        self._now = now
        self._where = where
        self._ahead = 0.0
        self._corrected_at = float("-inf")
        self._heard_at = float("-inf")
        self._said: str | None = None

    async def ready(self, refused_at: float | None = None) -> None:
        """Do nothing, unless the key was refused for another reason than a wrong clock.

        Then raises `SignInError`: there is nothing to renew, and a gateway locks a key that is
        refused five times in a row.
        """
        if refused_at is None or self._heard_at < refused_at:
            return  # a service refused it, not the gateway: the next answer may differ
        if refused_at <= self._corrected_at or self._clock_was_wrong():
            return
        raise SignInError(f"{self._where}: {self._refusal()}")

    def prove(self, method: str, url: httpx.URL, body: bytes) -> Proof:
        """Sign a request that leaves now."""
        if self._clock_was_wrong():
            self._corrected_at = self._now()
        self._ahead = self._clock.last or 0.0
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now() + self._ahead))
        headers = [("X-Sdk-Date", date)]
        if self.project_id is not None:
            headers.append(("X-Project-Id", self.project_id))
        if self._key.security_token is not None:
            headers.append(("X-Security-Token", self._key.security_token))
        host = ("Host", url.netloc.decode("ascii"))
        signed, signature = sign(self._key.sk, method, url, [host, *headers], body, date)
        value = f"{ALGORITHM} Access={self._key.ak}, SignedHeaders={signed}, Signature={signature}"
        token = self._key.security_token
        return Proof(
            headers=tuple(
                (name.encode(), text.encode())
                for name, text in (*headers, ("Authorization", value))
            ),
            secrets=(signature.encode(), *((token.encode(),) if token else ())),
        )

    def _clock_was_wrong(self) -> bool:
        """Whether the server's clock differs from the one that signed the last request."""
        return abs((self._clock.last or 0.0) - self._ahead) > _NOTICED

    def refused(self, headers: Mapping[str, str], body: bytes) -> None:
        """Keep what the gateway says: a wrong, an unknown and a locked key have different texts."""
        self._heard_at = self._now()
        refusal = read_refusal(headers, body, self._heard_at)
        self._said = " ".join(filter(None, (refusal.code, refusal.message))) or None

    def _refusal(self) -> str:
        said = f" ({self._said[:200]})" if self._said else ""
        hints = ["exists and is enabled", "its secret key is right"]
        if self._key.security_token is not None:
            hints.append("this temporary key has not expired")
        if self._clock.last is None:
            hints.append("this machine's clock is right")
        listed = ", that ".join(hints)
        return f"the access key {self._key.ak} was refused{said}: check that it {listed}"


def sign(
    sk: str, method: str, url: httpx.URL, headers: Sequence[tuple[str, str]], body: bytes, date: str
) -> tuple[str, str]:
    """The names of the signed headers, as in `SignedHeaders`, and the signature.

    `headers` are those to sign, `Host` among them; `date` is their `X-Sdk-Date`.
    """
    ordered = sorted((name.lower(), value.strip()) for name, value in headers)
    signed = ";".join(name for name, _ in ordered)
    path, _, query = url.raw_path.decode("ascii").partition("?")
    canonical = "\n".join(
        [
            method.upper(),
            _canonical_path(path),
            _canonical_query(query),
            *(f"{name}:{value}" for name, value in ordered),
            "",
            signed,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    to_sign = f"{ALGORITHM}\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return signed, hmac.new(sk.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def _canonical_path(path: str) -> str:
    """Encode each part anew and end with a slash, whether the request does so or not."""
    encoded = "/".join(quote(unquote(part), safe="~") for part in path.split("/"))
    return encoded if encoded.endswith("/") else encoded + "/"


def _canonical_query(query: str) -> str:
    """Encode names and values anew and sort them; a name without a value gets an empty one."""
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
