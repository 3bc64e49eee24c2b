"""One engine per run: a lock of the operating system that dies with the process that holds it.

The lock is one byte of the store file itself, far behind its last page: `FIRST` and the number of
the run. It is an open-file-description lock, so SQLite's own descriptors of the file do not undo
it, and it holds for every process that opens the file: by any name, as any user, in any container.
The kernel does not say who holds such a lock; the run's row does (`runs.pid`, `host`).

Only Linux has these locks. Elsewhere the lock file of `lock_file` is the only lock, and removing
that file under a live engine lets a second one in.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from vbsbatch.errors import StoreUnusable
from vbsbatch.model import Holder
from vbsbatch.store.sqlite import lock_file
from vbsbatch.store.sqlite.descriptors import GUARD, Hold, Key

FIRST = 0x7000000000000000
"""The byte of run 0, which does not exist: `missing` tests locks on it."""

_FLOCK = "hhqqi4x"

if sys.platform.startswith("linux"):
    _SET, _GET = fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK
    _KINDS = {True: (fcntl.F_SETLK, fcntl.F_GETLK), False: (_SET, _GET)}
else:
    _SET = _GET = 0
    _KINDS = {}

Recorded: TypeAlias = tuple[int | None, str | None, int | None, str | None]
"""`pid`, `host`, `held_since` and `held_in` of a run's row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """The file system has no locks."""

    reason: str
    for_sqlite: bool
    """Whether the locks that SQLite itself needs are missing."""


_held: dict[tuple[Key, int], tuple[Hold, Path]] = {}
os.register_at_fork(after_in_child=_held.clear)  # the locks stay with the parent


def take(file: Hold, number: int) -> bool:
    """Lock run `number` until `free` or the end of the process; False when it is locked already.

    `StoreUnusable` where the file system has no locks.
    """
    with GUARD:
        if held_here(file, number):
            return False
        own, path = file.again(), file.path.resolve()
        taken = False
        try:
            taken = _set(own, number) and _set_old(own, path, number)
        finally:
            if not taken:
                own.release()
        if taken:
            _held[file.key, number] = own, path
        return taken


def free(file: Hold, number: int) -> None:
    """Unlock run `number`; does nothing in a process that has not locked it."""
    with GUARD:
        if (file.key, number) in _held:
            own, path = _held.pop((file.key, number))
            lock_file.free(path, number)
            _unset(own, number)
            own.release()


def held_here(file: Hold, number: int) -> bool:
    """Whether this process holds the run."""
    return (file.key, number) in _held


def find(file: Hold, number: int, recorded: Callable[[], Recorded]) -> Holder | None:
    """Who drives run `number`, None when certainly no process does.

    `recorded` reads what the run's row says of its holder.
    """
    with GUARD:
        here = held_here(file, number)
        held = here or _asked(file, number)
        pid, asked = (os.getpid(), True) if here else _asked_old(file.path, number)
    if held or pid is not None:
        return _named(pid or None, recorded())
    if held is None or not asked:
        known, host, since, _ = recorded()
        # An engine that wrote `held_since` also holds the lock on the file; an older one may not.
        if held is None or (known is not None and since is None):
            unread = f"{lock_file.path_of(file.path)} cannot be read"
            doubt = "this file system has no locks" if held is None else unread
            return Holder(pid=known, host=host, since=_seconds(since), doubt=doubt)
    return None


def missing(file: Hold) -> Missing | None:
    """Which of the two kinds of locks the file system lacks; tested with a shared lock.

    SQLite cannot distinguish that from a lock that another program has, and would wait for it.
    """
    for for_sqlite, (setting, getting) in _KINDS.items():
        try:
            fcntl.fcntl(file.descriptor, getting, _question(fcntl.F_RDLCK, 0))
            fcntl.fcntl(file.descriptor, setting, _question(fcntl.F_RDLCK, 0))
            fcntl.fcntl(file.descriptor, setting, _question(fcntl.F_UNLCK, 0))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                return Missing(reason=error.strerror or str(error), for_sqlite=for_sqlite)
    return None


def without_locks(path: Path, reason: str) -> StoreUnusable:
    """The error for writing to a store on such a file system."""
    return StoreUnusable(
        f"the file system of {path} has no locks ({reason}; perhaps a network file system such as "
        "NFS without its lock service): two engines could drive one run: "
        "put the store on a local disk, and name it with --db"
    )


def this_host() -> tuple[str, str | None]:
    """The host's name, and an id of its boot and of this container's process ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return socket.gethostname(), f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except (OSError, UnicodeError):  # not Linux, or no /proc
        return socket.gethostname(), None


def _question(kind: int, number: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, FIRST + number, 1, 0)


def _set(file: Hold, number: int) -> bool:
    if not _SET:
        return True
    try:
        descriptor = file.for_writing()
    except OSError as error:
        raise StoreUnusable(f"cannot open {file.path} to lock it: {error.strerror}") from error
    try:
        fcntl.fcntl(descriptor, _SET, _question(fcntl.F_WRLCK, number))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise without_locks(file.path, error.strerror or str(error)) from error
    return True


def _unset(file: Hold, number: int) -> None:
    if _SET:
        fcntl.fcntl(file.descriptor, _SET, _question(fcntl.F_UNLCK, number))


def _set_old(file: Hold, path: Path, number: int) -> bool:
    taken = False
    try:
        taken = lock_file.take(path, number)
    except OSError as error:
        raise without_locks(path, error.strerror or str(error)) from error
    finally:
        if not taken:
            _unset(file, number)
    return taken


def _asked(file: Hold, number: int) -> bool | None:
    """Whether another process holds the byte; None where that cannot be found out."""
    if not _GET:
        return False
    try:
        answer = fcntl.fcntl(file.descriptor, _GET, _question(fcntl.F_WRLCK, number))
    except OSError:
        return None
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def _asked_old(path: Path, number: int) -> tuple[int | None, bool]:
    """Who holds the run by the lock file, and whether the file could be read."""
    try:
        return lock_file.holder(path, number), True
    except OSError:
        return None, False


def _named(pid: int | None, recorded: Recorded) -> Holder:
    """The holder of the lock, from what the kernel (perhaps no pid) and the store say."""
    known, host, since, space = recorded
    this = this_host()
    if pid is not None:
        ours = (known, host) == (pid, this[0])
        return Holder(pid=pid, host=this[0], since=_seconds(since) if ours else None, visible=True)
    if known is None or host is None:
        return Holder()
    if (host, space) != this:
        return Holder(pid=known, host=host, since=_seconds(since))
    if not _exists(
        known
    ):  # the row is from an engine that was killed, the lock from another process
        return Holder()
    return Holder(pid=known, host=host, since=_seconds(since), visible=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
