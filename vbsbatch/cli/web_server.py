"""Serves the read-only screen of one run to browsers of this machine, with textual-serve.

textual-serve has no users: the server listens on loopback only and requires a key, or any user or
web page of this machine could read the screen. The key is the first part of every path: a cookie
would be sent to every other server of this machine, on any port. Each browser gets its own screen
process (`web_child`), which can neither steer nor write files.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from vbsbatch.cli import mention, say
from vbsbatch.cli.web_limits import connections_at_most, listen, quieten
from vbsbatch.errors import UsageError

if TYPE_CHECKING:
    from vbsbatch.store import RunStore

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HOST = "127.0.0.1"

SESSIONS = 8
"""Screens at once; each is a process."""

MESSAGE_MAX = 1 << 16
"""Largest message of a browser in bytes: keys, or pasted text."""

WIDEST, HIGHEST = 500, 200
"""Largest window in cells; a screen of 20000 x 20000 would take gigabytes."""

_SCREEN_PATIENCE = 3.0
"""Seconds that a screen may take to end."""

_PATIENCE = 2.0
"""Seconds that open connections may take to close at the end."""

_HEARTBEAT = 15.0
"""Seconds after which a silent browser counts as gone."""

_HEADERS = {
    # Without this the page would load a font from another site.
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def serve(store: RunStore, run_id: str, port: int) -> int:
    """Serve the run's screen until a signal; `UsageError` when the port cannot be had."""
    os.environ.pop("TMUX", None)  # text copied in a browser must not go to this terminal
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


def _command(store: RunStore, run_id: str) -> str:
    screen = [sys.executable, "-m", "vbsbatch.cli.web_child", str(store.path), run_id]
    # Its standard error would be printed uncleaned.
    return f"exec {shlex.join(screen)} 2>/dev/null"


class ScreenServer(Server):
    """textual-serve's server with a key, limits and no logo."""

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
                mention(
                    "read-only, for browsers on this machine; Ctrl-C stops the server, not the run"
                )
                await over.wait()
        finally:
            await runner.cleanup()

    async def on_startup(self, app: web.Application) -> None:
        """Do nothing: the address is printed when it can be opened."""

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse requests without the key, for another host, or from another page."""
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
        # A request may contain any bytes, and several of these headers.
        key_fits = hmac.compare_digest(shown.encode("utf-8", "replace"), self._key.encode())
        named = request.headers.getall("Host", []) == [self._host]
        own_page = request.headers.getall("Origin", [self.public_url]) == [self.public_url]
        return key_fits and named and own_page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Show a screen until its browser disconnects."""
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


class Malformed(Exception):
    """A message that our page never sends."""


def size_of(query: Mapping[str, str]) -> tuple[int, int]:
    """The width and height that a browser asks for, within limits."""
    return _within(query.get("width", "80"), WIDEST), _within(query.get("height", "24"), HIGHEST)


def _within(value: object, most: int) -> int:
    try:
        return min(max(int(str(value)[:10]), 1), most)
    except ValueError:
        raise Malformed from None


class BrowserSession(AppService):
    """textual-serve's service of one browser."""

    async def take(self, text: str, answer: Callable[[Any], Awaitable[None]]) -> None:
        """Carry out a message of the browser; raises `Malformed`."""
        try:
            kind, *rest = json.loads(text)
            match kind:
                case "stdin":
                    await self.send_bytes(rest[0].encode("utf-8", "replace"))
                case "resize":
                    size = rest[0]
                    await self.set_terminal_size(
                        _within(size["width"], WIDEST), _within(size["height"], HIGHEST)
                    )
                case "ping":
                    await answer(["pong", str(rest[0])[:64]])
                case "blur":
                    await self.blur()
                case "focus":
                    await self.focus()
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            raise Malformed from None

    async def end(self) -> None:
        """Ask the screen to end, then kill it."""
        with suppress(TimeoutError, ConnectionError):
            await asyncio.wait_for(self.stop(), _SCREEN_PATIENCE)
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
