"""SQLite's errors in the words of a person who has to do something about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vbsbatch.errors import StoreFailed
from vbsbatch.store.place import db_option

_LOCKED = "{path} stayed locked by another program: let that end, then `vbsbatch resume{option}`"
DAMAGED = "{path} is damaged: keep a copy, then try `sqlite3 FILE .recover` or a backup of it"
_ADVICE = {
    "FULL": "the disk is full, {path} cannot grow: free some space, then `vbsbatch resume{option}`",
    "IOERR": "reading or writing {path} failed: is the disk full, over its quota or broken? "
    "Put it right, then `vbsbatch resume{option}`",
    "BUSY": _LOCKED,
    "LOCKED": _LOCKED,
    "READONLY": "{path} cannot be written, it or its folder is read-only: make it writable, "
    "then `vbsbatch resume{option}`",
    "CANTOPEN": "{path} cannot be opened: is it, its folder and its -wal file there and yours?",
    "CORRUPT": DAMAGED,
    "NOTADB": "{path} is damaged or no SQLite file any more: put back a backup of it",
    "NOMEM": "out of memory while working on {path}",
}


def failure(error: BaseException, path: Path) -> StoreFailed:
    """One line for the error: what happened, to which file, what to do."""
    if isinstance(error, StoreFailed):
        return error
    name = str(getattr(error, "sqlite_errorname", "") or "")
    advice = _ADVICE.get(name.removeprefix("SQLITE_").partition("_")[0])
    if advice is not None:
        return StoreFailed(advice.format(path=path, option=db_option(path)))
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return StoreFailed(f"the store {path} failed: {what}")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise `StoreFailed` for whatever SQLite raises inside."""
    try:
        yield
    except sqlite3.Error as error:
        raise failure(error, path) from error
