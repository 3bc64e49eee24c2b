"""The store file over the months: one writer at a time, missed starts, and compaction.

A compaction works beside engines. It reads without a lock, deletes a few rows per transaction, and
holds the locks of the runs that it compacts, so that nobody resumes one of them meanwhile. The file
is made smaller only while no engine is live: `VACUUM` keeps every writer waiting until it is done.
"""

# ruff: noqa: S608 - every part of these statements is a constant of this package

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection

from vbsbatch.errors import RunIsLive, StoreError
from vbsbatch.model import Compaction, Holder, MissedStart, Wall
from vbsbatch.store.records import forgotten, ms
from vbsbatch.store.sqlite import journal_sql, locks
from vbsbatch.store.sqlite.codec import storable
from vbsbatch.store.sqlite.descriptors import held
from vbsbatch.store.sqlite.file_aliases import log_of
from vbsbatch.store.sqlite.opening import check_writable, connect
from vbsbatch.store.sqlite.reading import LAST_EVENT, SqliteReader
from vbsbatch.store.sqlite.rows import event_row, read_missed_start
from vbsbatch.store.sqlite.sqlite_errors import failure, translated

HOLDER = "SELECT pid, host, held_since, held_in FROM runs WHERE no = ?"

MISSED_STARTS = """
SELECT m.plan, m.at, m.kind, r.id, m.text FROM missed_starts m LEFT JOIN runs r ON r.no = m.run
ORDER BY m.at DESC, m.id DESC"""

MISS = """
INSERT INTO missed_starts (plan, at, kind, run, text)
VALUES (?, ?, ?, (SELECT no FROM runs WHERE id = ?), ?)"""

OLD_RUNS = """
SELECT id, no FROM runs
WHERE state = 'ended' AND ended_at < ? AND (compacted_at IS NULL OR compacted_at < ended_at)
ORDER BY no"""

_OURS = "run IN (SELECT value FROM json_each(:runs))"

COUNT_BY_RUN = {
    "events": f"SELECT run, count(*) FROM events WHERE {_OURS} GROUP BY run",
    "attempts": f"SELECT run, count(*) FROM attempts WHERE {_OURS} GROUP BY run",
    "commands": f"""
SELECT run, count(*) FROM commands WHERE {_OURS} AND done_at IS NOT NULL GROUP BY run""",
}

# The newest row of these two stays until a newer one is there: numbers must not be given out twice.
SOME_EVENTS = f"""
SELECT id FROM events WHERE id > :after AND {_OURS} AND id < (SELECT max(id) FROM events)
ORDER BY id LIMIT :limit"""

SOME_COMMANDS = f"""
SELECT id FROM commands WHERE id > :after AND {_OURS} AND done_at IS NOT NULL
  AND id < (SELECT max(id) FROM commands) ORDER BY id LIMIT :limit"""

DELETE_EVENTS = "DELETE FROM events WHERE id IN (SELECT value FROM json_each(?))"

DELETE_COMMANDS = "DELETE FROM commands WHERE id IN (SELECT value FROM json_each(?))"

DELETE_ATTEMPTS = """
DELETE FROM attempts WHERE run = :run AND job IN (
  SELECT DISTINCT job FROM attempts WHERE run = :run ORDER BY job LIMIT :limit)"""

DELETE_NEWEST = f"DELETE FROM events WHERE id = :id AND {_OURS}"

COUNT_STARTS = "SELECT count(*) FROM missed_starts WHERE at < ?"

DELETE_STARTS = "DELETE FROM missed_starts WHERE at < ?"

COMPACTED = "UPDATE runs SET compacted_at = ?, rev = ? WHERE no = ?"

UNFINISHED = "SELECT id FROM runs WHERE state <> 'ended'"

AT_ONCE = 1000
"""Rows that one transaction deletes: a few milliseconds."""

WORTH = 0.05
"""The share of the file that must be unused before it is made smaller."""

PATIENCE = 2.0
"""Seconds that making the file smaller waits for a writer to finish."""


class SqliteUpkeep(SqliteReader):
    """What a store file needs for writing, and the upkeep beside runs."""

    def __init__(self, path: Path, *, clock: Callable[[], Wall]) -> None:
        super().__init__(path)
        self._clock = clock

    @contextmanager
    def _writing(
        self, made: Callable[[Exception, Path], StoreError] = failure
    ) -> Iterator[tuple[Connection, int]]:
        """One transaction and the rev of what it writes; all or nothing."""
        with translated(self.path, made), held(self.path), closing(connect(self.path)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield db, db.execute(journal_sql.NEXT_REV).fetchone()[0]
            db.execute("COMMIT")  # closing rolls back what did not come this far

    # Who drives a run

    @contextmanager
    def _locked(self, run_id: str) -> Iterator[None]:
        number = self._about(run_id).number
        if not locks.take(self._file, number):
            raise RunIsLive(self._driven_already(run_id))
        try:
            yield
        finally:
            locks.free(self._file, number)

    def _driven_already(self, run_id: str) -> str:
        if locks.held_here(self._file, self._about(run_id).number):
            return f"run {run_id} is driven by this process ({os.getpid()}) already"
        holder = self.is_live(run_id) or Holder()  # gone meanwhile
        watch = f"watch it with `vbsbatch status {run_id}`"
        return f"{holder.refusal(run_id)}: {watch}"

    def is_live(self, run_id: str) -> Holder | None:
        """Who drives the run, None when certainly no process does."""
        number = self._about(run_id).number
        return locks.find(self._file, number, lambda: next(self._rows(HOLDER, (number,))))

    # Missed starts

    def missed_starts(self) -> list[MissedStart]:
        """See `Upkeep.missed_starts`."""
        return [read_missed_start(row) for row in self._rows(MISSED_STARTS)]

    def record_missed_start(self, missed: MissedStart) -> None:
        """See `Upkeep.record_missed_start`."""
        text = None if missed.text is None else storable(missed.text)
        values = (storable(missed.plan), ms(missed.at), missed.kind.value, missed.run_id, text)
        with self._writing() as (db, _):
            db.execute(MISS, values)

    # Compaction

    def compactable(self, before: Wall) -> Compaction:
        """See `Upkeep.compactable`."""
        old = {run_id: number for run_id, number in self._old(before) if not self.is_live(run_id)}
        counts = self._counts(old.values())
        return self._told(old, counts, before, size=self._size())

    def compact(self, before: Wall) -> Compaction:
        """See `Upkeep.compact`."""
        check_writable(self.path, self._file)
        size = self._size()
        with ExitStack() as locked:
            old = self._lock_old(before, locked)
            counts = self._counts(old.values())
            found = self._told(old, counts, before, size=size)
            self._remove(old, counts, before)
        why_not = self._shrink()
        return replace(found, size_after=self._size(), unused=self._unused(), kept_because=why_not)

    def _old(self, before: Wall) -> list[tuple[str, int]]:
        """Ids and numbers of the runs that ended before, with a history."""
        return list(self._rows(OLD_RUNS, (ms(before),)))

    def _lock_old(self, before: Wall, locked: ExitStack) -> dict[str, int]:
        """Lock the old runs, but for those that somebody else drives."""
        ours = set()
        for run_id, _ in self._old(before):
            with suppress(RunIsLive):
                locked.enter_context(self._locked(run_id))
                ours.add(run_id)
        # Asked again: one of them may have been retried before it was locked.
        return {run_id: number for run_id, number in self._old(before) if run_id in ours}

    def _counts(self, numbers: Iterable[int]) -> dict[str, Counter[int]]:
        """Rows of each table by the number of their run."""
        wanted = list(numbers)
        if not wanted:  # or every row would be looked at
            return {table: Counter() for table in COUNT_BY_RUN}
        runs = {"runs": json.dumps(wanted)}
        return {
            table: Counter(dict(self._rows(query, runs))) for table, query in COUNT_BY_RUN.items()
        }

    def _told(
        self, old: Iterable[str], counts: Mapping[str, Counter[int]], before: Wall, *, size: int
    ) -> Compaction:
        return Compaction(
            runs=tuple(old),
            events=counts["events"].total(),
            attempts=counts["attempts"].total(),
            commands=counts["commands"].total(),
            starts=self._number(COUNT_STARTS, (ms(before),)),
            size_before=size,
            size_after=size,
            unused=self._unused(),
        )

    def _remove(
        self, old: Mapping[str, int], counts: Mapping[str, Counter[int]], before: Wall
    ) -> None:
        """Delete page by page; what is left of a run after a kill is deleted by the next one."""
        if old:
            self._delete(SOME_EVENTS, DELETE_EVENTS, old.values())
            self._delete(SOME_COMMANDS, DELETE_COMMANDS, old.values())
        for number in old.values():
            deleted = True
            while deleted:
                with self._writing() as (db, _):
                    page = {"run": number, "limit": AT_ONCE}
                    deleted = db.execute(DELETE_ATTEMPTS, page).rowcount > 0
        with self._writing() as (db, rev):
            last, now = db.execute(LAST_EVENT).fetchone()[0], self._clock()
            for number in old.values():
                events, attempts = counts["events"][number], counts["attempts"][number]
                if events or attempts:
                    note = event_row(forgotten(now, events, attempts))
                    journal_sql.insert_events(db, number, [note])
                db.execute(COMPACTED, (ms(now), rev, number))
            db.execute(DELETE_NEWEST, {"id": last, "runs": json.dumps(list(old.values()))})
            db.execute(DELETE_STARTS, (ms(before),))

    def _delete(self, query: str, statement: str, numbers: Iterable[int]) -> None:
        page = {"runs": json.dumps(list(numbers)), "after": 0, "limit": AT_ONCE}
        while found := [row[0] for row in self._rows(query, page)]:
            with self._writing() as (db, _):
                db.execute(statement, (json.dumps(found),))
            page["after"] = found[-1]

    def _size(self) -> int:
        """Bytes of the file and its log."""
        log = log_of(self.path)
        return os.fstat(self._file.descriptor).st_size + (log.stat().st_size if log.exists() else 0)

    def _unused(self) -> int:
        """Bytes of the file that hold nothing."""
        return self._number("PRAGMA freelist_count") * self._number("PRAGMA page_size")

    def _shrink(self) -> str | None:
        """Make the file as small as what it holds; why that was not possible, or None.

        It is copied as a whole for that, so a little room is left to the next runs.
        """
        if self._unused() < WORTH * os.fstat(self._file.descriptor).st_size or not self._unused():
            return None
        for (run_id,) in list(self._rows(UNFINISHED)):
            if self.is_live(run_id) is not None:
                return f"an engine drives run {run_id}"
        try:
            with held(self.path), closing(connect(self.path, busy_timeout=PATIENCE)) as db:
                db.execute("VACUUM")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:  # busy, or no room for the copy; all is as before
            return str(error)
        return None
