"""What only a store file has: its log, its locks, other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.fixtures import a_job, a_run
from vbsbatch.errors import RunIsLive
from vbsbatch.model import (
    BackupSettings,
)
from vbsbatch.store.sqlite.journal_sql import PAGE
from vbsbatch.store.sqlite.opening import connect
from vbsbatch.store.sqlite.store import SqliteStore

A, B, C = "20261118-1200-aaaa", "20261118-1300-bbbb", "20261119-0100-cccc"
DEFAULTS = BackupSettings(description="nightly", full=True)


def three_runs(store: SqliteStore) -> None:
    for run_id in (A, B, C):
        store.create_run(a_run(run_id), [], DEFAULTS)


def test_a_slow_reader_of_jobs_does_not_keep_the_log_from_being_emptied(
    store: SqliteStore, path: Path
) -> None:
    store.create_run(a_run(A), (a_job(no) for no in range(3 * PAGE)), DEFAULTS)
    jobs = store.jobs(A)
    read = [next(jobs).no]
    store.cancel(A, {"volumes": ["db-001"]})
    with closing(connect(path, busy_timeout=0)) as db:
        assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    assert [*read, *(job.no for job in jobs)] == list(range(3 * PAGE))


HOLD = """
import sys
from vbsbatch.store.sqlite.store import SqliteStore
with SqliteStore.open(sys.argv[1]) as store, store.lock(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def pid_of(store: SqliteStore, run_id: str) -> int | None:
    holder = store.is_live(run_id)
    assert holder is not None
    return holder.pid


def test_a_second_engine_is_refused_and_the_holder_named(store: SqliteStore, path: Path) -> None:
    three_runs(store)
    command = [sys.executable, "-c", HOLD, str(path), A]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline() == "held\n"
        assert pid_of(store, A) == engine.pid
        assert store.is_live(B) is None
        with pytest.raises(RunIsLive, match=str(engine.pid)), store.lock(A):
            pass
        with pytest.raises(RunIsLive, match=str(engine.pid)):
            store.requeue(A, {"all": True})
        with store.lock(B):
            # Asking, and letting another lock go, must not let go of this one.
            assert pid_of(store, B) == os.getpid()
        assert pid_of(store, A) == engine.pid
        engine.kill()
    assert store.is_live(A) is None
    with store.lock(A):
        assert store.requeue(A, {"all": True}) == 0
        with pytest.raises(RunIsLive), store.lock(A):
            pass
    assert (path.parent / "vbsbatch.db.lock").stat().st_mode & 0o777 == 0o600


LOOK = """
import sys
from vbsbatch.store.sqlite.store import SqliteStore
with SqliteStore.open(sys.argv[1], readonly=True) as store:
    print(store.is_live(sys.argv[2]).pid)
"""


def test_other_processes_see_who_drives_even_after_this_one_checked(
    store: SqliteStore, path: Path
) -> None:
    three_runs(store)
    with store.lock(A):
        assert store.is_live(B) is None
        looked = subprocess.run(
            [sys.executable, "-c", LOOK, str(path), A], capture_output=True, text=True, check=True
        )
    assert looked.stdout == f"{os.getpid()}\n"


def test_importing_the_room_is_light() -> None:
    heavy = ("pydantic", "sqlite_utils", "asyncio", "anyio")
    code = f"import sys, vbsbatch.store; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
