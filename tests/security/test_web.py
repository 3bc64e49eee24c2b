"""The screen in a browser, attacked by whoever else is on this machine: users and web pages."""

from __future__ import annotations

import http.server
import json
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import anyio
import psutil
import pytest

from tests.cli.harness import Harness, Process, until
from tests.screen.browser import CHROMIUM, Page
from tests.screen.test_browsing import finished_run, screens

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        find_spec("textual_serve") is None, reason="NOT TESTED: textual-serve is not installed"
    ),
]
FEW = 128
"""Descriptors that the server has."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Served:
    """A server of the newest run's screen."""

    stage: Harness
    process: Process
    address: str
    """With its key."""

    @property
    def port(self) -> int:
        return int(self.address.split(":")[2].split("/")[0])

    @property
    def key(self) -> str:
        return self.address.split("/")[3]

    def raw(self, request: bytes) -> bytes:
        """What comes back for these very bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            return connection.recv(65536)

    def status(self, path: bytes, *headers: bytes) -> int:
        host = b"Host: 127.0.0.1:%d" % self.port
        given = headers if any(h.startswith(b"Host:") for h in headers) else (host, *headers)
        answer = self.raw(b"\r\n".join([b"GET %s HTTP/1.1" % path, *given, b"", b""]))
        return int(answer.split()[1])

    def finish(self) -> list[str]:
        """End it; what it had to complain about."""
        self.process.send_signal(signal.SIGINT)
        done = self.stage.finish(self.process, 0)  # no traceback: the stage looks
        assert self.key not in done.stderr
        return [line for line in done.stderr.splitlines() if line.startswith("vbsbatch:")]


@pytest.fixture
def served(stage: Harness) -> Served:
    finished_run(stage)
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW))  # noqa: E731
    process = stage.start("attach", "--web", preexec_fn=limit)
    assert process.stdout is not None
    return Served(stage, process, process.stdout.readline().strip())


def test_only_the_printed_path_is_answered_by_its_own_name_and_to_its_own_page(
    served: Served,
) -> None:
    key, port = served.key.encode(), served.port
    assert served.status(b"/%s/" % key) == 200
    for path in (
        b"/",
        b"/%s" % key[:-1],
        b"/%sx/" % key,
        b"/\xff\xfe/",
        b"/%ff%fe/",
        b"/?key=%ff",
        b"/?key=" + key,
        b"/../%s/" % key[1:],
        b"/" + 2000 * b"a",
    ):
        assert served.status(path) in (403, 400), path
    for header in (
        b"Host: evil.test",
        b"Host: evil.test:%d" % port,
        b"Host: localhost:%d" % port,
        b"Host: 127.0.0.1",
        b"Host: ",
        b"Origin: http://evil.test",
        b"Origin: null",
        b"Origin: http://127.0.0.1:%d" % (port - 1),
        b"Origin: \xff",
    ):
        assert served.status(b"/%s/ws" % key, header) in (403, 400), header
    assert served.status(b"/", b"Cookie: vbsbatch-%d=%s" % (port, key)) == 403
    assert len(served.finish()) <= 20


def test_connections_that_say_nothing_neither_freeze_it_nor_fill_a_log(served: Served) -> None:
    with ExitStack() as idle:
        for _ in range(4 * FEW):
            connection = socket.socket()
            connection.settimeout(2)
            idle.callback(connection.close)
            try:
                connection.connect(("127.0.0.1", served.port))
            except OSError:
                break  # the kernel's queue is full
        began = time.monotonic()
        until(lambda: _let_in(served), 40)
        assert time.monotonic() - began < 30
    complaints = served.finish()
    assert len(complaints) <= 20


def _let_in(served: Served) -> bool:
    try:
        return served.status(b"/%s/" % served.key.encode()) == 200
    except (OSError, IndexError):
        return False


def test_a_request_that_drips_is_hung_up_on(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=1) as connection:
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 40:
                connection.sendall(b"G")
                time.sleep(0.2)
        assert time.monotonic() - began < 20
    served.finish()


async def test_a_window_of_any_size_is_cut_to_what_a_screen_can_be(served: Served) -> None:
    import aiohttp

    url = served.address + "ws?width=20000&height=20000"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket_:
        await socket_.receive_bytes()
        await socket_.send_json(["resize", {"width": 20000, "height": 20000}])
        await socket_.send_json(["resize", {"width": 10**9, "height": "9" * 9}])
        with anyio.move_on_after(8):
            while not socket_.closed:
                await socket_.receive()
        (screen,) = screens(served.stage.store)
        assert psutil.Process(screen).memory_info().rss < 400 << 20
    until(lambda: not screens(served.stage.store))
    assert served.status(b"/%s/ws?width=x" % served.key.encode()) == 400
    served.finish()


@pytest.mark.parametrize(
    "message",
    [
        "", "[]", "{}", "null", "1", '["stdin"]', '["stdin", 5]', '["resize", {}]', "[" * 9999,
        '["resize", {"width": "x", "height": 1}]', '["ping"]',
    ],
)  # fmt: skip
async def test_a_message_that_no_page_sends_ends_that_screen_alone(
    served: Served, message: str
) -> None:
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(served.address + "ws") as socket_,
    ):
        await socket_.receive_bytes()
        await socket_.send_str(message)
        with anyio.fail_after(30):
            while not socket_.closed:
                await socket_.receive()
    until(lambda: not screens(served.stage.store))
    assert served.status(b"/%s/" % served.key.encode()) == 200
    assert served.finish() == []


def upgraded(served: Served) -> socket.socket:
    """A websocket, as far as its first answer."""
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    connection.sendall(
        b"GET /%s/ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % (served.key.encode(), served.port)
    )
    return connection


def test_screens_are_bounded_and_end_with_their_sockets(served: Served) -> None:
    from vbsbatch.cli.web_server import SESSIONS

    with ExitStack() as stack:
        opened = [stack.enter_context(upgraded(served)) for _ in range(SESSIONS)]
        for connection in opened:
            assert connection.recv(12) == b"HTTP/1.1 101"
        with upgraded(served) as one_more:
            assert one_more.recv(12) == b"HTTP/1.1 503"
        until(lambda: len(screens(served.stage.store)) == SESSIONS)
        for connection in opened[1:]:
            connection.close()  # with bytes unread: a reset
        until(lambda: len(screens(served.stage.store)) == 1)
        with upgraded(served) as again:
            assert again.recv(12) == b"HTTP/1.1 101"
    until(lambda: not screens(served.stage.store))
    served.finish()


# A page of another port


@dataclass
class Neighbour:
    """Another web server on this machine, which writes down all that it is sent."""

    url: str
    heard: list[str]


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path}\n{self.headers}")
            body = b"<title>neighbour</title>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield Neighbour(f"http://127.0.0.1:{server.server_address[1]}", heard)
    server.shutdown()
    server.server_close()
    thread.join()


async def title(page: Page) -> str:
    """The title of the page, none while it is on its way to another."""
    with suppress(AssertionError):
        return str(await page.evaluate("document.title"))
    return ""


async def test_a_page_of_another_port_is_not_told_the_key_and_cannot_use_the_screen(
    served: Served, neighbour: Neighbour, tmp_path: Path
) -> None:
    from tests.screen.browser import browser

    if CHROMIUM is None:
        pytest.skip("NOT TESTED: there is no Chromium, so no browser has been attacked")
    run = served.stage.run_id()
    async with browser(tmp_path / "profile") as page:
        await page.open(served.address)
        await page.until(lambda seen: run.encode() in seen)
        assert await page.evaluate("document.cookie") == ""
        trap = json.dumps(neighbour.url + "/trap")
        await page.evaluate(f"setTimeout(() => {{ location.href = {trap} }}, 300); 0")
        with anyio.fail_after(40):
            while await title(page) != "neighbour":
                await anyio.sleep(0.1)
        assert any(each.startswith("/trap") for each in neighbour.heard)
        assert served.key not in "".join(neighbour.heard)
        assert "vbsbatch" not in "".join(neighbour.heard)
        # With the key it would still be a stranger's page: neither its sockets nor its frames.
        opened = await page.ask(
            "Runtime.evaluate",
            expression="new Promise(done => { const s = new WebSocket("
            f"{json.dumps(served.address.replace('http', 'ws') + 'ws')});"
            " s.onopen = () => done('opened'); s.onerror = () => done('refused') })",
            awaitPromise=True,
            returnByValue=True,
        )
        assert opened["result"]["value"] == "refused"
        read = await page.ask(
            "Runtime.evaluate",
            expression=f"fetch({json.dumps(served.address)}).then(a => a.text(), () => 'refused')",
            awaitPromise=True,
            returnByValue=True,
        )
        assert read["result"]["value"] == "refused"
    served.finish()
