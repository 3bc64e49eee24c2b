"""The tables of the store file and the numbers that stand for words in them.

Times are whole milliseconds since the Unix epoch (UTC); states and verdicts are small numbers, in
the order of `STATES` and `VERDICTS`; ids take 16 bytes where they have their usual spelling. The
views show all of it as text. `docs/store.md` explains every column; a test holds it to that.
"""

from __future__ import annotations

APPLICATION_ID = 0x76627362
"""`PRAGMA application_id`: "vbsb"; tells our files from everybody else's SQLite files."""

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

Claims find jobs in `jobs_waiting` alone: `state` is in it, or SQLite would look each job up.
Version 2 makes it anew.
`jobs_open` keeps two runs off one volume. `jobs_rev` leaves out jobs that never changed and
those that ended (25 bytes for each): whoever follows a run finds the latter in `events`, which has
a row for every move but waiting -> submitting -> running; the attempt's row tells those.
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

The kernel does not tell who holds the lock on the file: see `locks`.
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
did not know of; when an engine took a command, which nobody can withdraw from then on.
"""

PLACE = """
ALTER TABLE runs ADD COLUMN region TEXT;
ALTER TABLE runs ADD COLUMN project_name TEXT;
ALTER TABLE runs ADD COLUMN endpoint TEXT;
"""
"""Version 5: where a run was started, beside `cloud` and `project_id`; NULL in older runs."""
