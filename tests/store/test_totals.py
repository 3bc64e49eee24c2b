"""What the runs of each plan did so far, and the newest runs: alike in both stores."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.store.fixtures import NOW, a_job, a_run, moved, volume
from vbsbatch.model import Cloud, Elapsed, JobState, Operation, Rate, RunState, Settings, Wall
from vbsbatch.store import RunStore
from vbsbatch.store.sqlite.schema import APPLICATION_ID, MIGRATIONS
from vbsbatch.store.sqlite.store import SqliteStore

RESTORE = Settings(operation=Operation.RESTORE, source_run="r1")


async def heartbeat(journal: Any, *, calls: tuple[int, int] = (0, 0), **said: Any) -> None:
    usual: dict[str, Any] = {
        "clock_step": 0.0,
        "rate": Rate(count=5),
        "adopted": 0,
        "next_look_at": None,
        "ends_at": None,
        "rate_used": 0.0,
        "circuit_open": False,
    }
    await journal.heartbeat(Wall(NOW), create_calls=calls[0], read_calls=calls[1], **(usual | said))


async def drive(store: Any, run_id: str, ends: Iterable[JobState], *, end: float) -> None:
    """Make every job of the run end so, then the run."""
    wanted = list(ends)
    async with store.journal(run_id) as journal:
        jobs = await journal.claim(Elapsed(NOW), len(wanted), cloud_now=Cloud(NOW))
        for job, state in zip(jobs, wanted, strict=True):
            running = moved(job, JobState.RUNNING)
            journal.record(running)
            journal.record(moved(running.job, state, ended_at=Wall(end)))
        await journal.run_state(RunState.ENDED, Wall(end))


def rows(store: RunStore) -> list[tuple[Any, ...]]:
    return [
        (
            each.plan,
            each.gigabytes,
            each.create_calls,
            each.read_calls,
            None if each.succeeded_at is None else float(each.succeeded_at),
        )
        for each in store.totals()
    ]


@pytest.mark.anyio
async def test_gigabytes_count_each_success_once_and_only_those_of_backups(
    any_store: RunStore,
) -> None:
    ok, failed = JobState.SUCCEEDED, JobState.FAILED
    any_store.create_run(a_run("r1"), [a_job(1, size=40), a_job(2, size=7), a_job(3)])
    await drive(any_store, "r1", [ok, failed, ok], end=NOW + 9)
    assert rows(any_store) == [("nightly", 40, 0, 0, None)]

    assert any_store.requeue("r1", {"all": True}) == 1
    await drive(any_store, "r1", [ok], end=NOW + 19)
    assert rows(any_store) == [("nightly", 47, 0, 0, NOW + 19)]

    any_store.create_run(a_run("r2", plan="restore of r1", settings=RESTORE), [a_job(1, size=40)])
    await drive(any_store, "r2", [ok], end=NOW + 29)
    assert rows(any_store) == [("nightly", 47, 0, 0, NOW + 19)]


@pytest.mark.anyio
async def test_a_run_that_leaves_a_volume_without_a_backup_is_no_success_and_hides_none(
    any_store: RunStore,
) -> None:
    skipped = a_job(2, state=JobState.SKIPPED, ended_at=Wall(NOW))
    any_store.create_run(a_run("r1"), [a_job(1), skipped])
    await drive(any_store, "r1", [JobState.SUCCEEDED], end=NOW + 1)
    any_store.create_run(a_run("r2"), [a_job(1), a_job(2)])
    any_store.cancel("r2", {"volumes": [volume(2)]})
    await drive(any_store, "r2", [JobState.SUCCEEDED], end=NOW + 2)
    any_store.create_run(a_run("r3", plan="other"), [a_job(1)])
    await drive(any_store, "r3", [JobState.FAILED], end=NOW + 3)
    assert rows(any_store) == [("nightly", 0, 0, 0, NOW + 1)]


@pytest.mark.anyio
async def test_calls_are_those_of_all_engines_and_of_all_runs_of_a_plan(
    any_store: RunStore,
) -> None:
    for run in (
        a_run("r1"),
        a_run("r2"),
        a_run("r3", plan="prune of r1", settings=Settings(operation=Operation.PRUNE)),
    ):
        any_store.create_run(run, [a_job(1)])
    for run_id, calls in (("r1", (3, 4)), ("r1", (5, 4)), ("r2", (1, 1)), ("r3", (9, 9))):
        async with any_store.journal(run_id) as journal:
            await heartbeat(journal, calls=calls)
            await heartbeat(journal, calls=calls)
    assert rows(any_store) == [(None, 0, 9, 9, None), ("nightly", 0, 6, 5, None)]


@pytest.mark.anyio
async def test_the_heartbeat_tells_what_the_engine_is_at(any_store: RunStore) -> None:
    any_store.create_run(a_run("r1"), [a_job(1)])
    run = any_store.run("r1")
    assert (run.rate_used, run.circuit_open) == (None, None)
    async with any_store.journal("r1") as journal:
        await heartbeat(journal, rate_used=1.25, circuit_open=True)
    run = any_store.run("r1")
    assert (run.rate_used, run.circuit_open) == (1.25, True)


def test_the_newest_runs_are_so_many_of_each_kind_newest_first(any_store: RunStore) -> None:
    ended = (1, 2, 4, 7)
    for number in range(1, 9):
        state = RunState.ENDED if number in ended else RunState.STOPPED
        any_store.create_run(a_run(f"r{number}", state=state), [])
    found = any_store.newest_runs(unfinished=3, ended=2)
    assert [run.id for run in found] == ["r8", "r7", "r6", "r5", "r4"]
    assert any_store.newest_runs(unfinished=0, ended=0) == []


def test_the_newest_backup_run_of_each_plan_is_found_however_old(any_store: RunStore) -> None:
    prune = Settings(operation=Operation.PRUNE)
    for number, plan in enumerate(("yearly", "weekly", "nightly", "nightly", "prune of r1"), 1):
        settings = prune if plan.startswith("prune") else Settings()
        run = a_run(f"r{number}", plan=plan, state=RunState.ENDED, settings=settings)
        any_store.create_run(run, [])
    found = any_store.newest_runs(unfinished=9, ended=1, plans=2)
    assert [run.id for run in found] == ["r5", "r4", "r2"]


def test_an_older_store_gets_its_totals_from_its_runs(path: Path) -> None:
    restore = '{"operation": "restore"}'
    ids = [f"x'{number:032x}'" for number in range(1, 6)]
    with closing(sqlite3.connect(path)) as db:
        db.executescript("".join(MIGRATIONS[:6]))
        db.executescript(f"""
INSERT INTO runs (no, id, plan, state, settings, defaults, created_at, ended_at, first_event, rev,
    create_calls, read_calls)
  VALUES (1, 'r1', 'nightly', 'ended', '{{}}', '{{}}', 1000, 5000, 0, 1, 3, 4),
         (2, 'r2', 'nightly', 'ended', '{{}}', '{{}}', 6000, 9000, 0, 1, 1, 1),
         (3, 'r3', 'restore of r1', 'ended', '{restore}', '{{}}', 6000, 9500, 0, 1, 7, 8),
         (4, 'r4', 'broken', 'ended', 'no JSON', '{{}}', 6000, 9500, 0, 1, 1, 1);
INSERT INTO jobs (run, no, volume_id, backup_name, priority, state, attempts, free, due_at, size)
  VALUES (1, 1, {ids[0]}, 'b', 0, 4, 1, 0, 0, 40), (1, 2, {ids[1]}, 'b', 0, 7, 0, 0, 0, 9),
         (2, 1, {ids[0]}, 'b', 0, 4, 1, 0, 0, 41), (2, 2, {ids[1]}, 'b', 0, 5, 1, 0, 0, 9),
         (3, 1, {ids[0]}, 'b', 0, 4, 1, 0, 0, 40);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 6;
""")
    path.chmod(0o600)
    with SqliteStore.open(path) as store:
        assert rows(store) == [(None, 0, 8, 9, None), ("nightly", 81, 4, 5, 5.0)]
