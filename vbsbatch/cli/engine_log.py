"""Logs of engines that were started detached: rotated by size, and removed with their runs."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from vbsbatch.private_files import open_private

if TYPE_CHECKING:
    from vbsbatch.store import RunStore

LARGEST = 5 * 1024 * 1024
"""Bytes from which a log is rotated."""

KEPT = 2
"""Older logs of a run: `.log.1` is the newer one."""

EVERY = 1.0
"""Seconds between two looks at the size."""

_OUTPUTS = (1, 2)


def log_path(store: RunStore, run_id: str) -> Path:
    """Where a detached engine of this run writes its plain progress: beside the store."""
    return store.path.with_name(f"{store.path.name}.{run_id}.log")


@contextmanager
def rotated_while_open(log: Path) -> Iterator[None]:
    """Rotate the log while the context lasts, if this process writes its output to it.

    A thread of its own looks at the size, so that it holds for whatever is written, by whomever.
    """
    if not is_output(log):
        yield
        return
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(EVERY):
            rotate(log)

    thread = threading.Thread(target=look, name="log rotation", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def is_output(log: Path) -> bool:
    """Whether standard error of this process goes to this file."""
    try:
        return os.path.samestat(os.fstat(_OUTPUTS[-1]), log.lstat())
    except OSError:
        return False


def rotate(log: Path, largest: int = LARGEST) -> bool:
    """Rename a log of this process that has grown too large, and write to a new one from now on.

    Returns whether it did. A log that was moved, or whose older names are taken by files that are
    not ours, is left alone.
    """
    if os.fstat(_OUTPUTS[-1]).st_size < largest or not is_output(log):
        return False
    older = [log, *(_older(log, number) for number in range(1, KEPT + 1))]
    if any(os.path.lexists(path) and not _is_ours(path) for path in older):
        return False
    try:
        for newer, name in reversed([*pairwise(older)]):
            if newer.exists():
                newer.rename(name)
        descriptor = open_private(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError:  # it goes on where it is
        return False
    for output in _OUTPUTS:
        os.dup2(descriptor, output)
    os.close(descriptor)
    return True


def remove_logs(store: RunStore, run_id: str) -> int:
    """Remove the logs of a run, but no file that is not ours; how many bytes they had."""
    log = log_path(store, run_id)
    size = 0
    for path in (log, *(_older(log, number) for number in range(1, KEPT + 1))):
        if _is_ours(path):
            with suppress(OSError):
                length = path.lstat().st_size
                path.unlink()
                size += length
    return size


def _older(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _is_ours(path: Path) -> bool:
    """Whether it is a regular file of this user without another name."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
