"""Limits for a server that every user of this machine can connect to.

Idle connections must neither use up our descriptors nor fill a log.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from vbsbatch.cli import mention

if TYPE_CHECKING:
    from aiohttp import web

MOST = 64
"""Connections at once; a page needs half a dozen."""

HEADERS_WITHIN = 10.0
"""Seconds for a request to arrive, and for an idle connection to stay open."""

WAITING = 16
"""Connections in the kernel's queue, which are accepted all at once."""

_OWN = 48
"""Descriptors that we need ourselves, including those of screens."""

_COMPLAINTS = 20
"""Error lines in a minute; more are dropped."""

_LOGGERS = ("textual-serve", "aiohttp", "asyncio")


def connections_at_most() -> int:
    """How many connections the limit of descriptors allows."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(4, min(MOST, soft - _OWN - WAITING))


@asynccontextmanager
async def listen(runner: web.AppRunner, listener: socket.socket, most: int) -> AsyncIterator[None]:
    """Accept up to `most` connections at once during the block; close further ones."""
    handlers = runner.server
    assert handlers is not None

    def answer() -> asyncio.BaseProtocol:
        return handlers() if len(handlers.connections) < most else _HangUp()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(answer, sock=listener, backlog=WAITING)
    sweeper = asyncio.create_task(_sweep(handlers), name="idle connections")
    try:
        yield
    finally:
        sweeper.cancel()
        server.close()


class _HangUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


async def _sweep(handlers: Any) -> None:
    """Close connections that have had no request for too long."""
    since: dict[Any, float] = {}
    while True:
        await asyncio.sleep(1)
        now = time.monotonic()
        idle = [each for each in handlers.connections if each._current_request is None]
        since = {each: since.get(each, now) for each in idle}
        for each, began in since.items():
            if now - began > HEADERS_WITHIN and each.transport is not None:
                each.transport.abort()


def quieten(loop: asyncio.AbstractEventLoop) -> None:
    """Print errors of libraries as one line each, without a traceback and its values."""
    complaints = _Complaints(logging.ERROR)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [complaints]
        logger.propagate = False
    loop.set_exception_handler(lambda _, told: complaints.say(str(told.get("message"))))


class _Complaints(logging.Handler):
    """Prints one line for each error, up to a number a minute."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._minute = 0
        self._said = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        self.say(record.getMessage())

    def say(self, text: str) -> None:
        """Print one line, unless there were too many in this minute."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._said = minute, 0
        self._said += 1
        if self._said <= _COMPLAINTS:
            mention(f"vbsbatch: {text[:300]}")
