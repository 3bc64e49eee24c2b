"""Files that vbsbatch creates itself: readable by their owner alone, and never somebody else's
file.

A predictable name may already be taken: by a link to another file, by a pipe that blocks, by a file
that others can read. Each of these is refused with an `OSError` that says so.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

_CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def open_private(path: Path, flags: int) -> int:
    """Open a file of ours with these flags (`O_CREAT` creates it, 0600) and return its descriptor.

    Raises `OSError` for anything but a regular file of this user without other names.
    """
    descriptor = _opened(path, flags & ~os.O_TRUNC)
    try:
        status = os.fstat(descriptor)
        _check(path, status)
        if stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(descriptor, 0o600)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(path, "it is no regular file")
    if status.st_uid != os.geteuid():
        raise _refusal(path, "it belongs to another user")
    if status.st_nlink > 1:
        raise _refusal(path, "it has a second name (a hard link)")


def open_to_look(path: Path) -> int:
    """Open a regular file of any owner for reading; raises `OSError`, and never blocks."""
    descriptor = _opened(path, os.O_RDONLY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _refusal(path, "it is no regular file")
    return descriptor


def make_folders(path: Path) -> None:
    """Create a folder and its missing parents, each 0700; raises `OSError`."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        with suppress(FileExistsError):  # another process was faster
            each.mkdir(mode=0o700)


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | _CAREFULLY, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise _refusal(path, "it is a symbolic link") from error
        if error.errno == errno.ENXIO:
            raise _refusal(path, "it is no regular file") from error
        raise


def _refusal(path: Path, why: str) -> OSError:
    return OSError(errno.EPERM, f"{why}: remove it", str(path))
