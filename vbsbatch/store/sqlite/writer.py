"""One thread writes one run: whatever waits goes into one transaction (group commit).

While a commit waits for the disk, new work queues up, and goes into the next one together. A batch
of write-behind entries alone waits a moment for more; an operation with a waiting caller does not.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar, cast

from vbsbatch.errors import StoreFailed
from vbsbatch.store.paths import db_option
from vbsbatch.store.records import Entry
from vbsbatch.store.sqlite import journal_sql
from vbsbatch.store.sqlite.descriptors import held
from vbsbatch.store.sqlite.sqlite_errors import failure

LINGER = 0.1
"""Seconds that write-behind entries wait for more of their kind."""

FULL = 256
"""This many entries are written at once, without waiting for more."""

T = TypeVar("T")
Operation = Callable[[Connection, int], T]
"""Runs inside a transaction; gets the connection and the rev for all it writes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    operation: Operation[Any]
    writes: bool
    future: asyncio.Future[Any]


_Outcome = tuple[asyncio.Future[Any], Any]


class Writer:
    """The queue, the thread and its connection. With `inline` there is no thread: the calling one
    writes, with the same code, when it waits or when `FULL` entries are queued.
    """

    def __init__(
        self,
        path: Path,
        *,
        connect: Callable[[], Connection],
        write: Callable[[Connection, int, Sequence[Entry]], None],
        run: int,
        inline: bool = False,
    ) -> None:
        self._path = path
        self._connect = connect
        self._write = write
        self._run = run
        self._inline = inline
        self._db: Connection | None = None
        self._connection: AbstractContextManager[Connection] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None
        self._wake = threading.Condition(threading.Lock())
        self._queue: list[Entry | _Waiting] = []
        self._first_at = 0.0
        self._place: tuple[int, int] | None = None
        self._urgent = False
        self._closing = False
        self._failure: StoreFailed | None = None
        self._watchers: list[asyncio.Future[None]] = []
        self.commits = 0
        """Transactions that changed something and are durable."""

    def start(self) -> None:
        """Open the connection (without a thread) or start the thread that does."""
        self._loop = asyncio.get_running_loop()
        if self._inline:
            try:
                self._connection = self._connected()
                self._db = self._connection.__enter__()
            except Exception as error:
                raise failure(error, self._path) from error
            return
        self._ended = self._loop.create_future()
        self._thread = threading.Thread(target=self._main, name="vbsbatch journal", daemon=True)
        self._thread.start()

    # The event loop's side

    def behind(self, entry: Entry) -> None:
        """Queue an entry for which no caller waits."""
        with self._wake:
            self._check()
            self._queue.append(entry)
            size = len(self._queue)
            if size == 1:
                self._first_at = time.monotonic()
            if size == 1 or size == FULL:
                self._wake.notify()
        if self._inline and size >= FULL:
            self._commit_inline()

    async def wait(self, operation: Operation[T], *, writes: bool) -> T:
        """Run an operation after all that was queued before; return once it is durable."""
        future = asyncio.get_running_loop().create_future()
        if self._inline:
            await asyncio.sleep(0)
        with self._wake:
            self._check()
            self._queue.append(_Waiting(operation=operation, writes=writes, future=future))
            self._urgent = True
            self._wake.notify()
        if self._inline:
            self._commit_inline()
        return cast(T, await future)

    async def failed(self) -> None:
        """Wait until the writer has failed, and raise why."""
        watcher = asyncio.get_running_loop().create_future()
        with self._wake:
            if self._failure is None:
                self._watchers.append(watcher)
        if self._failure is None:
            await watcher
        self._check_failure()

    async def close(self) -> None:
        """Write what is queued, then close; raises `StoreFailed` if that or a write before failed.

        Calling it again does nothing.
        """
        if self._closing:
            return
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._inline:
            self._close_inline()
        elif self._thread is not None and self._ended is not None:
            await self._ended
            self._thread.join()
        self._check_failure()

    def crash(self) -> None:
        """Drop what is queued and close, as a kill of the process does. For tests."""
        with self._wake:
            self._closing = True
            self._queue.clear()
            self._wake.notify()
        if self._inline:
            self._close_inline()
        elif self._thread is not None:
            self._thread.join()

    def _check(self) -> None:
        self._check_failure()
        if self._closing:
            raise StoreFailed(f"the journal of {self._path} is closed")

    def _check_failure(self) -> None:
        if self._failure is not None:
            raise StoreFailed(*self._failure.args) from self._failure.__cause__

    # The thread's side

    def _main(self) -> None:
        items: Sequence[Entry | _Waiting] = ()
        try:
            with self._connected() as db:
                while items := self._take():
                    self._deliver(self._transact(db, items))
                _tidy(db)
        except BaseException as error:  # no error may vanish with the thread
            self._fail(error, items)
        self._call(self._end)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with held(self._path), closing(self._connect()) as db:
            yield db

    def _take(self) -> Sequence[Entry | _Waiting]:
        """Wait for work and take all of it; nothing once the journal is closed and empty."""
        with self._wake:
            while not (self._urgent or self._closing or len(self._queue) >= FULL):
                left = self._first_at + LINGER - time.monotonic() if self._queue else None
                if left is not None and left <= 0:
                    break
                self._wake.wait(left)
            return self._take_all()

    def _take_all(self) -> Sequence[Entry | _Waiting]:
        items, self._queue, self._urgent = self._queue, [], False
        return items

    def _transact(self, db: Connection, items: Sequence[Entry | _Waiting]) -> list[_Outcome]:
        """Everything in one transaction; durable on return, nothing of it written if it raises."""
        writes = any(not isinstance(item, _Waiting) or item.writes for item in items)
        if writes:
            self._check_place()
        db.execute("BEGIN IMMEDIATE" if writes else "BEGIN").close()
        try:
            before = db.total_changes
            outcomes = self._apply(db, items, writes=writes)
            changed = db.total_changes > before
            db.execute("COMMIT").close()
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                db.execute("ROLLBACK").close()
            raise
        self.commits += changed
        return outcomes

    def _check_place(self) -> None:
        """Fail if the file was deleted or moved: SQLite goes on writing, but no resume finds it."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            found = None
        place = None if found is None else (found.st_dev, found.st_ino)
        self._place = self._place or place
        if place is None or place != self._place:
            raise StoreFailed(
                f"{self._path} was deleted, moved or replaced during the run: put it back, "
                f"then `vbsbatch resume{db_option(self._path)}`"
            )

    def _apply(
        self, db: Connection, items: Sequence[Entry | _Waiting], *, writes: bool
    ) -> list[_Outcome]:
        rev = db.execute(journal_sql.NEXT_REV).fetchone()[0] if writes else 0
        before = db.total_changes
        outcomes: list[_Outcome] = []
        entries: list[Entry] = []
        for item in items:
            if not isinstance(item, _Waiting):
                entries.append(item)
                continue
            self._write(db, rev, entries)
            entries = []
            if not item.future.cancelled():
                outcomes.append((item.future, item.operation(db, rev)))
        self._write(db, rev, entries)
        if db.total_changes > before:
            db.execute(journal_sql.SET_REV, (rev, self._run)).close()
        return outcomes

    def _deliver(self, outcomes: Sequence[_Outcome]) -> None:
        if outcomes:
            self._call(lambda: _resolve(outcomes))

    def _call(self, call: Callable[[], None]) -> None:
        """Call it in the event loop, unless that is closed."""
        assert self._loop is not None
        if self._inline:
            call()
        else:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(call)

    def _fail(self, error: BaseException, items: Sequence[Entry | _Waiting]) -> None:
        """Keep the failure and pass it to every caller that waits."""
        broken = failure(error, self._path)
        broken.__cause__ = error
        with self._wake:
            self._failure = broken
            items = [*items, *self._take_all()]
            watchers = list(self._watchers)
        waiting = [item.future for item in items if isinstance(item, _Waiting)]
        self._call(lambda: _reject(waiting, watchers, broken))

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    # Without a thread

    def _commit_inline(self) -> None:
        with self._wake:
            items = self._take_all()
        if not items or self._db is None:
            return
        try:
            self._deliver(self._transact(self._db, items))
        except Exception as error:
            self._fail(error, items)

    def _close_inline(self) -> None:
        self._commit_inline()
        if self._db is not None and self._connection is not None:
            _tidy(self._db)
            self._connection.__exit__(None, None, None)
            self._db = None


def _tidy(db: Connection) -> None:
    """Move the write-ahead log into the file, unless another process uses it."""
    with suppress(sqlite3.Error):
        db.execute("PRAGMA busy_timeout = 0").close()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def _resolve(outcomes: Sequence[_Outcome]) -> None:
    for future, value in outcomes:
        if not future.done():
            future.set_result(value)


def _reject(
    waiting: Sequence[asyncio.Future[Any]],
    watchers: Sequence[asyncio.Future[None]],
    broken: StoreFailed,
) -> None:
    for future in waiting:
        if not future.done():
            error = StoreFailed(*broken.args)
            error.__cause__ = broken.__cause__
            future.set_exception(error)
    for watcher in watchers:
        if not watcher.done():
            watcher.set_result(None)
