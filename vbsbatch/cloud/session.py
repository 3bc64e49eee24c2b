"""The transport: one request out, one bounded answer back, and no hidden retries.

Every worker has a transport of its own (httpx's pool slows down with the number of connections it
holds) over one shared SSL context. Requests are built by hand and given to httpx's transports
directly: a client's option merging, cookies, redirects and logging cost a quarter of the time and
are not wanted. Redirects are not followed, so a token never leaves for another host.
"""

from __future__ import annotations

import logging
import re
import ssl
import zlib
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

import anyio
import httpcore  # noqa: F401 - httpx would import it while the first create waits, 20 ms late
import httpx

from vbsbatch.cloud.credentials import Credentials, Proof
from vbsbatch.cloud.endpoints import shown
from vbsbatch.cloud.gateway_outages import GatewayOutages
from vbsbatch.cloud.server_clock import ServerClock
from vbsbatch.cloud.transport_errors import (
    NO_ANSWER,
    TooLargeError,
    broke_off,
    hung_up,
    reason,
    words,
)
from vbsbatch.cloud.trust import Trust, proxy_for, ssl_context
from vbsbatch.errors import CloudRefused, CloudUnavailable, SignInError
from vbsbatch.model import Timeouts
from vbsbatch.model.clocks import elapsed_seconds
from vbsbatch.version import __version__

CREATE_MAX = 1 << 20
"""Bytes of an answer to a create."""
READ_MAX = 64 << 20
"""Bytes of an answer to any other request."""

_READERS = 8  # connections for everything that is no create
_IDLE = 15.0  # seconds; an idle connection older than this is not used again
READ_SPAN = 10.0
"""A read may take this many times the read timeout, as long as bytes keep coming."""

UNKNOWN_YET = (1.0, 2.0, 4.0)
"""Seconds before a read with a refused fresh token is repeated: a node may not know it yet."""

_ELSEWHERE = b"malformed request url"
"""How a gateway says with a 401 that the path, and not the token, is wrong: a new one would not
help."""

_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)

_OUT_OF_TIME = frozenset({408, 500, 502, 504})

Connect = Callable[[], httpx.AsyncBaseTransport]
Headers = tuple[tuple[bytes, bytes], ...]
NO_HEADERS: Headers = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, whole and within bounds."""

    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)
    address: str = ""
    """Method and path of the request."""


class ForbiddenRequestError(Exception):
    """A request that would change something and that no service has allowed: a fault of ours."""


class NoAnswerError(Exception):
    """A request ended without a usable answer; the text says why. Not raised outside this room."""


def may_be_too_long(error: CloudUnavailable) -> bool:
    """Whether a failed read may succeed when it asks for less: it took too long, or its answer
    broke off."""
    no_answer = error.__cause__
    if isinstance(no_answer, NoAnswerError):
        return broke_off(no_answer.__cause__)
    return error.status in _OUT_OF_TIME


@dataclass(slots=True)
class _Slot:
    """One connection, opened when first used."""

    transport: httpx.AsyncBaseTransport | None = None
    proxy: str | None = None
    answers: bool = False
    """The newest request was answered, so a connection may have been kept."""


class Session:
    """HTTP to the cloud with credentials; counts every request that leaves.

    `transport` makes the connections (one for each worker, one pool for reads); by default they are
    httpx's own, with the shared context `tls` and the proxy that the environment names.
    `workers` is how many creates run at once; `now` is our elapsed clock, and `clock` learns from
    answers what the server's says.
    """

    def __init__(
        self,
        credentials: Credentials,
        timeouts: Timeouts,
        *,
        workers: int = 16,
        transport: Connect | None = None,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], float] = elapsed_seconds,
        clock: ServerClock | None = None,
    ) -> None:
        self.credentials = credentials
        self.now = now
        self.clock = clock or ServerClock()
        self.way = GatewayOutages(now)
        self.create_calls = 0
        self._reads = 0
        self._allowed: list[tuple[str, re.Pattern[str]]] = []
        self._timeouts = timeouts
        self._connect = transport
        self._tls = tls or (None if transport else ssl_context(Trust()))
        self._slots = [_Slot() for _ in range(max(workers, 1))]
        self._readers = _Slot()
        self._waits = {
            "connect": timeouts.connect,
            "read": timeouts.read,
            "write": timeouts.read,
            "pool": timeouts.read,
        }
        quieten("httpx", "httpcore")

    def allow(self, method: str, url: str) -> None:
        """Allow requests that change something: only these leave. `*` stands for one id.

        A vault's deletion, for instance, destroys backups: no code may send what is not listed.
        """
        pattern = "[^/?#]+".join(map(re.escape, url.split("*")))
        self._allowed.append((method, re.compile(pattern)))

    @property
    def read_calls(self) -> int:
        """Requests other than creates that left, those to the identity service included."""
        return self._reads + self.credentials.calls

    async def create(
        self,
        worker: int,
        url: str,
        body: bytes,
        headers: Headers = NO_HEADERS,
        *,
        method: str = "POST",
    ) -> Reply:
        """Send one create, once, on the connection of `worker`. Raises `NoAnswerError`.

        It leaves at once with the newest proof: creates that wait for a token together would leave
        together, above the rate. The caller awaits `ready` first.
        """
        target = _parsed(url)
        proof = self._prove(method, target, body)
        slot = self._slots[worker % len(self._slots)]
        span = self._timeouts.connect + self._timeouts.read
        self.create_calls += 1
        request = self._request(method, target, body, proof, headers)
        return await self._send(slot, request, proof, CREATE_MAX, span)

    async def read(self, method: str, url: str, body: bytes = b"") -> Reply:
        """Send a request that may be repeated; after a 401, again with fresh credentials.

        Raises `CloudUnavailable` when no answer came and `CloudRefused` when the credentials no
        longer get a token.
        """
        span = self._timeouts.connect + READ_SPAN * self._timeouts.read
        try:
            target = _parsed(url)
            await self.credentials.ready()
            refused_at = self.now()  # after the token was fetched: a refusal concerns this token
            reply = await self._send_read(method, target, body, span)
            for pause in (0.0, *UNKNOWN_YET):
                if reply.status != 401 or _ELSEWHERE in reply.body.lower():
                    break
                await anyio.sleep(pause)
                # Keep the fresh token for some seconds: a node may not know a newer one either.
                await self.credentials.ready(refused_at=refused_at)
                refused_at = self.now() if pause == UNKNOWN_YET[-2] else refused_at
                reply = await self._send_read(method, target, body, span)
        except NoAnswerError as error:
            raise CloudUnavailable(str(error)) from error
        except SignInError as error:
            raise CloudRefused(str(error), status=401) from error
        return reply

    async def aclose(self) -> None:
        """Close every connection."""
        for slot in (*self._slots, self._readers):
            transport, slot.transport = slot.transport, None
            if transport is not None:
                with suppress(*NO_ANSWER):
                    await transport.aclose()

    async def _send_read(self, method: str, url: httpx.URL, body: bytes, span: float) -> Reply:
        """Send a read; repeat a lookup once if a kept connection was closed in that moment.

        Servers close a connection after a number of requests, or when it was idle.
        """
        kept = self._readers.answers
        try:
            return await self._send_once(method, url, body, span)
        except NoAnswerError as error:
            self._readers.answers = False
            if not (kept and method == "GET" and hung_up(error.__cause__)):
                raise
        return await self._send_once(method, url, body, span)

    async def _send_once(self, method: str, url: httpx.URL, body: bytes, span: float) -> Reply:
        self._reads += 1
        proof = self._prove(method, url, body)
        request = self._request(method, url, body, proof)
        return await self._send(self._readers, request, proof, READ_MAX, span)

    def _prove(self, method: str, url: httpx.URL, body: bytes) -> Proof:
        proof = self.credentials.prove(method, url, body)
        if proof is None:
            raise NoAnswerError("not sent: there is no token yet")
        return proof

    def _request(
        self, method: str, url: httpx.URL, body: bytes, proof: Proof, more: Headers = NO_HEADERS
    ) -> httpx.Request:
        if method != "GET":
            self._check_allowed(method, str(url))
        headers = [
            (b"Host", url.netloc),
            _USER_AGENT,
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            *proof.headers,
            *more,
        ]
        if method == "POST":
            headers.append((b"Content-Type", b"application/json"))
            headers.append((b"Content-Length", str(len(body)).encode()))
        return httpx.Request(
            method,
            url,
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions={"timeout": self._waits},
        )

    def _check_allowed(self, method: str, url: str) -> None:
        if not any(each == method and form.fullmatch(url) for each, form in self._allowed):
            raise ForbiddenRequestError(f"{method} {shown(url)} is not among the allowed requests")

    async def _send(
        self, slot: _Slot, request: httpx.Request, proof: Proof, most: int, span: float
    ) -> Reply:
        """Send the request and read its answer within `span` seconds and `most` bytes."""
        sent_at = self.now()
        try:
            # As `anyio.fail_after` does it, at half its cost.
            with anyio.CancelScope(deadline=anyio.current_time() + span) as scope:
                transport = slot.transport or self._open(slot, request.url)
                response = await transport.handle_async_request(request)
                try:
                    body = await _bounded(response, most)
                finally:
                    await response.aclose()
            if scope.cancelled_caught:
                raise TimeoutError
        except NO_ANSWER as error:
            why = reason(error, self._timeouts)
            if slot.proxy and isinstance(error, _NOT_CONNECTED):
                why = f"proxy {shown(slot.proxy)}: {why}"
            raise NoAnswerError(why) from error
        slot.answers = True
        self.clock.see(response.headers.get("date"), sent_at, self.now())
        for secret in proof.secrets:
            if secret in body:  # an error page that echoes the request
                body = body.replace(secret, b"***")
        if response.status_code == 401:
            self.credentials.refused(response.headers, body)
        address = f"{request.method} {request.url.path}"
        return Reply(response.status_code, response.headers, body, address)

    def _open(self, slot: _Slot, url: httpx.URL) -> httpx.AsyncBaseTransport:
        if self._connect is not None:
            slot.transport = self._connect()
            return slot.transport
        assert self._tls is not None
        slot.proxy = proxy_for(str(url))
        many = _READERS if slot is self._readers else 1
        limits = httpx.Limits(
            max_connections=many, max_keepalive_connections=many, keepalive_expiry=_IDLE
        )
        try:
            slot.transport = httpx.AsyncHTTPTransport(
                verify=self._tls, proxy=slot.proxy, limits=limits, retries=0
            )
        except (ValueError, ImportError) as error:  # a proxy that is no URL, or SOCKS
            raise NoAnswerError(f"the proxy cannot be used: {words(error)}") from error
        return slot.transport


_USER_AGENT = (b"User-Agent", f"vbsbatch/{__version__}".encode())


@lru_cache(maxsize=16)  # all creates of a run go to one address
def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise NoAnswerError(f"not sent: {words(error)}") from error


async def _bounded(response: httpx.Response, most: int) -> bytes:
    """Read the body, up to `most` bytes."""
    parts: list[bytes] = []
    size = 0
    async for part in cast(AsyncIterable[bytes], response.stream):
        size += len(part)
        if size > most:
            raise TooLargeError(most)
        parts.append(part)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return _unpacked(body, most) if "content-encoding" in response.headers else body


def _unpacked(body: bytes, most: int) -> bytes:
    """Unpack what a gateway packed although it was asked not to; the limit is for the result.

    A body in an unknown encoding stays as it is.
    """
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or deflate, by its header
    try:
        whole = unpacking.decompress(body, most + 1)
    except zlib.error:
        return body
    if len(whole) > most:
        raise TooLargeError(most)
    return whole


def quieten(*names: str) -> None:
    """Switch off loggers of other libraries: they cost time and may show secrets."""
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
