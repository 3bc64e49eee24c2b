"""The journal's statements, each named.

Several rows go into one statement, and results come as one JSON row: Python releases its global
lock at each step of SQLite, and getting it back beside a busy event loop can take 5 ms.
"""

# ruff: noqa: S608 - every part of these statements is a constant of this package

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from sqlite3 import Connection
from typing import Any

from vbsbatch.model import Job
from vbsbatch.store.selection import JobSelection
from vbsbatch.store.sqlite.codec import STATE_NUMBER
from vbsbatch.store.sqlite.rows import ATTEMPT, FIXED, JOB, JOB_COLUMNS, MUTABLE
from vbsbatch.store.sqlite.schema import OPERATION

CHUNK = 64
"""Rows in one statement at most; a power of two."""

PAGE = 256
"""Jobs in one answer of SQLite."""

FIRST = -(2**63)
"""Before every job number."""

_HELD = """EXISTS (SELECT 1 FROM jobs o INDEXED BY jobs_open
    WHERE o.volume_id = j.volume_id AND o.state IN (1, 2, 3) AND o.run <> j.run)"""

_FIRST_CLOUD = (
    "iif({0}first_sent_at IS NULL, NULL, coalesce({0}first_cloud_at, {0}intent_cloud_at))"
)
"""The first create by the cloud's clock; NULL when it is the newest one, as it mostly is."""

_CLAIMED = JOB.selected(
    "j",
    state="1",
    attempts="j.attempts + 1",
    intent_at=":now",
    intent_cloud_at=":cloud_now",
    first_cloud_at=_FIRST_CLOUD.format("j."),
)

_MAY_GO = "w.run = :run AND w.state = 0 AND w.wave <= (SELECT wave FROM runs WHERE no = :run)"

_IN_TURN = "w.wave, w.rank, w.priority DESC, w.no"

CLAIMABLE = f"""
SELECT json_group_array(json(row)) FROM (
  SELECT json_array({_CLAIMED}) AS row
  FROM jobs w INDEXED BY jobs_waiting CROSS JOIN jobs j ON j.run = w.run AND j.no = w.no
  WHERE {_MAY_GO} AND w.due_at <= :now AND NOT {_HELD}
  ORDER BY {_IN_TURN} LIMIT :limit)"""
"""The jobs to be sent next, as `CLAIM` will leave them, one JSON array of rows."""

_NOT_FULL = """
  (w.grp IS NULL OR w.grp NOT IN (SELECT value FROM json_each(:groups)))
  AND (w.az IS NULL OR w.az NOT IN (SELECT value FROM json_each(:azs)))"""

CANDIDATES = f"""
SELECT json_group_array(json(row)) FROM (
  SELECT json_array(w.no, w.grp, w.az) AS row
  FROM jobs w INDEXED BY jobs_waiting CROSS JOIN jobs j ON j.run = w.run AND j.no = w.no
  WHERE {_MAY_GO} AND w.due_at <= :now AND NOT {_HELD} AND {_NOT_FULL}
    AND w.no NOT IN (SELECT value FROM json_each(:taken))
  ORDER BY {_IN_TURN} LIMIT {PAGE})"""
"""Under caps: the next jobs whose groups and zones are not full, without those taken."""

LEAST_TRIED_FIRST = {
    query: query.replace(_IN_TURN, f"w.wave, j.attempts, {_IN_TURN}")
    for query in (CLAIMABLE, CANDIDATES)
}
"""Both in another order, for which there is no index."""

BESIDE_VAULTS = """
  AND coalesce((SELECT json_extract(v.settings, '$.vault') FROM jobs v
    WHERE v.run = w.run AND v.no = w.no), :vault, '') NOT IN (SELECT value FROM json_each(:vaults))
"""
"""Added to a query of waiting jobs: not those of these vaults. `vault` is the defaults' one."""

CLAIMABLE_BESIDE_VAULTS = {
    query: query.replace("ORDER BY", f"{BESIDE_VAULTS} ORDER BY")
    for query in (*LEAST_TRIED_FIRST, *LEAST_TRIED_FIRST.values())
}

CLAIMABLE_ONES = f"""
SELECT json_group_array(json_array({_CLAIMED})) FROM jobs j
WHERE j.run = :run AND j.no IN (SELECT value FROM json_each(:taken))"""
"""These jobs, taken at `now`, as `CLAIM` will leave them."""

OPEN_BY = """
SELECT json_group_array(json_array(grp, az, jobs)) FROM (
  SELECT grp, az, count(*) AS jobs FROM jobs INDEXED BY jobs_open
  WHERE run = ? AND state IN (1, 2, 3) GROUP BY grp, az)"""
"""Run: its open jobs by group and zone."""

CLAIM = f"""
UPDATE jobs SET state = 1, attempts = attempts + 1, intent_at = :now, intent_cloud_at = :cloud_now,
  first_cloud_at = {_FIRST_CLOUD.format("")}, rev = :rev
WHERE run = :run AND no IN (SELECT value FROM json_each(:numbers))"""

OTHERS_OPEN = """
SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_open WHERE state IN (1, 2, 3) AND run <> ?)"""
"""Run: whether any other run has an open job, which may block one of this run."""

NEXT_DUE = f"SELECT min(w.due_at) FROM jobs w INDEXED BY jobs_waiting WHERE {_MAY_GO}"
"""The earliest time at which a job may be sent, if no other run has an open job."""

NEXT_DUE_NOT_HELD = f"{NEXT_DUE} AND NOT {_HELD.replace('j.', 'w.')}"
"""The same if another run has one."""

WITHIN = {query: f"{query} AND {_NOT_FULL}" for query in (NEXT_DUE, NEXT_DUE_NOT_HELD)}
"""Each of them under caps: of jobs whose groups and zones are not full."""

BLOCKED = f"""
SELECT json_group_array(json(row)) FROM (
  SELECT json_array(
    json_array({JOB_COLUMNS}),
    (SELECT json_array(r.id, r.state) FROM jobs o INDEXED BY jobs_open JOIN runs r ON r.no = o.run
     WHERE o.volume_id = j.volume_id AND o.state IN (1, 2, 3) AND o.run <> j.run
     ORDER BY o.run LIMIT 1)) AS row
  FROM jobs w INDEXED BY jobs_waiting CROSS JOIN jobs j ON j.run = w.run AND j.no = w.no
  WHERE {_MAY_GO} AND w.due_at <= :now AND {_HELD} ORDER BY j.no)"""
"""Due jobs that another run blocks, each with that run's id and state."""

HOLDERS = """
SELECT r.id, r.state, count(*)
FROM jobs w INDEXED BY jobs_waiting CROSS JOIN jobs j ON j.run = w.run AND j.no = w.no
  CROSS JOIN jobs o INDEXED BY jobs_open ON o.volume_id = j.volume_id CROSS JOIN runs r
WHERE w.run = :run AND w.state = 0 AND o.state IN (1, 2, 3) AND o.run <> :run AND r.no = o.run
GROUP BY r.no ORDER BY r.no"""
"""Run: the others that have open jobs for volumes that wait in it: id, state, how many."""

HELD_BY = f"""
SELECT {JOB_COLUMNS} FROM jobs j INDEXED BY jobs_open
WHERE j.state IN (1, 2, 3) AND j.run = :holder
  AND j.volume_id IN (SELECT w.volume_id FROM jobs w WHERE w.run = :run AND w.state = 0)
ORDER BY j.no"""
"""Open jobs of the holder for volumes that wait in the run."""

_FITS = """
  (:states IS NULL OR j.state IN (SELECT value FROM json_each(:states)))
  AND (:status IS NULL OR coalesce(j.http_status, 0) IN (SELECT value FROM json_each(:status)))
  AND (:codes IS NULL OR coalesce(j.code, '') IN (SELECT value FROM json_each(:codes)))
  AND (:volumes IS NULL OR j.volume_name IN (SELECT value FROM json_each(:volumes))
    OR CASE WHEN typeof(j.volume_id) = 'blob' THEN lower(hex(j.volume_id))
            WHEN length(replace(j.volume_id, '-', '')) = 32
            THEN lower(replace(j.volume_id, '-', ''))
            ELSE j.volume_id END IN (SELECT value FROM json_each(:spellings)))"""

SELECTED = f"""
SELECT {JOB_COLUMNS} FROM jobs j
WHERE j.run = :run AND j.no > :after AND {_FITS} ORDER BY j.no LIMIT :limit"""
"""Jobs that a selection names, as rows in plan order."""

SELECTED_PAGE = f"""
SELECT json_group_array(json(row)) FROM (
  SELECT json_array({JOB_COLUMNS}) AS row FROM jobs j
  WHERE j.run = :run AND j.no > :after AND {_FITS} ORDER BY j.no LIMIT :limit)"""
"""The same as one JSON array."""

OPEN_PAGE = f"""
SELECT json_group_array(json(row)) FROM (
  SELECT json_array({JOB_COLUMNS}) AS row FROM jobs j INDEXED BY jobs_open
  WHERE j.run = :run AND j.no > :after AND j.state IN (1, 2, 3)
    AND j.state IN (SELECT value FROM json_each(:states)) ORDER BY j.no LIMIT :limit)"""
"""The same for open states only, without reading any other job."""

RETRYING = "SELECT count(*) FROM jobs WHERE run = ? AND state = 0 AND attempts > 0"

COUNTS = """
SELECT json_group_array(json_array(state, jobs)) FROM (
  SELECT state, count(*) AS jobs FROM jobs WHERE run = ? GROUP BY state)"""
"""Run: state numbers with their counts."""

SIZES = """
SELECT state, coalesce(sum(size), 0), count(*) - count(size) FROM jobs WHERE run = ?
GROUP BY state"""
"""Run: state numbers with the GB of their jobs, and how many jobs have no size."""

COMMANDS = """
SELECT json_group_array(json(row)) FROM (
  SELECT json_array(id, verb, argument, asked_by, asked_at) AS row
  FROM commands INDEXED BY commands_open
  WHERE run = ? AND done_at IS NULL AND taken_at IS NULL ORDER BY id)"""
"""Run: commands that are not taken, withdrawn or acknowledged."""

TAKE = """
UPDATE commands SET taken_at = ?
WHERE id IN (SELECT value FROM json_each(?)) AND done_at IS NULL AND taken_at IS NULL"""
"""Now, ids as JSON."""

LEFT_BEHIND = """
UPDATE commands SET done_at = :at, result = :result WHERE run = :run AND done_at IS NULL"""
"""Withdraws the commands to an engine that is gone."""

NAMED = f"""
SELECT json_group_array(json(row)) FROM (
  SELECT json_array({JOB_COLUMNS}) AS row FROM jobs j
  WHERE j.run = ? AND j.state = 0 AND j.backup_name IN (SELECT value FROM json_each(?))
  ORDER BY j.no)"""
"""Run, names as JSON: the waiting jobs whose backups have one of them."""

BEGIN_WAITS = """
UPDATE jobs SET
  due_at = iif(due_at > 0, max(1, min(due_at + :step, :now + max(0, due_at - :last))), 0),
  later_since = min(:now, :now - min(max(:last - later_since, 0), :later_for)),
  intent_at = min(intent_at + :step, :now),
  unknown_at = iif(state = 2, :now, unknown_at)
WHERE run = :run AND state < 4 AND (state > 0 OR due_at > 0 OR later_since IS NOT NULL)"""
"""Converts times by the clock of an engine that is gone, whose last heartbeat was at `last`, to the
clock of another: `step` is the difference of the two, as far as the machine's clock shows it."""

ACKNOWLEDGE = "UPDATE commands SET done_at = ?, result = ? WHERE id = ? AND done_at IS NULL"

HEARTBEAT = """
UPDATE runs SET heartbeat_at = ?, clock_step = ?, sending_rate = ?, create_calls = ?,
  read_calls = ?, adopted = ?, next_look_at = ?, ends_at = ?, rate_used = ?, circuit_open = ?
WHERE no = ?"""

_OF_PLAN = f"SELECT iif({OPERATION} IS 'backup', plan, ''), {{}} FROM runs WHERE no = :run"

ADD_CALLS = f"""
INSERT INTO totals (plan, create_calls, read_calls)
{_OF_PLAN.format("max(0, :creates - create_calls), max(0, :reads - read_calls)")}
ON CONFLICT (plan) DO UPDATE SET create_calls = totals.create_calls + excluded.create_calls,
  read_calls = totals.read_calls + excluded.read_calls"""
"""Adds the calls since the last heartbeat to those of the run's plan; goes before `HEARTBEAT`."""

ADD_GIGABYTES = f"""
INSERT INTO totals (plan, gigabytes) {_OF_PLAN.format(":gigabytes")} AND {OPERATION} IS 'backup'
ON CONFLICT (plan) DO UPDATE SET gigabytes = totals.gigabytes + excluded.gigabytes"""

SUCCEEDED = f"""
INSERT INTO totals (plan, succeeded_at) {_OF_PLAN.format(":at")} AND {OPERATION} IS 'backup'
  AND NOT EXISTS (SELECT 1 FROM jobs WHERE run = :run AND jobs.state IN (5, 6))
ON CONFLICT (plan) DO UPDATE SET succeeded_at = excluded.succeeded_at"""
"""The plan's newest run that left no volume without a backup has just ended."""

RUN_STATE = """
UPDATE runs SET state = :state, reason = :reason,
  started_at = CASE WHEN :live THEN coalesce(started_at, :at) ELSE started_at END,
  ended_at = CASE WHEN :state = 'ended' THEN :at END,
  pid = CASE WHEN :live THEN :pid END, host = CASE WHEN :live THEN :host END,
  held_since = CASE WHEN :live THEN held_since END, held_in = CASE WHEN :live THEN held_in END
WHERE no = :run"""

BEGUN = "UPDATE runs SET clock_step = ?, heartbeat_at = ? WHERE no = ?"

DEADLINE = "UPDATE runs SET deadline_at = ? WHERE no = ?"

NEXT_REV = "SELECT coalesce(max(rev), 0) + 1 FROM runs"

OPEN_WAVE = "UPDATE runs SET wave = ? WHERE no = ?"

WAVES = """
SELECT json_group_array(json_array(wave, state, jobs)) FROM (
  SELECT wave, state, count(*) AS jobs FROM jobs WHERE run = ? GROUP BY wave, state)"""
"""Run: its jobs by wave and state number."""

SET_REV = "UPDATE runs SET rev = ? WHERE no = ?"


def selection_parameters(selection: JobSelection) -> dict[str, Any]:
    """The parameters of the `SELECTED` statements for a selection."""
    states = selection.states
    return {
        "states": _list(None if states is None else [STATE_NUMBER[state] for state in states]),
        "status": _list(selection.status),
        "codes": _list(selection.codes),
        "volumes": _list(selection.volumes),
        "spellings": _list(selection.volume_spellings),
    }


def pages(
    read: Callable[[dict[str, Any]], list[Job]],
    run: int,
    selection: JobSelection,
    *,
    after: int = FIRST,
    size: int = PAGE,
) -> Iterator[list[Job]]:
    """The jobs of a selection in plan order, page by page.

    `read` asks one of the `SELECTED` statements. Jobs that were given may change before the next
    page is asked for.
    """
    asked, named = selection.by_pages()
    parameters = selection_parameters(asked) | {"run": run, "limit": size}
    full = True
    while full:
        jobs = read(parameters | {"after": after})
        yield list(filter(named, jobs))
        full = len(jobs) == size
        after = jobs[-1].no if jobs else after


def _list(values: Any) -> str | None:
    return None if values is None else json.dumps(list(values))


def _values(rows: int, columns: int) -> str:
    row = "(" + ", ".join("?" * columns) + ")"
    return ", ".join([row] * rows)


@cache
def _update_jobs(rows: int) -> str:
    assignments = ", ".join(f"{name} = c.{name}" for name in MUTABLE.names)
    return (
        f"WITH c(no, {', '.join(MUTABLE.names)}) AS "
        f"(VALUES {_values(rows, 1 + len(MUTABLE.names))}) "
        f"UPDATE jobs SET {assignments}, rev = ? FROM c WHERE jobs.run = ? AND jobs.no = c.no"
    )


@cache
def _insert(table: str, columns: tuple[str, ...], rows: int) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {_values(rows, len(columns))}"


@cache
def _insert_attempts(rows: int) -> str:
    columns = ("run", "job", *ATTEMPT.names)
    return f"{_insert('attempts', columns, rows)} ON CONFLICT DO NOTHING"


@cache
def _insert_untouched(rows: int) -> str:
    row = "(" + "?, " * (1 + len(FIXED.names)) + "0, 0, 0, 0)"
    columns = ", ".join(("run", *FIXED.names, "state", "attempts", "free", "due_at"))
    return f"INSERT INTO jobs ({columns}) VALUES {', '.join([row] * rows)}"


def _chunks(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Slices of a power of two rows each, so that few different statements are prepared."""
    at, size = 0, CHUNK
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2
        yield rows[at : at + size]
        at += size


def _flat(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [value for row in rows for value in row]


def update_jobs(db: Connection, run: int, rev: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write number and `MUTABLE` columns of jobs that exist; each number at most once."""
    for chunk in _chunks(rows):
        db.execute(_update_jobs(len(chunk)), [*_flat(chunk), rev, run]).close()


def _write(
    db: Connection, run: int, rows: Sequence[tuple[Any, ...]], statement: Callable[[int], str]
) -> None:
    for chunk in _chunks(rows):
        db.execute(statement(len(chunk)), _flat([(run, *row) for row in chunk])).close()


def insert_attempts(db: Connection, run: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Append attempts; one that is there already stays as it was first recorded."""
    _write(db, run, rows, _insert_attempts)


def insert_events(db: Connection, run: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Append events."""
    _write(db, run, rows, partial(_insert, "events", ("run", "at", "job", "kind", "text")))


def insert_jobs(db: Connection, run: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert jobs, `FIXED` and `MUTABLE` columns, with the rev 0 of what has never changed."""
    _write(db, run, rows, partial(_insert, "jobs", ("run", *JOB.names)))


def insert_untouched_jobs(db: Connection, run: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert jobs by their `FIXED` columns alone: a quarter less time for 100,000."""
    _write(db, run, rows, _insert_untouched)
