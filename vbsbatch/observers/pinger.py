"""Pings a dead-man's switch when a run starts, and when it ends well or not.

A GET of the URL, in a thread: an engine waits for nothing. The service behind the URL raises the
alarm when a ping does not come, so none is kept to be sent later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import anyio

from vbsbatch.model import Address, Operation, Pings, RunNoted
from vbsbatch.model.clocks import wall
from vbsbatch.observers import RunEnded, RunEvent, RunStarted
from vbsbatch.observers.desk import OpenDesk

LIMIT = 10.0
"""Seconds that one GET may take to connect, and to answer."""

WAITS = (1.0, 3.0, 9.0)
"""Seconds before the second and each further try."""

LINGER = 30.0
"""Seconds that the end of a run waits for its ping."""


class Pinger:
    """Pings for the runs of the plans in `pings` that make backups.

    `told` receives a note about a ping that failed, in another thread.
    """

    def __init__(
        self,
        pings: Mapping[str, Pings],
        *,
        told: Callable[[RunNoted], object] = lambda _: None,
        waits: Sequence[float] = WAITS,
    ) -> None:
        self._pings = pings
        self._told = told
        self._waits = waits
        self._quit = threading.Event()
        self._thread: threading.Thread | None = None
        self._ours: Pings | None = None
        self._run_id = ""
        self._desk: OpenDesk | None = None

    def __call__(self, event: RunEvent) -> None:
        """Take one event."""
        match event:
            case RunStarted(run=run, desk=desk) if run.settings.operation is Operation.BACKUP:
                self._ours = self._pings.get(run.plan)
                self._run_id, self._desk = run.id, desk
                if self._ours is not None:
                    self._begin("start", self._ours.start)
            case RunEnded(exit_code=code) if self._ours is not None:
                if code == 0:
                    self._begin("success", self._ours.success)
                else:
                    self._begin("failure", self._ours.failure)

    def _begin(self, word: str, address: Address | None) -> None:
        """Ping in a thread of its own, after the ping before."""
        if address is not None:
            arguments = (self._thread, word, address)
            self._thread = threading.Thread(
                target=self._ping, args=arguments, name=f"ping {word}", daemon=True
            )
            self._thread.start()

    def hurry(self) -> None:
        """Wait for no answer any more."""
        self._quit.set()

    async def finish(self) -> None:
        """Wait until the last ping is answered, at most `LINGER`."""
        with anyio.move_on_after(LINGER):
            while self._thread is not None and self._thread.is_alive() and not self._quit.is_set():
                await anyio.sleep(0.05)
        self.hurry()

    def _ping(self, before: threading.Thread | None, word: str, address: Address) -> None:
        if before is not None:
            before.join(LINGER)
        if (error := self._try(address)) is not None:
            event = RunNoted(at=wall(), kind="notify", text=f"ping {word}: {error}")
            self._told(event)
            if self._desk is not None:
                with suppress(Exception), self._desk() as opened:  # this may not cost a backup
                    opened.messages.note(self._run_id, event)

    def _try(self, address: Address) -> str | None:
        """Ping until it is answered; None, or why it was not."""
        if address.url is None:
            return f"the environment variable {address.variable} is not set"
        error = ping(address.url)
        for wait in self._waits:
            if error is None or self._quit.wait(wait):
                break
            error = ping(address.url)
        return error


def ping(url: str, *, limit: float = LIMIT) -> str | None:
    """GET the URL once; None if it answers 2xx, else why not, without any part of the URL."""
    import httpx

    for name in ("httpx", "httpcore"):  # they log URLs
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if not url.startswith(("http://", "https://")):
        return "its URL is not one of http or https"
    try:
        with (
            httpx.Client(timeout=limit, follow_redirects=False) as client,
            client.stream("GET", url, headers={"User-Agent": "vbsbatch"}) as answer,
        ):
            status = answer.status_code
    except httpx.TimeoutException:
        return f"no answer in {limit:g} s"
    except httpx.TransportError:
        return "no connection"
    except Exception as error:  # its message may hold the URL
        return f"it cannot be asked ({type(error).__name__})"
    if 300 <= status < 400:
        return f"it answered HTTP {status}: the URL must be the final one"
    return None if status < 300 else f"it answered HTTP {status}"
