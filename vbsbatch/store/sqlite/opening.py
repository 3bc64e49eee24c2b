"""Opening the store file: checks, creation, migration.

A file that is refused is left as it was: everything is checked before anything is written.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from vbsbatch.errors import StoreUnusable
from vbsbatch.model import near_path
from vbsbatch.private_files import make_folders
from vbsbatch.store.sqlite import file_aliases, locks
from vbsbatch.store.sqlite.descriptors import Hold, hold
from vbsbatch.store.sqlite.schema import APPLICATION_ID, MIGRATIONS, VIEWS, check_schema, statements
from vbsbatch.store.sqlite.sqlite_errors import DAMAGED, unusable

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another program's write lock."""

_GLANCE = 0.02
"""Seconds between two attempts to get a lock that SQLite does not wait for."""

_MAGIC = b"SQLite format 3\0"

_BESIDE = ("", "-wal", "-shm", "-journal", ".lock")
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def connect(
    path: Path,
    *,
    readonly: bool = False,
    unlocked: bool = False,
    busy_timeout: float = BUSY_TIMEOUT,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    """A connection to an existing file, no implicit transactions; may raise `sqlite3.Error`.

    The caller keeps a `Hold` of the file from before until after. `unlocked` reads where the file
    system has no locks that SQLite could wait for.
    """
    mode = "ro" if readonly else "rw"
    if readonly and (unlocked or _never_changes(path)):
        mode = "ro&immutable=1"  # otherwise SQLite insists on creating the index of the log
    db = sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=busy_timeout,
        check_same_thread=False,
        factory=factory,
    )
    try:
        if not readonly:
            _log_ahead(db, busy_timeout)
            db.execute("PRAGMA synchronous = FULL").close()
    except BaseException:
        db.close()
        raise
    return db


def _log_ahead(db: sqlite3.Connection, patience: float) -> None:
    """Put the file into WAL mode, which is for good.

    SQLite does not wait by itself when another process does the same to a new store.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_GLANCE)
        else:
            return


def _never_changes(path: Path) -> bool:
    """An archived store: no log beside the file, and no way to put one there."""
    real = path.resolve()
    beside = (real.with_name(real.name + suffix) for suffix in ("-wal", "-shm"))
    return not any(file.exists() for file in beside) and not os.access(real.parent, os.W_OK)


@contextmanager
def prepared(path: Path, *, create: bool = False, readonly: bool = False) -> Iterator[None]:
    """Make sure that there is a usable store of this version at `path`; raises `StoreUnusable`.

    With `create`, a missing or empty file becomes a new store (folders 0700, file 0600). An older
    store is migrated, with `readonly` too. The file's descriptor is kept open within the context,
    in which the caller opens the file.
    """
    file = None
    try:
        file = _opened(path, create=create)
        _check_file(path, file, create=create)
        _bring_to_this_version(path, file, readonly=readonly)
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StoreUnusable(
            f"cannot open the store {path}: {reason}: name another with --db"
        ) from error
    except sqlite3.Error as error:
        raise unusable(error, path) from error
    finally:
        if file is not None:
            file.release()


def _opened(path: Path, *, create: bool) -> Hold:
    """The file's descriptor; with `create` of a new file that only its owner may read."""
    if create and not path.exists():
        make_folders(path.parent)
        # There is a file now: another process was faster, or it is a dangling link. Checks follow.
        with suppress(FileExistsError):
            return hold(path, make=True)
    _check_kind(path)
    return hold(path)


def _bring_to_this_version(path: Path, file: Hold, *, readonly: bool) -> None:
    missing = locks.missing(file)
    if not readonly:
        check_writable(path, file)
    unlocked = missing is not None and missing.for_sqlite
    if unlocked and _size(file_aliases.log_of(path)):
        raise StoreUnusable(
            f"the file system of {path} has no locks, and the newest changes are in its -wal file: "
            "copy both to a local disk, and name the copy with --db"
        )
    version = _version(path, unlocked=unlocked) if os.fstat(file.descriptor).st_size else 0
    if version > len(MIGRATIONS):
        raise StoreUnusable(
            f"{path} is from a newer vbsbatch (store version {version}, "
            f"this one knows {len(MIGRATIONS)}): use that one, or another --db"
        )
    if version < len(MIGRATIONS):
        if missing:
            raise locks.without_locks(path, missing.reason)
        _bring_up_to_date(path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _check_kind(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise StoreUnusable(
            f"there is no store at {path}{near_path(path)}: `vbsbatch run` makes one, "
            "--db names another"
        ) from None
    if stat.S_ISDIR(status.st_mode):
        raise StoreUnusable(f"{path} is a folder, not a store: name a file with --db")
    if not stat.S_ISREG(status.st_mode):
        raise StoreUnusable(f"{path} is not a regular file: name another with --db")


def _check_file(path: Path, file: Hold, *, create: bool) -> None:
    """The checks before SQLite opens the file, through its one descriptor."""
    file_aliases.check(path, file)
    size = os.fstat(file.descriptor).st_size
    if size == 0 and create:
        return
    head = os.pread(file.descriptor, 100, 0)
    if not head.startswith(_MAGIC) or len(head) < 100:
        raise StoreUnusable(
            f"{path} is not a store of vbsbatch (not SQLite): name another with --db"
        )
    if int.from_bytes(head[68:72]) != APPLICATION_ID:
        raise StoreUnusable(f"{path} belongs to another application: name another with --db")
    # SQLite notices whole pages that are missing, and takes what the last one lacks for zeros.
    page = 65536 if head[16:18] == b"\0\1" else int.from_bytes(head[16:18])
    if page and size % page and not file_aliases.log_of(path).exists():
        raise StoreUnusable(DAMAGED.format(path=path))


def _check_owner(path: Path) -> None:
    """Refuse a file that others can write: an engine would do what they wrote."""
    if why := doubt(path):
        raise StoreUnusable(f"the store is not safe to work with: {why}: it can only be read")


def check_writable(path: Path, file: Hold) -> None:
    """Raise `StoreUnusable` for a store that may be read but not written."""
    if missing := locks.missing(file):
        raise locks.without_locks(path, missing.reason)
    _check_access(path)
    _check_owner(path)


def _check_access(path: Path) -> None:
    """Also the folder: SQLite keeps its write-ahead log beside the file."""
    for place in (path, path.resolve().parent):
        if not os.access(place, os.W_OK):
            raise StoreUnusable(f"{place} is read-only: make it writable, or name another --db")


def _version(path: Path, *, unlocked: bool) -> int:
    """The file's schema version; notices a damaged or truncated file."""
    with closing(connect(path, readonly=True, unlocked=unlocked)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version < 1:
            raise StoreUnusable(f"{path} has no version: name another with --db")
        if version <= len(MIGRATIONS):
            check_schema(db, path, MIGRATIONS[:version])
    return int(version)


def _bring_up_to_date(path: Path) -> None:
    """Run the migrations that the file has not seen, all in one transaction.

    Commands that only read do so too: nobody should have to start a run to see the last one.
    """
    if not (os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK)):
        raise StoreUnusable(
            f"{path} is from an older vbsbatch and read-only: copy it to where it can be written, "
            "and name the copy with --db"
        )
    _check_owner(path)
    from sqlite_utils import Database

    # A new file is not in WAL mode yet, so that its own header has our id from the first moment.
    with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        done = connection.execute("PRAGMA user_version").fetchone()[0]
        database = Database(connection, execute_plugins=False, recursive_triggers=False)
        for statement in chain.from_iterable(map(statements, MIGRATIONS[done:])):
            database.execute(statement)
        for name, query in VIEWS.items():
            database.create_view(name, query, replace=True)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    connect(path).close()


def doubt(path: Path) -> str | None:
    """Why others may have forged the store, in words; None when only this user can write it.

    An engine would act on what they wrote. Raises `OSError`. A folder that its group may write is
    trusted: many systems give each user a group of their own.
    """
    place = path.resolve()
    for suffix in _BESIDE:
        beside = place.with_name(place.name + suffix)
        if why := _doubt_of_file(beside):
            return f"{beside} {why}"
    folder = place.parent.stat()
    if folder.st_uid not in (os.geteuid(), 0):
        return f"the folder {place.parent} belongs to another user, who can replace its files"
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        return f"anybody can write to the folder {place.parent}"
    return None


def _doubt_of_file(path: Path) -> str | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_uid != os.geteuid():
        return "belongs to another user"
    if status.st_mode & _WRITABLE:
        return "can be written by others (chmod 600 makes it yours)"
    return None
