"""One descriptor of each store file, for as long as this process has the file open.

SQLite locks with POSIX record locks, and a process loses all of its locks on a file as soon as it
closes *any* descriptor of it. Then another process, taking itself for the last user of the store,
deletes the write-ahead log, with commits that this process goes on making. So code that opens the
store with SQLite takes a `Hold` first and releases it last, and all other code that needs the file
(its size, its header, its locks) uses this one descriptor.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Key: TypeAlias = tuple[int, int]
"""Which file it is, whatever its name: device and inode."""

Name: TypeAlias = tuple[int, int, str]
"""A name of a file: device and inode of the folder, name in it."""

GUARD = threading.RLock()
"""Guards what this process has open or locked; held while the process forks."""

_FLAGS = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_NO_WRITING = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(kw_only=True, eq=False)
class _Opened:
    """One file that this process has open; all fields are guarded."""

    key: Key
    name: Name
    descriptor: int
    writable: bool
    holds: int = 0
    spare: list[int] = field(default_factory=list)
    """More descriptors of the same file; closed together with it, not before."""


_opened: dict[Key, _Opened] = {}


class Hold:
    """Keeps a file's descriptor open until `release`. Made by `hold`."""

    def __init__(self, opened: _Opened, path: Path) -> None:
        opened.holds += 1
        self._opened = opened
        self._released = False
        self.path = path

    @property
    def key(self) -> Key:
        """Which file it is."""
        return self._opened.key

    @property
    def name(self) -> Name:
        """The name under which this process opened the file first."""
        return self._opened.name

    @property
    def alone(self) -> bool:
        """Whether nothing else in this process has the file open."""
        return self._opened.holds == 1

    @property
    def descriptor(self) -> int:
        """Open for reading, and for writing where that is allowed; not to be closed."""
        return self._opened.descriptor

    def for_writing(self) -> int:
        """The same, certainly open for writing; may raise `OSError`."""
        with GUARD:
            opened = self._opened
            if not opened.writable:
                wanted = os.open(self.path, os.O_RDWR | _FLAGS)
                opened.spare.append(opened.descriptor)
                opened.descriptor, opened.writable = wanted, True
            return opened.descriptor

    def again(self) -> Hold:
        """Another hold of the same file, to be released on its own."""
        with GUARD:
            return Hold(self._opened, self.path)

    def release(self) -> None:
        """Release it; the last release closes the descriptor. Calling it again does nothing."""
        with GUARD:
            if self._released:
                return
            self._released = True
            self._opened.holds -= 1
            if not self._opened.holds and _opened.get(self.key) is self._opened:
                del _opened[self.key]
                _close(self._opened)


def hold(path: Path, *, make: bool = False) -> Hold:
    """Keep the descriptor of the file at `path` open; may raise `OSError`.

    With `make` an empty file that only its owner may read is made, where there is none yet.
    """
    with GUARD:
        if not make:
            status = path.stat()
            if opened := _opened.get((status.st_dev, status.st_ino)):
                return Hold(opened, path)
        descriptor, writable = _open(path, make=make)
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino)
        if opened := _opened.get(key):  # the name meant another file a moment ago
            opened.spare.append(descriptor)
        else:
            opened = _Opened(key=key, name=name_of(path), descriptor=descriptor, writable=writable)
            _opened[key] = opened
        return Hold(opened, path)


@contextmanager
def held(path: Path) -> Iterator[Hold]:
    """A `hold` for as long as the context lasts."""
    file = hold(path)
    try:
        yield file
    finally:
        file.release()


def name_of(path: Path) -> Name:
    """The file's own name: symbolic links followed, the folder by device and inode."""
    real = path.resolve()
    folder = real.parent.stat()
    return folder.st_dev, folder.st_ino, real.name


def _open(path: Path, *, make: bool) -> tuple[int, bool]:
    """A descriptor, and whether it is open for writing: only setting a lock needs that."""
    if make:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600), True
    try:
        return os.open(path, os.O_RDWR | _FLAGS), True
    except OSError as error:
        if error.errno not in _NO_WRITING:
            raise
    return os.open(path, os.O_RDONLY | _FLAGS), False


def _close(opened: _Opened) -> None:
    for descriptor in (opened.descriptor, *opened.spare):
        os.close(descriptor)
    opened.spare.clear()


def _forget() -> None:
    """In a forked child: it would keep its parent's locks beyond the parent's death."""
    for opened in _opened.values():
        _close(opened)
    _opened.clear()
    GUARD.release()


os.register_at_fork(before=GUARD.acquire, after_in_parent=GUARD.release, after_in_child=_forget)
