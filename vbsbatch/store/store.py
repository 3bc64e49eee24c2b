"""The store file as commands see it: what `Reader` reads, and the writes beside the journal."""

from __future__ import annotations

import json
import os
import secrets
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any

from vbsbatch.errors import RunIsLive, StoreError, StoreFailed, UsageError
from vbsbatch.model import (
    WITHDRAWN,
    BackupSettings,
    BlockingRun,
    Holder,
    Job,
    JobMoved,
    JobState,
    Rate,
    Run,
    RunNoted,
    RunState,
    Settings,
    Wall,
    check_move,
    renewed,
)
from vbsbatch.model.clocks import wall
from vbsbatch.store import journal_sql, locks, read_sql
from vbsbatch.store.descriptors import held
from vbsbatch.store.opening import BUSY_TIMEOUT, connect, prepared
from vbsbatch.store.paths import db_option, default_path
from vbsbatch.store.reading import Reader
from vbsbatch.store.rows import (
    backup_settings_text,
    event_row,
    fixed_row,
    mutable_row,
    rate_text,
    read_job,
    storable,
    time_ms,
    untouched,
)
from vbsbatch.store.selection import JobSelection
from vbsbatch.store.sqlite_errors import failure, translated, unusable
from vbsbatch.store.write_ops import begun_as, ms

if TYPE_CHECKING:
    from vbsbatch.store.journal import SqliteJournal

_RANDOM = string.ascii_lowercase + string.digits


class Store(Reader):
    """One store file; a context manager. Made by `Store.open`."""

    def __init__(self, path: Path, *, clock: Callable[[], Wall]) -> None:
        super().__init__(path)
        self._clock = clock

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        create: bool = False,
        readonly: bool = False,
        clock: Callable[[], Wall] = wall,
    ) -> Store:
        """Open the store at `path` (by default `default_path()`); `StoreUnusable` says why not.

        `create` makes one where there is none; `readonly` is content with a file that cannot be
        written, if it is of this version. A file that is refused stays as it is.
        """
        where = (default_path() if path is None else Path(path)).absolute()
        with prepared(where, create=create, readonly=readonly):
            return cls(where, clock=clock)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(
        self, told: Callable[[Exception, Path], StoreError] = failure
    ) -> Iterator[tuple[Connection, int]]:
        """One transaction and the rev of what it writes; all or nothing."""
        with translated(self.path, told), held(self.path), closing(connect(self.path)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield db, db.execute(journal_sql.NEXT_REV).fetchone()[0]
            db.execute("COMMIT")  # closing rolls back what did not come this far

    # Runs

    def new_run_id(self, now: Wall) -> str:
        """An id like `20261123-0715-k3f9` (UTC) that no run of this store has."""
        taken = {row[0] for row in self._rows(read_sql.RUN_IDS)}
        minute = datetime.fromtimestamp(float(now), UTC).strftime("%Y%m%d-%H%M")
        while True:
            run_id = f"{minute}-{''.join(secrets.choice(_RANDOM) for _ in range(4))}"
            if run_id not in taken:
                return run_id

    def create_run(self, run: Run, jobs: Iterable[Job], defaults: BackupSettings) -> None:
        """Freeze a run with its jobs, all or nothing; the jobs are never held all at once.

        A job that is skipped from the start has that in its history. Raises StoreUnusable when
        there is no room for it: then nothing was stored.
        """
        if any(run.id == row[0] for row in self._rows(read_sql.RUN_IDS)):
            raise UsageError(f"run {run.id} is in the store already")
        waiting = iter(jobs)
        with self._writing(unusable) as (db, rev):
            first_event = db.execute(read_sql.LAST_EVENT).fetchone()[0]
            values = (*_run_row(run), backup_settings_text(defaults), first_event, rev)
            number = db.execute(read_sql.NEW_RUN, values).lastrowid
            assert number is not None
            while chunk := list(islice(waiting, journal_sql.CHUNK)):
                _insert(db, number, chunk, defaults)
                begun = [move for job in chunk if (move := begun_as(job, run.created_at))]
                journal_sql.insert_events(db, number, [event_row(move) for move in begun])

    def set_limits(
        self, run_id: str, *, rate: Rate | None = None, in_flight: int | None = None
    ) -> None:
        """Remember what an operator set, for this run's next engine; None leaves as it is."""
        values = (rate_text(rate), in_flight, self._about(run_id).number)
        with self._writing() as (db, _):
            db.execute(read_sql.SET_LIMITS, values)

    # Engines

    @contextmanager
    def lock(self, run_id: str) -> Iterator[None]:
        """Drive the run: hold its lock until the context or the process ends.

        Raises `RunIsLive`, naming the process that holds it.
        """
        with self._locked(run_id):
            host, space = locks.this_host()
            holder = (os.getpid(), storable(host), ms(self._clock()), space)
            with self._writing() as (db, _):
                db.execute(read_sql.SET_HOLDER, (*holder, self._about(run_id).number))
            yield

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
        return locks.find(self._file, number, lambda: next(self._rows(read_sql.HOLDER, (number,))))

    def journal(
        self,
        run_id: str,
        *,
        inline: bool = False,
        busy_timeout: float = BUSY_TIMEOUT,
        factory: type[Connection] = Connection,
    ) -> SqliteJournal:
        """The run's journal, an async context manager. Hold the run's `lock` while it is open."""
        from vbsbatch.store.journal import SqliteJournal  # asyncio: only engines need it

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
        """Ask something of the run's engine; `command_result` of the id tells what became of it."""
        text = json.dumps(dict(argument))
        values = (self._about(run_id).number, verb, text, storable(asked_by), ms(self._clock()))
        with self._writing() as (db, _):
            number = db.execute(read_sql.ASK, values).lastrowid
        if number is None:
            raise StoreFailed(f"{self.path} did not take the command {verb}")
        return number

    def withdraw(self, command_id: int) -> bool:
        """Take back a command: true when no engine took it, and none will."""
        with self._writing() as (db, _):
            values = (ms(self._clock()), WITHDRAWN, command_id)
            return db.execute(read_sql.WITHDRAW, values).rowcount == 1

    # What an operator does to a run without an engine

    def requeue(self, run_id: str, selection: Mapping[str, Any]) -> int:
        """Failed and cancelled jobs of the selection wait again, their attempts budget renewed.

        Returns how many. The run's deadline begins anew; a run that had ended becomes `stopped`, to
        be resumed. Raises `RunIsLive` while an engine drives the run, `UsageError` for a selection
        that makes no sense.
        """
        length = self.run(run_id).settings.deadline
        deadline = None if length is None else self._clock() + length
        number = self._about(run_id).number
        allowed = frozenset({JobState.FAILED, JobState.CANCELLED})
        with self._without_engine(run_id), self._writing() as (db, rev):
            moved = self._move(db, rev, run_id, _narrowed(selection, allowed), requeued)
            if moved:
                db.execute(read_sql.REOPEN_RUN, (time_ms(deadline), number))
        return moved

    def cancel(self, run_id: str, selection: Mapping[str, Any]) -> int:
        """Waiting jobs of the selection are cancelled. Returns and raises as `requeue` does."""
        chosen = _narrowed(selection, frozenset({JobState.WAITING}))
        with self._without_engine(run_id), self._writing() as (db, rev):
            return self._move(db, rev, run_id, chosen, cancelled)

    def holders(self, run_id: str) -> list[BlockingRun]:
        """The other runs that hold volumes which wait in this run, oldest first."""
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

    def take_over(self, run_id: str, asked_by: str) -> list[BlockingRun]:
        """Have the runs that no engine drives give up for good what holds volumes of this run.

        Their jobs fail as `released`; what the cloud makes of them stays in the cloud. Returns who
        gave up how many. Raises `RunIsLive` when one of them gets an engine at this very moment.
        """
        taker = self._about(run_id).number
        gave_up = []
        for holder in self.holders(run_id):
            if holder.driven:
                continue
            number = self._about(holder.run_id).number
            with self.lock(holder.run_id), self._writing() as (db, rev):
                volumes = self._release(db, rev, holder.run_id, run_id)
                words = f"{asked_by}: take-over: run {run_id} has {volumes} of the volumes now"
                for about in (number, taker):
                    note = RunNoted(at=self._clock(), kind="command", text=words)
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
        pages = self._selected(db, run_id, selection)
        moves = ([change(job, now) for job in page] for page in pages)
        return self._record(db, rev, self._about(run_id).number, moves)

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

    def _selected(
        self, db: Connection, run_id: str, selection: JobSelection
    ) -> Iterator[list[Job]]:
        """Page after page; what has been yielded may be changed before the next."""
        known = self._about(run_id)
        asked, named = selection.by_pages()
        parameters = journal_sql.selection_parameters(asked) | {"run": known.number}
        after = journal_sql.FIRST
        while True:
            page = parameters | {"after": after, "limit": journal_sql.PAGE}
            jobs = [read_job(row, known.defaults) for row in db.execute(journal_sql.SELECTED, page)]
            if not jobs:
                return
            yield list(filter(named, jobs))
            after = jobs[-1].no


def _insert(db: Connection, run: int, jobs: Sequence[Job], defaults: BackupSettings) -> None:
    if all(map(untouched, jobs)):
        journal_sql.insert_untouched_jobs(db, run, [fixed_row(job, defaults) for job in jobs])
    else:
        rows = [(*fixed_row(job, defaults), *mutable_row(job)) for job in jobs]
        journal_sql.insert_jobs(db, run, rows)


def _narrowed(argument: Mapping[str, Any], allowed: frozenset[JobState]) -> JobSelection:
    selection = JobSelection.of(argument)
    states = allowed if selection.states is None else allowed & selection.states
    return replace(selection, states=states)


def requeued(job: Job, at: Wall) -> JobMoved:
    """The failed or cancelled job waits again, at once and with all its attempts."""
    check_move(job.state, JobState.WAITING)
    waiting = replace(job, state=JobState.WAITING, **renewed(job))
    return JobMoved(job=waiting, came_from=job.state, at=at, note="retry asked for")


def cancelled(job: Job, at: Wall) -> JobMoved:
    """The operator takes the waiting job back."""
    check_move(job.state, JobState.CANCELLED)
    taken_back = replace(job, state=JobState.CANCELLED, ended_at=at)
    return JobMoved(job=taken_back, came_from=job.state, at=at)


def released(job: Job, at: Wall, taker: str) -> JobMoved:
    """The open job is given up for good: another run took its volume over."""
    check_move(job.state, JobState.FAILED)
    words = f"run {taker} took the volume over; what the cloud makes of this backup stays there"
    given_up = replace(
        job,
        state=JobState.FAILED,
        ended_at=at,
        code="released",
        message=words,
        unknown_at=None,
        later_since=None,
        progress=None,
    )
    return JobMoved(job=given_up, came_from=job.state, at=at, note=words)


def _run_row(run: Run) -> tuple[Any, ...]:
    from pydantic import TypeAdapter  # slow to import, needed only where a run is made

    return (
        run.id,
        storable(run.plan),
        storable(run.cloud),
        storable(run.project_id),
        run.state,
        storable(run.reason),
        TypeAdapter(Settings).dump_json(run.settings).decode(),
        ms(run.created_at),
        time_ms(run.started_at),
        time_ms(run.ended_at),
        time_ms(run.deadline_at),
        rate_text(run.rate),
        run.in_flight,
        run.pid,
        run.host,
        time_ms(run.heartbeat_at),
        run.create_calls,
        run.read_calls,
        time_ms(run.created_cloud_at),
        ms(run.clock_step),
        run.adopted,
        storable(run.region),
        storable(run.project_name),
        storable(run.endpoint),
    )
