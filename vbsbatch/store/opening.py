"""Opening the store file: where it is, whether it is ours, making it, bringing it up to date.

A file that is refused is left as it was: everything is checked before anything is written.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from vbsbatch.errors import StoreUnusable
from vbsbatch.model import near_path
from vbsbatch.private_files import make_folders
from vbsbatch.store import file_aliases, locks
from vbsbatch.store.descriptors import Hold, hold
from vbsbatch.store.file_owner import doubt
from vbsbatch.store.foreign_schema import check_schema
from vbsbatch.store.schema import APPLICATION_ID, CLOCKS, HOLDER, ORDER, PLACE, TABLES
from vbsbatch.store.sqlite_errors import DAMAGED, unusable
from vbsbatch.store.views import VIEWS

if TYPE_CHECKING:
    from sqlite_utils import Database

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another program's write lock."""

_GLANCE = 0.02
"""Seconds between two tries for a lock that SQLite does not wait for."""

_MAGIC = b"SQLite format 3\0"


def connect(
    path: Path,
    *,
    readonly: bool = False,
    unlocked: bool = False,
    busy_timeout: float = BUSY_TIMEOUT,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    """A connection to an existing file, no implicit transactions; may raise `sqlite3.Error`.

    Whoever makes one has a `Hold` of the file before and until after. `unlocked` reads where the
    file system has no locks that SQLite could wait for.
    """
    mode = "ro" if readonly else "rw"
    if readonly and (unlocked or _never_changes(path)):
        mode = "ro&immutable=1"  # or SQLite would insist on making the log's index beside it
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

    SQLite does not wait by itself where others are about to do the same to a new store.
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
    """Make sure that a usable store of this version lies at `path`; `StoreUnusable` if none can.

    With `create`, a missing or empty file becomes a new store (folders 0700, file 0600). An older
    store is brought up to date, with `readonly` too. The file's descriptor is kept within the
    context, for whoever opens it there.
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
        # A file that is there now: another process was faster, or a dangling link: the checks tell.
        with suppress(FileExistsError):
            return hold(path, make=True)
    _check_kind(path)
    return hold(path)


def _bring_to_this_version(path: Path, file: Hold, *, readonly: bool) -> None:
    missing = locks.missing(file)
    if missing and not readonly:
        raise locks.without_locks(path, missing.reason)
    if not readonly:
        _check_writable(path)
        _check_owner(path)
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
        raise StoreUnusable(f"{path} is no regular file: name another with --db")


def _check_file(path: Path, file: Hold, *, create: bool) -> None:
    """What can be told before SQLite opens the file, from its one descriptor."""
    file_aliases.check(path, file)
    size = os.fstat(file.descriptor).st_size
    if size == 0 and create:
        return
    head = os.pread(file.descriptor, 100, 0)
    if not head.startswith(_MAGIC) or len(head) < 100:
        raise StoreUnusable(f"{path} is no vbsbatch store (not SQLite): name another with --db")
    if int.from_bytes(head[68:72]) != APPLICATION_ID:
        raise StoreUnusable(f"{path} belongs to another application: name another with --db")
    # SQLite notices whole pages that are missing, and takes what the last one lacks for zeros.
    page = 65536 if head[16:18] == b"\0\1" else int.from_bytes(head[16:18])
    if page and size % page and not file_aliases.log_of(path).exists():
        raise StoreUnusable(DAMAGED.format(path=path))


def _check_owner(path: Path) -> None:
    """What others may write is not driven: an engine would do what they wrote."""
    if why := doubt(path):
        raise StoreUnusable(f"the store is not safe to work with: {why}: it can only be read")


def _check_writable(path: Path) -> None:
    """Also the folder: SQLite keeps its write-ahead log beside the file."""
    for place in (path, path.resolve().parent):
        if not os.access(place, os.W_OK):
            raise StoreUnusable(f"{place} is read-only: make it writable, or name another --db")


def _version(path: Path, *, unlocked: bool) -> int:
    """The file's schema version; reads enough to notice a damaged or truncated file."""
    with closing(connect(path, readonly=True, unlocked=unlocked)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version < 1:
            raise StoreUnusable(f"{path} has no version: name another with --db")
        if version <= len(MIGRATIONS):
            check_schema(db, path, MIGRATIONS[:version])
    return int(version)


def _bring_up_to_date(path: Path) -> None:
    """Run the migrations that the file has not seen, all in one transaction.

    Whoever only looks does so too: nobody wants to start a run to see how the last one went.
    """
    if not (os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK)):
        raise StoreUnusable(
            f"{path} is from an older vbsbatch and read-only: copy it to where it can be written, "
            "and name the copy with --db"
        )
    _check_owner(path)
    from sqlite_utils import Database

    # Not in WAL mode yet if new: so the file's own header says whose it is from its first moment.
    with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        done = connection.execute("PRAGMA user_version").fetchone()[0]
        database = Database(connection, execute_plugins=False, recursive_triggers=False)
        for step in MIGRATIONS[done:]:
            step(database)
        for name, query in VIEWS.items():
            database.create_view(name, query, replace=True)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    connect(path).close()


def _version_1(database: Database) -> None:
    _execute(database, TABLES)


def _version_2(database: Database) -> None:
    _execute(database, ORDER)


def _version_3(database: Database) -> None:
    _execute(database, HOLDER)


def _execute(database: Database, statements: str) -> None:
    for statement in filter(str.strip, statements.split(";")):
        database.execute(statement)


def _version_4(database: Database) -> None:
    _execute(database, CLOCKS)


def _version_5(database: Database) -> None:
    _execute(database, PLACE)


MIGRATIONS = (_version_1, _version_2, _version_3, _version_4, _version_5)
"""What makes version n + 1 of version n, in order; none may drop a run. Append only."""
