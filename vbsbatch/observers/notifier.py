"""Tells channels of a run while its engine drives it, and for a moment after.

All of it happens in a thread with its own connection to the store: an engine waits for nothing. The
events of the run only say when to look; what is told is what the store says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import anyio

from vbsbatch.model import Channel, Job, JobMoved, JobState, Run, RunNoted
from vbsbatch.model.channels import chosen
from vbsbatch.model.clocks import wall
from vbsbatch.observers import RunEnded, RunEvent, RunStarted
from vbsbatch.observers.desk import NoticeDesk, OpenDesk
from vbsbatch.observers.outbox import Outbox, post

EVERY = 10.0
"""Seconds between two looks at the store."""

SOON = 0.3
"""Seconds after an event until the store is looked at, so that it has been written."""

SHARE = 20.0
"""How many times as long as the last look took there is none, so that looks cost little."""

LINGER = 30.0
"""Seconds that the end of a run waits for its last messages; the rest is left to others."""

_STEP = 0.05
_PATIENCE = 3.0
"""Seconds after which the wait is mentioned."""
_LEFT_ALONE = 10.0
"""Seconds after which the thread ends if the engine ended without an event: its store failed."""

_log = logging.getLogger("vbsbatch.observers")


class Notifier:
    """Posts and sends messages about one run to the channels that are for it.

    `channels` are all that the config file has; `told` receives what happens to messages, in
    another thread.
    """

    def __init__(
        self, channels: Sequence[Channel], *, told: Callable[[RunNoted], object] = lambda _: None
    ) -> None:
        self._channels = tuple(channels)
        self._told = told
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._quit = threading.Event()
        self._engine_left_at: float | None = None
        self._thread: threading.Thread | None = None

    def __call__(self, event: RunEvent) -> None:
        """Take one event."""
        match event:
            case RunStarted(desk=desk) if desk is not None:
                self._thread = threading.Thread(
                    target=self._work, args=(event.run, desk), name="notifier", daemon=True
                )
                self._thread.start()
            case RunEnded():
                self._ended.set()
                self._wake.set()
            case RunNoted() | JobMoved(job=Job(state=JobState.FAILED)):
                self._wake.set()

    def hurry(self) -> None:
        """Wait for no receiver any more."""
        self._quit.set()
        self._wake.set()

    async def background(self) -> None:
        """Note when the engine is over, however it ended."""
        try:
            await anyio.sleep_forever()
        finally:
            self._engine_left_at = time.monotonic()

    async def finish(self) -> None:
        """Wait until the last messages are sent, at most `LINGER`."""
        began, said = time.monotonic(), False
        while self._is_at_work() and not self._quit.is_set():
            waited = time.monotonic() - began
            if waited > LINGER:
                break
            if waited > _PATIENCE and not said:
                words = f"waiting for the last messages to be sent, at most {LINGER:g} s"
                self._told(RunNoted(at=wall(), kind="notify", text=words))
                said = True
            await anyio.sleep(_STEP)
        self.hurry()
        with anyio.move_on_after(_LEFT_ALONE):
            while self._is_at_work():
                await anyio.sleep(_STEP)

    def _is_at_work(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _work(self, run: Run, desk: OpenDesk) -> None:
        """Serve until there is nothing left to do; a store that fails is tried again."""
        while not self._is_over():
            try:
                with desk() as opened:
                    self._serve(run, opened)
                    return
            except Exception as error:  # nothing here may cost a backup
                _log.debug("the notifier failed: %s", type(error).__name__)
                self._quit.wait(1.0)

    def _serve(self, run: Run, desk: NoticeDesk) -> None:
        ours = chosen(self._channels, run.settings.notify)
        outbox = Outbox(
            desk.messages, self._channels, told=lambda _run_id, event: self._told(event)
        )
        look_at, took, looked_last = 0.0, 0.0, False
        try:
            while not self._is_over():
                ended = self._ended.is_set()
                if self._wake.is_set():
                    self._wake.clear()
                    look_at = min(look_at, time.monotonic() + max(SOON, SHARE * took))
                if time.monotonic() >= look_at or (ended and not looked_last):
                    began = time.monotonic()
                    post(desk.messages, desk.look(), ours, desk.report)
                    took = time.monotonic() - began
                    look_at, looked_last = time.monotonic() + EVERY, ended
                outbox.step()
                if ended and not outbox.waits_for(run.id):
                    return
                wait = _STEP if outbox.busy or ended else look_at - time.monotonic()
                self._wake.wait(max(wait, 0.0))
        finally:
            outbox.close()

    def _is_over(self) -> bool:
        left = self._engine_left_at
        alone = left is not None and not self._ended.is_set()
        return self._quit.is_set() or (
            alone and left is not None and time.monotonic() - left > _LEFT_ALONE
        )
