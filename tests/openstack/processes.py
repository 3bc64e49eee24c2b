"""Services as processes: started, stopped, frozen and found again, by number and start time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STOP_PATIENCE = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


class Processes:
    """The services of one folder: `run/NAME.pid` tells which process group is whose.

    What is written down is the number and the start time of a group's leader, so that a number
    which the system gave to somebody else since is never signalled.
    """

    def __init__(self, folder: Path) -> None:
        self._run = folder / "run"
        self._log = folder / "log"
        for path in (self._run, self._log):
            path.mkdir(parents=True, exist_ok=True)

    def start(self, service: Service) -> None:
        """Start it in a session and process group of its own; it must not be running."""
        with (self._log / f"{service.name}.log").open("ab") as log:
            process = subprocess.Popen(
                service.command,
                env=dict(service.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process.returncode = (
            0  # nobody waits for it here: another process may be the one to stop it
        )
        self._pid_file(service.name).write_text(f"{process.pid} {_started(process.pid)}")

    def started_at(self, name: str) -> float:
        """When it was last started, in seconds since the epoch."""
        return self._pid_file(name).stat().st_mtime

    def alive(self, name: str) -> bool:
        return self._group(name) is not None

    def stop(self, *names: str) -> None:
        """Ask all of them to end, and kill what does not in time."""
        groups = [group for name in names if (group := self._group(name)) is not None]
        for group in groups:
            _signal(group, signal.SIGTERM)
            _signal(group, signal.SIGCONT)
        for group in groups:
            _await_end(group)
        for name in names:
            self._pid_file(name).unlink(missing_ok=True)

    def freeze(self, name: str) -> None:
        """Let it hang: it holds its connections and answers nothing."""
        group = self._group(name)
        assert group is not None, f"{name} is not running"
        _signal(group, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        if (group := self._group(name)) is not None:
            _signal(group, signal.SIGCONT)

    def last_words(self, name: str, lines: int = 15) -> str:
        """The end of its log."""
        path = self._log / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def _pid_file(self, name: str) -> Path:
        return self._run / f"{name}.pid"

    def _group(self, name: str) -> int | None:
        try:
            number, started = self._pid_file(name).read_text().split()
        except (OSError, ValueError):
            return None
        return int(number) if _started(int(number)) == started else None


def _started(process: int) -> str:
    """The start time of a process in clock ticks since boot; empty when it has ended."""
    fields = _stat(Path(f"/proc/{process}/stat"))
    return "" if not fields or fields[0] == "Z" else fields[19]


def _stat(path: Path) -> list[str]:
    """State, parent, group ... of a process; nothing when there is none."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _await_end(group: int) -> None:
    deadline = time.monotonic() + STOP_PATIENCE
    while time.monotonic() < deadline:
        with suppress(ChildProcessError):
            os.waitpid(group, os.WNOHANG)  # a child of ours must not stay a zombie
        if not _lives(group):
            return
        time.sleep(0.1)
    _signal(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    """Whether a process of the group lives. Zombies do not: whose child they are reaps them."""
    stats = (_stat(path) for path in Path("/proc").glob("[0-9]*/stat"))
    return any(fields[2] == str(group) and fields[0] != "Z" for fields in stats if fields)
