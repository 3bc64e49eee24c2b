"""Whose is the store? What others may write they may forge, and an engine would act on it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_BESIDE = ("", "-wal", "-shm", "-journal", ".lock")
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def doubt(path: Path) -> str | None:
    """Why the store must not be driven, in words; None when it is this user's alone.

    Raises `OSError`. A folder that its group may write is trusted: many systems give each user a
    group of their own.
    """
    place = path.resolve()
    for suffix in _BESIDE:
        beside = place.with_name(place.name + suffix)
        if why := _doubt_of_file(beside):
            return f"{beside} {why}"
    folder = place.parent.stat()
    if folder.st_uid not in (os.geteuid(), 0):
        return f"the folder {place.parent} belongs to another user, who may replace what is in it"
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        return f"anybody may write in the folder {place.parent}"
    return None


def _doubt_of_file(path: Path) -> str | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    if status.st_uid != os.geteuid():
        return "belongs to another user"
    if status.st_mode & _WRITABLE:
        return "can be written by others (chmod 600 makes it yours)"
    return None
