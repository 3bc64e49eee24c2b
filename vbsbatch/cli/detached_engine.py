"""Starts engines as separate processes that survive their terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from vbsbatch.cli.engine_log import log_path
from vbsbatch.cli.parent_death import passed_on
from vbsbatch.errors import UsageError
from vbsbatch.private_files import open_private

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbsbatch.store import RunStore

    Process: TypeAlias = "subprocess.Popen[bytes]"

PATIENCE = 120.0
"""Seconds an engine may take to sign in and take its run's lock."""


def start_engine(store: RunStore, run_id: str, options: Sequence[str] = ()) -> int:
    """Start `vbsbatch resume` for the run in a new session; return its pid once it drives the run.

    `options` are further arguments (cloud, endpoints). Raises `UsageError` with the engine's own
    message when it ends before that.
    """
    # -P: import no module from the current folder.
    command = [sys.executable, "-P", "-m", "vbsbatch", "resume", run_id, "--db", str(store.path)]
    log = log_path(store, run_id)
    with _open_log(log) as stream:
        begin = stream.seek(0, os.SEEK_END)
        process = subprocess.Popen(  # noqa: S603 - our own program and arguments
            [*command, "--progress", "plain", *options],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            pass_fds=passed_on(),
        )
    # Wait for its end, or a killed engine stays in the process list as a zombie.
    reaper = threading.Thread(target=process.wait, name=f"engine {process.pid}", daemon=True)
    reaper.start()
    try:
        return _wait_until_live(store, run_id, process, log, begin)
    except KeyboardInterrupt:
        process.terminate()
        raise


def _wait_until_live(store: RunStore, run_id: str, process: Process, log: Path, begin: int) -> int:
    """Wait until the engine drives the run; return its pid."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        holder = store.is_live(run_id)
        if holder is not None:
            return process.pid if holder.pid is None else holder.pid
        if process.poll() is not None:
            return _ended_early(process, log, begin)
        time.sleep(0.05)
    process.terminate()
    raise UsageError(f"the engine did not start within {PATIENCE:.0f} s: see {log}")


def _ended_early(process: Process, log: Path, begin: int) -> int:
    """Accept the end of a very short run; raise any other end as `UsageError`."""
    with open(open_private(log, os.O_RDONLY), "rb") as stream:
        stream.seek(begin)
        words = stream.read(65536).decode("utf-8", "replace").strip().splitlines()
    if process.returncode in (0, 1, 3):
        return process.pid
    last = words[-1].removeprefix("vbsbatch: ") if words else f"exit code {process.returncode}"
    raise UsageError(f"the engine did not start: {last}")


def _open_log(path: Path) -> BinaryIO:
    try:
        descriptor = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"the engine did not start: cannot write {path}: {reason}") from error
    return os.fdopen(descriptor, "ab")
