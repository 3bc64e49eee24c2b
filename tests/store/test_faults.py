"""Disks that fill, locks that stay, engines that are killed: clear errors, and nothing lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.store.fixtures import NOW, a_job, a_run, moved, volume
from vbsbatch.errors import StoreFailed, StoreUnusable
from vbsbatch.model import OPEN_STATES, BackupSettings, Cloud, Elapsed, JobState, RunNoted, Wall
from vbsbatch.store.memory import MemoryStore
from vbsbatch.store.sqlite import opening
from vbsbatch.store.sqlite.store import SqliteStore

A, B = "20261118-1200-aaaa", "20261118-1300-bbbb"
each_way = pytest.mark.parametrize("inline", [False, True], ids=["thread", "inline"])


def fill(store: SqliteStore, run_id: str = A, jobs: int = 50) -> None:
    store.create_run(a_run(run_id), (a_job(no) for no in range(1, jobs + 1)), BackupSettings())


@each_way
@pytest.mark.anyio
async def test_a_lock_that_stays_fails_the_journal_for_good(
    store: SqliteStore, path: Path, inline: bool
) -> None:
    fill(store)
    blocker = sqlite3.connect(path, isolation_level=None)
    journal = store.journal(A, inline=inline, busy_timeout=0.02)
    await journal.__aenter__()
    blocker.execute("BEGIN IMMEDIATE")
    journal.record(RunNoted(at=Wall(NOW), kind="run", text="x"))
    with pytest.raises(StoreFailed, match=r"locked.*vbsbatch resume"):
        await journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW))
    blocker.execute("ROLLBACK")
    blocker.close()
    for later in (
        journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW)),
        journal.flush(),
        journal.failed(),
        journal.close(),
    ):
        with pytest.raises(StoreFailed, match="locked"):
            await later
    with pytest.raises(StoreFailed, match="locked"):
        journal.record(RunNoted(at=Wall(NOW), kind="run", text="x"))
    assert store.counts(A) == {JobState.WAITING: 50}
    await journal.close()


@pytest.mark.anyio
async def test_a_task_that_watches_the_journal_wakes_when_it_fails(
    store: SqliteStore, path: Path
) -> None:
    fill(store)
    blocker = sqlite3.connect(path, isolation_level=None)
    journal = store.journal(A, busy_timeout=0.02)
    await journal.__aenter__()
    blocker.execute("BEGIN IMMEDIATE")

    async def watch() -> None:
        with pytest.raises(StoreFailed, match="locked"):
            await journal.failed()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await anyio.lowlevel.checkpoint()
        journal.record(RunNoted(at=Wall(NOW), kind="run", text="nobody waits for this"))
    blocker.close()
    with pytest.raises(StoreFailed):
        await journal.close()


@pytest.mark.anyio
async def test_the_memory_journal_fails_on_demand() -> None:
    memory = MemoryStore()
    memory.create_run(a_run(A), [a_job(1)])
    async with memory.journal(A) as journal:
        journal.break_down("disk full")
        for later in (journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW)), journal.failed()):
            with pytest.raises(StoreFailed, match="disk full"):
                await later


@each_way
@pytest.mark.anyio
async def test_a_file_that_is_moved_away_fails_the_journal(
    store: SqliteStore, path: Path, inline: bool
) -> None:
    fill(store)
    journal = store.journal(A, inline=inline)
    await journal.__aenter__()
    await journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW))
    path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(StoreFailed, match="moved"):
        await journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW))
    with pytest.raises(StoreFailed):
        await journal.close()


@each_way
@pytest.mark.anyio
async def test_a_fault_of_the_program_in_the_writer_does_not_vanish(
    store: SqliteStore, inline: bool
) -> None:
    fill(store)
    journal = store.journal(A, inline=inline)
    await journal.__aenter__()
    journal.record("no event at all")  # type: ignore[arg-type]
    journal.record(moved(a_job(1, http_status="x" * 3, progress=object()), JobState.SKIPPED))
    with pytest.raises(StoreFailed, match="Error"):
        await journal.flush()
    with pytest.raises(StoreFailed):
        await journal.close()
    assert store.counts(A) == {JobState.WAITING: 50}


@each_way
@pytest.mark.anyio
async def test_the_journals_failure_does_not_hide_the_error_under_way(
    store: SqliteStore, path: Path, inline: bool
) -> None:
    fill(store)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    async def work() -> None:
        async with store.journal(A, inline=inline, busy_timeout=0.02) as journal:
            journal.record(RunNoted(at=Wall(NOW), kind="run", text="x"))
            raise KeyError

    with pytest.raises(KeyError):
        await work()
    blocker.close()


@pytest.mark.anyio
async def test_a_cancelled_claim_is_not_made(store: SqliteStore, path: Path) -> None:
    fill(store)
    blocker = sqlite3.connect(path, isolation_level=None)
    async with store.journal(A) as journal:
        await journal.flush()
        blocker.execute("BEGIN IMMEDIATE")
        journal.record(RunNoted(at=Wall(NOW), kind="run", text="x"))
        async with anyio.create_task_group() as group:
            group.start_soon(partial(journal.claim, Elapsed(NOW), 5, cloud_now=Cloud(NOW)))
            group.start_soon(partial(journal.claim, Elapsed(NOW), 5, cloud_now=Cloud(NOW)))
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        blocker.execute("ROLLBACK")
    blocker.close()
    assert store.counts(A) == {JobState.WAITING: 50}


@pytest.mark.anyio
async def test_write_behind_entries_share_commits(store: SqliteStore) -> None:
    fill(store, jobs=1000)
    async with store.journal(A) as journal:
        while jobs := await journal.claim(Elapsed(NOW), 100, cloud_now=Cloud(NOW)):
            for job in jobs:
                journal.record(moved(job, JobState.RUNNING))
        await journal.flush()
        assert journal.commits <= 0.1 * 1000


@pytest.mark.anyio
async def test_write_behind_entries_are_written_soon(store: SqliteStore) -> None:
    fill(store)
    async with store.journal(A) as journal:
        journal.record(RunNoted(at=Wall(NOW), kind="run", text="x"))
        with anyio.fail_after(5):
            while not list(store.events(A)):
                await anyio.lowlevel.checkpoint()


FULL_DISK = """
import anyio, resource, sys
from pathlib import Path
from tests.store.fixtures import NOW, moved
from vbsbatch.errors import StoreFailed, StoreUnusable
from vbsbatch.model import JobState
from vbsbatch.store.sqlite.store import SqliteStore
from vbsbatch.store.sqlite import opening

async def main(path, run_id):
    with SqliteStore.open(path) as store:
        durable = 0
        try:
            async with store.journal(run_id, inline=sys.argv[3] == "inline") as journal:
                await journal.flush()
                size = max(f.stat().st_size for f in path.parent.iterdir()) + 300_000
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
                while jobs := await journal.claim(NOW, 50, cloud_now=NOW):
                    for job in jobs:
                        journal.record(moved(job, JobState.RUNNING, message="m" * 500))
                    await journal.flush()
                    durable += len(jobs)
        except StoreFailed as error:
            print(durable, error)

anyio.run(main, Path(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.parametrize("how", ["thread", "inline"])
def test_a_full_disk_stops_the_journal_and_loses_nothing(
    store: SqliteStore, path: Path, how: str
) -> None:
    fill(store, jobs=5000)
    command = [sys.executable, "-c", FULL_DISK, str(path), A, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    durable, _, message = done.stdout.partition(" ")
    assert "disk full" in message or "disk is full" in message
    assert str(path) in message
    assert 0 < int(durable) < 5000
    counts = store.counts(A)
    assert counts[JobState.RUNNING] == int(durable)
    assert counts.get(JobState.SUBMITTING, 0) in (0, 50)
    assert sum(counts.values()) == 5000
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_a_run_for_which_there_is_no_room_is_refused_there_is_none_to_resume(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_room(path: Path) -> sqlite3.Connection:
        db = opening.connect(path)
        db.execute("PRAGMA max_page_count = 1")  # as large as it is
        return db

    monkeypatch.setattr("vbsbatch.store.sqlite.upkeep.connect", without_room)
    with pytest.raises(StoreUnusable, match="free some space, then the same command again"):
        fill(store, jobs=5000)
    assert store.runs() == []


KILLED = """
import anyio, os, signal, sys
from tests.store.fixtures import NOW, moved
from vbsbatch.model import JobState
from vbsbatch.store.sqlite.store import SqliteStore
from vbsbatch.store.sqlite import opening

async def main(path, run_id, after):
    with SqliteStore.open(path) as store, store.lock(run_id):
        async with store.journal(run_id) as journal:
            for turn in range(100):
                jobs = await journal.claim(NOW, 5, cloud_now=NOW)
                print("claimed", *(job.no for job in jobs), flush=True)
                for job in jobs:
                    journal.record(moved(job, JobState.RUNNING))
                if turn % 2:
                    await journal.flush()
                    print("flushed", flush=True)
                if turn == after:
                    os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
"""


@pytest.mark.parametrize("turns", [0, 1, 2, 7])
def test_a_killed_engine_leaves_everything_that_was_durable(
    store: SqliteStore, path: Path, turns: int
) -> None:
    fill(store, jobs=200)
    command = [sys.executable, "-c", KILLED, str(path), A, str(turns)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    claimed: set[int] = set()
    flushed: set[int] = set()
    for line in done.stdout.splitlines():
        word, *numbers = line.split()
        claimed |= {int(number) for number in numbers}
        flushed = flushed if word == "claimed" else set(claimed)
    assert store.is_live(A) is None
    with SqliteStore.open(path, readonly=True) as reopened:
        assert {job.no for job in reopened.jobs(A, states=OPEN_STATES)} == claimed
        running = {job.no for job in reopened.jobs(A, states=[JobState.RUNNING])}
        assert flushed <= running <= claimed


CLAIM = """
import anyio, sys
from tests.store.fixtures import NOW
from vbsbatch.store.sqlite.store import SqliteStore
from vbsbatch.store.sqlite import opening

async def main(path, run_id):
    with SqliteStore.open(path) as store:
        async with store.journal(run_id) as journal:
            print("ready", flush=True)
            sys.stdin.readline()
            while jobs := await journal.claim(NOW, 3, cloud_now=NOW):
                pass

anyio.run(main, sys.argv[1], sys.argv[2])
"""


def test_of_two_engines_that_want_a_volume_only_one_gets_it(store: SqliteStore, path: Path) -> None:
    for run_id in (A, B):
        fill(store, run_id, jobs=90)
    engines = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(path), run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for run_id in (A, B)
    ]
    for engine in engines:
        assert engine.stdout is not None
        assert engine.stdout.readline() == "ready\n"
    for engine in engines:
        assert engine.stdin is not None
        engine.stdin.write("go\n")
        engine.stdin.flush()
    for engine in engines:
        engine.communicate(timeout=60)
        assert engine.returncode == 0
    taken = [job.volume_id for run_id in (A, B) for job in store.jobs(run_id, states=OPEN_STATES)]
    assert sorted(taken) == [volume(number) for number in range(1, 91)]
