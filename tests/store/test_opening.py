"""What is opened, what is refused, and that a refused file stays as it was."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.fixtures import NOW, a_job, a_run, volume
from vbsbatch.errors import StoreFailed, StoreUnusable
from vbsbatch.model import BackupSettings, Cloud, Elapsed, VerifySummary
from vbsbatch.store import db_option, default_path, open_store
from vbsbatch.store.sqlite import opening, schema
from vbsbatch.store.sqlite.schema import APPLICATION_ID, TABLES
from vbsbatch.store.sqlite.store import SqliteStore

RUN = "20261118-1200-aaaa"


def modes(path: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}


@pytest.mark.anyio
async def test_a_new_store_and_its_logs_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "vbsbatch.db"
    before = os.umask(0)
    try:
        with SqliteStore.open(path, create=True) as store:
            store.create_run(a_run(RUN), [a_job(1)], BackupSettings())
            async with store.journal(RUN) as journal:
                await journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW))
                assert modes(path) == dict.fromkeys(
                    ("vbsbatch.db", "vbsbatch.db-wal", "vbsbatch.db-shm"), 0o600
                )
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_empty_file_becomes_a_store_only_when_one_is_wanted(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreUnusable):
        SqliteStore.open(path)
    assert path.stat().st_size == 0
    SqliteStore.open(path, create=True).close()
    SqliteStore.open(path, readonly=True).close()


def test_another_process_that_creates_the_same_store_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = sqlite3.connect(path, isolation_level=None)
    maker.execute("CREATE TABLE t (x)")
    maker.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        opening.connect(path, busy_timeout=0.0)
    monkeypatch.setattr("time.sleep", lambda _: maker.execute("COMMIT"))
    opening.connect(path).close()
    maker.close()


def test_the_file_says_whose_it_is_and_of_which_version(path: Path) -> None:
    SqliteStore.open(path, create=True).close()
    head = path.read_bytes()[:100]
    assert int.from_bytes(head[68:72]) == APPLICATION_ID
    assert int.from_bytes(head[60:64]) == len(schema.MIGRATIONS)


def nothing(path: Path) -> None:
    pass


def folder(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


def short(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (a)")
    db.close()


def newer(path: Path) -> None:
    SqliteStore.open(path, create=True).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def filled(path: Path) -> None:
    with SqliteStore.open(path, create=True) as store:
        jobs = (a_job(no) for no in range(1, 500))
        store.create_run(a_run(RUN), jobs, BackupSettings())
    sqlite3.connect(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def truncated(path: Path) -> None:
    filled(path)
    os.truncate(path, 3 * 4096)


def cut_short(path: Path) -> None:
    """By less than a page: SQLite took the rest for zeros, and a job was gone."""
    filled(path)
    os.truncate(path, path.stat().st_size - 100)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nothing, "no store at"),
        (folder, "is a folder"),
        (fifo, "is not a regular file"),
        (garbage, "not SQLite"),
        (short, "not SQLite"),
        (foreign, "another application"),
        (newer, "newer vbsbatch"),
        (truncated, "damaged"),
        (cut_short, "damaged"),
    ],
)
@pytest.mark.parametrize("readonly", [False, True])
def test_what_is_no_store_of_ours_is_refused_and_left_alone(
    path: Path, make: Callable[[Path], None], words: str, readonly: bool
) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreUnusable, match=words) as refusal:
        SqliteStore.open(path, readonly=readonly)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("make", [folder, fifo, garbage, foreign, newer, truncated])
def test_wanting_a_new_store_overwrites_nothing(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreUnusable):
        SqliteStore.open(path, create=True)
    assert (path.read_bytes() if path.is_file() else None) == before


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's power over other people's files."""
    root = os.geteuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that everybody can reach."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_file_that_is_not_ours_to_read_is_refused(open_folder: Path) -> None:
    path = open_folder / "vbsbatch.db"
    SqliteStore.open(path, create=True).close()
    path.chmod(0)
    with nobody(), pytest.raises(StoreUnusable, match="Permission denied"):
        SqliteStore.open(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave files of root behind")
@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_file_beside_the_store_that_belongs_to_another_user_is_named(
    open_folder: Path, suffix: str
) -> None:
    path = open_folder / "vbsbatch.db"
    SqliteStore.open(path, create=True).close()
    left = open_folder / f"vbsbatch.db{suffix}"
    left.touch(0o600)
    left.chmod(0o600)
    for file in (open_folder, path):
        os.chown(file, 65534, 65534)
    os.chown(left, 0, 0)
    with nobody(), pytest.raises(StoreUnusable, match=rf"db{suffix} .*belongs to another user"):
        SqliteStore.open(path)


def test_a_read_only_file_is_refused_for_writing_and_can_be_read(open_folder: Path) -> None:
    path = open_folder / "vbsbatch.db"
    with SqliteStore.open(path, create=True) as store:
        store.create_run(a_run(RUN), [a_job(1)], BackupSettings())
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    path.chmod(0o444)
    open_folder.chmod(0o555)
    with nobody():
        with pytest.raises(StoreUnusable, match="read-only"):
            SqliteStore.open(path)
        with pytest.raises(StoreUnusable, match="Permission denied"):
            SqliteStore.open(open_folder / "new" / "vbsbatch.db", create=True)
        with SqliteStore.open(path, readonly=True) as store:
            assert store.run("latest").id == RUN
            with pytest.raises(StoreUnusable, match="read-only"):
                store.set_verified(RUN, VerifySummary())


VERSION_1 = """
INSERT INTO runs (no, id, plan, state, settings, defaults, created_at, first_event, rev)
  VALUES (1, '20261118-1200-aaaa', 'nightly', 'stopped', '{}', '{}', 1795000000000, 0, 3);
INSERT INTO jobs (run, no, volume_id, backup_name, priority, grp, state, attempts, free, due_at,
    intent_at, first_sent_at, backup_id, rev)
  VALUES (1, 1, x'6ba7b8109dad11d180b4000000000001', 'one', 0, 'db', 0, 0, 0, 0,
          NULL, NULL, NULL, 0),
         (1, 2, x'6ba7b8109dad11d180b4000000000002', 'two', 5, NULL, 3, 1, 0, 0,
          1795000001000, 1795000001000, 'b-2', 2),
         (1, 3, x'6ba7b8109dad11d180b4000000000003', 'three', 9, 'db', 0, 1, 0, 0,
          1795000001000, 1795000001000, NULL, 3);
INSERT INTO events (run, at, job, kind, text) VALUES (1, 1795000002000, 3, 8, 'again');
CREATE VIEW job_list AS SELECT no, priority FROM jobs;
PRAGMA application_id = 0x76627362;
PRAGMA user_version = 1;
"""
"""Jobs of an unfinished run as the first version of the schema kept them."""


@pytest.mark.anyio
async def test_a_run_of_the_first_version_goes_on_in_its_order_and_loses_nothing(
    path: Path,
) -> None:
    db = sqlite3.connect(path)
    db.executescript(TABLES + VERSION_1)
    db.close()
    with SqliteStore.open(path, readonly=True) as store:
        assert [job.volume_name for job in store.jobs(RUN)] == [volume(n) for n in (1, 2, 3)]
        assert store.job(RUN, 2).backup_id == "b-2"
        assert [event.text for event in store.events(RUN)] == ["again"]
        assert store.run(RUN).wave == 0
        async with store.journal(RUN) as journal:
            assert [
                job.no for job in await journal.claim(Elapsed(NOW), 9, cloud_now=Cloud(NOW))
            ] == [3, 1]
        assert [row["az"] for row in store_rows(path, "SELECT * FROM job_list")] == [None] * 3


def store_rows(path: Path, query: str) -> list[sqlite3.Row]:
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    found = db.execute(query).fetchall()
    db.close()
    return found


def test_a_migration_adds_to_an_older_file_and_keeps_its_runs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqliteStore.open(path, create=True) as store:
        store.create_run(a_run(RUN), [a_job(1)], BackupSettings())

    one_more = "ALTER TABLE runs ADD COLUMN more TEXT;"
    monkeypatch.setattr(opening, "MIGRATIONS", (*schema.MIGRATIONS, one_more))
    with SqliteStore.open(path, readonly=True) as store:
        assert list(store.jobs(RUN)) == [a_job(1)]
        assert "more" in store_rows(path, "SELECT * FROM runs")[0].keys()  # noqa: SIM118


def test_an_older_file_that_cannot_be_written_is_refused_and_left_as_it_was(
    open_folder: Path,
) -> None:
    path = open_folder / "vbsbatch.db"
    db = sqlite3.connect(path)
    db.executescript(TABLES + VERSION_1)
    db.close()
    before = path.read_bytes()
    path.chmod(0o444)
    open_folder.chmod(0o555)
    with nobody(), pytest.raises(StoreUnusable, match="older vbsbatch and read-only"):
        SqliteStore.open(path, readonly=True)
    assert path.read_bytes() == before


def test_a_migration_that_breaks_off_leaves_the_older_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqliteStore.open(path, create=True).close()

    one_more = "CREATE TABLE half (a); no sql;"
    with monkeypatch.context() as patch:
        patch.setattr(opening, "MIGRATIONS", (*schema.MIGRATIONS, one_more))
        with pytest.raises(StoreUnusable):
            SqliteStore.open(path)
    with SqliteStore.open(path) as store:
        assert store.runs() == []


def test_the_store_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VBSBATCH_DB", "~/x.db")
    assert default_path() == Path("~/x.db").expanduser()
    monkeypatch.delenv("VBSBATCH_DB")
    assert default_path().parts[-2:] == ("vbsbatch", "vbsbatch.db")


def test_damage_that_shows_later_is_one_clear_line(path: Path) -> None:
    with SqliteStore.open(path, create=True) as store:
        jobs = (a_job(no) for no in range(1, 2000))
        store.create_run(a_run(RUN), jobs, BackupSettings())
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * 20 * 4096)
    with SqliteStore.open(path) as store, pytest.raises(StoreFailed, match="damaged"):
        list(store.jobs(RUN))


def test_a_store_is_opened_by_its_path_or_by_its_url(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VBSBATCH_DB", str(path))
    with open_store(path, create=True) as store:
        store.create_run(a_run(RUN), [])
        assert store.name == str(store.path) == str(path)
    for name in (str(path), f"sqlite://{path}", None):
        with open_store(name, readonly=True) as store:
            assert [run.id for run in store.runs()] == [RUN]


def test_the_option_for_a_store_repeats_its_name(path: Path) -> None:
    assert db_option(path) == db_option(str(path)) == f" --db {path}"
    assert db_option("other://host/a b") == " --db 'other://host/a b'"
