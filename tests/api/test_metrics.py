"""Metrics of real stores: what is shown, and what becomes of it when the store changes."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import vbsbatch
from tests.store.fixtures import NOW, a_job, a_run, moved
from vbsbatch.api.metrics import ENDED, UNFINISHED, MetricsReader
from vbsbatch.errors import StoreFailed, StoreUnusable
from vbsbatch.model import Cloud, Elapsed, JobState, Rate, RunState, Wall
from vbsbatch.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


async def night(
    path: Path, run_id: str, ends: list[JobState], *, state: RunState = RunState.ENDED
) -> None:
    """A run whose jobs of 10 GB come to these ends, after one heartbeat of its engine."""
    with SqliteStore.open(path, create=True) as store:
        store.create_run(a_run(run_id), [a_job(no, size=10) for no in range(1, len(ends) + 1)])
        async with store.journal(run_id) as journal:
            jobs = await journal.claim(Elapsed(NOW), len(ends), cloud_now=Cloud(NOW))
            for job, end in zip(jobs, ends, strict=True):
                running = moved(job, JobState.RUNNING)
                journal.record(running)
                if end is not JobState.RUNNING:
                    journal.record(moved(running.job, end, ended_at=Wall(NOW), code="X"))
            said: Any = {"clock_step": 0.0, "adopted": 0, "next_look_at": None, "ends_at": None}
            await journal.heartbeat(
                Wall(NOW),
                rate=Rate(count=5),
                create_calls=len(ends),
                read_calls=2,
                rate_used=1.5,
                circuit_open=False,
                **said,
            )
            await journal.run_state(state, Wall(NOW + 5))


async def figures(path: Path) -> dict[str, float]:
    """Every sample of a store as the API tells them, by `name{values of its labels}`."""
    text = await vbsbatch.metrics(store=path)
    return {
        f"{sample.name}{{{','.join(v for _, v in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_night_is_told_from_its_run_to_the_totals(path: Path) -> None:
    ok, failed = JobState.SUCCEEDED, JobState.FAILED
    await night(path, "r1", [ok, ok])
    await night(path, "r2", [ok, failed, JobState.RUNNING], state=RunState.RUNNING)
    found = await figures(path)
    assert found["vbsbatch_jobs{nightly,r1,succeeded}"] == 2
    assert found["vbsbatch_jobs{nightly,r2,running}"] == 1
    assert found["vbsbatch_failures{X,nightly}"] == 1
    assert found["vbsbatch_last_success_timestamp_seconds{nightly}"] == NOW + 5
    assert found["vbsbatch_bytes_total{}"] == 30 * 1024**3
    assert found["vbsbatch_api_calls_total{create}"] == 5
    assert found["vbsbatch_engine_up{nightly,r2}"] == 0
    assert "vbsbatch_rate_used{nightly,r2}" not in found
    with SqliteStore.open(path) as store, store.lock("r2"):
        live = await figures(path)
    assert live["vbsbatch_engine_up{nightly,r2}"] == 1
    assert live["vbsbatch_rate_used{nightly,r2}"] == 1.5
    assert live["vbsbatch_places{nightly,r2,used}"] == 1
    assert live["vbsbatch_oldest_running_seconds{nightly,r2}"] > 0


async def test_counters_stay_when_runs_are_forgotten(path: Path) -> None:
    await night(path, "r1", [JobState.SUCCEEDED])
    await night(path, "r2", [JobState.SUCCEEDED])
    before = await figures(path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DELETE FROM jobs; DELETE FROM attempts; DELETE FROM events")
        db.execute("DELETE FROM runs")
        db.commit()
    after = await figures(path)
    kept = ("vbsbatch_bytes_total", "vbsbatch_api_calls", "vbsbatch_last_success", "vbsbatch_up")
    assert after.items() >= {k: v for k, v in before.items() if k.startswith(kept)}.items()
    assert not any(name.startswith("vbsbatch_jobs") for name in after)


async def test_only_a_run_that_changed_is_counted_again(path: Path) -> None:
    """Jobs are changed behind the back of the revision: who counts again sees it."""
    for run_id in ("r1", "r2"):
        await night(path, run_id, [JobState.SUCCEEDED])
    reader = MetricsReader(path)

    def succeeded() -> list[int]:
        return [each.counts.get(JobState.SUCCEEDED, 0) for each in reader.read().runs]

    assert succeeded() == [1, 1]
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE jobs SET state = 5")
        db.commit()
    assert succeeded() == [1, 1]
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE runs SET rev = rev + 1 WHERE id = 'r2'")
        db.commit()
    assert succeeded() == [0, 1]
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)  # as an old copy that is put back
    assert succeeded() == [0, 0]


async def test_a_store_may_be_missing_damaged_or_replaced_between_two_readings(path: Path) -> None:
    reader = MetricsReader(path)
    with pytest.raises(StoreUnusable, match="there is no store at"):
        reader.read()
    await night(path, "r1", [JobState.SUCCEEDED])
    assert [each.run.id for each in reader.read().runs] == ["r1"]
    good = path.read_bytes()
    path.write_bytes(good[:5000])
    with pytest.raises(StoreUnusable):
        reader.read()
    path.unlink()
    await night(path, "r2", [JobState.SUCCEEDED])
    assert [each.run.id for each in reader.read().runs] == ["r2"]


async def test_a_store_with_what_no_vbsbatch_wrote_is_an_error_until_it_is_mended(
    path: Path,
) -> None:
    await night(path, "r1", [JobState.SUCCEEDED])
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE runs SET state = 'odd'")
        db.commit()
    reader = MetricsReader(path)
    with pytest.raises((StoreUnusable, StoreFailed)):
        reader.read()
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE runs SET state = 'ended'")
        db.commit()
    assert len(reader.read().runs) == 1


async def test_however_many_runs_a_store_has_only_so_many_are_shown_and_all_live_ones(
    path: Path,
) -> None:
    with SqliteStore.open(path, create=True) as store:
        for number in range(1, 61):
            state = RunState.STOPPED if number % 2 else RunState.ENDED
            store.create_run(a_run(f"r{number:02}", state=state, plan="nightly"), [])
        with store.lock("r01"):
            shown = [each.run.id for each in MetricsReader(path).read().runs]
    assert len(shown) == ENDED + UNFINISHED + 1
    assert shown[0] == "r60"
    assert shown[-1] == "r01"
