"""The views: everything in the store as words, readable times and usual spellings, for people."""

# ruff: noqa: S608 - every part of these queries is a constant of this package

from __future__ import annotations

from collections.abc import Sequence

from vbsbatch.store.records import STATES, VERDICTS


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
  j.progress AS progress, j.az AS az,
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
"""Each view's name and its query. Every table column of interest is there under its own name."""
