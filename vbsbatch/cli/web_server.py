"""Serves the read-only screen of one run to browsers of this machine, with textual-serve.

textual-serve knows no users: the server listens on loopback only, and wants a key, or any other
user or web page of this machine could look in. The key is the first part of every path: a cookie
would be sent to whatever else listens on this machine, whichever the port. Each browser gets a
screen process of its own (`browsed`), which can neither steer nor write files.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web
from textual_serve.server import Server

from vbsbatch.cli import mention, say
from vbsbatch.cli.web_limits import connections_at_most, listen, quieten
from vbsbatch.cli.web_session import BrowserSession, Malformed, size_of
from vbsbatch.errors import UsageError

if TYPE_CHECKING:
    from vbsbatch.store import Store

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HOST = "127.0.0.1"

SESSIONS = 8
"""Screens that are shown at once; each is a process."""

MESSAGE_MAX = 1 << 16
"""Bytes of one message of a browser: keys, and what is pasted."""

_PATIENCE = 2.0
"""Seconds that open browsers may take to let go at the end."""

_HEARTBEAT = 15.0
"""Seconds after which a browser that says nothing at all is gone."""

_HEADERS = {
    # The page would fetch a font from elsewhere, which is nobody's business.
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def serve(store: Store, run_id: str, port: int) -> int:
    """Serve the run's screen until a signal; `UsageError` when the port cannot be had."""
    os.environ.pop("TMUX", None)  # what is copied in a browser is not for this terminal
    with closing(_listener(port)) as listener:
        served = ScreenServer(_command(store, run_id), f"vbsbatch {run_id}", listener)
        asyncio.run(served.serve_until_signal())
    return 0


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot serve on port {port}: {reason}: try another --port") from error
    return listener


def _command(store: Store, run_id: str) -> str:
    screen = [sys.executable, "-m", "vbsbatch.cli.web_child", str(store.path), run_id]
    # What it says on standard error would be printed as it is.
    return f"exec {shlex.join(screen)} 2>/dev/null"


class ScreenServer(Server):
    """textual-serve's server, with a lock on its door, bounds and no logo."""

    def __init__(self, command: str, title: str, listener: socket.socket) -> None:
        super().__init__(command, host=HOST, port=listener.getsockname()[1], title=title)
        self._listener = listener
        self._key = secrets.token_urlsafe(24)
        self._host = f"{HOST}:{self.port}"
        self.sessions = 0

    async def serve_until_signal(self) -> None:
        """Serve until SIGINT, SIGTERM or SIGHUP."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, over.set)
        quieten(loop)
        house = web.Application(middlewares=[self._guard])
        house.add_subapp(f"/{self._key}", await self._make_app())
        runner = web.AppRunner(house, access_log=None, shutdown_timeout=_PATIENCE)
        await runner.setup()
        try:
            async with listen(runner, self._listener, connections_at_most()):
                say(f"{self.public_url}/{self._key}/")
                mention("read-only, for browsers of this machine; Ctrl-C ends the serving only")
                await over.wait()
        finally:
            await runner.cleanup()

    async def on_startup(self, app: web.Application) -> None:
        """Nothing: the address is printed when it can be opened."""

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who knows the path, by the name of this server and from its own page."""
        if not self._is_ours(request):
            raise web.HTTPForbidden(
                text="Open the address that vbsbatch printed.\n", headers={"Connection": "close"}
            )
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(_HEADERS)
            raise
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _is_ours(self, request: web.Request) -> bool:
        shown = request.raw_path.lstrip("/").partition("/")[0]
        # A request may hold any bytes, and several of these headers.
        key_fits = hmac.compare_digest(shown.encode("utf-8", "replace"), self._key.encode())
        named = request.headers.getall("Host", []) == [self._host]
        own_page = request.headers.getall("Origin", [self.public_url]) == [self.public_url]
        return key_fits and named and own_page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Show a screen for as long as its browser listens."""
        if self.sessions >= SESSIONS:
            raise web.HTTPServiceUnavailable(text=f"{SESSIONS} screens are shown already.\n")
        try:
            width, height = size_of(request.query)
        except Malformed:
            raise web.HTTPBadRequest(text="That is no size of a window.\n") from None
        self.sessions += 1
        websocket = web.WebSocketResponse(heartbeat=_HEARTBEAT, max_msg_size=MESSAGE_MAX)
        try:
            await websocket.prepare(request)
            await self._show(websocket, width, height)
        finally:
            self.sessions -= 1
        return websocket

    async def _show(self, websocket: web.WebSocketResponse, width: int, height: int) -> None:
        async def close() -> None:
            await websocket.close()

        session = BrowserSession(
            self.command,
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=close,
            download_manager=self.download_manager,
        )
        try:
            await session.start(width, height)
            async for message in websocket:
                if message.type is WSMsgType.TEXT:
                    await session.take(message.data, websocket.send_json)
        except (Malformed, ConnectionError):
            await websocket.close()
        finally:
            await asyncio.shield(session.end())
