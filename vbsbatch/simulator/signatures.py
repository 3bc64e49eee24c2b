"""Access keys, and the gateway's check of requests signed with one (`SDK-HMAC-SHA256`).

Written from the "API Request Signing Guide" and on purpose not from our own client: two
implementations that agree are worth more than one that agrees with itself.
"""

from __future__ import annotations

import random
import re
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from urllib.parse import quote

from vbsbatch.simulator.wire import SimRequest

SKEW = 900.0
"""Seconds that the time of a signature may be off."""
LOCK_AFTER, LOCK_FOR = 5, 300.0
"""A key that is refused more often than this in a row is refused for so many seconds."""

_ALGORITHM = "SDK-HMAC-SHA256"
_AUTHORIZATION = re.compile(rf"{_ALGORITHM} Access=(\S+), SignedHeaders=(\S+), Signature=(\S+)")


@dataclass(kw_only=True, slots=True)
class SimAccessKey:
    """A key of the user `owner` (an id), with its failures in a row and until when it is locked."""

    ak: str
    sk: str = field(repr=False)
    owner: str
    security_token: str | None = field(default=None, repr=False)
    """Of a temporary key: has to come with every request."""
    failures: int = 0
    locked_until: float = float("-inf")


def make_key(owner: str, seed: int, *, temporary: bool = False) -> SimAccessKey:
    """The key of a user; it follows from the seed, so that a restart keeps it."""
    rng = random.Random(f"key {owner} {seed} {temporary}")
    return SimAccessKey(
        ak="".join(rng.choices(string.ascii_uppercase + string.digits, k=20)),
        sk="".join(rng.choices(string.ascii_letters + string.digits, k=40)),
        owner=owner,
        security_token=f"gQpj-{rng.getrandbits(256):064x}" if temporary else None,
    )


class KeyRing:
    """The access keys of a cloud: a `permanent` and a `temporary` one of one user."""

    def __init__(self, owner: str, seed: int) -> None:
        self.permanent = make_key(owner, seed)
        self.temporary = make_key(owner, seed, temporary=True)
        self._keys = {key.ak: key for key in (self.permanent, self.temporary)}

    def revoke_all(self) -> None:
        """No key that there was so far is good any more."""
        self._keys.clear()

    def check(self, request: SimRequest, now: float) -> SimAccessKey | str:
        """The key that signed a request, or in the gateway's words why it did not."""
        parts = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if parts is None:
            return "authorization header is malformed"
        key = self._keys.get(parts[1])
        if key is None:
            return f"Get secretKey failed,ak:{parts[1][:64]},err:ak not exist"
        if now < key.locked_until:
            return "AK access failed to reach the limit,forbidden."
        fault = _fault(request, key, parts[2].split(";"), parts[3], now)
        key.failures = key.failures + 1 if fault else 0
        if key.failures > LOCK_AFTER:
            key.failures, key.locked_until = 0, now + LOCK_FOR
        return fault or key


def is_signed(request: SimRequest) -> bool:
    """Whether a request means to prove itself with a signature."""
    return request.headers.get("authorization", "").startswith(_ALGORITHM)


def _fault(
    request: SimRequest, key: SimAccessKey, signed: list[str], signature: str, now: float
) -> str | None:
    date = request.headers.get("x-sdk-date", "")
    try:
        at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return "x-sdk-date is missing or malformed"
    if abs(at - now) > SKEW:
        return "signature expired"
    if not {"host", "x-sdk-date"} <= set(signed) <= set(request.headers):
        return "verify aksk signature fail"
    if key.security_token != request.headers.get("x-security-token"):
        return "verify aksk signature fail"
    text = f"{_ALGORITHM}\n{date}\n{sha256(_canonical(request, signed).encode()).hexdigest()}"
    expected = hmac_digest(key.sk.encode(), text.encode(), "sha256").hex()
    return None if compare_digest(expected, signature) else "verify aksk signature fail"


def _canonical(request: SimRequest, signed: list[str]) -> str:
    path = quote(request.path, safe="/~")
    query = "&".join(
        f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(request.query.items())
    )
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in signed)
    return (
        f"{request.method}\n{path.rstrip('/')}/\n{query}\n{headers}\n{';'.join(signed)}\n"
        f"{sha256(request.body).hexdigest()}"
    )


def _encoded(text: str) -> str:
    return quote(text, safe="~")
