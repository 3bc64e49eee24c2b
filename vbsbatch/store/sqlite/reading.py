"""The store file as screens and reports see it: read-only, beside any number of engines."""

# ruff: noqa: S608 - every part of these statements is a constant of this package

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from vbsbatch.errors import StoreFailed, UsageError
from vbsbatch.model import (
    Attempt,
    BackupSettings,
    Job,
    JobState,
    Pin,
    PlanTotals,
    Rate,
    Run,
)
from vbsbatch.store.ports import CodeCount, Event, ReadPosition, SizeSum
from vbsbatch.store.records import STATES, damaged, one_of
from vbsbatch.store.selection import JobSelection, resolved
from vbsbatch.store.sqlite import journal_sql, locks
from vbsbatch.store.sqlite.codec import (
    pack_uuid,
    read_backup_settings,
    read_rate,
    whole_number,
)
from vbsbatch.store.sqlite.descriptors import hold
from vbsbatch.store.sqlite.opening import connect
from vbsbatch.store.sqlite.rows import (
    ATTEMPT_COLUMNS,
    CODE_COUNT,
    JOB_COLUMNS,
    PIN,
    TOTALS,
    by_state,
    by_wave,
    read_attempt,
    read_event,
    read_job,
    read_pin,
    read_run,
    read_totals,
)
from vbsbatch.store.sqlite.rows import RUN as RUN_ROW
from vbsbatch.store.sqlite.schema import OPERATION
from vbsbatch.store.sqlite.sqlite_errors import translated

RUN_COLUMNS = f"no, {', '.join(RUN_ROW.names)}, defaults, sending_rate"
"""What `SqliteReader` reads of a run."""

RUNS = f"SELECT {RUN_COLUMNS} FROM runs ORDER BY no DESC"

NEWEST_RUNS = f"""
SELECT {RUN_COLUMNS} FROM runs
WHERE no IN (SELECT no FROM runs WHERE state <> 'ended' ORDER BY no DESC LIMIT :unfinished)
  OR no IN (SELECT no FROM runs WHERE state = 'ended' ORDER BY no DESC LIMIT :ended)
  OR no IN (
    SELECT max(no) FROM runs WHERE {OPERATION} IS 'backup' GROUP BY plan ORDER BY 1 DESC
    LIMIT :plans)
ORDER BY no DESC"""

PLAN_TOTALS = f"SELECT {', '.join(TOTALS.names)} FROM totals ORDER BY plan"

RUN_IDS = "SELECT id FROM runs ORDER BY no DESC"

LATEST = """
SELECT id FROM runs WHERE NOT json_valid(settings) OR (
  json_extract(settings, '$.follows') IS NULL
  AND json_extract(settings, '$.makes_room_for') IS NULL) ORDER BY no DESC LIMIT 1"""
"""The newest run that a person began."""

RUN = f"SELECT {RUN_COLUMNS} FROM runs WHERE id = ?"

NEWEST_UNFINISHED = "SELECT id FROM runs WHERE state <> 'ended' ORDER BY no DESC LIMIT 1"

FAILURES = """
SELECT http_status, code, count(*) FROM jobs WHERE run = ? AND state = 5
GROUP BY http_status, code ORDER BY count(*) DESC, http_status, code"""

ANSWERS = """
SELECT http_status, code, count(*) FROM attempts WHERE run = ?
GROUP BY http_status, code ORDER BY count(*) DESC, http_status, code"""

ATTEMPTS = f"SELECT {ATTEMPT_COLUMNS} FROM attempts a WHERE a.run = ? AND a.job = ? ORDER BY number"

ATTEMPT_TOTAL = "SELECT coalesce(sum(attempts), 0) FROM jobs WHERE run = ?"

EVENTS = """
SELECT e.id, e.at, e.job, e.kind, e.text FROM events e
WHERE e.id > max(:after, (SELECT first_event FROM runs WHERE no = :run)) AND e.run = :run
  AND (:job IS NULL OR e.job = :job) ORDER BY e.id LIMIT :limit"""

LAST_EVENT = "SELECT coalesce(max(id), 0) FROM events"

LAST_REV = "SELECT coalesce(max(rev), 0) FROM runs"

SOME_JOBS = f"""
SELECT {JOB_COLUMNS} FROM jobs j
WHERE j.run = ? AND j.no IN (SELECT value FROM json_each(?))"""
"""Run, numbers as JSON."""

CHANGED_SINCE = """j.run = :run AND j.no IN (
  SELECT no FROM jobs INDEXED BY jobs_rev
  WHERE rev > :rev AND rev > 0 AND state < 4 AND run = :run
  UNION
  SELECT job FROM events WHERE id > :event AND run = :run AND job IS NOT NULL)"""

CHANGED = f"SELECT {JOB_COLUMNS} FROM jobs j WHERE {CHANGED_SINCE} ORDER BY j.no"

CLOCK_STEP = "SELECT clock_step FROM runs WHERE no = ?"

PINS = (
    f"SELECT {PIN.selected('p', id='r.id')} FROM pins p JOIN runs r ON r.no = p.run ORDER BY p.id"
)

MADE = """
SELECT r.id, j.no, j.backup_id, j.volume_id, j.backup_name FROM jobs j JOIN runs r ON r.no = j.run
WHERE j.state = 4 AND j.backup_id NOT NULL AND j.run IN (
  SELECT no FROM runs WHERE json_valid(settings)
    AND coalesce(json_extract(settings, '$.operation'), 'backup') = 'backup')
ORDER BY j.run, j.no"""
"""The jobs that made a backup, with the ids as they are stored."""

COMMAND_RESULT = "SELECT result FROM commands WHERE id = ? AND done_at IS NOT NULL"

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What never changes about a run."""

    number: int
    defaults: BackupSettings


class SqliteReader:
    """Queries on one store file. Reads never block an engine's writes; all raise `StoreFailed`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, _Known] = {}
        with translated(path):
            self._file = hold(path)
            try:
                missing = locks.missing(self._file)
                unlocked = missing is not None and missing.for_sqlite
                self._db = connect(path, readonly=True, unlocked=unlocked)
            except BaseException:
                self._file.release()
                raise

    @property
    def name(self) -> str:
        """The path of the file."""
        return str(self.path)

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self._db.close()
        self._file.release()

    def _rows(self, query: str, parameters: Any = ()) -> Iterator[Any]:
        with translated(self.path):
            # No `yield from`: it would close the cursor when a generator that was not exhausted is
            # collected, perhaps after the file was closed.
            for row in self._db.execute(query, parameters):  # noqa: UP028
                yield row

    def _value(self, query: str, parameters: Any = ()) -> Any:
        with translated(self.path):
            return self._db.execute(query, parameters).fetchone()[0]

    def _number(self, query: str, parameters: Any = ()) -> int:
        """The one whole number that a query finds; `StoreUnusable` for anything else, such as the
        sum of numbers that no vbsbatch wrote."""
        return whole_number(self._value(query, parameters))

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Several queries on one state of the file."""
        with translated(self.path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    # Runs

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        return [self._run(row) for row in self._rows(RUNS)]

    def newest_runs(self, *, unfinished: int, ended: int, plans: int = 0) -> list[Run]:
        """See `RunReader.newest_runs`."""
        limits = {"unfinished": unfinished, "ended": ended, "plans": plans}
        return [self._run(row) for row in self._rows(NEWEST_RUNS, limits)]

    def totals(self) -> list[PlanTotals]:
        """See `RunReader.totals`."""
        return [read_totals(row) for row in self._rows(PLAN_TOTALS)]

    def run(self, ref: str) -> Run:
        """The run that `ref` names: an id, the beginning of just one id, or `latest`.

        `UsageError` otherwise, with the ids that it may have meant.
        """
        ids = [row[0] for row in self._rows(RUN_IDS)]
        run_id = resolved(ref, ids, self.name, self._latest)
        return self._run(next(self._rows(RUN, (run_id,))))

    def _latest(self) -> str | None:
        for (run_id,) in self._rows(LATEST):
            return str(run_id)
        return None

    def newest_unfinished(self) -> Run | None:
        """The newest run that has not ended, if there is one."""
        for (run_id,) in self._rows(NEWEST_UNFINISHED):
            return self.run(run_id)
        return None

    def sending_rate(self, run_id: str) -> Rate | None:
        """See `RunReader.sending_rate`."""
        self._about(run_id)
        rate = next(self._rows(RUN, (run_id,)))[-1]
        return None if rate is None else read_rate(rate)

    def _run(self, row: Any) -> Run:
        _, *values, _, _ = row
        try:
            run = read_run(values)
        except (ValueError, KeyError, RecursionError) as error:
            raise StoreFailed(f"{self.path}: the settings of a run are damaged") from error
        if not _RUN_ID.fullmatch(run.id):  # messages have ids in commands to be typed
            raise damaged("an id of a run")
        return run

    def _about(self, run_id: str) -> _Known:
        if run_id not in self._known:
            for row in self._rows(RUN, (run_id,)):
                known = _Known(number=row[0], defaults=read_backup_settings(row[-2]))
                self._known[run_id] = known
        if run_id not in self._known:
            raise UsageError(f"there is no run {run_id} in {self.path}")
        return self._known[run_id]

    # Jobs

    def counts(self, run_id: str) -> dict[JobState, int]:
        """How many jobs of the run are in each state; states without a job are absent."""
        return by_state(self._value(journal_sql.COUNTS, (self._about(run_id).number,)))

    def sizes(self, run_id: str) -> dict[JobState, SizeSum]:
        """How large the volumes of the jobs in each state are; states without a job are absent."""
        rows = self._rows(journal_sql.SIZES, (self._about(run_id).number,))
        return {
            one_of(STATES, state, "a state"): (whole_number(total), unsized)
            for state, total, unsized in rows
        }

    def wave_counts(self, run_id: str) -> Mapping[int, Mapping[JobState, int]]:
        """The counts for each wave, by its index."""
        return by_wave(self._value(journal_sql.WAVES, (self._about(run_id).number,)))

    def jobs(
        self,
        run_id: str,
        *,
        states: Iterable[JobState] = (),
        statuses: Iterable[int] = (),
        codes: Iterable[str] = (),
        volumes: Iterable[str] = (),
        after: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """See `RunReader.jobs`.

        They are read page by page: the caller may be slow (a pager waits for a key, for hours), and
        an open query keeps the write-ahead log from being emptied.
        """
        selection = JobSelection.fitting(states, statuses, codes, volumes)
        first = journal_sql.FIRST if after is None else after
        size = journal_sql.PAGE if limit is None else max(1, min(limit, journal_sql.PAGE))
        known = self._about(run_id)

        def read(page: dict[str, Any]) -> list[Job]:
            return self._read_jobs(list(self._rows(journal_sql.SELECTED, page)), known)

        pages = journal_sql.pages(read, known.number, selection, after=first, size=size)
        return islice(chain.from_iterable(pages), limit)

    def _read_jobs(self, rows: Iterable[Any], known: _Known) -> list[Job]:
        """The jobs, with the times of their engine's clock as the machine's clock shows them."""
        step = self._number(CLOCK_STEP, (known.number,)) / 1000
        return [read_job(row, known.defaults, step) for row in rows]

    def job(self, run_id: str, no: int) -> Job:
        """One job of the run."""
        known = self._about(run_id)
        for row in self._rows(SOME_JOBS, (known.number, f"[{no}]")):
            return self._read_jobs([row], known)[0]
        raise UsageError(f"run {run_id} has no job {no}")

    def failures(self, run_id: str) -> list[CodeCount]:
        """HTTP status, code and number of the failed jobs, the most frequent first."""
        rows = self._rows(FAILURES, (self._about(run_id).number,))
        return [(status, code, jobs) for status, code, jobs in CODE_COUNT.checked(rows)]

    def answers(self, run_id: str) -> list[CodeCount]:
        """HTTP status, code and number of all answers to creates, the most frequent first."""
        rows = self._rows(ANSWERS, (self._about(run_id).number,))
        return [(status, code, answers) for status, code, answers in CODE_COUNT.checked(rows)]

    def retrying(self, run_id: str) -> int:
        """How many waiting jobs have been tried before."""
        return self._number(journal_sql.RETRYING, (self._about(run_id).number,))

    def attempts(self, run_id: str, no: int) -> list[Attempt]:
        """The recorded attempts of one job, in the order of their numbers."""
        rows = self._rows(ATTEMPTS, (self._about(run_id).number, no))
        return [read_attempt(row) for row in rows]

    def attempt_total(self, run_id: str) -> int:
        """Create requests of the whole run."""
        return self._number(ATTEMPT_TOTAL, (self._about(run_id).number,))

    # History and changes

    def events(
        self, run_id: str, *, after: int = 0, limit: int | None = None, no: int | None = None
    ) -> Iterator[Event]:
        """The run's history (or that of its job `no`) after the event `after`, oldest first."""
        page = {
            "run": self._about(run_id).number,
            "after": after,
            "limit": -1 if limit is None else limit,
            "job": no,
        }
        return map(read_event, self._rows(EVENTS, page))

    def data_version(self) -> int:
        """A number that changes when another connection has written to the file.

        Raises `StoreFailed` when the file is gone: the open one could still be read, but nobody
        will write to it any more.
        """
        if not self.path.exists():
            raise StoreFailed(f"{self.path} is gone: it was moved or deleted")
        return self._number("PRAGMA data_version")

    def mark(self) -> ReadPosition:
        """The present position: whatever is written later is new."""
        with self._snapshot():
            return self._mark()

    def _mark(self) -> ReadPosition:
        return ReadPosition(
            rev=self._value(LAST_REV),
            event=self._value(LAST_EVENT),
        )

    def changed(self, run_id: str, since: ReadPosition) -> tuple[ReadPosition, list[Job]]:
        """The jobs that changed since the mark, in plan order, and the mark to ask with next."""
        known = self._about(run_id)
        parameters = {"run": known.number, "rev": since.rev, "event": since.event}
        with self._snapshot():
            rows = self._rows(CHANGED, parameters)
            return self._mark(), self._read_jobs(rows, known)

    def pins(self) -> list[Pin]:
        """See `RunReader.pins`."""
        return [read_pin(row) for row in self._rows(PINS)]

    def made(
        self,
        backup_ids: Collection[str] = (),
        *,
        names: Collection[str] = (),
        volumes: Collection[str] = (),
    ) -> list[tuple[str, Job]]:
        """See `RunReader.made`: reads the ids of all jobs, and only those jobs that are wanted."""
        ids, disks = {*map(pack_uuid, backup_ids)}, {*map(pack_uuid, volumes)}
        words, wanted = set(names), dict[str, list[int]]()
        for run_id, no, backup_id, volume_id, name in self._rows(MADE):
            if backup_id in ids or volume_id in disks or name in words:
                wanted.setdefault(run_id, []).append(no)
        return [
            (run_id, job)
            for run_id, numbers in wanted.items()
            for job in self._these(run_id, numbers)
        ]

    def _these(self, run_id: str, numbers: Sequence[int]) -> list[Job]:
        """The jobs with these numbers, in the order of the plan."""
        known = self._about(run_id)
        rows = self._rows(f"{SOME_JOBS} ORDER BY j.no", (known.number, json.dumps(numbers)))
        return self._read_jobs(list(rows), known)

    def command_result(self, command_id: int) -> str | None:
        """The engine's answer to a command, None while there is none."""
        for (result,) in self._rows(COMMAND_RESULT, (command_id,)):
            return str(result)
        return None
