"""The store's own queries, each named: what commands, screens and reports read, and rare writes."""

# ruff: noqa: S608 - every part of these statements is a constant of this package

from __future__ import annotations

from vbsbatch.store.rows import ATTEMPT_COLUMNS, JOB_COLUMNS

RUN_COLUMNS = """no, id, plan, cloud, project_id, state, settings, created_at, started_at,
  ended_at, reason, deadline_at, rate, in_flight, pid, host, heartbeat_at, create_calls,
  read_calls, wave, created_cloud_at, clock_step, adopted, region, project_name, endpoint,
  defaults, sending_rate"""
"""What `Reader` reads of a run."""

RUNS = f"SELECT {RUN_COLUMNS} FROM runs ORDER BY no DESC"

RUN_IDS = "SELECT id FROM runs ORDER BY no DESC"

RUN = f"SELECT {RUN_COLUMNS} FROM runs WHERE id = ?"

NEWEST_UNFINISHED = "SELECT id FROM runs WHERE state <> 'ended' ORDER BY no DESC LIMIT 1"

COUNTS = "SELECT state, count(*) FROM jobs WHERE run = ? GROUP BY state"

FAILURES = """
SELECT http_status, code, count(*) FROM jobs WHERE run = ? AND state = 5
GROUP BY http_status, code ORDER BY count(*) DESC, http_status, code"""

ANSWERS = """
SELECT http_status, code, count(*) FROM attempts WHERE run = ?
GROUP BY http_status, code ORDER BY count(*) DESC, http_status, code"""

JOB = f"SELECT {JOB_COLUMNS} FROM jobs j WHERE j.run = ? AND j.no = ?"

ATTEMPTS = f"SELECT {ATTEMPT_COLUMNS} FROM attempts a WHERE a.run = ? AND a.job = ? ORDER BY number"

ATTEMPT_TOTAL = "SELECT coalesce(sum(attempts), 0) FROM jobs WHERE run = ?"

EVENTS = """
SELECT e.id, e.at, e.job, e.kind, e.text FROM events e
WHERE e.id > max(:after, (SELECT first_event FROM runs WHERE no = :run)) AND e.run = :run
  AND (:job IS NULL OR e.job = :job) ORDER BY e.id LIMIT :limit"""

LAST_EVENT = "SELECT coalesce(max(id), 0) FROM events"

LAST_REV = "SELECT coalesce(max(rev), 0) FROM runs"

CHANGED = f"""
SELECT {JOB_COLUMNS} FROM jobs j WHERE j.run = :run AND j.no IN (
  SELECT no FROM jobs INDEXED BY jobs_rev
  WHERE rev > :rev AND rev > 0 AND state < 4 AND run = :run
  UNION
  SELECT job FROM events WHERE id > :event AND run = :run AND job IS NOT NULL)
ORDER BY j.no"""

NEW_RUN = """
INSERT INTO runs (id, plan, cloud, project_id, state, reason, settings, created_at, started_at,
  ended_at, deadline_at, rate, in_flight, pid, host, heartbeat_at, create_calls, read_calls,
  created_cloud_at, clock_step, adopted, region, project_name, endpoint, defaults, first_event, rev)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

ASK = "INSERT INTO commands (run, verb, argument, asked_by, asked_at) VALUES (?, ?, ?, ?, ?)"

WITHDRAW = """
UPDATE commands SET done_at = ?, result = ? WHERE id = ? AND done_at IS NULL AND taken_at IS NULL"""

CLOCK_STEP = "SELECT clock_step FROM runs WHERE no = ?"

COMMAND_RESULT = "SELECT result FROM commands WHERE id = ? AND done_at IS NOT NULL"

HOLDER = "SELECT pid, host, held_since, held_in FROM runs WHERE no = ?"

SET_HOLDER = "UPDATE runs SET pid = ?, host = ?, held_since = ?, held_in = ? WHERE no = ?"

SET_LIMITS = """
UPDATE runs SET rate = coalesce(?, rate), in_flight = coalesce(?, in_flight) WHERE no = ?"""

REOPEN_RUN = """
UPDATE runs SET deadline_at = ?, ended_at = NULL,
  reason = CASE state WHEN 'ended' THEN 'retry asked for' ELSE reason END,
  state = CASE state WHEN 'ended' THEN 'stopped' ELSE state END
WHERE no = ?"""
