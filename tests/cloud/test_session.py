"""Over real sockets: one request out, one bounded answer back, nothing sent twice."""

from __future__ import annotations

import gzip
import logging
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
from anyio.streams.tls import TLSListener

from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.session import CREATE_MAX, Session
from vbsbatch.cloud.tokens import Tokens
from vbsbatch.cloud.transport_errors import NO_ANSWER, reason
from vbsbatch.cloud.trust import Trust, proxy_for, ssl_context
from vbsbatch.cloud.vbs import VbsService
from vbsbatch.errors import CloudUnavailable
from vbsbatch.model import Answer, Timeouts

from .fake_keystone import private_certificate
from .fixtures import PROJECT, SECRET, Clock, Keystone, a_job

pytestmark = pytest.mark.anyio
ACCEPTED = b'{"job_id": "j1"}'
Behaviour = Callable[["Connection"], Awaitable[None]]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def signed_in(clock: Clock) -> Tokens:
    keystone = Keystone(clock)
    return Tokens(keystone.fetch, clock.now, first=keystone.cut())


class Connection:
    """One accepted connection of the test's server."""

    def __init__(self, stream: anyio.abc.ByteStream, server: Server) -> None:
        self.stream = stream
        self.server = server

    async def request(self) -> bytes:
        """Read one request; its body is short enough to come with its head."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self.stream.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
        missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
        while missing > 0:
            missing -= len(await self.stream.receive())
        self.server.requests.append(data)
        return data

    async def say(self, body: bytes, head: bytes = b"HTTP/1.1 200 OK", **headers: str) -> None:
        lines = [head, b"Content-Length: " + str(len(body)).encode()]
        lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
        await self.stream.send(b"\r\n".join([*lines, b"", body]))


class Server:
    """A loopback server; `behave` runs for each connection."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""

    async def handle(self, stream: anyio.abc.ByteStream) -> None:
        self.connections += 1
        async with stream:
            with_errors = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
            try:
                await self.behave(Connection(stream, self))
            except with_errors:
                return


@asynccontextmanager
async def serving(
    behave: Behaviour,
    *,
    read: float = 5.0,
    workers: int = 2,
    transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
) -> AsyncIterator[tuple[VbsService, Server]]:
    server = Server(behave)
    clock = Clock(time.time())
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        server.url = f"http://127.0.0.1:{port}"
        tasks.start_soon(listener.serve, server.handle)
        session = Session(
            signed_in(clock), Timeouts(connect=2.0, read=read),
            workers=workers, transport=transport,
        )  # fmt: skip
        endpoints = Endpoints(project_id=PROJECT, vbs=server.url, block_storage=server.url)
        try:
            yield VbsService(session, endpoints), server
        finally:
            await session.aclose()
            tasks.cancel_scope.cancel()


# Direct connections are ours, those through a proxy httpx's: both keep the same promises.
both = pytest.mark.parametrize("transport", [None, httpx.AsyncHTTPTransport], ids=["ours", "httpx"])


async def accepting(connection: Connection) -> None:
    while True:
        await connection.request()
        await connection.say(ACCEPTED)


async def test_a_worker_keeps_its_connection_and_has_it_for_itself() -> None:
    async with serving(accepting) as (service, server):
        for _ in range(3):
            assert (await service.create(a_job(), 0)).cloud_job_id == "j1"
        assert server.connections == 1
        await service.create(a_job(), 1)
        await service.create(a_job(), 3)  # there are two workers: the second's
        assert server.connections == 2
        assert service.create_calls == 5


@both
async def test_a_create_on_a_connection_that_dies_is_reported_and_not_sent_again(
    transport: Any,
) -> None:
    async def dies_at_the_second(connection: Connection) -> None:
        await connection.request()
        await connection.say(ACCEPTED)
        await connection.request()

    async with serving(dies_at_the_second, transport=transport) as (service, server):
        assert (await service.create(a_job(), 0)).status == 200
        lost = await service.create(a_job(), 0)
        assert (lost.status, lost.message) == (None, "connection closed without an answer")
        assert len(server.requests) == 2
        assert (await service.create(a_job(), 0)).status == 200
        assert len(server.requests) == 3


@both
async def test_a_lookup_on_a_kept_connection_that_dies_is_sent_once_more(transport: Any) -> None:
    async def dies_at_the_second(connection: Connection) -> None:
        await connection.request()
        await connection.say(b'{"backups": []}')
        await connection.request()

    async with serving(dies_at_the_second, transport=transport) as (service, server):
        for _ in range(3):
            assert (await service.backups()).backups == ()
        assert (len(server.requests), service.read_calls) == (5, 5)


@both
async def test_a_lookup_that_nobody_answers_is_not_sent_again_at_once(transport: Any) -> None:
    async def dies(connection: Connection) -> None:
        await connection.request()

    async with serving(dies, transport=transport) as (service, server):
        with pytest.raises(CloudUnavailable, match="connection closed without an answer"):
            await service.backups()
        assert len(server.requests) == 1


@both
async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(transport: Any) -> None:
    closed = anyio.Event()

    async def once(connection: Connection) -> None:
        await connection.request()
        await connection.say(ACCEPTED)
        await connection.stream.aclose()
        closed.set()

    async with serving(once, transport=transport) as (service, server):
        await service.create(a_job(), 0)
        await closed.wait()
        await anyio.wait_all_tasks_blocked()
        assert (await service.create(a_job(), 0)).status == 200
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "connection closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "the answer was cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "connection closed without an answer"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000, "the answer is not HTTP"),
    ],
)
@both
async def test_an_answer_that_is_broken_on_the_way_is_no_answer(
    sent: bytes, message: str, transport: Any
) -> None:
    async def broken(connection: Connection) -> None:
        await connection.request()
        if sent:
            await connection.stream.send(sent)

    async with serving(broken, transport=transport) as (service, server):
        result = await service.create(a_job(), 0)
        assert result.status is None
        assert message in str(result.message)
        with pytest.raises(CloudUnavailable, match=message):
            await service.quota()
        assert len(server.requests) == 2


@both
async def test_an_answer_without_end_is_not_read_to_its_end(transport: Any) -> None:
    sent = 0

    async def endless(connection: Connection) -> None:
        nonlocal sent
        await connection.request()
        await connection.stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await connection.stream.send(b"x" * 65536)
            sent += 65536

    async with serving(endless, transport=transport) as (service, _):
        result = await service.create(a_job(), 0)
        assert (result.status, result.message) == (None, "the answer is larger than 1 MiB")
        assert sent < 32 * CREATE_MAX


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bytes])
async def test_an_answer_that_is_packed_unasked_is_read(pack: Callable[[bytes], bytes]) -> None:
    async def packed(connection: Connection) -> None:
        request = await connection.request()
        assert b"accept-encoding: identity" in request.lower()
        await connection.say(pack(ACCEPTED), Content_Encoding="gzip")

    async with serving(packed) as (service, _):
        assert (await service.create(a_job(), 0)).cloud_job_id == "j1"


async def test_an_answer_packed_too_tightly_is_not_unpacked_to_its_end() -> None:
    async def bomb(connection: Connection) -> None:
        await connection.request()
        await connection.say(gzip.compress(bytes(CREATE_MAX + 1)), Content_Encoding="gzip")

    async with serving(bomb) as (service, _):
        result = await service.create(a_job(), 0)
        assert (result.status, result.message) == (None, "the answer is larger than 1 MiB")


@both
async def test_silence_ends_with_the_read_timeout(transport: Any) -> None:
    async def silent(connection: Connection) -> None:
        await connection.request()
        await anyio.sleep_forever()

    async with serving(silent, transport=transport, read=0.05) as (service, _):
        result = await service.create(a_job(), 0)
        assert (result.status, result.message) == (None, "no answer within 0.05 s")
        with pytest.raises(CloudUnavailable, match=r"no answer within 0\.05 s"):
            await service.backups()


@both
async def test_a_trickle_cannot_hold_a_create_for_ever(transport: Any) -> None:
    async def trickle(connection: Connection) -> None:
        await connection.request()
        await connection.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await connection.stream.send(b"x")
            await anyio.sleep(0.01)

    async with serving(trickle, transport=transport, read=0.1) as (service, _):
        service._session._timeouts = Timeouts(connect=0.1, read=0.1)
        with anyio.fail_after(2):
            result = await service.create(a_job(), 0)
        assert result.status is None
        assert "no answer within" in str(result.message)


@both
async def test_a_redirect_is_answered_to_the_caller_and_nobody_else_gets_the_token(
    transport: Any,
) -> None:
    async def redirect(connection: Connection) -> None:
        await connection.request()
        await connection.say(b"", b"HTTP/1.1 307 Go", Location=f"{connection.server.url}/other")

    async with serving(redirect, transport=transport) as (service, server):
        assert (await service.create(a_job(), 0)).status == 307
        assert len(server.requests) == 1


@both
async def test_a_cancelled_create_passes_the_cancellation_on(transport: Any) -> None:
    arrived = anyio.Event()

    async def silent(connection: Connection) -> None:
        await connection.request()
        arrived.set()
        await anyio.sleep_forever()

    async with serving(silent, transport=transport) as (service, server):
        async with anyio.create_task_group() as group:
            group.start_soon(service.create, a_job(), 0)
            with anyio.fail_after(20):
                await arrived.wait()
            group.cancel_scope.cancel()
        assert group.cancel_scope.cancelled_caught
        assert len(server.requests) == 1


async def test_a_port_where_nobody_listens_refuses() -> None:
    async with serving(accepting) as (_, server):
        url = server.url
    session = Session(signed_in(Clock()), Timeouts())
    service = VbsService(session, Endpoints(project_id=PROJECT, vbs=url, block_storage=url))
    result = await service.create(a_job(), 0)
    assert result == Answer(message="connection refused", json=False)
    await session.aclose()


@both
async def test_neither_log_nor_answer_repeats_the_token(
    caplog: pytest.LogCaptureFixture, transport: Any
) -> None:
    async def echo(connection: Connection) -> None:
        request = await connection.request()
        await connection.say(request, b"HTTP/1.1 500 Debug")

    with caplog.at_level(logging.DEBUG):
        async with serving(echo, transport=transport) as (service, _):
            result = await service.create(a_job(), 0)
            with pytest.raises(CloudUnavailable) as caught:
                await service.backups()
    assert "X-Auth-Token: ***" in str(result.message)
    for shown in (repr(result), str(caught.value), caplog.text):
        assert SECRET not in shown


def all_httpx_errors() -> list[type[Exception]]:
    kinds = [value for value in vars(httpx).values() if isinstance(value, type)]
    return [kind for kind in kinds if issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", all_httpx_errors())
def test_every_exception_of_httpx_is_at_the_wall(kind: type[Exception]) -> None:
    error: Any = kind.__new__(kind)
    error.args = ("https://user:pa55@proxy.test said \x1b[2J",)
    assert isinstance(error, NO_ANSWER)
    text = reason(error, Timeouts())
    assert text.isprintable()
    assert "pa55" not in text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("unable to get local issuer certificate", "a private CA? set cacert: in clouds.yaml"),
        ("certificate has expired", "check this machine's clock"),
        ("certificate is not yet valid", "check this machine's clock"),
        (
            "Hostname mismatch, certificate is not valid for 'vbs.test'.",
            "certificate is not valid for 'vbs.test' (check the host's name",
        ),
    ],
)
def test_a_certificate_that_is_not_trusted_is_told_with_what_helps(said: str, told: str) -> None:
    words = f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {said} (_ssl.c:1006)"
    error = httpx.ConnectError("all attempts failed")
    error.__cause__ = ssl.SSLCertVerificationError(1, words)
    text = reason(error, Timeouts())
    assert text.startswith("TLS: certificate not trusted: ")
    assert told in text
    assert ("private CA" in text) is ("issuer" in said)


async def test_no_exception_of_a_transport_gets_past_a_create() -> None:
    for kind in all_httpx_errors():
        error: Any = kind.__new__(kind)
        error.args = ("x",)

        class Failing(httpx.AsyncBaseTransport):
            def __init__(self, error: Exception) -> None:
                self.error = error

            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                raise self.error

        clock = Clock()
        session = Session(
            signed_in(clock), Timeouts(),
            transport=lambda error=error: Failing(error),
        )  # fmt: skip
        service = VbsService(session, Endpoints(project_id="p", vbs="http://a", block_storage=""))
        assert (await service.create(a_job(), 0)).status is None


def test_the_proxy_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for("https://vbs.test/x") is None
    monkeypatch.setenv("HTTPS_PROXY", "proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "inside.test")
    assert proxy_for("https://vbs.test/x") == "http://proxy.test:3128"
    assert proxy_for("https://vbs.inside.test/x") is None
    assert proxy_for("http://vbs.test/x") is None


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://127.0.0.1", "http://[bad"])
async def test_a_proxy_that_cannot_be_used_is_no_answer(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    session = Session(signed_in(Clock()), Timeouts())
    service = VbsService(session, Endpoints(project_id="p", vbs="http://a.test", block_storage=""))
    result = await service.create(a_job(), 0)
    assert "proxy" in str(result.message)


async def test_bytes_that_come_while_nothing_is_asked_end_the_connection() -> None:
    late = anyio.Event()

    async def late_talker(connection: Connection) -> None:
        await connection.request()
        await connection.say(ACCEPTED)
        await late.wait()
        await connection.say(b'{"job_id": "forged"}')
        await connection.request()

    async with serving(late_talker) as (service, server):
        await service.create(a_job(), 0)
        late.set()
        await anyio.sleep(0.02)
        assert (await service.create(a_job(), 0)).cloud_job_id == "j1"
        assert server.connections == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n" + ACCEPTED,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"8\r\n{\"job_id\r\n8\r\n\": \"j1\"}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + ACCEPTED,
        b"HTTP/1.0 200 OK\r\n\r\n" + ACCEPTED,
    ],
)  # fmt: skip
async def test_every_framing_of_http_is_understood(sent: bytes) -> None:
    async def byte_by_byte(connection: Connection) -> None:
        await connection.request()
        for i in range(0, len(sent), 7):
            await connection.stream.send(sent[i : i + 7])

    async with serving(byte_by_byte) as (service, _):
        assert (await service.create(a_job(), 0)).cloud_job_id == "j1"


async def test_a_connection_over_tls_is_kept_too(tmp_path: Path) -> None:
    certificate = private_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(accepting)

    async def handle(stream: anyio.abc.ByteStream) -> None:
        await server.handle(stream)

    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(tcp, context, standard_compatible=False)
    url = f"https://127.0.0.1:{tcp.extra(anyio.abc.SocketAttribute.local_port)}"
    tls = ssl_context(Trust(verify=str(certificate)))
    session = Session(signed_in(Clock()), Timeouts(), tls=tls)
    service = VbsService(session, Endpoints(project_id=PROJECT, vbs=url, block_storage=url))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        for _ in range(5):
            assert (await service.create(a_job(), 0)).cloud_job_id == "j1"
        assert server.connections == 1
        await session.aclose()
        tasks.cancel_scope.cancel()
