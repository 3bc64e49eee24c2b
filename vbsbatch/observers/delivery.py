"""Sends one message to one channel in a process of its own, which is ended when it takes long."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from typing import TypeAlias

from vbsbatch.model import Channel

LIMIT = 30.0
"""Seconds that sending one message may take."""

Process: TypeAlias = "subprocess.Popen[bytes]"


class Delivery:
    """One message on its way; `poll` tells whether it has arrived."""

    def __init__(self, channel: Channel, title: str, body: str, *, limit: float = LIMIT) -> None:
        self._process: Process | None = None
        self._error: str | None = None
        self._limit = limit
        self._ends_at = time.monotonic() + limit
        url = channel.address.url
        if url is None:
            self._error = f"the environment variable {channel.address.variable} is not set"
            return
        try:
            self._process = _started(url, title, body, limit)
        except OSError as error:
            self._error = f"no process could be started ({error.strerror or 'unknown error'})"

    def poll(self) -> tuple[bool, str | None]:
        """Whether it is over, and then why it failed; None if it was sent."""
        process = self._process
        if process is None:
            return True, self._error
        if process.poll() is None:
            if time.monotonic() < self._ends_at:
                return False, None
            self.end()
            return True, f"no answer in {self._limit:g} s"
        assert process.stdout is not None
        with process.stdout:
            said = process.stdout.read(500).decode("utf-8", "replace").strip()
        if process.returncode != 0:
            return True, f"the process that sends ended early (exit code {process.returncode})"
        return True, said or None

    def wait(self) -> str | None:
        """Wait until it is over: why it failed, or None."""
        while True:
            over, error = self.poll()
            if over:
                return error
            time.sleep(0.02)

    def end(self) -> None:
        """Give up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()


def _started(url: str, title: str, body: str, limit: float) -> Process:
    """The process, which has been given everything it needs; the URL is in no argument."""
    # -P: import no module from the current folder. -W: warnings are not for the user.
    command = [*(sys.executable, "-P", "-W", "ignore", "-m"), "vbsbatch.observers.apprise_process"]
    process = subprocess.Popen(  # noqa: S603 - our own program and arguments
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    text = json.dumps({"url": url, "title": title, "body": body, "limit": limit + 1}).encode()
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:  # it ended at once: `poll` tells
        process.stdin.write(text)
    return process
