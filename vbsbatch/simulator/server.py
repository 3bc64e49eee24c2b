"""The simulated cloud as a real HTTP server on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vbsbatch.errors import UsageError
from vbsbatch.private_files import open_private
from vbsbatch.simulator.app import TRANSPORT, CloudApp
from vbsbatch.simulator.identity import REGION
from vbsbatch.simulator.project_state import sample_volumes
from vbsbatch.simulator.scenario import Scenario
from vbsbatch.simulator.world import SimulatedCloud

HOST = "127.0.0.1"
CLOUD = "simulator"
"""The entry of the printed `clouds.yaml` that signs in with a password …"""
KEY_CLOUD = "simulator-aksk"
"""… and the one that signs requests with an access key."""


class SimulatorClock:
    """The machine's wall clock."""

    def now(self) -> float:
        """Seconds since the Unix epoch (UTC)."""
        return time.time()


class _Protocol(HttpToolsProtocol):
    """Puts the transport into the scope, so that the application can reset the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]


class _Server(uvicorn.Server):
    """Announces itself when it listens, and stops at once, with open connections too."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop on a signal without ending the process with it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def serve(
    scenario: Scenario | None = None,
    *,
    volumes: int = 50,
    seed: int = 1,
    port: int = 0,
    clouds_file: Path | None = None,
    access_key: bool = False,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve a simulated cloud on the loopback interface until SIGINT or SIGTERM; blocks.

    Port 0 takes any free port. As soon as it listens, a `clouds.yaml` with the entry `simulator`
    (with `access_key` also `simulator-aksk`) is written to `clouds_file` (mode 0600) and given to
    `announce` (by default: printed and flushed). Raises `UsageError` when the port is taken or the
    file cannot be written.
    """
    cloud = SimulatedCloud(
        scenario or Scenario(), SimulatorClock(), seed, volumes=sample_volumes(volumes, seed)
    )
    with _listen(port) as listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        text = clouds_yaml(cloud, url, access_key=access_key)

        def ready() -> None:
            if clouds_file is not None:
                _write_secret(clouds_file, text)
            (announce or _print)(text)

        _Server(_config(cloud), ready).run([listener])


def _config(cloud: SimulatedCloud) -> uvicorn.Config:
    return uvicorn.Config(
        CloudApp(cloud),
        http=_Protocol,
        ws="none",
        proxy_headers=False,
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=75,
    )


def _listen(port: int) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where the protocol is named: 40 ms an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(f"cannot listen on port {port}: {error}") from error
    return listener


def _print(text: str) -> None:
    print(text, end="", flush=True)


def clouds_yaml(cloud: SimulatedCloud, url: str, *, access_key: bool) -> str:
    """A `clouds.yaml` for this cloud, with a password.

    With `access_key` it has a second entry, with a key. That is optional because clients use the
    only entry of a file without a name.
    """
    text = f"""\
clouds:
  {CLOUD}:
    auth_type: password
    auth:
      auth_url: {url}/identity/v3
      username: {cloud.operator.name}
      password: {cloud.operator.password}
      project_name: {cloud.project.name}
      user_domain_name: Default
      project_domain_name: Default
    region_name: {REGION}
    interface: public
    identity_api_version: "3"
    volume_api_version: "3"
"""
    if not access_key:
        return text
    key = cloud.identity.keys.permanent
    return f"""\
{text}\
  {KEY_CLOUD}:
    auth:
      auth_url: {url}/identity/v3
      ak: {key.ak}
      sk: {key.sk}
      project_name: {cloud.project.name}
    region_name: {REGION}
"""


def _write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = open_private(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise UsageError(f"{path}: {error.strerror or error}") from error
