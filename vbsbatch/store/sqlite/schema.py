"""The tables and views of the store file, version by version, and whether a file has just those.

Times are whole milliseconds since the Unix epoch (UTC); states and verdicts are small numbers, in
the order of `STATES` and `VERDICTS`; ids take 16 bytes where they have their usual spelling. The
views show all of it as text. `docs/store.md` explains every column; a test compares the two.
"""

# ruff: noqa: S608 - every part of these queries is a constant of this package

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path

from vbsbatch.errors import StoreUnusable
from vbsbatch.store.records import STATES, VERDICTS

APPLICATION_ID = 0x76627362
"""`PRAGMA application_id`: "vbsb"; distinguishes our files from other SQLite files."""

TABLES = """
CREATE TABLE runs (
  no INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  plan TEXT NOT NULL,
  cloud TEXT,
  project_id TEXT,
  state TEXT NOT NULL,
  reason TEXT,
  settings TEXT NOT NULL,
  defaults TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  deadline_at INTEGER,
  rate TEXT,
  in_flight INTEGER,
  sending_rate TEXT,
  pid INTEGER,
  host TEXT,
  heartbeat_at INTEGER,
  create_calls INTEGER NOT NULL DEFAULT 0,
  read_calls INTEGER NOT NULL DEFAULT 0,
  first_event INTEGER NOT NULL,
  rev INTEGER NOT NULL
);
CREATE TABLE jobs (
  run INTEGER NOT NULL REFERENCES runs(no),
  no INTEGER NOT NULL,
  volume_id NOT NULL,
  volume_name TEXT,
  backup_name TEXT NOT NULL,
  settings TEXT,
  priority INTEGER NOT NULL,
  grp TEXT,
  state INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  free INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  intent_at INTEGER,
  unknown_at INTEGER,
  later_since INTEGER,
  first_sent_at INTEGER,
  ended_at INTEGER,
  http_status INTEGER,
  code TEXT,
  message TEXT,
  cloud_job_id,
  backup_id,
  errored_backup_id,
  progress INTEGER,
  rev INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (run, no)
) WITHOUT ROWID;
CREATE INDEX jobs_waiting ON jobs (run, priority DESC, no, due_at, state) WHERE state = 0;
CREATE INDEX jobs_open ON jobs (volume_id) WHERE state IN (1, 2, 3);
CREATE INDEX jobs_rev ON jobs (rev) WHERE state < 4 AND rev > 0;
CREATE TABLE attempts (
  run INTEGER NOT NULL,
  job INTEGER NOT NULL,
  number INTEGER NOT NULL,
  sent_at INTEGER NOT NULL,
  took INTEGER,
  verdict INTEGER NOT NULL,
  http_status INTEGER,
  code TEXT,
  message TEXT,
  request_id,
  cloud_job_id,
  backup_id,
  PRIMARY KEY (run, job, number)
) WITHOUT ROWID;
CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  at INTEGER NOT NULL,
  job INTEGER,
  kind NOT NULL,
  text TEXT
);
CREATE TABLE commands (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES runs(no),
  verb TEXT NOT NULL,
  argument TEXT NOT NULL CHECK (json_type(argument) = 'object'),
  asked_by TEXT NOT NULL,
  asked_at INTEGER NOT NULL,
  done_at INTEGER,
  result TEXT
);
CREATE INDEX commands_open ON commands (run) WHERE done_at IS NULL;
"""
"""Version 1.

Claims read `jobs_waiting` alone: without `state` in it, SQLite would look each job up. Version 2
makes it again. `jobs_open` finds volumes on which another run works. `jobs_rev` leaves out jobs
that never changed and those that ended (25 bytes each): followers find the latter in `events`,
which has a row for every move except waiting -> submitting -> running, which an attempt records.
"""

ORDER = """
ALTER TABLE runs ADD COLUMN wave INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN az TEXT;
ALTER TABLE jobs ADD COLUMN wave INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs (run, wave, rank, priority DESC, no, due_at, state, grp, az)
  WHERE state = 0;
"""
"""Version 2: waves, groups that stay together, zones. Jobs of older runs keep their order.

`grp` and `az` are in the index for claims under caps, which may pass over very many jobs.
"""

HOLDER = """
ALTER TABLE runs ADD COLUMN held_since INTEGER;
ALTER TABLE runs ADD COLUMN held_in TEXT;
"""
"""Version 3: since when `pid` holds the run, and in which space of process ids (boot, container).

The kernel does not say who holds the lock on the file: see `locks`.
"""

CLOCKS = """
ALTER TABLE runs ADD COLUMN created_cloud_at INTEGER;
ALTER TABLE runs ADD COLUMN clock_step INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN intent_cloud_at INTEGER;
ALTER TABLE jobs ADD COLUMN first_cloud_at INTEGER;
ALTER TABLE commands ADD COLUMN taken_at INTEGER;
"""
"""Version 4: what is compared with times of the cloud, by its clock; by how much the machine's
clock was set since the engine began whose waits are in `jobs`; what an engine found that the store
did not know of; when an engine took a command, which cannot be withdrawn from then on.
"""

PLACE = """
ALTER TABLE runs ADD COLUMN region TEXT;
ALTER TABLE runs ADD COLUMN project_name TEXT;
ALTER TABLE runs ADD COLUMN endpoint TEXT;
"""
"""Version 5: where a run was started, beside `cloud` and `project_id`; NULL in older runs."""

SIZES = """
ALTER TABLE jobs ADD COLUMN size INTEGER;
ALTER TABLE runs ADD COLUMN next_look_at INTEGER;
ALTER TABLE runs ADD COLUMN ends_at INTEGER;
ALTER TABLE runs ADD COLUMN verified_at INTEGER;
ALTER TABLE runs ADD COLUMN verified TEXT;
"""
"""Version 6: the size of each volume in GB; when the engine means to read the cloud's list next,
and when it expects the run to end; when the run was last verified, and the result as JSON."""

OPERATION = """CASE WHEN json_valid(settings)
    THEN coalesce(json_extract(settings, '$.operation'), 'backup') END"""
"""SQL for the operation of a run; a run of an early version does not name it."""

UNATTENDED = f"""
ALTER TABLE runs ADD COLUMN rate_used REAL;
ALTER TABLE runs ADD COLUMN circuit_open INTEGER;
CREATE TABLE totals (
  plan TEXT NOT NULL PRIMARY KEY,
  gigabytes INTEGER NOT NULL DEFAULT 0,
  create_calls INTEGER NOT NULL DEFAULT 0,
  read_calls INTEGER NOT NULL DEFAULT 0,
  succeeded_at INTEGER
) WITHOUT ROWID;
INSERT INTO totals (plan, gigabytes, create_calls, read_calls, succeeded_at)
SELECT iif(backup, plan, ''),
  coalesce(sum((SELECT sum(size) FROM jobs WHERE run = r.no AND jobs.state = 4 AND backup)), 0),
  sum(create_calls), sum(read_calls),
  max(iif(backup AND state = 'ended'
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE run = r.no AND jobs.state IN (5, 6)), ended_at, NULL))
FROM (SELECT runs.*, {OPERATION} IS 'backup' AS backup FROM runs) r GROUP BY 1;
ALTER TABLE runs ADD COLUMN compacted_at INTEGER;
CREATE TABLE missed_starts (
  id INTEGER PRIMARY KEY,
  plan TEXT NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  run INTEGER REFERENCES runs(no),
  text TEXT
);
CREATE TABLE pins (
  id INTEGER PRIMARY KEY,
  run INTEGER NOT NULL REFERENCES runs(no),
  backup_id,
  until INTEGER,
  pinned_at INTEGER NOT NULL,
  pinned_by TEXT NOT NULL
);
ALTER TABLE runs ADD COLUMN retained_at INTEGER;
CREATE TABLE messages (
  run INTEGER NOT NULL REFERENCES runs(no),
  fact TEXT NOT NULL,
  channel TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  tries INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  sent_at INTEGER,
  error TEXT,
  PRIMARY KEY (run, fact, channel)
) WITHOUT ROWID;
CREATE INDEX messages_unsent ON messages (first_at) WHERE sent_at IS NULL;
"""
"""Version 7: what an engine last reported of its work; what the runs of each plan did so far, kept
apart from the runs so that it only grows, whatever is forgotten of them; when the events and
attempts of a run were forgotten; starts of a plan that made no run, or made it late; backups
that are not to be deleted, all of a run where `backup_id` is NULL; when the rules of a run's plan
were last applied after it; messages about runs, one for each fact and channel, sent or to be
sent."""

MIGRATIONS = (TABLES, ORDER, HOLDER, CLOCKS, PLACE, SIZES, UNATTENDED)
"""What makes version n + 1 of version n, in order; none may drop a run. Append only."""


def uuid_text(column: str) -> str:
    """SQL for the usual spelling of a UUID column, packed or not."""
    parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    text = " || '-' || ".join(f"substr(hex({column}), {at}, {size})" for at, size in parts)
    return f"CASE typeof({column}) WHEN 'blob' THEN lower({text}) ELSE {column} END"


def hex_text(column: str) -> str:
    """SQL for the usual spelling of a cloud job id column, packed or not."""
    return f"CASE typeof({column}) WHEN 'blob' THEN lower(hex({column})) ELSE {column} END"


def request_text(column: str) -> str:
    """SQL for the usual spelling of a request id column, packed or not."""
    return f"CASE typeof({column}) WHEN 'blob' THEN 'req-' || {uuid_text(column)} ELSE {column} END"


def _time(column: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000.0, 'unixepoch')"


def _word(column: str, words: Sequence[str]) -> str:
    cases = " ".join(f"WHEN {number} THEN '{word}'" for number, word in enumerate(words))
    return f"CASE {column} {cases} END"


_COUNTS = ", ".join(
    f"coalesce(sum(j.state = {number}), 0) AS {state}" for number, state in enumerate(STATES)
)

VIEWS = {
    "job_list": f"""
SELECT r.id AS run, j.no AS no, {uuid_text("j.volume_id")} AS volume_id,
  coalesce(j.volume_name, {uuid_text("j.volume_id")}) AS volume_name, j.backup_name AS backup_name,
  j.priority AS priority, j.grp AS grp, {_word("j.state", STATES)} AS state,
  j.attempts AS attempts, j.free AS free,
  CASE WHEN j.state = 0 AND j.due_at > 0 THEN {_time("j.due_at")} END AS due_at,
  {_time("j.intent_at")} AS intent_at, {_time("j.unknown_at")} AS unknown_at,
  {_time("j.later_since")} AS later_since, {_time("j.first_sent_at")} AS first_sent_at,
  {_time("j.ended_at")} AS ended_at, j.http_status AS http_status, j.code AS code,
  j.message AS message, {hex_text("j.cloud_job_id")} AS cloud_job_id,
  {uuid_text("j.backup_id")} AS backup_id, {uuid_text("j.errored_backup_id")} AS errored_backup_id,
  j.progress AS progress, j.az AS az, j.size AS size,
  json_extract(r.settings, '$.waves[' || j.wave || '].name') AS wave
FROM jobs j JOIN runs r ON r.no = j.run""",
    "failures": """
SELECT r.id AS run, j.http_status AS http_status, j.code AS code, count(*) AS jobs
FROM jobs j JOIN runs r ON r.no = j.run WHERE j.state = 5 GROUP BY r.no, j.http_status, j.code""",
    "progress": f"""
SELECT r.id AS run, r.plan AS plan, r.state AS run_state, count(j.no) AS jobs, {_COUNTS},
  round(100.0 * coalesce(sum(j.state >= 4), 0) / max(count(j.no), 1), 1) AS percent
FROM runs r LEFT JOIN jobs j ON j.run = r.no GROUP BY r.no""",
    "attempt_list": f"""
SELECT r.id AS run, a.job AS job, a.number AS number, {_time("a.sent_at")} AS sent_at,
  a.took AS took_ms, {_word("a.verdict", VERDICTS)} AS verdict, a.http_status AS http_status,
  a.code AS code, a.message AS message, {request_text("a.request_id")} AS request_id,
  {hex_text("a.cloud_job_id")} AS cloud_job_id, {uuid_text("a.backup_id")} AS backup_id
FROM attempts a JOIN runs r ON r.no = a.run""",
    "event_list": f"""
SELECT e.id AS id, r.id AS run, {_time("e.at")} AS at, e.job AS job,
  CASE typeof(e.kind) WHEN 'integer' THEN 'move' ELSE e.kind END AS kind,
  CASE typeof(e.kind) WHEN 'integer' THEN {_word("e.kind / 8", STATES)} END AS came_from,
  CASE typeof(e.kind) WHEN 'integer' THEN {_word("e.kind % 8", STATES)} END AS went_to,
  e.text AS text
FROM events e JOIN runs r ON r.no = e.run""",
}
"""Each view's name and its query. Columns have the names they have in the tables."""

_MANY = 1000
"""No store in use has so many tables, indexes and views."""

Entries = frozenset[tuple[str, str, str]]
"""Kind, name and normalized SQL."""


def statements(script: str) -> Iterator[str]:
    """The statements of a migration, one by one."""
    return filter(str.strip, script.split(";"))


def check_schema(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Refuse a store whose tables are not what `migrations` make; raises `StoreUnusable`.

    A view in place of a table, or a trigger, would act when it is read. Only `sqlite_schema` is
    read, which no view can replace, and nothing in it is evaluated. Views and tables of other names
    are ignored: no query of ours uses them.
    """
    rows = db.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema LIMIT ?", (_MANY,)
    ).fetchall()
    ours = _made_by(tuple(migrations))
    tables = {name for kind, name, _ in ours if kind == "table"}
    found = set()
    for kind, name, table, sql in rows:
        if kind == "trigger":
            raise _foreign(path, f"it has a trigger ({str(name)[:64]!r})")
        about = name if kind in ("table", "view") else table
        if str(about).lower() in tables and sql is not None:
            found.add((kind, name, _normal(sql)))
    if len(rows) == _MANY:
        raise _foreign(path, f"it has {_MANY} tables and views or more")
    if found != ours:
        odd = sorted({name for _, name, _ in found ^ ours})
        raise _foreign(path, f"{', '.join(odd)[:200]} not as this version creates them")


@cache
def _made_by(migrations: tuple[str, ...]) -> Entries:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript("".join(migrations))
        rows = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql NOT NULL")
        return frozenset((kind, name, _normal(sql)) for kind, name, sql in rows)


def _normal(sql: object) -> str:
    return " ".join(str(sql).split())


def _foreign(path: Path, why: str) -> StoreUnusable:
    return StoreUnusable(
        f"the tables of {path} are not those of vbsbatch: {why}: name another with --db"
    )
