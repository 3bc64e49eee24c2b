"""One engine per run, with real processes, whatever files are beside the store."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.store.fixtures import NOW, a_job, a_run, moved
from tests.store.test_opening import nobody
from tests.store.without_locks import without_locks
from vbsbatch.errors import RunIsLive, StoreUnusable
from vbsbatch.model import BackupSettings, Cloud, Elapsed, Holder, JobState
from vbsbatch.store.sqlite import lock_file, locks, opening, schema
from vbsbatch.store.sqlite.descriptors import held
from vbsbatch.store.sqlite.store import SqliteStore

A, B = "20261118-1200-aaaa", "20261118-1300-bbbb"
Process: TypeAlias = "subprocess.Popen[str]"

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="NOT TESTED: only Linux locks the store itself"
)
root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: needs root")

HOLD = """
import sys
from vbsbatch.store.sqlite.store import SqliteStore
with SqliteStore.open(sys.argv[1]) as store, store.lock(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""

HOLD_AS_BEFORE = """
import fcntl, os, sys
lock = os.open(sys.argv[1] + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""
"""What an engine of store version 2 does for run number 1 and so on."""

ASK = """
import sys
from vbsbatch.store.sqlite.store import SqliteStore
with SqliteStore.open(sys.argv[1], readonly=True) as store:
    holder = store.is_live(sys.argv[2])
    print(None if holder is None else holder.refusal("R"))
"""


@contextmanager
def holding(*command: str, script: str = HOLD) -> Iterator[Process]:
    """A process that holds a run; killed at the end."""
    words = [sys.executable, "-c", script, *command]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def run_script(
    script: str, *words: str, before: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> str:
    command = [*before, sys.executable, "-c", script, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


def two_runs(path: Path) -> None:
    with SqliteStore.open(path, create=True) as store:
        for run_id in (A, B):
            store.create_run(a_run(run_id), [a_job(1), a_job(2)], BackupSettings())
    put_together(path)


def put_together(path: Path) -> None:
    """Move the log into the file: whoever closed it last could only read."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def holder_of(path: Path, run_id: str = A) -> Holder | None:
    with SqliteStore.open(path, readonly=True) as store:
        return store.is_live(run_id)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@linux
def test_removing_the_lock_file_changes_nothing(path: Path) -> None:
    two_runs(path)
    with holding(str(path), A) as engine:
        lock_file.path_of(path).unlink()
        with SqliteStore.open(path) as store:
            holder = store.is_live(A)
            assert holder is not None
            assert (holder.pid, holder.visible) == (engine.pid, True)
            assert holder.since is not None
            with pytest.raises(RunIsLive, match=f"driven by process {engine.pid} already"):
                store.lock(A).__enter__()
            with store.lock(B):
                pass
        engine.kill()
        engine.wait()
        assert holder_of(path) is None


@linux
def test_a_symbolic_link_to_the_store_meets_the_same_lock(path: Path, tmp_path: Path) -> None:
    two_runs(path)
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(path)
    with holding(str(link), A) as engine:
        lock_file.path_of(path).unlink()
        for name in (path, link):
            holder = holder_of(name)
            assert holder is not None
            assert holder.pid == engine.pid


def test_a_link_in_a_folder_that_cannot_be_written_is_read_with_its_log(open_folder: Path) -> None:
    path = open_folder / "data" / "vbsbatch.db"
    two_runs(path)
    path.parent.chmod(0o755)
    path.chmod(0o644)
    links = open_folder / "links"
    links.mkdir()
    (links / "vbsbatch.db").symlink_to(path)
    links.chmod(0o555)
    with holding(str(path), A):
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("UPDATE runs SET reason = 'in the log alone'")
        with nobody(), SqliteStore.open(links / "vbsbatch.db", readonly=True) as store:
            assert store.run(A).reason == "in the log alone"


@linux
@root
def test_another_user_who_may_only_read_sees_who_drives(open_folder: Path) -> None:
    path = open_folder / "vbsbatch.db"
    two_runs(path)
    path.chmod(0o644)
    with holding(str(path), A) as engine:
        with nobody(), SqliteStore.open(path, readonly=True) as store:
            holder = store.is_live(A)
            assert holder is not None
            assert (holder.pid, holder.live) == (engine.pid, True)
            assert store.is_live(B) is None
        engine.kill()
        engine.wait()
        with nobody(), SqliteStore.open(path, readonly=True) as store:
            assert store.is_live(A) is None


@root
def test_an_older_engine_that_another_user_cannot_ask_about_is_not_called_gone(
    open_folder: Path,
) -> None:
    path = open_folder / "vbsbatch.db"
    two_runs(path)
    path.chmod(0o644)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE runs SET pid = 4711, host = 'backup1' WHERE no = 1")
    put_together(path)
    older = holding(str(path), "1", script=HOLD_AS_BEFORE)
    with older, nobody(), SqliteStore.open(path, readonly=True) as store:
        holder = store.is_live(A)
    assert holder is not None
    assert holder.live is None
    assert "cannot be told" in holder.refusal(A)
    assert "vbsbatch.db.lock cannot be read" in holder.refusal(A)


def test_a_live_engine_of_the_version_before_is_respected(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(opening, "MIGRATIONS", schema.MIGRATIONS[:2])
        SqliteStore.open(path, create=True).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    with holding(str(path), "1", script=HOLD_AS_BEFORE) as engine, SqliteStore.open(path) as store:
        store.create_run(a_run(A), [a_job(1)], BackupSettings())
        holder = store.is_live(A)
        assert holder is not None
        assert holder.pid == engine.pid
        with pytest.raises(RunIsLive, match=str(engine.pid)):
            store.lock(A).__enter__()
        with pytest.raises(RunIsLive, match=str(engine.pid)):
            store.cancel(A, {"all": True})
        engine.kill()
        engine.wait()
        assert store.is_live(A) is None
        with store.lock(A):
            pass


def test_the_version_before_respects_ours(path: Path) -> None:
    two_runs(path)
    with holding(str(path), A), pytest.raises(subprocess.CalledProcessError):
        subprocess.run(
            [sys.executable, "-c", HOLD_AS_BEFORE, str(path), "1"],
            check=True,
            stderr=subprocess.DEVNULL,
        )


FORK = """
import os, signal, sys
from vbsbatch.store.sqlite.store import SqliteStore
store = SqliteStore.open(sys.argv[1])
lock = store.lock(sys.argv[2])
lock.__enter__()
child = os.fork()
if child:
    print("held", flush=True)
    print(child, flush=True)
    sys.stdin.read()
else:
    lock.__exit__(None, None, None)  # of the parent: not the child's to give back
    with SqliteStore.open(sys.argv[1], readonly=True) as store:
        print(store.is_live(sys.argv[2]) is not None, flush=True)
    signal.pause()
"""


@linux
def test_a_forked_child_neither_keeps_nor_drops_the_lock(path: Path) -> None:
    two_runs(path)
    with holding(str(path), A, script=FORK) as engine:
        assert engine.stdout is not None
        said = {engine.stdout.readline().strip() for _ in range(2)}
        assert "True" in said
        lock_file.path_of(path).unlink()
        child = int((said - {"True"}).pop())
        try:
            assert holder_of(path) is not None
            engine.kill()
            engine.wait()
            os.kill(child, 0)  # it is there still
            assert holder_of(path) is None
        finally:
            os.kill(child, signal.SIGKILL)


WRITE = """
import anyio, sys
from tests.store.fixtures import NOW
from vbsbatch.store.sqlite.store import SqliteStore

async def main(path, run_id):
    with SqliteStore.open(path) as store, store.lock(run_id):
        async with store.journal(run_id) as journal:
            await journal.claim(NOW, 1, cloud_now=NOW)
            SqliteStore.open(path).close()
            with SqliteStore.open(path, readonly=True) as other:
                other.is_live(run_id)
            print("held", flush=True)
            sys.stdin.readline()
            await journal.claim(NOW, 1, cloud_now=NOW)
            print("claimed", flush=True)
            sys.stdin.readline()

anyio.run(main, sys.argv[1], sys.argv[2])
"""


def test_the_log_of_a_live_engine_stays_where_others_open_and_close_the_store(path: Path) -> None:
    """The engine's process itself has opened and closed the store beside its journal before."""
    two_runs(path)
    with holding(str(path), A, script=WRITE) as engine:
        run_script(ASK, str(path), A)
        sqlite3.connect(path).close()
        with closing(sqlite3.connect(path)) as db:
            db.execute("SELECT count(*) FROM jobs").fetchone()
        assert path.with_name("vbsbatch.db-wal").exists()
        assert engine.stdin is not None
        assert engine.stdout is not None
        engine.stdin.write("go on\n")
        engine.stdin.flush()
        assert engine.stdout.readline() == "claimed\n"
        engine.kill()
        engine.wait()
    with SqliteStore.open(path) as store:
        assert store.counts(A) == {JobState.SUBMITTING: 2}


@pytest.mark.anyio
async def test_this_process_keeps_its_locks_when_it_opens_and_closes_the_store(path: Path) -> None:
    two_runs(path)
    with SqliteStore.open(path) as store, store.lock(A):
        async with store.journal(A) as journal:
            (job,) = await journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW))
            SqliteStore.open(path).close()
            SqliteStore.open(path, readonly=True).close()
            assert str(os.getpid()) in run_script(ASK, str(path), A)
            journal.record(moved(job, JobState.RUNNING))
        assert store.counts(A)[JobState.RUNNING] == 1
    assert run_script(ASK, str(path), A) == "None"


@linux
@pytest.mark.anyio
async def test_stores_that_are_closed_leave_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for number in range(20):
        path = tmp_path / f"{number}.db"
        two_runs(path)
        with SqliteStore.open(path) as store, store.lock(A):
            async with store.journal(A, inline=number % 2 == 0) as journal:
                await journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW))
        store.close()
        with pytest.raises(StoreUnusable):
            SqliteStore.open(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == len(before)


@linux
@root
def test_a_file_that_was_opened_for_reading_is_locked_once_it_may_be_written(
    open_folder: Path,
) -> None:
    path = open_folder / "vbsbatch.db"
    two_runs(path)
    open_folder.chmod(0o777)
    path.chmod(0o444)
    with nobody(), held(path) as file:
        with pytest.raises(StoreUnusable, match="cannot open"):
            locks.take(file, 1)
        os.seteuid(0)
        path.chmod(0o666)
        os.seteuid(65534)
        assert locks.take(file, 1)
        assert not locks.take(file, 1)
        os.seteuid(0)
        assert f"process {os.getpid()} already" in run_script(ASK, str(path), A)
        locks.free(file, 1)
        assert run_script(ASK, str(path), A) == "None"


@linux
@root
def test_who_is_in_another_container_is_not_taken_for_a_process_of_this_one(path: Path) -> None:
    two_runs(path)
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*inside, "true"], check=False, capture_output=True).returncode:
        pytest.skip("NOT TESTED: no namespaces can be made here")
    with holding(str(path), A) as engine:
        said = run_script(ASK, str(path), A, before=inside)
        assert f"driven by process {engine.pid} on host" in said
        assert "cannot be seen from here" in said
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("UPDATE runs SET pid = NULL")
        said = run_script(ASK, str(path), A, before=inside)
        assert said.startswith("run R is driven by a process that cannot be seen from here")


@linux
def test_a_row_of_a_killed_engine_does_not_name_the_process_that_holds_the_run_now(
    path: Path,
) -> None:
    two_runs(path)
    with holding(str(path), A):
        lock_file.path_of(path).unlink()
        ended = subprocess.Popen(["true"])
        ended.wait()
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("UPDATE runs SET pid = ? WHERE no = 1", (ended.pid,))
        assert holder_of(path) == Holder()


OPEN = """
import sys, time
from vbsbatch.errors import StoreError
from vbsbatch.store.sqlite.store import SqliteStore
begun = time.monotonic()
try:
    with SqliteStore.open(sys.argv[1], create=True, readonly=sys.argv[2] == "ro") as store:
        print([run.id for run in store.runs()], store.is_live(sys.argv[3]))
except StoreError as error:
    print(type(error).__name__, error)
assert time.monotonic() - begun < 10
"""

REFUSALS = [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS]


@linux
@pytest.mark.parametrize("kinds", ["posix", "ofd", "posix ofd"])
@pytest.mark.parametrize("error", REFUSALS, ids=errno.errorcode.get)
def test_a_file_system_without_locks_is_named_and_only_read(
    path: Path, tmp_path: Path, kinds: str, error: int
) -> None:
    two_runs(path)
    environment = without_locks(tmp_path, kinds, error)
    said = run_script(OPEN, str(path), "rw", A, env=environment)
    assert said.startswith(f"StoreUnusable the file system of {path} has no locks")
    assert "local disk" in said
    said = run_script(OPEN, str(path), "ro", A, env=environment)
    assert said.startswith(f"['{B}', '{A}'] ")
    assert "None" in said if "ofd" not in kinds else "this file system has no locks" in said


@linux
@pytest.mark.parametrize("kinds", ["posix", "ofd"])
def test_a_new_store_on_a_file_system_without_locks_is_refused(
    path: Path, tmp_path: Path, kinds: str
) -> None:
    environment = without_locks(tmp_path, kinds, errno.ENOLCK)
    said = run_script(OPEN, str(path), "rw", A, env=environment)
    assert said.startswith(f"StoreUnusable the file system of {path} has no locks")
    assert path.stat().st_size == 0


@linux
def test_without_locks_a_store_with_changes_in_its_log_is_not_read_without_them(
    path: Path, tmp_path: Path
) -> None:
    two_runs(path)
    environment = without_locks(tmp_path, "posix ofd", errno.ENOLCK)
    with holding(str(path), A):
        said = run_script(OPEN, str(path), "ro", A, env=environment)
    assert "newest changes are in its -wal file" in said


def test_no_message_names_process_0_or_no_process(path: Path) -> None:
    holders = [
        Holder(),
        Holder(pid=7, host="web1"),
        Holder(pid=7, host="web1", visible=True),
        Holder(doubt="this file system has no locks"),
        Holder(pid=7, host="web1", doubt="x.lock cannot be read"),
    ]
    said = [holder.refusal("R") for holder in holders]
    said += [str(locks.without_locks(path, "No locks available"))]
    assert len(set(said)) == len(said)
    assert not any("process 0" in words or "nobody" in words for words in said)
