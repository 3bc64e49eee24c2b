"""SQLite's errors as one line that says what to do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vbsbatch.errors import StoreError, StoreFailed, StoreUnusable
from vbsbatch.store.paths import db_option

_LOCKED = "{path} stayed locked by another program: wait until it ends, then {again}"
DAMAGED = "{path} is damaged: keep a copy, then try `sqlite3 FILE .recover` or a backup of it"
_ADVICE = {
    "FULL": "the disk is full, {path} cannot grow: free some space, then {again}",
    "IOERR": "reading or writing {path} failed: is the disk full, over its quota or broken? "
    "Correct that, then {again}",
    "BUSY": _LOCKED,
    "LOCKED": _LOCKED,
    "READONLY": "{path} cannot be written, it or its folder is read-only: make it writable, "
    "then {again}",
    "CANTOPEN": "{path} cannot be opened: is it, its folder and its -wal file there and yours?",
    "CORRUPT": DAMAGED,
    "NOTADB": "{path} is damaged or no longer an SQLite file: restore it from a backup",
    "NOMEM": "out of memory while working on {path}",
}


def failure(error: BaseException, path: Path) -> StoreFailed:
    """One line for the error: what happened, to which file, what to do."""
    if isinstance(error, StoreFailed):
        return error
    return StoreFailed(_words(error, path, f"`vbsbatch resume{db_option(path)}`"))


def unusable(error: Exception, path: Path) -> StoreUnusable:
    """The same before a run was stored: there is none to resume, the command is repeated."""
    return StoreUnusable(_words(error, path, "the same command again"))


def _words(error: BaseException, path: Path, again: str) -> str:
    name = str(getattr(error, "sqlite_errorname", "") or "")
    kind = name.removeprefix("SQLITE_").partition("_")[0]
    if isinstance(error, OSError):
        kind = "CANTOPEN"
    if kind in ("CANTOPEN", "READONLY") and (foreign := _not_ours(path)):
        return foreign
    advice = _ADVICE.get(kind)
    if advice is not None:
        return advice.format(path=path, again=again)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"the store {path} failed: {what}"


def _not_ours(path: Path) -> str | None:
    """A file beside the store that belongs to another user, as after a command run as root."""
    for suffix in ("-wal", "-shm"):
        beside = path.absolute().parent / f"{path.name}{suffix}"
        try:
            owner = beside.stat().st_uid
        except OSError:
            continue
        if not os.access(beside, os.R_OK | os.W_OK):
            return (
                f"{path} cannot be opened: {beside} beside it belongs to user {_called(owner)}: "
                "have it made yours (chown); do not remove it, it may hold the newest changes"
            )
    return None


def _called(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


@contextmanager
def translated(
    path: Path, made: Callable[[Exception, Path], StoreError] = failure
) -> Iterator[None]:
    """Convert every `sqlite3.Error` and `OSError` that is raised inside, with `made`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise made(error, path) from error
