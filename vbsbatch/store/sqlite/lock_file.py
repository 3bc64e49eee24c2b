"""The lock of versions before store version 3: one byte of `<store>.lock`. For one release only.

The byte's offset is the number of the run. It is locked, and checked, in addition to the lock on
the store itself (see `locks`): an engine that was started before this version was installed has no
other. Without open-file-description locks (not on Linux) it is the only lock.

POSIX record locks belong to the process and vanish when it closes *any* descriptor of the file.
So there is one descriptor per file and process, kept open while this process holds any run.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from pathlib import Path

from vbsbatch.errors import StoreUnusable
from vbsbatch.private_files import open_private, open_to_look

# struct flock: Linux puts type and whence first, the BSDs and macOS last.
_LINUX = sys.platform.startswith("linux")
_FLOCK = "hhqqi" if _LINUX else "qqihh"

_descriptors: dict[Path, int] = {}
_held: set[tuple[Path, int]] = set()


def path_of(store: Path) -> Path:
    """The lock file of a store."""
    path = store.resolve()
    return path.with_name(path.name + ".lock")


def take(store: Path, number: int) -> bool:
    """Lock run `number`; False when another process has. Not for two threads at a time."""
    path = path_of(store)
    descriptor = _descriptor(path)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except OSError as error:
        _close_unused(path)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    _held.add((path, number))
    return True


def free(store: Path, number: int) -> None:
    """Unlock run `number`."""
    path = path_of(store)
    if (path, number) in _held:
        _held.discard((path, number))
        fcntl.lockf(_descriptors[path], fcntl.LOCK_UN, 1, number)
        _close_unused(path)


def holder(store: Path, number: int) -> int | None:
    """The pid of another process that has locked run `number`, None when there is none.

    0 for a process of another namespace or host. Raises `OSError` where that is unknown.
    """
    path = path_of(store)
    if path in _descriptors:
        return _ask_kernel(_descriptors[path], number)
    try:
        descriptor = open_to_look(path)
    except FileNotFoundError:
        return None
    try:
        return _ask_kernel(descriptor, number)
    finally:
        os.close(descriptor)


def _descriptor(path: Path) -> int:
    if path not in _descriptors:
        try:
            _descriptors[path] = open_private(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise StoreUnusable(
                f"cannot open {path}: {error.strerror}: an engine of an older vbsbatch may "
                "lock the run with it: make it writable, or remove it once no such engine runs"
            ) from error
    return _descriptors[path]


def _close_unused(path: Path) -> None:
    if not any(held == path for held, _ in _held):
        os.close(_descriptors.pop(path))


def _ask_kernel(descriptor: int, number: int) -> int | None:
    if _LINUX:
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
        found, _, _, _, pid = struct.unpack(_FLOCK, answer)
    else:
        question = struct.pack(_FLOCK, number, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
        _, _, pid, found, _ = struct.unpack(_FLOCK, answer)
    return None if found == fcntl.F_UNLCK else max(0, int(pid))


def _forget() -> None:
    """In a forked child: it inherits the descriptors, not the locks."""
    for descriptor in _descriptors.values():
        os.close(descriptor)
    _descriptors.clear()
    _held.clear()


os.register_at_fork(after_in_child=_forget)
