"""docs/store.md against the real schema, and the views against the values."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from tests.store.fixtures import NOW, a_job, a_run, an_attempt, moved, volume
from vbsbatch.model import BackupSettings, JobState, RunNoted
from vbsbatch.store import Store
from vbsbatch.store.schema import STATES, VERDICTS

RUN = "20261118-1200-aaaa"
TEXT = (Path(__file__).parents[2] / "docs" / "store.md").read_text()


def sections() -> dict[str, str]:
    parts = re.split(r"^### `(\w+)`.*$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows_of(section: str) -> list[str]:
    """The names that a section's table or list explains."""
    return re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)


def test_every_table_view_and_column_is_explained_and_no_other(store: Store, path: Path) -> None:
    db = sqlite3.connect(path)
    names = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
    real = {
        name: [column[1] for column in db.execute(f"PRAGMA table_info({name})")]
        for (name,) in db.execute(names).fetchall()
    }
    indexes = db.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql NOT NULL")
    missing = [name for (name,) in indexes if f"`{name}`" not in TEXT]
    db.close()
    assert {name: rows_of(section) for name, section in sections().items()} == real
    assert missing == []


def test_the_numbers_of_states_and_verdicts_are_explained() -> None:
    for words in (STATES, VERDICTS):
        told = ", ".join(f"{number} {word}" for number, word in enumerate(words))
        assert told in " ".join(TEXT.split())


def test_the_example_queries_run(store: Store, path: Path) -> None:
    store.create_run(a_run(RUN), [a_job(1)], BackupSettings())
    examples = re.findall(r'^(?:sqlite3|sqlite-utils) .*?"(SELECT .*?)"', TEXT, flags=re.M | re.S)
    assert len(examples) >= 4
    db = sqlite3.connect(path)
    for query in examples:
        db.execute(query)
    db.close()


@pytest.mark.anyio
async def test_the_views_show_words_times_and_ids(store: Store, path: Path) -> None:
    store.create_run(a_run(RUN), [a_job(1), a_job(2)], BackupSettings())
    async with store.journal(RUN) as journal:
        one, two = await journal.claim(NOW, 2, cloud_now=NOW)
        done = {"cloud_job_id": "4010b39b5281d3590152874bfa3b1604", "backup_id": volume(7)}
        journal.record(moved(one, JobState.RUNNING, attempt=an_attempt(), **done))
        journal.record(moved(two, JobState.FAILED, http_status=400, code="X", note="why"))
        journal.record(RunNoted(at=NOW, kind="limiter", text="slower"))
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row

    def all_of(view: str) -> list[dict[str, object]]:
        return [dict(row) for row in db.execute(f"SELECT * FROM {view}")]

    job = all_of("job_list")[0]
    assert (job["run"], job["state"], job["volume_id"]) == (RUN, "running", volume(1))
    assert (job["intent_at"], job["due_at"]) == ("2026-11-18T11:06:40.000Z", None)
    assert job["cloud_job_id"] == "4010b39b5281d3590152874bfa3b1604"
    assert job["backup_id"] == volume(7)
    assert all_of("failures") == [{"run": RUN, "http_status": 400, "code": "X", "jobs": 1}]
    (progress,) = all_of("progress")
    assert (progress["running"], progress["failed"], progress["percent"]) == (1, 1, 50.0)
    (attempt,) = all_of("attempt_list")
    assert (attempt["verdict"], attempt["sent_at"]) == ("accepted", "2026-11-18T11:06:40.000Z")
    failed, noted = all_of("event_list")
    assert (failed["kind"], failed["came_from"], failed["went_to"], failed["text"]) == (
        "move",
        "submitting",
        "failed",
        "why",
    )
    assert (noted["kind"], noted["came_from"], noted["job"]) == ("limiter", None, None)
    db.close()
