"""Serves the metrics of a store over HTTP, to this machine unless another address is named.

There is no password: metrics hold names of plans and codes, and no secret.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vbsbatch.cli import mention, say
from vbsbatch.cli.metrics_output import MetricsSource
from vbsbatch.cli.web_limits import HEADERS_WITHIN, WAITING, connections_at_most, quieten
from vbsbatch.errors import UsageError
from vbsbatch.report.as_prometheus import CONTENT_TYPE, exposition

PATIENCE = 5.0
"""Seconds that a store may take to answer; Prometheus waits for ten by default."""

REQUEST_MOST = 1 << 16
"""Bytes of a request."""

_PATH = "/metrics"


def serve(store: str, host: str, port: int) -> int:
    """Serve until a signal; raises `UsageError` when the address cannot be had."""
    with closing(_listener(host, port)) as listener:
        address = listener.getsockname()[0]
        url = _url(address, listener.getsockname()[1])
        if not ipaddress.ip_address(address).is_loopback:
            mention(
                f"warning: whoever reaches {url} can read the names of plans and clouds, and codes"
                " of failures: there is neither a password nor encryption"
            )
        _Server(_config(MetricsApp(MetricsSource(store))), url).run([listener])
    return 0


def _listener(host: str, port: int) -> socket.socket:
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen on {host}: there is no such address") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot listen on {_url(host, port)}: {reason}") from error
    return listener


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}{_PATH}" if ":" in host else f"http://{host}:{port}{_PATH}"


class MetricsApp:
    """An ASGI application that answers GET /metrics."""

    def __init__(self, source: MetricsSource, *, patience: float = PATIENCE) -> None:
        self._source = source
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._pending: Future[str] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        status, body, more = await self._answer(scope["method"], scope["path"])
        headers = {"content-type": CONTENT_TYPE, "cache-control": "no-store", **more}
        headers["content-length"] = str(len(body))
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        shown = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": shown})

    async def _answer(self, method: str, path: str) -> tuple[int, bytes, dict[str, str]]:
        plain = {"content-type": "text/plain; charset=utf-8"}
        if method not in ("GET", "HEAD"):
            return 405, b"Only GET and HEAD.\n", {**plain, "allow": "GET, HEAD"}
        if path == _PATH:
            return 200, (await self._metrics()).encode(), {}
        if path == "/":
            return 200, b"vbsbatch: the metrics are at /metrics\n", plain
        return 404, b"The metrics are at /metrics.\n", plain

    async def _metrics(self) -> str:
        """Read the store, one reading at a time: all who ask meanwhile get the same one.

        One that takes too long goes on, and until it has ended no other begins.
        """
        if self._pending is None or self._pending.done():
            self._pending = self._thread.submit(self._source.text)
        reading = asyncio.wrap_future(self._pending)
        try:
            return await asyncio.wait_for(asyncio.shield(reading), self._patience)
        except TimeoutError:
            self._source.fail(f"no answer within {self._patience:g} s")
            return exposition(None)


class _Protocol(HttpToolsProtocol):
    """uvicorn's, for a server that every user of this machine can connect to.

    A connection that is one too many, a request that does not arrive in time, and one that is too
    long are cut off.
    """

    _received = 0
    _deadline: asyncio.TimerHandle | None = None
    _accepted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, unless there are too many connections."""
        if len(self.connections) >= connections_at_most():
            transport.abort()
            return
        self._accepted = True
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._request_is_here()
        if self._accepted:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        self._received += len(data)
        if self._received > REQUEST_MOST:
            self.transport.abort()
            return
        if self._deadline is None:
            self._await_request()
        super().data_received(data)

    def on_message_complete(self) -> None:
        """The request is here."""
        self._request_is_here()
        super().on_message_complete()

    def _await_request(self) -> None:
        self._deadline = self.loop.call_later(HEADERS_WITHIN, self.transport.abort)

    def _request_is_here(self) -> None:
        self._received = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _config(app: MetricsApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        proxy_headers=False,
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        backlog=WAITING,  # so many are accepted at a time
        timeout_keep_alive=20,
        timeout_graceful_shutdown=2,
    )


class _Server(uvicorn.Server):
    """Says where it listens, and ends with exit code 0 on a signal."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        quieten(asyncio.get_running_loop())
        await super().startup(sockets)
        say(self._url)
        mention("Ctrl-C stops the server; runs go on")

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop on a signal without ending the process with it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
