"""Serves the read-only screen of one run to browsers of this machine, with textual-serve.

textual-serve knows no users: the server listens on loopback only, and wants the key that is part of
the address it prints, or any other user or web page of this machine could look in. Each browser
gets a screen process of its own (`browsed`), which can neither steer nor write files.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.web_runner import GracefulExit
from textual_serve.server import Server

from vbsbatch.cli import mention, say
from vbsbatch.errors import UsageError
from vbsbatch.report import clean

if TYPE_CHECKING:
    from vbsbatch.store import Store

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HOST = "127.0.0.1"

_PATIENCE = 2.0
"""Seconds that open browsers may take to let go at the end."""

_HEADERS = {
    # The page would fetch a font from elsewhere, which is nobody's business.
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def serve(store: Store, run_id: str, port: int) -> int:
    """Serve the run's screen until a signal; `UsageError` when the port cannot be had."""
    os.environ.pop("TMUX", None)  # what is copied in a browser is not for this terminal
    with closing(_listener(port)) as listener:
        served = ScreenServer(_command(store, run_id), f"vbsbatch {run_id}", listener)
        served.serve()
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
    screen = [sys.executable, "-m", "vbsbatch.cli.browsed", str(store.path), run_id]
    return f"exec {shlex.join(screen)}"


class ScreenServer(Server):
    """textual-serve's server, with a lock on its door and no logo."""

    def __init__(self, command: str, title: str, listener: socket.socket) -> None:
        super().__init__(command, host=HOST, port=listener.getsockname()[1], title=title)
        self._listener = listener
        self._key = secrets.token_urlsafe(16)
        self._cookie = f"vbsbatch-{self.port}"

    def serve(self, debug: bool = False) -> None:
        """Serve until SIGINT, SIGTERM or SIGHUP."""
        logging.getLogger("textual-serve").addHandler(_Complaints(logging.ERROR))
        web.run_app(self._make_app(), sock=self._listener, print=None, shutdown_timeout=_PATIENCE)

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print the address; the rest is for people."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _leave)
        say(f"{self.public_url}/?key={self._key}")
        mention("read-only, for browsers of this machine; Ctrl-C ends the serving, not the run")

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who has the key, as part of the address or as the cookie it was exchanged for."""
        shown = request.query.get("key") or request.cookies.get(self._cookie) or ""
        own_page = request.headers.get("Origin") in (None, self.public_url)
        if not own_page or not hmac.compare_digest(shown.encode(), self._key.encode()):
            raise web.HTTPForbidden(text="Open the address that vbsbatch printed.\n")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
            response.set_cookie(self._cookie, self._key, httponly=True, samesite="Strict")
        return response


class _Complaints(logging.Handler):
    """What textual-serve has to complain about: one line each, no traceback with its values."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        mention(f"vbsbatch: {clean(record.getMessage())}")


def _leave() -> None:
    raise GracefulExit
