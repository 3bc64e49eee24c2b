"""Runs that hold volumes of others: how they are found, and how they release them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.store.fixtures import NOW, a_job, a_run, moved
from vbsbatch.errors import RunIsLive
from vbsbatch.model import BackupSettings, Cloud, Elapsed, JobState, RunState, Wall
from vbsbatch.store import RunStore
from vbsbatch.store.sqlite import journal_sql
from vbsbatch.store.sqlite.store import SqliteStore

A, B, C = "20261118-1200-aaaa", "20261118-1300-bbbb", "20261118-1400-cccc"

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(any_store: RunStore) -> RunStore:
    return any_store


async def hold(store: RunStore, run_id: str, states: Iterable[JobState], *, stopped: bool) -> None:
    """A run of as many volumes, each left in its state by an engine that is no more."""
    states = list(states)
    store.create_run(a_run(run_id), [a_job(no + 1) for no in range(len(states))], BackupSettings())
    async with store.journal(run_id) as journal:
        for job, state in zip(
            await journal.claim(Elapsed(NOW), 99, cloud_now=Cloud(NOW)), states, strict=True
        ):
            if state is not JobState.SUBMITTING:
                journal.record(moved(job, state, cloud_job_id="0" * 32))
        if stopped:
            await journal.run_state(RunState.STOPPED, Wall(NOW), "by hand")


OPEN = (JobState.SUBMITTING, JobState.UNKNOWN, JobState.RUNNING)


async def test_only_open_jobs_of_volumes_that_wait_are_held(store: RunStore) -> None:
    await hold(store, A, [*OPEN, JobState.WAITING, JobState.FAILED], stopped=True)
    jobs = [*(a_job(no) for no in range(2, 9)), a_job(1, state=JobState.SKIPPED)]
    store.create_run(a_run(C), jobs, BackupSettings())
    (holder,) = store.holders(C)
    assert (holder.run_id, holder.volumes, holder.standing) == (A, 2, "stopped")
    assert store.holders(A) == []


async def test_a_run_that_is_taken_over_gives_up_those_jobs_for_good_and_no_other(
    store: RunStore,
) -> None:
    await hold(store, A, OPEN, stopped=True)
    store.create_run(a_run(B), [a_job(no) for no in (1, 2, 3)], BackupSettings())
    store.create_run(a_run(C), [a_job(2), a_job(3)], BackupSettings())
    (gave_up,) = store.take_over(C, "ops@tty1")
    assert (gave_up.run_id, gave_up.volumes) == (A, 2)
    kept, *released = store.jobs(A)
    assert kept.state is JobState.SUBMITTING
    for job in released:
        assert (job.state, job.code) == (JobState.FAILED, "released")
        assert f"run {C} took the volume over" in str(job.message)
        assert "is kept" in str(job.message)
        assert job.ended_at is not None
    assert store.holders(C) == []
    assert {job.state for job in store.jobs(B)} == {JobState.WAITING}
    for run_id in (A, C):
        *_, told = store.events(run_id)
        words = f"ops@tty1: take-over: run {C} has 2 of the volumes now"
        assert (told.kind, told.text) == ("command", words)
    async with store.journal(C) as journal:
        assert len(await journal.claim(Elapsed(NOW), 9, cloud_now=Cloud(NOW))) == 2, (
            "the volumes are free"
        )


async def test_a_run_whose_engine_is_gone_gives_up_too(store: RunStore) -> None:
    await hold(store, A, OPEN, stopped=False)
    store.create_run(a_run(C), [a_job(1)], BackupSettings())
    assert store.holders(C)[0].standing == "its engine is gone"
    assert [each.volumes for each in store.take_over(C, "ops")] == [1]


async def test_a_run_that_is_driven_gives_up_nothing(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hold(store, A, OPEN, stopped=False)
    store.create_run(a_run(C), [a_job(1)], BackupSettings())
    with store.lock(A):
        assert store.holders(C)[0].standing == "at work"
        assert store.take_over(C, "ops") == []
        # Its engine came between the look and the deed: its lock decides.
        monkeypatch.setattr(type(store), "is_live", lambda *_: None)
        with pytest.raises(RunIsLive):
            store.take_over(C, "ops")
    assert [job.state for job in store.jobs(A)] == list(OPEN)


async def test_a_holder_comes_with_the_command_that_resumes_it(path: Path) -> None:
    with SqliteStore.open(path, create=True) as store:
        await hold(store, A, OPEN, stopped=True)
        store.create_run(a_run(C), [a_job(1)], BackupSettings())
        (holder,) = store.holders(C)
    assert holder.resume == f"vbsbatch resume {A} --db {path}"


async def test_holders_are_found_without_reading_every_job(path: Path) -> None:
    """Waiting jobs and open ones, each through its index."""
    query = f"EXPLAIN QUERY PLAN {journal_sql.HOLDERS}"
    with SqliteStore.open(path, create=True) as store:
        await hold(store, A, OPEN, stopped=True)
        store.create_run(a_run(C), [a_job(1)], BackupSettings())
        steps = [row[-1] for row in store._db.execute(query, {"run": 2}).fetchall()]
    assert all("SCAN" not in step for step in steps), steps
