"""The store file for screens: views of many jobs by their numbers, pages, what changed.

A screen reads a run many times a second. Only the order of a view and the first read of a run touch
every job. SQLite answers such a query with one JSON array, in one step: meanwhile Python's global
lock is free.
"""

# ruff: noqa: S608 - every part of these statements is a constant of this package

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vbsbatch.model import Job
from vbsbatch.store.ports import NO_CODE, Criteria, Event, Follower, ReadPosition, ScreenReader
from vbsbatch.store.sqlite.codec import (
    SECONDS,
    STATE_NUMBER,
    RowCodec,
    column,
    rows_of,
    storable,
)
from vbsbatch.store.sqlite.reading import CHANGED_SINCE, LAST_EVENT, SOME_JOBS, SqliteReader
from vbsbatch.store.sqlite.rows import JOB_COLUMNS, read_event

REV = "SELECT rev FROM runs WHERE no = ?"

SPAN = "SELECT coalesce(min(no), 0), coalesce(max(no), -1), count(*) FROM jobs WHERE run = ?"

GROUPED = "SELECT EXISTS (SELECT 1 FROM jobs WHERE run = ? AND grp IS NOT NULL)"

_GLANCE = """j.no, j.state, j.attempts, iif(j.state = 5, j.http_status, NULL),
  iif(j.state = 5, j.code, NULL), j.intent_at, j.ended_at, j.size"""

GLANCES = f"SELECT {_GLANCE} FROM jobs j WHERE j.run = ? ORDER BY j.no"

CHANGED_GLANCES = f"SELECT {_GLANCE} FROM jobs j WHERE {CHANGED_SINCE}"

_EVENT = "e.id, e.at, e.job, e.kind, e.text"

_AFTER = "e.id > max(:after, (SELECT first_event FROM runs WHERE no = :run)) AND e.run = :run"

NEWEST_EVENTS = f"""
SELECT * FROM (
  SELECT {_EVENT} FROM events e WHERE {_AFTER} ORDER BY e.id DESC LIMIT :limit) ORDER BY 1"""

LOUD_EVENTS = f"""
SELECT * FROM (
  SELECT {_EVENT} FROM events e WHERE {_AFTER} AND e.id <= :until
    AND (e.job IS NULL AND e.kind IN (SELECT value FROM json_each(:kinds))
      OR e.job IS NOT NULL AND e.kind % 8 = 5)
  ORDER BY e.id DESC LIMIT :limit) ORDER BY 1"""

TOOK = """
SELECT took FROM attempts
WHERE run = ? AND job IN (SELECT value FROM json_each(?)) AND took IS NOT NULL
ORDER BY sent_at DESC LIMIT ?"""

SLOWEST = f"""
SELECT {JOB_COLUMNS} FROM jobs j INDEXED BY jobs_open
WHERE j.run = ? AND j.state IN (1, 2, 3) AND j.state = 3 ORDER BY j.intent_at, j.no LIMIT ?"""

_TOOK = RowCodec("attempts", column("took", SECONDS))

_NAME = """coalesce(j.volume_name, CASE typeof(j.volume_id) WHEN 'blob' THEN hex(j.volume_id)
  ELSE j.volume_id END) COLLATE NOCASE"""

_RANK = """CASE j.state WHEN 5 THEN 0 WHEN 2 THEN 1 WHEN 0 THEN iif(j.attempts > 0, 2, 5)
  WHEN 3 THEN 3 WHEN 1 THEN 4 WHEN 4 THEN 6 WHEN 6 THEN 7 ELSE 8 END"""

# Each with whether it ascends in SQL; a job that has no such value comes last either way.
_SORTS: Mapping[str, tuple[str, bool]] = {
    "number": ("j.no", True),
    "state": (_RANK, True),
    "volume": (_NAME, True),
    "http": ("j.http_status", True),
    "code": ("j.code COLLATE NOCASE", True),
    "attempts": ("j.attempts", True),
    "age": ("coalesce(j.ended_at, j.intent_at)", False),
    "due": ("iif(j.state = 0 AND j.due_at > 0, j.due_at, NULL)", True),
    "group": ("j.grp COLLATE NOCASE", True),
    "size": ("j.size", False),
}

_TEXTS = ("j.volume_name", "j.backup_name", "j.code", "j.message", "j.grp")

_UUID = "00000000-0000-0000-0000-000000000000"


class ScreenQueries(SqliteReader):
    """The queries of the screens on one store file; not for two threads at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._db.create_function("fold", 1, _fold, deterministic=True)

    def rev(self, run_id: str) -> int:
        """A number that grows with every change of the run or its jobs."""
        return self._number(REV, (self._about(run_id).number,))

    def has_groups(self, run_id: str) -> bool:
        """Whether any job of the run has a group."""
        return bool(self._value(GROUPED, (self._about(run_id).number,)))

    # Views

    def all_numbers(self, run_id: str) -> Sequence[int]:
        """The numbers of all jobs in plan order."""
        [(first, last, jobs)] = self._rows(SPAN, (self._about(run_id).number,))
        if jobs == last + 1 - first:
            return range(first, last + 1)
        return self._numbers("TRUE", "j.no", {"run": self._about(run_id).number})

    def numbers(
        self, run_id: str, criteria: Criteria, *, sorts: Iterable[tuple[str, bool]] = ()
    ) -> Sequence[int]:
        """The numbers of the jobs that fit, sorted by `sorts`, the first of them first.

        Each is a key of `_SORTS` and whether it descends; a job without such a value comes last
        either way. Plan order breaks ties.
        """
        parameters: dict[str, Any] = {"run": self._about(run_id).number}
        where = " AND ".join(_conditions(criteria, parameters)) or "TRUE"
        order = ", ".join([*(_ordered(*sort) for sort in sorts), "j.no"])
        return self._numbers(where, order, parameters)

    def _numbers(self, where: str, order: str, parameters: Mapping[str, Any]) -> Sequence[int]:
        query = f"""
SELECT json_group_array(no) FROM (
  SELECT j.no AS no FROM jobs j WHERE j.run = :run AND {where} ORDER BY {order})"""
        return array("I", rows_of(self._value(query, parameters)))

    def jobs_at(self, run_id: str, numbers: Iterable[int]) -> list[Job]:
        """The jobs with these numbers, in the order of the numbers."""
        known = self._about(run_id)
        wanted = list(numbers)
        rows = self._rows(SOME_JOBS, (known.number, json.dumps(wanted)))
        found = {job.no: job for job in self._read_jobs(rows, known)}
        return [found[no] for no in wanted if no in found]

    # Following a run

    def follow(self, run_id: str, stats: Follower, since: ReadPosition | None) -> ReadPosition:
        """Put all jobs of the run (None), or of those that changed since the mark;
        returns the mark to ask with next."""
        number = self._about(run_id).number
        with self._snapshot():
            mark = ReadPosition(rev=self._value(REV, (number,)), event=self._value(LAST_EVENT))
            if since is None:
                stats.see(self._rows(GLANCES, (number,)))
            else:
                parameters = {"run": number, "rev": since.rev, "event": since.event}
                stats.see(self._rows(CHANGED_GLANCES, parameters))
        return mark

    def newest_events(self, run_id: str, *, limit: int) -> list[Event]:
        """The newest events of the run, oldest first."""
        page = {"run": self._about(run_id).number, "after": 0, "limit": max(0, limit)}
        return list(map(read_event, self._rows(NEWEST_EVENTS, page)))

    def loud_events(
        self, run_id: str, kinds: Iterable[str], *, after: int, until: int, limit: int
    ) -> list[Event]:
        """Notes of these kinds about the run as a whole, and moves of jobs to `failed`.

        The newest `limit` of the events from the one behind `after` to `until`, oldest first.
        """
        parameters = {
            "run": self._about(run_id).number,
            "after": after,
            "until": until,
            "kinds": json.dumps(list(kinds)),
            "limit": limit,
        }
        return list(map(read_event, self._rows(LOUD_EVENTS, parameters)))

    def took(self, run_id: str, numbers: Iterable[int], *, limit: int) -> list[float]:
        """Seconds that the newest answered creates of these jobs took."""
        jobs = json.dumps(list(numbers))
        rows = self._rows(TOOK, (self._about(run_id).number, jobs, limit))
        return [took / 1000 for (took,) in _TOOK.checked(rows)]

    def slowest(self, run_id: str, *, limit: int) -> list[Job]:
        """The running jobs whose newest create is oldest."""
        known = self._about(run_id)
        rows = self._rows(SLOWEST, (known.number, limit))
        return self._read_jobs(rows, known)


def _ordered(by: str, descending: bool) -> str:
    key, ascending = _SORTS[by]
    return f"{key} {'DESC' if ascending is descending else 'ASC'} NULLS LAST"


def _conditions(criteria: Criteria, parameters: dict[str, Any]) -> Iterable[str]:
    """The SQL of each criterion that is set; their values go into `parameters`."""
    for position, word in enumerate(criteria.words):
        yield _occurs(word, f"word{position}", parameters)
    if criteria.any_words:
        found = [
            _occurs(word, f"any{position}", parameters)
            for position, word in enumerate(criteria.any_words)
        ]
        yield f"({' OR '.join(found)})"
    if criteria.states or criteria.retrying:
        numbers = ", ".join(str(STATE_NUMBER[state]) for state in criteria.states)
        retrying = " OR j.state = 0 AND j.attempts > 0" if criteria.retrying else ""
        yield f"(j.state IN ({numbers}){retrying})"
    if criteria.statuses:
        parameters["statuses"] = json.dumps(sorted(criteria.statuses))
        unanswered = "j.http_status IS NULL AND j.attempts > 0" if 0 in criteria.statuses else "0"
        yield f"(j.http_status IN (SELECT value FROM json_each(:statuses)) OR {unanswered})"
    if criteria.codes:
        begins = [
            _begins(code, f"code{position}", parameters)
            for position, code in enumerate(criteria.codes)
        ]
        yield f"({' OR '.join(begins)})"
    if criteria.groups:
        parameters["groups"] = json.dumps([storable(group) for group in criteria.groups])
        yield "j.grp IN (SELECT value FROM json_each(:groups))"


def _occurs(word: str, name: str, parameters: dict[str, Any]) -> str:
    """SQL for "this word occurs somewhere in the job's texts"."""
    word = storable(word.lower())
    parameters[name] = word
    parameters[f"{name}_like"] = f"%{_pattern(word)}%"
    fits = "{0} LIKE :{1}_like ESCAPE '\\'"
    if any(map(_cased, word)):  # LIKE knows both cases of ASCII letters only
        beyond_ascii = "length(CAST({0} AS BLOB)) > length({0})"
        fits = f"({fits} AND {beyond_ascii} AND instr(fold({{0}}), :{{1}}) > 0)"
    texts = [fits.format(column, name) for column in _TEXTS]
    return f"({' OR '.join([*texts, _occurs_in_id(word, name, parameters)])})"


def _occurs_in_id(word: str, name: str, parameters: dict[str, Any]) -> str:
    """The same for the volume id; a word without hyphens matches across those of the id."""
    plain = f"typeof(j.volume_id) = 'text' AND j.volume_id LIKE :{name}_like ESCAPE '\\'"
    digits = word.replace("-", "")
    if digits.strip("0123456789abcdef"):
        return plain
    parameters[f"{name}_digits"] = digits.upper()
    if "-" not in word:
        packed = [f"instr(hex(j.volume_id), :{name}_digits) > 0"]
    else:
        packed = [
            f"substr(hex(j.volume_id), {place}, {len(digits)}) = :{name}_digits"
            for place in _places(word)
        ]
    if not packed:
        return plain
    return f"typeof(j.volume_id) = 'blob' AND ({' OR '.join(packed)}) OR {plain}"


def _places(word: str) -> Iterable[int]:
    """The positions among the digits of a UUID (from 1) at which the hyphens of the word fit."""
    for start in range(len(_UUID) + 1 - len(word)):
        room = _UUID[start : start + len(word)]
        if all((at == "-") == (of == "-") for at, of in zip(room, word, strict=True)):
            yield start + 1 - _UUID[:start].count("-")


def _begins(code: str, name: str, parameters: dict[str, Any]) -> str:
    if code == NO_CODE:
        return "j.code IS NULL AND j.attempts > 0"
    parameters[name] = f"{_pattern(storable(code))}%"
    return f"j.code LIKE :{name} ESCAPE '\\'"


def _pattern(text: str) -> str:
    """The text for LIKE: wildcards escaped, `%` for letters that LIKE compares by case."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return "".join("%" if _cased(character) else character for character in escaped)


def _cased(character: str) -> bool:
    return not character.isascii() and character.lower() != character.upper()


def _fold(text: str | None) -> str | None:
    return None if text is None else text.lower()


_: type[ScreenReader] = ScreenQueries  # mypy compares the two
