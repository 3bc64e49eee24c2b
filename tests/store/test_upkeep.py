"""Missed starts, and compaction: what it removes, what it keeps, and whom it never disturbs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.store.fixtures import NOW, StoreFixture, a_job, a_run, an_attempt, moved, volume
from vbsbatch.errors import RunIsLive
from vbsbatch.model import (
    Answer,
    Cloud,
    Elapsed,
    JobState,
    MissedKind,
    MissedStart,
    Operation,
    RunState,
    Settings,
    Verdict,
    Wall,
)
from vbsbatch.store import RunStore
from vbsbatch.store.sqlite.store import SqliteStore

A, B = "20261118-1200-aaaa", "20261119-1200-bbbb"
LATER = Wall(NOW + 1000)

pytestmark = pytest.mark.anyio


async def a_night(store: Any, run_id: str, jobs: int = 3, *, ended_at: float = NOW + 60) -> None:
    """A run whose jobs were refused once and succeeded then, all of it recorded."""
    store.create_run(a_run(run_id), [a_job(no + 1) for no in range(jobs)])
    refused = Answer(status=503, code="X", message="later")
    async with store.journal(run_id) as journal:
        await journal.begin(store.run(run_id), Elapsed(NOW), Wall(NOW))
        claimed = await journal.claim(Elapsed(NOW), jobs, cloud_now=Cloud(NOW))
        for job in claimed:
            attempt = an_attempt(verdict=Verdict.RETRY, answer=refused)
            back = moved(job, JobState.WAITING, attempt=attempt, note="again", attempts=1)
            journal.record(back)
        for job in await journal.claim(Elapsed(NOW), jobs, cloud_now=Cloud(NOW)):
            running = moved(job, JobState.RUNNING, attempt=an_attempt(2), attempts=2)
            journal.record(running)
            ended: Any = {"backup_id": volume(100 + job.no), "ended_at": Wall(ended_at)}
            journal.record(moved(running.job, JobState.SUCCEEDED, ended_at, **ended))
        await journal.run_state(RunState.ENDED, Wall(ended_at))


def history(store: Any, run_id: str) -> tuple[int, int]:
    attempts = sum(len(store.attempts(run_id, job.no)) for job in store.jobs(run_id))
    return len(list(store.events(run_id))), attempts


async def test_a_compacted_run_keeps_its_jobs_and_says_that_its_history_is_gone(
    each_store: StoreFixture,
) -> None:
    await a_night(each_store, A)
    jobs, counts = list(each_store.jobs(A)), each_store.counts(A)
    events, attempts = history(each_store, A)
    assert attempts == 6
    planned = each_store.compactable(LATER)
    assert (planned.runs, planned.events, planned.attempts) == ((A,), events, attempts)
    assert history(each_store, A) == (events, attempts), "a dry run changes nothing"

    done = each_store.compact(LATER)
    assert (done.runs, done.events, done.attempts) == ((A,), events, attempts)
    assert list(each_store.jobs(A)) == jobs
    assert each_store.counts(A) == counts
    assert each_store.attempt_total(A) == 6, "counted by the jobs"
    (note,) = each_store.events(A)
    assert (note.kind, note.no) == ("run", None)
    assert f"{events} events and {attempts} attempts" in note.text
    assert each_store.run(A).compacted_at is not None
    assert history(each_store, A) == (1, 0)
    assert each_store.compact(LATER).runs == (), "once is enough"
    assert history(each_store, A) == (1, 0)


async def test_runs_that_are_young_unfinished_or_driven_keep_their_history(
    each_store: StoreFixture,
) -> None:
    await a_night(each_store, A)
    await a_night(each_store, B, ended_at=NOW + 2000)
    each_store.create_run(a_run("20261120-1200-cccc"), [a_job(1)])
    with each_store.lock(A):
        before = history(each_store, A)
        assert each_store.compact(LATER).runs == ()
        assert history(each_store, A) == before
    assert each_store.compact(LATER).runs == (A,)
    assert history(each_store, B)[1] == 6


async def test_a_run_that_is_retried_after_its_compaction_is_compacted_again(
    each_store: StoreFixture,
) -> None:
    await a_night(each_store, A)
    each_store.compact(LATER)
    far = Wall(float(each_store.run(A).compacted_at) + 10.0)
    async with each_store.journal(A) as journal:
        await journal.run_state(RunState.ENDED, far)
    assert each_store.compact(Wall(float(far) + 10.0)).runs == (A,)


async def test_commands_that_were_answered_go_with_their_run(any_store: RunStore) -> None:
    await a_night(any_store, A)
    asked = [any_store.ask(A, "pause", {}, "ann") for _ in range(3)]
    assert any_store.withdraw(asked[0])
    assert any_store.withdraw(asked[1])
    assert any_store.compact(LATER).commands == 2
    assert any_store.ask(A, "pause", {}, "ann") not in asked, "no number is given out twice"


async def test_starts_that_made_no_run_are_told_newest_first_until_they_are_old(
    any_store: RunStore,
) -> None:
    await a_night(any_store, A)
    night = MissedStart(plan="nightly", at=Wall(NOW), kind=MissedKind.MISSED, text="it was off")
    skipped = MissedStart(plan="nightly", at=Wall(NOW + 9), kind=MissedKind.SKIPPED, run_id=A)
    late = MissedStart(plan="n\ud800", at=Wall(NOW + 5), kind=MissedKind.LATE, run_id=A)
    for each in (night, skipped, late):
        any_store.record_missed_start(each)
    found = any_store.missed_starts()
    assert [each.kind.value for each in found] == ["skipped", "late", "missed"]
    assert found[0] == skipped
    assert found[2] == night
    assert any_store.compact(Wall(NOW + 7)).starts == 2
    assert any_store.missed_starts() == [skipped]


def test_a_second_run_of_a_plan_is_refused_where_only_one_may_be(any_store: RunStore) -> None:
    place: Any = {"project_id": "p1", "region": "r1"}
    any_store.create_run(a_run(A, **place), [a_job(1)])
    with pytest.raises(RunIsLive, match=f"run {A} of the same plan has not ended"):
        any_store.create_run(a_run(B, **place), [a_job(1)], instead_of=[])
    any_store.create_run(a_run("20261119-1200-cccc", **place), [a_job(1)], instead_of=[A])
    assert B not in [run.id for run in any_store.runs()], "nothing was stored"
    restore = Settings(operation=Operation.RESTORE)
    others: list[dict[str, Any]] = [
        {"plan": "other"},
        {"project_id": "p2"},
        {"region": "r2"},
        {"settings": restore},
    ]
    for number, other in enumerate(others):
        run = a_run(f"20261119-1200-bbb{number}", **(place | other))
        if other.get("settings") is None:
            any_store.create_run(run, [a_job(1)], instead_of=[])
        else:
            assert not run.backs_up("nightly", "p1", "r1")


async def test_a_follower_of_another_run_misses_nothing(any_store: RunStore) -> None:
    """The newest event of all is the compacted run's: its number must not come again."""
    any_store.create_run(a_run(B), [a_job(1)])
    await a_night(any_store, A)
    mark = any_store.mark()
    any_store.compact(LATER)
    async with any_store.journal(B) as journal:
        (job,) = await journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW))
        journal.record(moved(job, JobState.FAILED, NOW + 9, note="no", ended_at=Wall(NOW + 9)))
    _, changed = any_store.changed(B, mark)
    assert [each.state for each in changed] == [JobState.FAILED]


async def test_a_live_engine_writes_on_and_the_file_keeps_its_pages_for_it(
    store: SqliteStore, path: Path
) -> None:
    await a_night(store, A, jobs=400)
    store.create_run(a_run(B), [a_job(1)])
    screen = store.screen()
    before = screen.data_version()
    with store.lock(B):
        async with store.journal(B) as journal:
            (job,) = await journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW))
            done = store.compact(LATER)
            journal.record(moved(job, JobState.RUNNING, attempt=an_attempt()))
            await journal.flush()
    assert done.kept_because == f"an engine drives run {B}"
    assert done.unused > 20_000
    assert screen.data_version() != before
    assert [each.kind for each in screen.newest_events(A, limit=9)] == ["run"]
    assert store.job(B, 1).state is JobState.RUNNING

    done = store.compact(LATER)
    assert done.runs == ()
    assert (done.kept_because, done.unused) == (None, 0), "now nobody drives anything"
    assert done.size_after < done.size_before
    assert screen.counts(A) == {JobState.SUCCEEDED: 400}, "a reader goes on across VACUUM"
    screen.close()


async def test_very_many_runs_cost_what_their_jobs_cost(store: SqliteStore, path: Path) -> None:
    """One night after another, each compacted when it is a night old: no history adds up."""

    async def grown(nights: range) -> int:
        for night in nights:
            at = NOW + 86_400 * night
            await a_night(store, f"20261118-1200-{night:04}", jobs=40, ended_at=at)
            store.compact(Wall(at - 1))
        return path.stat().st_size

    begun = await grown(range(1))
    small = await grown(range(1, 21))
    large = await grown(range(21, 61))
    per_run = (large - small) / 40
    with closing(sqlite3.connect(path)) as db:
        jobs = db.execute("SELECT count(*) FROM jobs").fetchone()[0]
        events = db.execute("SELECT count(*) FROM events").fetchone()[0]
        attempts = db.execute("SELECT count(*) FROM attempts").fetchone()[0]
    assert jobs == 61 * 40
    assert attempts == 80, "of the last night"
    assert events < 61 + 3 * 80
    assert per_run < 40 * 190 + 1500, f"{per_run} bytes a run, {begun} at the beginning"


KILLED = """
import sys
from pathlib import Path
from vbsbatch.model import Wall
from vbsbatch.store.sqlite import upkeep
from vbsbatch.store.sqlite.store import SqliteStore
upkeep.AT_ONCE = 20
with SqliteStore.open(Path(sys.argv[1])) as store:
    print("begins", flush=True)
    store.compact(Wall(float(sys.argv[2])))
"""


async def test_a_kill_in_the_midst_leaves_a_whole_store_and_the_next_one_ends_it(
    store: SqliteStore, path: Path
) -> None:
    await a_night(store, A, jobs=1500)
    events, attempts = history(store, A)
    jobs = list(store.jobs(A))
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), str(float(LATER))], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    while sum(history(store, A)) == events + attempts and process.poll() is None:
        os.sched_yield()
    process.kill()
    process.wait()
    process.stdout.close()
    left = sum(history(store, A))
    assert 1 < left < events + attempts, "killed while it deleted"
    assert store.run(A).compacted_at is None
    done = store.compact(LATER)
    assert done.runs == (A,)
    assert history(store, A) == (1, 0)
    assert list(store.jobs(A)) == jobs
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
