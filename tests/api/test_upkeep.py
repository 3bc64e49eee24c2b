"""Starts that were missed, and runs that are continued after a reboot or a kill."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import anyio
import pytest

import vbsbatch
from tests.cli.harness import Harness
from tests.store.fixtures import a_job, a_run
from vbsbatch.api.upkeep import Interruption, newest_of_plan, passed_starts, why_not_resumed
from vbsbatch.model import MissedKind, MissedStart, Operation, Run, RunState, Settings, Wall
from vbsbatch.policy.timetable import Scheduled, Timetable
from vbsbatch.store.memory import MemoryStore

MONDAY = datetime(2026, 11, 30, 22, 0, tzinfo=UTC).timestamp()
"""22:00."""

DAY, HOUR = 86_400.0, 3600.0

WEEKDAYS = Timetable(at=time(22), days=(0, 1, 2, 3, 4))

SINCE = Scheduled(timetable=WEEKDAYS, since=MONDAY - HOUR, plan="nightly")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def stored(store: MemoryStore, at: float, **fields: Any) -> Run:
    run_id = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d-%H%M-aaaa")
    store.create_run(a_run(run_id, created_at=Wall(at), **fields), [a_job(1)])
    return store.run(run_id)


def test_moments_without_a_run_are_missed_and_those_within_a_run_are_skipped() -> None:
    store = MemoryStore()
    friday = MONDAY + 4 * DAY
    assert passed_starts(store, SINCE, MONDAY - 1) == []
    found = passed_starts(store, SINCE, friday)
    assert [each.at for each in found] == [Wall(MONDAY + day * DAY) for day in range(5)]
    long = stored(store, MONDAY + 5, state=RunState.ENDED, ended_at=Wall(MONDAY + DAY + HOUR))
    found = passed_starts(store, SINCE, friday)
    assert [(each.kind, each.run_id) for each in found] == [
        (MissedKind.SKIPPED, long.id),
        *[(MissedKind.MISSED, None)] * 3,
    ]
    for each in found:
        store.record_missed_start(each)
    assert passed_starts(store, SINCE, friday + 2 * DAY) == [], "no start on a weekend"
    (monday,) = passed_starts(store, SINCE, friday + 3 * DAY)
    assert monday.at == Wall(MONDAY + 7 * DAY)


def test_runs_of_other_plans_and_restores_are_no_starts_of_the_plan() -> None:
    store = MemoryStore()
    stored(store, MONDAY + 5, plan="other")
    stored(store, MONDAY + 65, settings=Settings(operation=Operation.RESTORE))
    assert len(passed_starts(store, SINCE, MONDAY + HOUR)) == 1
    assert newest_of_plan(store, "nightly", None) is None
    run = stored(store, MONDAY + 125, cloud="otc")
    assert newest_of_plan(store, "nightly", "otc") == run
    assert newest_of_plan(store, "nightly", "lab") is None


def test_only_what_a_reboot_or_a_kill_interrupted_is_continued() -> None:
    store = MemoryStore()

    def why_not(by: Interruption, **fields: Any) -> str | None:
        run = a_run(created_at=Wall(MONDAY + 5), started_at=Wall(MONDAY + 6), **fields)
        if run.id not in store.held.runs:
            store.create_run(run, [a_job(1)])
        return why_not_resumed(store, run, by=by, scheduled=SINCE, now=MONDAY + 9 * HOUR)

    sigterm: Any = {"state": RunState.STOPPED, "reason": "stopped by SIGTERM"}
    asked: Any = {"state": RunState.STOPPED, "reason": "asked to stop, in the name of ann"}
    for by in Interruption:
        assert why_not(by) is None, "its engine is gone"
        assert why_not(by, state=RunState.PAUSED) is None
        assert why_not(by, **asked) == "it was stopped: asked to stop, in the name of ann"
        assert why_not(by, state=RunState.ENDED) == "it has ended"
    assert why_not(Interruption.REBOOT, **sigterm) is None
    assert why_not(Interruption.KILL, **sigterm) == "it was stopped: stopped by SIGTERM"
    with store.lock(a_run().id):
        assert why_not(Interruption.KILL) == "an engine drives it"


def test_a_run_gives_way_to_the_start_that_the_machine_slept_through() -> None:
    store = MemoryStore()
    died = MONDAY + HOUR
    run = stored(store, MONDAY, started_at=Wall(MONDAY), heartbeat_at=Wall(died))

    def why_not(now: float, scheduled: Scheduled | None = SINCE) -> str | None:
        by = Interruption.REBOOT
        return why_not_resumed(store, store.run(run.id), by=by, scheduled=scheduled, now=now)

    assert why_not(MONDAY + 23 * HOUR) is None
    tomorrow = MONDAY + DAY + 60
    assert "the start of 2026-12-01 22:00:00Z is due" in str(why_not(tomorrow))
    assert why_not(tomorrow, None) is None, "cron starts nothing later"
    skipped = MissedStart(plan="nightly", at=Wall(tomorrow), kind=MissedKind.SKIPPED)
    store.record_missed_start(skipped)
    assert why_not(tomorrow) is None, "that start has been"


@pytest.mark.anyio
async def test_the_api_skips_waits_for_and_compacts_runs(harness: Harness) -> None:
    harness.cloud("backups: {duration: 1s, visible_after: 20ms}\n", volumes=3)
    plan = vbsbatch.load_plan("plan.yaml")
    results = []

    async def first() -> None:
        results.append(await vbsbatch.run(plan, store="runs.db"))

    async with anyio.create_task_group() as group:
        group.start_soon(first)
        while not Path("runs.db").exists() or not await vbsbatch.runs(store="runs.db"):
            await anyio.sleep(0.02)
        with pytest.raises(vbsbatch.RunIsLive, match="of the same plan is still running"):
            await vbsbatch.run(plan, store="runs.db", if_running="skip")
        results.append(await vbsbatch.run(plan, store="runs.db", if_running="wait"))
    assert [result.exit_code for result in results] == [0, 0]
    second, older = await vbsbatch.runs(store="runs.db")
    assert older.ended_at is not None
    assert older.ended_at <= second.created_at
    (missed,) = await vbsbatch.missed_starts(store="runs.db")
    assert (missed.kind, missed.run_id) == (MissedKind.SKIPPED, older.id)
    planned = await vbsbatch.compact(older_than=0.0, store="runs.db", dry_run=True)
    done = await vbsbatch.compact(older_than=0.0, store="runs.db")
    assert planned.runs == done.runs == (older.id, second.id)
    assert done.attempts == 6
    assert await vbsbatch.missed_starts(store="runs.db") == []
