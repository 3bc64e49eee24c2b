"""The store file as screens and reports see it: read-only, beside any number of engines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
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
    Rate,
    Run,
)
from vbsbatch.store.ports import Event, ReadPosition
from vbsbatch.store.records import STATES, damaged, one_of
from vbsbatch.store.selection import JobSelection, resolved
from vbsbatch.store.sqlite import journal_sql, locks, read_sql
from vbsbatch.store.sqlite.codec import read_backup_settings, read_rate
from vbsbatch.store.sqlite.descriptors import hold
from vbsbatch.store.sqlite.opening import connect
from vbsbatch.store.sqlite.rows import (
    CODE_COUNT,
    by_wave,
    read_attempt,
    read_event,
    read_job,
    read_run,
)
from vbsbatch.store.sqlite.sqlite_errors import translated

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
            # No `yield from`: it would close the cursor when a reader that had enough is collected,
            # perhaps after the file was closed.
            for row in self._db.execute(query, parameters):  # noqa: UP028
                yield row

    def _value(self, query: str, parameters: Any = ()) -> Any:
        with translated(self.path):
            return self._db.execute(query, parameters).fetchone()[0]

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
        return [self._run(row) for row in self._rows(read_sql.RUNS)]

    def run(self, ref: str) -> Run:
        """The run that `ref` names: an id, the beginning of just one id, or `latest`.

        `UsageError` otherwise, with the ids that it may have meant.
        """
        run_id = resolved(ref, [row[0] for row in self._rows(read_sql.RUN_IDS)], self.name)
        return self._run(next(self._rows(read_sql.RUN, (run_id,))))

    def newest_unfinished(self) -> Run | None:
        """The newest run that has not ended, if there is one."""
        for (run_id,) in self._rows(read_sql.NEWEST_UNFINISHED):
            return self.run(run_id)
        return None

    def sending_rate(self, run_id: str) -> Rate | None:
        """The rate at which the run's engine last said it sends."""
        self._about(run_id)
        rate = next(self._rows(read_sql.RUN, (run_id,)))[-1]
        return None if rate is None else read_rate(rate)

    def _run(self, row: Any) -> Run:
        _, *values, _, _ = row
        try:
            run = read_run(values)
        except (ValueError, KeyError, RecursionError) as error:
            raise StoreFailed(f"{self.path}: the settings of a run are damaged") from error
        if not _RUN_ID.fullmatch(run.id):  # ids stand in commands that people are told to type
            raise damaged("an id of a run")
        return run

    def _about(self, run_id: str) -> _Known:
        if run_id not in self._known:
            for row in self._rows(read_sql.RUN, (run_id,)):
                known = _Known(number=row[0], defaults=read_backup_settings(row[-2]))
                self._known[run_id] = known
        if run_id not in self._known:
            raise UsageError(f"there is no run {run_id} in {self.path}")
        return self._known[run_id]

    # Jobs

    def counts(self, run_id: str) -> dict[JobState, int]:
        """How many jobs of the run are in each state; states without a job are absent."""
        rows = self._rows(read_sql.COUNTS, (self._about(run_id).number,))
        return {one_of(STATES, state, "a state"): jobs for state, jobs in rows}

    def wave_counts(self, run_id: str) -> Mapping[int, Mapping[JobState, int]]:
        """The same for each wave, by its index."""
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
        """Jobs in plan order, one by one; an empty criterion is none; see `JobSelection`.

        `after` is the number of the job before the first. They are read page by page, each as it
        is at that moment: whoever takes them may be slow (a pager waits for a key, for hours), and
        a query that is left open keeps the write-ahead log from being emptied.
        """
        selection = JobSelection(
            states=frozenset(states) or None,
            status=frozenset(statuses) or None,
            codes=frozenset(codes) or None,
            volumes=frozenset(volumes) or None,
        )
        first = journal_sql.FIRST if after is None else after
        size = journal_sql.PAGE if limit is None else max(1, min(limit, journal_sql.PAGE))
        pages = self._pages(self._about(run_id), selection, first, size)
        return islice(chain.from_iterable(pages), limit)

    def _pages(
        self, known: _Known, selection: JobSelection, after: int, size: int
    ) -> Iterator[list[Job]]:
        asked, named = selection.by_pages()
        parameters = journal_sql.selection_parameters(asked) | {"run": known.number, "limit": size}
        full = True
        while full:
            rows = list(self._rows(journal_sql.SELECTED, parameters | {"after": after}))
            jobs = self._read_jobs(rows, known)
            yield list(filter(named, jobs))
            full = len(jobs) == size
            after = jobs[-1].no if jobs else after

    def _read_jobs(self, rows: Iterable[Any], known: _Known) -> list[Job]:
        """The jobs, with the times of their engine's clock as the machine's clock shows them."""
        step = self._value(read_sql.CLOCK_STEP, (known.number,)) / 1000
        return [read_job(row, known.defaults, step) for row in rows]

    def job(self, run_id: str, no: int) -> Job:
        """One job of the run."""
        known = self._about(run_id)
        for row in self._rows(read_sql.JOB, (known.number, no)):
            return self._read_jobs([row], known)[0]
        raise UsageError(f"run {run_id} has no job {no}")

    def failures(self, run_id: str) -> list[tuple[int | None, str | None, int]]:
        """HTTP status, code and number of the failed jobs, the most frequent first."""
        rows = self._rows(read_sql.FAILURES, (self._about(run_id).number,))
        return [(status, code, jobs) for status, code, jobs in CODE_COUNT.checked(rows)]

    def answers(self, run_id: str) -> list[tuple[int | None, str | None, int]]:
        """HTTP status, code and number of all answers to creates, the most frequent first."""
        rows = self._rows(read_sql.ANSWERS, (self._about(run_id).number,))
        return [(status, code, answers) for status, code, answers in CODE_COUNT.checked(rows)]

    def retrying(self, run_id: str) -> int:
        """How many waiting jobs have been tried before."""
        return int(self._value(journal_sql.RETRYING, (self._about(run_id).number,)))

    def attempts(self, run_id: str, no: int) -> list[Attempt]:
        """The recorded attempts of one job, in the order of their numbers."""
        rows = self._rows(read_sql.ATTEMPTS, (self._about(run_id).number, no))
        return [read_attempt(row) for row in rows]

    def attempt_total(self, run_id: str) -> int:
        """Create requests of the whole run."""
        return int(self._value(read_sql.ATTEMPT_TOTAL, (self._about(run_id).number,)))

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
        return map(read_event, self._rows(read_sql.EVENTS, page))

    def data_version(self) -> int:
        """A number that changes when anybody else has written to the file; costs microseconds.

        Raises `StoreFailed` when the file is not there any more: what is open goes on being read,
        and nobody will ever write to it again.
        """
        if not self.path.exists():
            raise StoreFailed(f"{self.path} is gone: it was moved or deleted")
        return int(self._value("PRAGMA data_version"))

    def mark(self) -> ReadPosition:
        """Now: what follows is new."""
        with self._snapshot():
            return self._mark()

    def _mark(self) -> ReadPosition:
        return ReadPosition(
            rev=self._value(read_sql.LAST_REV),
            event=self._value(read_sql.LAST_EVENT),
        )

    def changed(self, run_id: str, since: ReadPosition) -> tuple[ReadPosition, list[Job]]:
        """The jobs that changed since the mark, in plan order, and the mark to ask with next."""
        known = self._about(run_id)
        parameters = {"run": known.number, "rev": since.rev, "event": since.event}
        with self._snapshot():
            rows = self._rows(read_sql.CHANGED, parameters)
            return self._mark(), self._read_jobs(rows, known)

    def command_result(self, command_id: int) -> str | None:
        """What became of a command, None while nobody acknowledged it."""
        for (result,) in self._rows(read_sql.COMMAND_RESULT, (command_id,)):
            return str(result)
        return None
