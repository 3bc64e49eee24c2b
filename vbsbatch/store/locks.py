"""One engine per run: a lock of the operating system that dies with the process that holds it.

The lock is one byte of the file `<store>.lock`; its offset is the number of the run. POSIX record
locks belong to the process and vanish when it closes *any* descriptor of the file: therefore one
descriptor per file and process, kept open from the first lock on.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from vbsbatch.errors import RunIsLive, StoreUnusable
from vbsbatch.private_files import open_private, open_to_look

# struct flock: Linux puts type and whence first, the BSDs and macOS last.
_LINUX = sys.platform.startswith("linux")
_FLOCK = "hhqqi" if _LINUX else "qqihh"

_guard = threading.Lock()
_descriptors: dict[Path, int] = {}
_held: set[tuple[Path, int]] = set()
os.register_at_fork(after_in_child=_held.clear)  # a child inherits the descriptors, not the locks


def _lock_path(store: Path) -> Path:
    path = store.resolve()
    return path.with_name(path.name + ".lock")


def _descriptor(path: Path) -> int:
    if path not in _descriptors:
        try:
            _descriptors[path] = open_private(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise StoreUnusable(f"cannot open {path}: {error.strerror}") from error
    return _descriptors[path]


def _ask_kernel(descriptor: int, number: int) -> int | None:
    """The pid of another process that holds the byte, None when it is free or ours."""
    kind = fcntl.F_WRLCK
    if _LINUX:
        question = struct.pack(_FLOCK, kind, os.SEEK_SET, number, 1, 0)
        found, _, _, _, pid = struct.unpack(
            _FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
        )
    else:
        question = struct.pack(_FLOCK, number, 1, 0, kind, os.SEEK_SET)
        _, _, pid, found, _ = struct.unpack(
            _FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
        )
    return None if found == fcntl.F_UNLCK else int(pid)


def holder(store: Path, number: int) -> int | None:
    """The pid of the process that drives run `number`, None when no process does."""
    path = _lock_path(store)
    with _guard:
        if (path, number) in _held:
            return os.getpid()
        if path in _descriptors:
            return _ask_kernel(_descriptors[path], number)
        try:
            descriptor = open_to_look(path)
        except OSError:
            return None  # no lock file yet: nobody ever drove a run of this store
        try:
            return _ask_kernel(descriptor, number)
        finally:
            os.close(descriptor)


def held_here(store: Path, number: int) -> bool:
    """Whether this very process holds the run."""
    return (_lock_path(store), number) in _held


@contextmanager
def run_lock(store: Path, number: int, run_id: str) -> Iterator[None]:
    """Hold run `number`; `RunIsLive` names the process that holds it already."""
    path = _lock_path(store)
    _take(path, number, run_id)
    try:
        yield
    finally:
        with _guard:
            _held.discard((path, number))
            fcntl.lockf(_descriptors[path], fcntl.LOCK_UN, 1, number)


def _take(path: Path, number: int, run_id: str) -> None:
    with _guard:
        if (path, number) in _held:
            raise RunIsLive(f"run {run_id} is driven by this process ({os.getpid()}) already")
        descriptor = _descriptor(path)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError as error:
            pid = _ask_kernel(descriptor, number)
            who = f"process {pid}" if pid else "another process"
            raise RunIsLive(
                f"run {run_id} is driven by {who} already: "
                f"watch it with `vbsbatch status {quote(run_id)}`"
            ) from error
        _held.add((path, number))
