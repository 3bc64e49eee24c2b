"""The size of a job in the file, and that frequent statements use their indexes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.store.fixtures import a_job, a_run
from tests.store.footprint import measure
from vbsbatch.model import BackupSettings
from vbsbatch.store.sqlite import journal_sql
from vbsbatch.store.sqlite.store import SqliteStore

CLAIM = {"run": 1, "now": 1, "cloud_now": 1, "limit": 1, "groups": "[]", "azs": "[]", "taken": "[]"}
WAITING = "SEARCH w USING COVERING INDEX jobs_waiting (run=? AND wave<?)"


@pytest.mark.anyio
async def test_a_finished_job_takes_about_300_bytes_with_attempts_and_events(path: Path) -> None:
    footprint = await measure(path, jobs=5000)
    print(footprint)
    assert footprint.per_job <= 305
    assert footprint.commits_per_job <= 0.1
    if footprint.split:  # SQLite was built with dbstat
        assert 0.9 * footprint.per_job < sum(footprint.split.values()) < footprint.per_job + 1


@pytest.mark.parametrize(
    ("query", "parameters", "plan"),
    [
        (journal_sql.CLAIMABLE, CLAIM, WAITING),
        (journal_sql.CLAIMABLE, CLAIM, "SEARCH o USING INDEX jobs_open (volume_id=?)"),
        (journal_sql.CANDIDATES, CLAIM, WAITING),
        (journal_sql.NEXT_DUE, CLAIM, WAITING),
        (journal_sql.WITHIN[journal_sql.NEXT_DUE], CLAIM, WAITING),
        (
            journal_sql.OPEN_PAGE,
            {"run": 1, "after": 0, "states": "[]", "limit": 1},
            "SCAN j USING INDEX jobs_open",
        ),
        (journal_sql.COMMANDS, (1,), "SEARCH commands USING INDEX commands_open (run=?)"),
    ],
)
def test_hot_statements_read_their_index(
    store: SqliteStore, path: Path, query: str, parameters: object, plan: str
) -> None:
    store.create_run(a_run(), [a_job(1)], BackupSettings())
    db = sqlite3.connect(path)
    steps = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", parameters)]  # type: ignore[arg-type]
    db.close()
    assert plan in steps
    in_order = (journal_sql.CLAIMABLE, journal_sql.CANDIDATES)
    assert not any("ORDER BY" in step for step in steps if query in in_order)
