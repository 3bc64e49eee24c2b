"""The store file as screens and reports see it: read-only, beside any number of engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
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
    RunState,
    Settings,
    Wall,
)
from vbsbatch.store import journal_sql, locks, read_sql
from vbsbatch.store.descriptors import hold
from vbsbatch.store.opening import connect
from vbsbatch.store.row_checks import Row, check_run_id, damaged, one_of
from vbsbatch.store.rows import (
    by_wave,
    cloud_time,
    read_attempt,
    read_backup_settings,
    read_job,
    read_rate,
    wall_time,
)
from vbsbatch.store.schema import STATES
from vbsbatch.store.selection import JobSelection
from vbsbatch.store.settings import read_settings
from vbsbatch.store.sqlite_errors import translated

_RUN = Row("runs", read_sql.RUN_COLUMNS.replace(",", " ").split())
_EVENT = Row("events", ("id", "at", "job", "kind", "text"), kind=(str, int))

_ANSWER = Row("attempts", ("http_status", "code", "number"))

LISTED = 5
"""So many run ids are named where one was not found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One line of a run's history."""

    id: int
    at: float
    no: int | None
    """The job that it is about, None for the run as a whole."""
    kind: str
    """`move`, or the kind of a `RunNoted`."""
    came_from: JobState | None = None
    to: JobState | None = None
    text: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadPosition:
    """How far a follower has read: changes after it are new to them."""

    rev: int = 0
    event: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What never changes about a run."""

    number: int
    defaults: BackupSettings


class Reader:
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
        ids = [row[0] for row in self._rows(read_sql.RUN_IDS)]
        if not ids:
            raise UsageError(f"there is no run in {self.path} yet")
        run_id = ids[0] if ref == "latest" else _resolve(ref, ids)
        return self._run(next(self._rows(read_sql.RUN, (run_id,))))

    def newest_unfinished(self) -> Run | None:
        """The newest run that has not ended, if there is one."""
        for (run_id,) in self._rows(read_sql.NEWEST_UNFINISHED):
            return self.run(run_id)
        return None

    def sending_rate(self, run_id: str) -> Rate | None:
        """The rate at which the run's engine last said it sends."""
        self._about(run_id)
        return read_rate(next(self._rows(read_sql.RUN, (run_id,)))[-1])

    def _run(self, row: Any) -> Run:
        _RUN.check(row)
        check_run_id(row[1])
        (
            _,
            run_id,
            plan,
            cloud,
            project_id,
            state,
            settings,
            created_at,
            started_at,
            ended_at,
            *rest,
        ) = row
        reason, deadline_at, rate, in_flight, pid, host, heartbeat_at, *rest = rest
        create_calls, read_calls, wave, created_cloud_at, clock_step, adopted, *rest = rest
        region, project_name, endpoint, *_ = rest
        return Run(
            id=run_id,
            plan=plan,
            cloud=cloud,
            project_id=project_id,
            project_name=project_name,
            region=region,
            endpoint=endpoint,
            state=self._run_state(state),
            settings=self._settings(settings),
            created_at=Wall(created_at / 1000),
            created_cloud_at=cloud_time(created_cloud_at),
            started_at=wall_time(started_at),
            ended_at=wall_time(ended_at),
            deadline_at=wall_time(deadline_at),
            reason=reason,
            rate=read_rate(rate),
            in_flight=in_flight,
            pid=pid,
            host=host,
            heartbeat_at=wall_time(heartbeat_at),
            clock_step=clock_step / 1000,
            create_calls=create_calls,
            read_calls=read_calls,
            wave=wave,
            adopted=adopted,
        )

    def _run_state(self, word: str) -> RunState:
        try:
            return RunState(word)
        except ValueError as error:
            raise damaged("a state of a run") from error

    def _settings(self, text: str) -> Settings:
        try:
            return read_settings(text)
        except (ValueError, KeyError, RecursionError) as error:
            raise StoreFailed(f"{self.path}: the settings of a run are damaged") from error

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
        return [(status, code, jobs) for status, code, jobs in _ANSWER.checked(rows)]

    def answers(self, run_id: str) -> list[tuple[int | None, str | None, int]]:
        """HTTP status, code and number of all answers to creates, the most frequent first."""
        rows = self._rows(read_sql.ANSWERS, (self._about(run_id).number,))
        return [(status, code, answers) for status, code, answers in _ANSWER.checked(rows)]

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


def _resolve(ref: str, ids: list[str]) -> str:
    fits = [run_id for run_id in ids if run_id.startswith(ref)] if ref else []
    if ref in fits or len(fits) == 1:
        return ref if ref in fits else fits[0]
    if fits:
        more = f" and {len(fits) - LISTED} more" if len(fits) > LISTED else ""
        raise UsageError(f"{ref!r} fits several runs: {', '.join(fits[:LISTED])}{more}")
    close = get_close_matches(ref, ids, n=1, cutoff=0.7)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(ids[:LISTED])}"
    more = " ..." if not close and len(ids) > LISTED else ""
    raise UsageError(f"there is no run {ref!r}: {hint}{more}")


def read_event(row: Any) -> Event:
    """An event from the columns id, at, job, kind, text."""
    _EVENT.check(row)
    number, at, no, kind, text = row
    if not isinstance(kind, int):
        return Event(id=number, at=at / 1000, no=no, kind=kind, text=text)
    came_from, to = divmod(kind, 8)
    return Event(
        id=number,
        at=at / 1000,
        no=no,
        kind="move",
        came_from=one_of(STATES, came_from, "a move"),
        to=one_of(STATES, to, "a move"),
        text=text,
    )
