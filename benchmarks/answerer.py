"""A bare HTTP server that accepts every create: much faster than any client that is measured.

It runs in a process of its own and keeps when each create arrived, by the machine's monotonic
clock, which every process here shares. Lists are empty, as in the first minutes of a real run, or,
with `--made`, show every backup as available at once.

============== ====================================================
POST any path  200 with a new job id
GET  backups   a page of the list
GET  /times    when the creates arrived since the last reset
GET  /reset    forget them
============== ====================================================
"""

from __future__ import annotations

import asyncio
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import httptools

HOST = "127.0.0.1"
PAGE = 1000


class Record:
    """What the server knows."""

    def __init__(self, *, made: bool) -> None:
        self.made = made
        self.times: list[float] = []
        self.backups: list[bytes] = []
        self.date = b""

    def create(self, body: bytes) -> bytes:
        """Accept a create."""
        self.times.append(time.monotonic())
        number = len(self.times)
        if self.made:
            self._make(number, json.loads(body)["backup"])
        return b'{"job_id": "%032x"}' % (number * 0x9E3779B97F4A7C15)

    def _make(self, number: int, wanted: dict[str, str]) -> None:
        backup = {
            "id": _id(number),
            "name": wanted["name"],
            "volume_id": wanted["volume_id"],
            "status": "available",
            "created_at": datetime.now(UTC).replace(tzinfo=None).isoformat(),
            "size": 40,
        }
        self.backups.append(json.dumps(backup).encode())

    def page(self, query: str) -> bytes:
        """A page of the list, newest first, from after the marker."""
        marker = parse_qs(query).get("marker")
        end = int(marker[0][-12:], 16) - 1 if marker else len(self.backups)
        first = max(end - PAGE, 0)
        link = b""
        if first:
            link = b'{"rel": "next", "href": "?limit=%d&marker=%s"}' % (
                PAGE,
                _id(first + 1).encode(),
            )
        listed = b", ".join(self.backups[first:end][::-1])
        return b'{"backups": [%s], "backups_links": [%s]}' % (listed, link)

    def reset(self) -> bytes:
        """Forget every create."""
        self.times, self.backups = [], []
        return b"{}"


def _id(number: int) -> str:
    return f"{number & 0xFFFFFFFF:08x}-0000-4000-8000-{number:012x}"


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls the `on_…` below."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """A request begins."""
        self._url, self._body = url, []

    def on_body(self, body: bytes) -> None:
        """A part of the request's body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer the request."""
        body = self._answer()
        assert self._transport is not None
        number = len(self._record.times)
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: application/json\r\n"
            b"X-Request-Id: req-%s\r\nContent-Length: %d\r\n\r\n%s"
            % (self._record.date, _id(number).encode(), len(body), body)
        )

    def _answer(self) -> bytes:
        if self._parser.get_method() == b"POST":
            return self._record.create(b"".join(self._body))
        url = urlsplit(self._url.decode())
        if url.path == "/times":
            return json.dumps(self._record.times).encode()
        if url.path == "/reset":
            return self._record.reset()
        return self._record.page(url.query)


async def serve(record: Record) -> None:
    """Listen, print the port, answer until the parent goes."""
    # asyncio switches Nagle's algorithm off only where the protocol is named: 40 ms an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind((HOST, 0))
    listener.listen(1024)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(record), sock=listener
    )
    print(listener.getsockname()[1], flush=True)
    async with server:
        while not _parent_is_gone():
            record.date = formatdate(usegmt=True).encode()
            await asyncio.sleep(0.5)


def _parent_is_gone() -> bool:
    """Standard input is a pipe from the parent: readable means closed."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


class Answerer:
    """The parent's side: where the server is and what it saw."""

    def __init__(self, url: str) -> None:
        self.url = url

    def times(self) -> list[float]:
        """When the creates arrived, in seconds of the monotonic clock."""
        with urlopen(self.url + "/times") as answer:
            times: list[float] = json.load(answer)
        return times

    def reset(self) -> None:
        """Forget all creates."""
        urlopen(self.url + "/reset").close()


@contextmanager
def answerer(*, made: bool = False) -> Iterator[Answerer]:
    """Run the server in a process of its own for the length of the block."""
    command = [sys.executable, "-m", __name__, *["--made"] * made]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Answerer(f"http://{HOST}:{int(process.stdout.readline())}")
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(serve(Record(made="--made" in sys.argv)))
