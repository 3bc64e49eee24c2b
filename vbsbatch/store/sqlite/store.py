"""The store file for commands: what `SqliteReader` reads, and the writes beside the journal."""

# ruff: noqa: S608 - every part of these statements is a constant of this package

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any

from vbsbatch.errors import StoreFailed, UsageError
from vbsbatch.model import (
    WITHDRAWN,
    BackupSettings,
    BlockingRun,
    Job,
    JobMoved,
    JobState,
    Pin,
    Rate,
    Run,
    RunNoted,
    RunState,
    VerifySummary,
    Wall,
)
from vbsbatch.model.clocks import wall
from vbsbatch.store.paths import db_option
from vbsbatch.store.ports import NO_DEFAULTS, RunStore, ScreenReader
from vbsbatch.store.records import (
    RETRIED,
    begun_as,
    cancelled,
    ms,
    refuse_second,
    released,
    requeued,
    taken_over,
)
from vbsbatch.store.selection import JobSelection, new_run_id
from vbsbatch.store.sqlite import journal_sql, locks
from vbsbatch.store.sqlite.codec import (
    backup_settings_text,
    pack_uuid,
    rate_text,
    storable,
    verified_text,
)
from vbsbatch.store.sqlite.messages import SqliteMessages
from vbsbatch.store.sqlite.opening import (
    BUSY_TIMEOUT,
    check_writable,
    doubt,
    prepared,
)
from vbsbatch.store.sqlite.reading import LAST_EVENT, RUN_IDS, RUNS
from vbsbatch.store.sqlite.rows import (
    PIN,
    RUN,
    event_row,
    fixed_row,
    mutable_row,
    new_row,
    read_job,
    untouched,
)
from vbsbatch.store.sqlite.screen_queries import ScreenQueries
from vbsbatch.store.sqlite.sqlite_errors import unusable
from vbsbatch.store.sqlite.upkeep import SqliteUpkeep

if TYPE_CHECKING:
    from vbsbatch.store.sqlite.journal import SqliteJournal

_NEW_RUN = (*RUN.names, "defaults", "first_event", "rev")

NEW_RUN = f"INSERT INTO runs ({', '.join(_NEW_RUN)}) VALUES ({', '.join('?' * len(_NEW_RUN))})"

ASK = "INSERT INTO commands (run, verb, argument, asked_by, asked_at) VALUES (?, ?, ?, ?, ?)"

WITHDRAW = """
UPDATE commands SET done_at = ?, result = ? WHERE id = ? AND done_at IS NULL AND taken_at IS NULL"""

SET_HOLDER = "UPDATE runs SET pid = ?, host = ?, held_since = ?, held_in = ? WHERE no = ?"

SET_LIMITS = """
UPDATE runs SET rate = coalesce(?, rate), in_flight = coalesce(?, in_flight) WHERE no = ?"""

SET_VERIFIED = "UPDATE runs SET verified_at = ?, verified = ? WHERE no = ?"

SET_RETAINED = "UPDATE runs SET retained_at = ? WHERE no = ?"

NEW_PIN = "INSERT INTO pins (run, backup_id, until, pinned_at, pinned_by) VALUES (?, ?, ?, ?, ?)"

UNPIN = "DELETE FROM pins WHERE run = ? AND backup_id IS ?"

END_PINS = "DELETE FROM pins WHERE until <= ?"

REOPEN_RUN = """
UPDATE runs SET deadline_at = ?, ended_at = NULL,
  reason = CASE state WHEN 'ended' THEN 'retry asked for' ELSE reason END,
  state = CASE state WHEN 'ended' THEN 'stopped' ELSE state END
WHERE no = ?"""


class SqliteStore(SqliteUpkeep):
    """One store file; a context manager. Made by `SqliteStore.open`."""

    def __init__(self, path: Path, *, clock: Callable[[], Wall]) -> None:
        super().__init__(path, clock=clock)
        self.messages = SqliteMessages(
            self._rows, lambda run_id: self._about(run_id).number, self._writing
        )

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        create: bool = False,
        readonly: bool = False,
        clock: Callable[[], Wall] = wall,
    ) -> SqliteStore:
        """Open the file at `path`; see `vbsbatch.store.open_store`."""
        where = Path(path).absolute()
        with prepared(where, create=create, readonly=readonly):
            return cls(where, clock=clock)

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def untrusted(self) -> str | None:
        """Why other users may have forged what the file holds; None if they cannot."""
        return doubt(self.path)

    def again(self) -> SqliteStore:
        """See `RunStore.again`."""
        return SqliteStore.open(self.path, clock=self._clock)

    def screen(self) -> ScreenReader:
        """A connection of its own for screens."""
        return ScreenQueries(self.path)

    # Runs

    def new_run_id(self, now: Wall) -> str:
        """An id like `20261123-0715-k3f9` (UTC) that no run of this store has."""
        return new_run_id(now, {row[0] for row in self._rows(RUN_IDS)})

    def create_run(
        self,
        run: Run,
        jobs: Iterable[Job],
        defaults: BackupSettings = NO_DEFAULTS,
        *,
        instead_of: Collection[str] | None = None,
    ) -> None:
        """See `RunStore.create_run`."""
        if any(run.id == row[0] for row in self._rows(RUN_IDS)):
            raise UsageError(f"run {run.id} is in the store already")
        waiting = iter(jobs)
        with self._writing(unusable) as (db, rev):
            if instead_of is not None:
                refuse_second(run, map(self._run, db.execute(RUNS)), instead_of)
            first_event = db.execute(LAST_EVENT).fetchone()[0]
            values = (*RUN.encode(run), backup_settings_text(defaults), first_event, rev)
            number = db.execute(NEW_RUN, values).lastrowid
            assert number is not None
            while chunk := list(islice(waiting, journal_sql.CHUNK)):
                _insert(db, number, chunk, defaults)
                begun = [move for job in chunk if (move := begun_as(job, run.created_at))]
                journal_sql.insert_events(db, number, [event_row(move) for move in begun])

    def set_limits(
        self, run_id: str, *, rate: Rate | None = None, in_flight: int | None = None
    ) -> None:
        """Remember what an operator set, for this run's next engine; None changes nothing."""
        values = (None if rate is None else rate_text(rate), in_flight, self._about(run_id).number)
        with self._writing() as (db, _):
            db.execute(SET_LIMITS, values)

    def set_verified(self, run_id: str, found: VerifySummary) -> None:
        """See `RunStore.set_verified`."""
        check_writable(self.path, self._file)
        values = (ms(self._clock()), verified_text(found), self._about(run_id).number)
        with self._writing() as (db, _):
            db.execute(SET_VERIFIED, values)

    def set_retained(self, run_id: str) -> None:
        """See `RunStore.set_retained`."""
        values = (ms(self._clock()), self._about(run_id).number)
        with self._writing() as (db, _):
            db.execute(SET_RETAINED, values)

    def note(self, run_id: str, noted: RunNoted) -> None:
        """See `RunStore.note`."""
        number = self._about(run_id).number
        with self._writing() as (db, rev):
            journal_sql.insert_events(db, number, [event_row(noted)])
            db.execute(journal_sql.SET_REV, (rev, number))

    def pin(self, pin: Pin) -> None:
        """See `RunStore.pin`."""
        _, *values = PIN.encode(pin)
        with self._writing() as (db, _):
            self._forget(db, pin.run_id, pin.backup_id)
            db.execute(NEW_PIN, (self._about(pin.run_id).number, *values))

    def release(self, run_id: str, backup_id: str | None) -> bool:
        """See `RunStore.release`."""
        with self._writing() as (db, _):
            return self._forget(db, run_id, backup_id)

    def _forget(self, db: Connection, run_id: str, backup_id: str | None) -> bool:
        db.execute(END_PINS, (ms(self._clock()),))
        stored = None if backup_id is None else pack_uuid(backup_id)
        return db.execute(UNPIN, (self._about(run_id).number, stored)).rowcount > 0

    # Engines

    @contextmanager
    def lock(self, run_id: str) -> Iterator[None]:
        """Hold the run's lock until the context or the process ends.

        Raises `RunIsLive`, naming the process that holds it.
        """
        with self._locked(run_id):
            host, space = locks.this_host()
            holder = (os.getpid(), storable(host), ms(self._clock()), space)
            with self._writing() as (db, _):
                db.execute(SET_HOLDER, (*holder, self._about(run_id).number))
            yield

    def journal(
        self,
        run_id: str,
        *,
        inline: bool = False,
        busy_timeout: float = BUSY_TIMEOUT,
        factory: type[Connection] = Connection,
    ) -> SqliteJournal:
        """The run's journal, an async context manager. Hold the run's `lock` while it is open."""
        from vbsbatch.store.sqlite.journal import SqliteJournal  # asyncio: only engines need it

        known = self._about(run_id)
        return SqliteJournal(
            self.path,
            run=known.number,
            defaults=known.defaults,
            limits=self.run(run_id).settings.limits,
            holder=self._holder,
            inline=inline,
            busy_timeout=busy_timeout,
            factory=factory,
        )

    def ask(self, run_id: str, verb: str, argument: Mapping[str, Any], asked_by: str) -> int:
        """Ask the run's engine for something; `command_result` of the id has its answer."""
        text = json.dumps(dict(argument))
        values = (self._about(run_id).number, verb, text, storable(asked_by), ms(self._clock()))
        with self._writing() as (db, _):
            number = db.execute(ASK, values).lastrowid
        if number is None:
            raise StoreFailed(f"{self.path} did not take the command {verb}")
        return number

    def withdraw(self, command_id: int) -> bool:
        """Take back a command: true when no engine took it, and none will."""
        with self._writing() as (db, _):
            values = (ms(self._clock()), WITHDRAWN, command_id)
            return db.execute(WITHDRAW, values).rowcount == 1

    # What an operator does to a run without an engine

    def requeue(self, run_id: str, selection: Mapping[str, Any]) -> int:
        """See `RunStore.requeue`."""
        length = self.run(run_id).settings.deadline
        deadline = None if length is None else self._clock() + length
        number = self._about(run_id).number
        with self._without_engine(run_id), self._writing() as (db, rev):
            chosen = JobSelection.of(selection).narrowed(*RETRIED)
            moved = self._move(db, rev, run_id, chosen, requeued)
            if moved:
                until = None if deadline is None else ms(deadline)
                db.execute(REOPEN_RUN, (until, number))
        return moved

    def cancel(self, run_id: str, selection: Mapping[str, Any]) -> int:
        """See `RunStore.cancel`."""
        chosen = JobSelection.of(selection).narrowed(JobState.WAITING)
        with self._without_engine(run_id), self._writing() as (db, rev):
            return self._move(db, rev, run_id, chosen, cancelled)

    def holders(self, run_id: str) -> list[BlockingRun]:
        """See `RunStore.holders`."""
        number = self._about(run_id).number
        if not self._value(journal_sql.OTHERS_OPEN, (number,)):
            return []
        return [self._holder(*row) for row in self._rows(journal_sql.HOLDERS, {"run": number})]

    def _holder(self, run_id: str, state: str, volumes: int) -> BlockingRun:
        return BlockingRun(
            run_id=run_id,
            state=RunState(state),
            driven=self.is_live(run_id) is not None,
            volumes=volumes,
            db_option=db_option(self.path),
        )

    def take_over(
        self, run_id: str, asked_by: str, only: Collection[str] | None = None
    ) -> list[BlockingRun]:
        """See `RunStore.take_over`: under the lock of each run that gives up."""
        taker = self._about(run_id).number
        gave_up = []
        for holder in self.holders(run_id):
            if holder.driven or (only is not None and holder.run_id not in only):
                continue
            number = self._about(holder.run_id).number
            with self.lock(holder.run_id), self._writing() as (db, rev):
                volumes = self._release(db, rev, holder.run_id, run_id)
                note = taken_over(self._clock(), asked_by, run_id, volumes)
                for about in (number, taker):
                    journal_sql.insert_events(db, about, [event_row(note)])
            gave_up.append(replace(holder, volumes=volumes))
        return gave_up

    def _release(self, db: Connection, rev: int, holder: str, taker: str) -> int:
        known = self._about(holder)
        parameters = {"holder": known.number, "run": self._about(taker).number}
        rows = db.execute(journal_sql.HELD_BY, parameters).fetchall()
        now = self._clock()
        moves = [released(read_job(row, known.defaults), now, taker) for row in rows]
        return self._record(db, rev, known.number, [moves])

    def _move(
        self,
        db: Connection,
        rev: int,
        run_id: str,
        selection: JobSelection,
        change: Callable[[Job, Wall], JobMoved],
    ) -> int:
        now = self._clock()
        known = self._about(run_id)

        def read(page: dict[str, Any]) -> list[Job]:
            rows = db.execute(journal_sql.SELECTED, page)
            return [read_job(row, known.defaults) for row in rows]

        pages = journal_sql.pages(read, known.number, selection)
        moves = ([change(job, now) for job in page] for page in pages)
        return self._record(db, rev, known.number, moves)

    def _record(
        self, db: Connection, rev: int, number: int, pages: Iterable[Sequence[JobMoved]]
    ) -> int:
        moved = 0
        for moves in pages:
            rows = [(move.job.no, *mutable_row(move.job)) for move in moves]
            journal_sql.update_jobs(db, number, rev, rows)
            journal_sql.insert_events(db, number, [event_row(move) for move in moves])
            moved += len(moves)
        if moved:
            db.execute(journal_sql.SET_REV, (rev, number))
        return moved

    def _without_engine(self, run_id: str) -> AbstractContextManager[None]:
        here = locks.held_here(self._file, self._about(run_id).number)
        return nullcontext() if here else self._locked(run_id)


def _insert(db: Connection, run: int, jobs: Sequence[Job], defaults: BackupSettings) -> None:
    if all(map(untouched, jobs)):
        journal_sql.insert_untouched_jobs(db, run, [fixed_row(job, defaults) for job in jobs])
    else:
        rows = [new_row(job, defaults) for job in jobs]
        journal_sql.insert_jobs(db, run, rows)


_: type[RunStore] = SqliteStore  # mypy compares the two
