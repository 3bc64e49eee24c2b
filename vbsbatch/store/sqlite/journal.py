"""One run in the store file, as its engine writes it: `engine.ports.Journal` over SQLite."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import anyio

from vbsbatch.errors import StoreFailed
from vbsbatch.model import (
    OPEN_STATES,
    WITHDRAWN,
    Attempt,
    BackupSettings,
    BlockingRun,
    Cloud,
    Command,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Limits,
    Rate,
    Run,
    RunNoted,
    RunState,
    Wall,
    check_move,
)
from vbsbatch.store.concurrency_caps import ConcurrencyCaps
from vbsbatch.store.records import Acknowledged, Entry, gigabytes_done, is_told_by_attempt, ms
from vbsbatch.store.selection import JobSelection
from vbsbatch.store.sqlite import journal_sql
from vbsbatch.store.sqlite.codec import rate_text, rows_of, storable
from vbsbatch.store.sqlite.opening import BUSY_TIMEOUT, connect
from vbsbatch.store.sqlite.rows import (
    attempt_row,
    by_state,
    by_wave,
    event_row,
    mutable_row,
    read_commands,
    read_job,
)
from vbsbatch.store.sqlite.writer import Writer


class SqliteJournal:
    """The journal of one run; an async context manager. Made by `SqliteStore.journal`.

    `holder` finds out who drives another run, given its id, state and number of volumes. `inline`
    writes on the calling thread, for virtual time; `factory` makes the connection, so that a
    benchmark can slow it down. Every call after a failed write raises `StoreFailed`.
    """

    def __init__(
        self,
        path: Path,
        *,
        run: int,
        defaults: BackupSettings,
        limits: Limits,
        holder: Callable[[str, str, int], BlockingRun],
        inline: bool = False,
        busy_timeout: float = BUSY_TIMEOUT,
        factory: type[Connection] = Connection,
    ) -> None:
        self._run = run
        self._defaults = defaults
        self._limits = limits
        self._holder = holder
        self._writer = Writer(
            path,
            connect=lambda: connect(path, busy_timeout=busy_timeout, factory=factory),
            write=self._write,
            run=run,
            inline=inline,
        )

    async def __aenter__(self) -> SqliteJournal:
        self._writer.start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Write what is queued; does not replace an error that is being raised by its own."""
        with anyio.CancelScope(shield=True):
            try:
                await self.close()
            except StoreFailed:
                if error is None:
                    raise

    async def close(self) -> None:
        """Write what is queued and close; raises `StoreFailed` once if anything was not written."""
        await self._writer.close()

    def crash(self) -> None:
        """Drop what is queued, as a kill of the engine does. For tests."""
        self._writer.crash()

    @property
    def commits(self) -> int:
        """Durable transactions so far."""
        return self._writer.commits

    # Written behind

    def record(self, event: JobMoved | RunNoted) -> None:
        """Write a move or a note behind."""
        if isinstance(event, JobMoved):
            check_move(event.came_from, event.job.state)
        self._writer.behind(event)

    def touch(self, job: Job) -> None:
        """Write a job's changed fields behind, its state unchanged."""
        self._writer.behind(job)

    def acknowledge(self, command: Command, at: Wall, result: str) -> None:
        """Record what became of a command."""
        self._writer.behind(Acknowledged(command=command, at=at, result=result))

    def _write(self, db: Connection, rev: int, entries: Sequence[Entry]) -> None:
        """Each job's newest fields, every attempt, every event, in few statements.

        An accepted create is recorded by its attempt alone: an event would repeat it for each job.
        """
        jobs: dict[int, Job] = {}
        attempts: list[tuple[int, Attempt]] = []
        events: list[JobMoved | RunNoted] = []
        for entry in entries:
            match entry:
                case JobMoved(job=job, attempt=attempt):
                    jobs[job.no] = job
                    if not is_told_by_attempt(entry):
                        events.append(entry)
                    if attempt is not None:
                        attempts.append((job.no, attempt))
                case RunNoted():
                    events.append(entry)
                case Acknowledged(command=command, at=at, result=result):
                    answer = (ms(at), storable(result), command.id)
                    db.execute(journal_sql.ACKNOWLEDGE, answer).close()
                case Job():
                    jobs[entry.no] = entry
        if gigabytes := gigabytes_done(entries):
            values = {"run": self._run, "gigabytes": gigabytes}
            db.execute(journal_sql.ADD_GIGABYTES, values).close()
        rows = [(no, *mutable_row(job)) for no, job in jobs.items()]
        journal_sql.update_jobs(db, self._run, rev, rows)
        journal_sql.insert_attempts(db, self._run, [attempt_row(*entry) for entry in attempts])
        journal_sql.insert_events(db, self._run, [event_row(event) for event in events])

    # Waited for

    async def begin(self, run: Run, now: Elapsed, at: Wall) -> None:
        """An engine begins to drive the run; see `engine.ports.Journal.begin`."""
        last = run.heartbeat_at or run.created_at
        values = {
            "run": self._run,
            "now": ms(now),
            "step": ms(float(now) - float(at) + run.clock_step),
            "last": ms(float(last) - run.clock_step),
            "later_for": ms(run.settings.retry.later_for),
        }
        ahead = ms(float(at) - float(now))
        withdrawn = {"run": self._run, "at": ms(at), "result": WITHDRAWN}

        def begin(db: Connection, rev: int) -> None:
            db.execute(journal_sql.LEFT_BEHIND, withdrawn).close()
            db.execute(journal_sql.BEGIN_WAITS, values).close()
            db.execute(journal_sql.BEGUN, (ahead, ms(at), self._run)).close()

        await self._writer.wait(begin, writes=True)

    async def claim(
        self,
        now: Elapsed,
        limit: int,
        *,
        cloud_now: Cloud,
        least_tried: bool = False,
        busy_vaults: Collection[str] = (),
    ) -> list[Job]:
        """Move due waiting jobs to `submitting`; see `engine.ports.Journal.claim`."""
        times = {"now": ms(now), "cloud_now": ms(cloud_now)}

        def claim(db: Connection, rev: int) -> list[Job]:
            jobs = self._claimable(db, times, limit, busy_vaults, least_tried=least_tried)
            if jobs:
                numbers = json.dumps([job.no for job in jobs])
                values = {**times, "rev": rev, "run": self._run, "numbers": numbers}
                db.execute(journal_sql.CLAIM, values).close()
            return jobs

        jobs = await self._writer.wait(claim, writes=True)
        return sorted(jobs, key=lambda job: (job.wave, job.rank, -job.priority, job.no))

    def _claimable(
        self,
        db: Connection,
        times: Mapping[str, int],
        limit: int,
        busy_vaults: Collection[str],
        *,
        least_tried: bool,
    ) -> list[Job]:
        """The next due jobs, as a claim leaves them."""
        values: dict[str, Any] = {"run": self._run, **times}
        query = journal_sql.CANDIDATES if self._limits.capped else journal_sql.CLAIMABLE
        if least_tried:
            query = journal_sql.LEAST_TRIED_FIRST[query]
        if busy_vaults:
            query = journal_sql.CLAIMABLE_BESIDE_VAULTS[query]
            values |= self._busy(busy_vaults)
        if not self._limits.capped:
            return self._jobs(_one(db, query, values | {"limit": limit}))
        room, taken, page = self._room(db), list[int](), [[None]] * journal_sql.PAGE
        while len(taken) < limit and len(page) == journal_sql.PAGE:
            passed_over = self._full(room) | {"taken": json.dumps(taken)}
            page = rows_of(_one(db, query, values | passed_over))
            for no, group, az in page:
                if len(taken) < limit and room.take(group, az):
                    taken.append(no)
        values |= {"taken": json.dumps(taken)}
        return self._jobs(_one(db, journal_sql.CLAIMABLE_ONES, values)) if taken else []

    def _room(self, db: Connection) -> ConcurrencyCaps:
        return ConcurrencyCaps(self._limits, rows_of(_one(db, journal_sql.OPEN_BY, (self._run,))))

    def _busy(self, vaults: Collection[str]) -> dict[str, Any]:
        """The parameters of the statements beside vaults."""
        return {"vaults": json.dumps(list(vaults)), "vault": self._defaults.vault}

    def _full(self, room: ConcurrencyCaps) -> dict[str, Any]:
        """The parameters of the statements under caps."""
        groups, azs = json.dumps(room.full_groups()), json.dumps(room.full_azs())
        return {"run": self._run, "groups": groups, "azs": azs}

    async def flush(self) -> None:
        """Return once everything recorded so far is durable."""
        await self._writer.wait(lambda db, rev: None, writes=False)

    async def failed(self) -> None:
        """Wait for the journal to fail and raise `StoreFailed`."""
        await self._writer.failed()

    async def next_due(self, *, busy_vaults: Collection[str] = ()) -> Elapsed | None:
        """The earliest `due_at` of a waiting job; see `engine.ports.Journal.next_due`."""

        def next_due(db: Connection, rev: int) -> int | None:
            others = _one(db, journal_sql.OTHERS_OPEN, (self._run,))
            query = journal_sql.NEXT_DUE_NOT_HELD if others else journal_sql.NEXT_DUE
            values: dict[str, Any] = {"run": self._run}
            if self._limits.capped:
                query, values = journal_sql.WITHIN[query], self._full(self._room(db))
            if busy_vaults:
                query += journal_sql.BESIDE_VAULTS
                values |= self._busy(busy_vaults)
            due: int | None = _one(db, query, values)
            return due

        due = await self._writer.wait(next_due, writes=False)
        return None if due is None else Elapsed(due / 1000)

    async def blocked(self, now: Elapsed) -> list[tuple[Job, BlockingRun]]:
        """Due jobs that wait for another run's open job, with that run, in plan order."""

        def blocked(db: Connection, rev: int) -> str:
            others = _one(db, journal_sql.OTHERS_OPEN, (self._run,))
            values = {"run": self._run, "now": ms(now)}
            found = _one(db, journal_sql.BLOCKED, values) if others else "[]"
            return str(found)

        found = rows_of(await self._writer.wait(blocked, writes=False))
        runs = {run_id: state for _, (run_id, state) in found}
        holders = {run_id: self._holder(run_id, state, 1) for run_id, state in runs.items()}
        return [(read_job(row, self._defaults), holders[run_id]) for row, (run_id, _) in found]

    async def jobs_in(self, states: Sequence[JobState], *, limit: int | None = None) -> list[Job]:
        """Jobs of this run in any of `states`, in plan order."""
        chosen = frozenset(states)
        query = journal_sql.OPEN_PAGE if chosen <= OPEN_STATES else journal_sql.SELECTED_PAGE
        return await self._pages(query, JobSelection(states=chosen), limit)

    async def select(self, argument: Mapping[str, object]) -> list[Job]:
        """Jobs that a command's argument names, in plan order; may raise `SelectionError`."""
        return await self._pages(journal_sql.SELECTED_PAGE, JobSelection.of(argument), None)

    async def _pages(self, query: str, selection: JobSelection, limit: int | None) -> list[Job]:
        size = journal_sql.PAGE if limit is None else max(1, min(limit, journal_sql.PAGE))

        def read(db: Connection, rev: int) -> list[Job]:
            pages = journal_sql.pages(
                lambda values: self._jobs(_one(db, query, values)), self._run, selection, size=size
            )
            return list(islice(chain.from_iterable(pages), limit))

        return await self._writer.wait(read, writes=False)

    async def named(self, names: Sequence[str]) -> list[Job]:
        """Waiting jobs whose backups have one of these names, in plan order."""
        return self._jobs(await self._found(journal_sql.NAMED, json.dumps(list(names))))

    async def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in each state."""
        return by_state(await self._found(journal_sql.COUNTS))

    async def wave_counts(self) -> Mapping[int, Mapping[JobState, int]]:
        """How many jobs of each wave are in each state."""
        return by_wave(await self._found(journal_sql.WAVES))

    async def open_wave(self, wave: int) -> None:
        """Record up to which wave jobs may be claimed; durable when it returns."""
        await self._do((journal_sql.OPEN_WAVE, (wave, self._run)))

    async def retrying(self) -> int:
        """How many waiting jobs have been tried before."""
        return int(await self._found(journal_sql.RETRYING))

    async def commands(self, at: Wall) -> list[Command]:
        """Take the commands that are not yet taken or withdrawn, oldest first."""

        def take(db: Connection, rev: int) -> str:
            found = str(_one(db, journal_sql.COMMANDS, (self._run,)))
            numbers = json.dumps([row[0] for row in rows_of(found)])
            db.execute(journal_sql.TAKE, (ms(at), numbers)).close()
            return found

        found = await self._found(journal_sql.COMMANDS)
        if found != "[]":  # mostly there is nothing to write
            found = await self._writer.wait(take, writes=True)
        return read_commands(found)

    async def heartbeat(
        self,
        at: Wall,
        *,
        clock_step: float,
        rate: Rate,
        create_calls: int,
        read_calls: int,
        adopted: int,
        next_look_at: Wall | None,
        ends_at: Wall | None,
        rate_used: float,
        circuit_open: bool,
    ) -> None:
        """Record that the engine lives; see `engine.ports.Journal.heartbeat`."""
        ahead = [None if each is None else ms(each) for each in (next_look_at, ends_at)]
        said = (ms(clock_step), rate_text(rate), create_calls, read_calls, adopted, *ahead)
        calls = {"run": self._run, "creates": create_calls, "reads": read_calls}
        values = (ms(at), *said, rate_used, circuit_open, self._run)
        await self._do((journal_sql.ADD_CALLS, calls), (journal_sql.HEARTBEAT, values))

    async def deadline(self, at: Wall) -> None:
        """Record after which time no create is to be sent."""
        await self._do((journal_sql.DEADLINE, (ms(at), self._run)))

    async def run_state(self, state: RunState, at: Wall, reason: str | None = None) -> None:
        """Record the run's state, and whose process drives it while one does."""
        values = {
            "run": self._run,
            "state": state,
            "at": ms(at),
            "reason": None if reason is None else storable(reason),
            "live": state in (RunState.RUNNING, RunState.PAUSED),
            "pid": os.getpid(),
            "host": socket.gethostname(),
        }
        ended = {"run": self._run, "at": ms(at)}
        success = [(journal_sql.SUCCEEDED, ended)] if state is RunState.ENDED else []
        await self._do((journal_sql.RUN_STATE, values), *success)

    async def _found(self, query: str, *values: Any) -> Any:
        """The one value of a query about this run."""
        values = (self._run, *values)
        return await self._writer.wait(lambda db, rev: _one(db, query, values), writes=False)

    async def _do(self, *statements: tuple[str, Any]) -> None:
        def do(db: Connection, rev: int) -> None:
            for statement, values in statements:
                db.execute(statement, values).close()

        await self._writer.wait(do, writes=True)

    def _jobs(self, text: str) -> list[Job]:
        return [read_job(row, self._defaults) for row in rows_of(text)]


def _one(db: Connection, query: str, parameters: Any) -> Any:
    """The one value of the one row of a query, in one step."""
    cursor = db.execute(query, parameters)
    try:
        return cursor.fetchone()[0]
    finally:
        cursor.close()
