"""A store that another user made, may write, or has edited: read with a warning, never driven."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.harness import Harness, until
from tests.store.fixtures import NOW, a_job, a_run, an_attempt, moved
from tests.store.test_opening import nobody
from vbsbatch.cli.options import open_store
from vbsbatch.engine.job_updates import objection
from vbsbatch.errors import StoreError, StoreUnusable, UsageError
from vbsbatch.model import Backup, BackupSettings, Cloud, Elapsed, JobState, Wall
from vbsbatch.store.sqlite.store import SqliteStore

RUN = "20261118-1200-aaaa"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "vbsbatch.db"
    with SqliteStore.open(path, create=True) as store:
        store.create_run(a_run(RUN), [a_job(no) for no in range(1, 6)], BackupSettings())
    return path


def sql(path: Path, script: str, *values: Any) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        if values:
            db.execute(script, values)
        else:
            db.executescript(script)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# A deletion


@pytest.mark.parametrize("who", ["another run's", "a stranger's"])
def test_a_healthy_backup_that_the_store_calls_errored_is_not_deleted(
    harness: Harness, who: str
) -> None:
    cloud = harness.cloud(volumes=2)
    ids = [volume["ID"] for volume in cloud.volumes()]
    if who == "another run's":
        harness("run", "plan.yaml", "--yes")
        victim = str(harness.jobs()[0]["backup_id"])
    else:
        victim = cloud.world.add_backup(ids[0], "kept-for-years")
    harness.write_plan(name="second")
    cloud.behave("backups: {duration: 8s, visible_after: 20ms, delete: 50ms}")
    process = harness.start("run", "plan.yaml", "--yes", "--no-preflight")
    until(lambda: [run for run in harness.runs() if run["plan"] == "second"])
    until(lambda: len(harness.jobs("--state", "running")) == 2)
    process.kill()
    process.wait()
    sql(
        harness.store,
        "UPDATE jobs SET backup_id = ?, errored_backup_id = ?"
        " WHERE no = 1 AND run = (SELECT max(no) FROM runs)",
        victim,
        victim,
    )
    cloud.behave("backups: {duration: 50ms, visible_after: 0s, delete: 0s}")
    harness("resume", "--progress", "plain")
    assert victim in {backup["id"] for backup in cloud.project().backups()}
    assert cloud.ledger("delete") == []
    with closing(sqlite3.connect(harness.store)) as db:
        said = [text for (text,) in db.execute("SELECT text FROM events WHERE text NOT NULL")]
    assert [text for text in said if f"errored backup {victim} stays: its" in text]


def test_only_a_jobs_own_errored_backup_may_be_deleted() -> None:
    job = a_job(1, first_sent_at=NOW)
    mine: dict[str, Any] = {
        "id": "b", "name": job.backup_name, "volume_id": job.volume_id, "status": "error",
        "created_at": NOW + 1,
    }  # fmt: skip
    assert objection(job, Backup(**mine), 0.0) is None
    assert objection(job, Backup(**mine | {"status": "error_deleting"}), 0.0) is None
    assert objection(job, Backup(**mine | {"created_at": None, "name": None}), 0.0) is None
    changes: list[dict[str, Any]] = [
        {"status": "available"},
        {"status": "restoring"},
        {"status": None},
        {"name": "another"},
        {"volume_id": a_job(2).volume_id},
        {"name": None, "volume_id": None},
        {"created_at": NOW - 10 * 86400},
    ]
    for change in changes:
        assert objection(job, Backup(**mine | change), 0.0), change
    assert objection(a_job(1), Backup(**mine), 0.0) == "nothing was sent for this job"


# Somebody else's


def other_user(path: Path) -> None:
    os.chown(path, 65534, 65534)


def everybody_writes(path: Path) -> None:
    path.chmod(0o666)


def group_writes(path: Path) -> None:
    path.chmod(0o660)


def other_log(path: Path) -> None:
    log = path.with_name(path.name + "-journal")
    log.touch()
    log.chmod(0o666)


def link_for_a_lock(path: Path) -> None:
    path.with_name(path.name + ".lock").symlink_to(path.parent / "elsewhere")


def open_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def other_folder(path: Path) -> None:
    os.chown(path.parent, 65534, 65534)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(other_user, marks=needs_root),
        pytest.param(other_folder, marks=needs_root),
        everybody_writes,
        group_writes,
        other_log,
        link_for_a_lock,
        open_folder,
    ],
)
def test_a_store_that_others_may_write_is_read_with_a_warning_and_not_driven(
    path: Path, spoil: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(path)
    with pytest.raises(StoreUnusable, match="not safe to work with"):
        open_store(path)
    with open_store(path, readonly=True) as store:
        assert store.run("latest").id == RUN
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: ")
    assert "may be forged" in line


@needs_root
def test_another_user_can_read_a_shared_store_and_steer_nothing() -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "vbsbatch.db"
    try:
        with SqliteStore.open(path, create=True) as store:
            store.create_run(a_run(RUN), [a_job(1)], BackupSettings())
        for file in folder.iterdir():
            file.chmod(0o666)
        with nobody():
            with pytest.raises(StoreUnusable, match=r"read-only|not safe"):
                SqliteStore.open(path)
            with SqliteStore.open(path, readonly=True) as store:
                assert store.run("latest").id == RUN
    finally:
        shutil.rmtree(folder)


# Not our schema

RECURSIVE = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x"
CRAFTED = {
    "a view in place of the runs": f"""
        ALTER TABLE runs RENAME TO kept;
        CREATE VIEW runs AS {RECURSIVE} AS no, * FROM n, kept;""",
    "a view in place of the jobs": """
        ALTER TABLE jobs RENAME TO kept; CREATE VIEW jobs AS SELECT * FROM kept;""",
    "a trigger": """
        CREATE TRIGGER t AFTER UPDATE ON runs BEGIN DELETE FROM jobs; END;""",
    "a trigger on another table": """
        CREATE TABLE z (a); CREATE TRIGGER t AFTER INSERT ON z BEGIN DELETE FROM jobs; END;""",
    "a column of another type": """
        DROP TABLE commands; CREATE TABLE commands (id TEXT, run, verb, argument, asked_by,
        asked_at, done_at, result);""",
    "a column too many": "ALTER TABLE jobs ADD COLUMN more TEXT;",
    "a computed column": "ALTER TABLE events ADD COLUMN more AS (length(zeroblob(1000000000)));",
    "a table too few": "DROP TABLE attempts;",
    "an index that runs code": "CREATE INDEX odd ON jobs (lower(hex(zeroblob(100))));",
    "an index too few": "DROP INDEX jobs_open;",
    "an unused check": """
        PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, 'pid INTEGER', 'pid INTEGER CHECK (1)');""",
    "thousands of views": "".join(f"CREATE VIEW v{n} AS {RECURSIVE} FROM n;" for n in range(1100)),
}


@pytest.mark.parametrize("what", CRAFTED)
@pytest.mark.parametrize("readonly", [True, False])
def test_a_schema_that_is_not_ours_is_refused_at_once_in_one_line(
    path: Path, what: str, readonly: bool
) -> None:
    sql(path, CRAFTED[what])
    began = time.monotonic()
    with pytest.raises(StoreUnusable) as refusal:
        SqliteStore.open(path, readonly=readonly)
    assert time.monotonic() - began < 2
    assert "\n" not in str(refusal.value)
    assert "not those of vbsbatch" in str(refusal.value)


def test_tables_that_users_add_are_allowed(path: Path) -> None:
    sql(path, f"CREATE TABLE notes (a); CREATE VIEW endless AS {RECURSIVE} FROM n; ANALYZE;")
    with SqliteStore.open(path) as store:
        assert store.run("latest").id == RUN


@pytest.mark.parametrize("version", [0, -1, -2])
def test_an_impossible_schema_version_is_refused(path: Path, version: int) -> None:
    sql(path, f"PRAGMA user_version = {version}")
    with pytest.raises(StoreUnusable, match="has no version"):
        SqliteStore.open(path)


# Not our values

TABLES = ("runs", "jobs", "attempts", "events", "commands")
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.sampled_from(
        ["{}", "[]", "[[[[", "latest", "1/0", "inf/1", "$(id)", "\x1b]0;x\x07", "9e999"]
    ),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a row in each table."""
    path = tmp_path_factory.mktemp("whole") / "vbsbatch.db"
    job = a_job(1, state=JobState.RUNNING, attempts=1, intent_at=NOW, backup_id="b")
    with SqliteStore.open(path, create=True) as store:
        store.create_run(a_run(RUN), [job, a_job(2)], BackupSettings())
        store.ask(RUN, "pause", {}, "me")

    async def write() -> None:
        with SqliteStore.open(path) as store:
            async with store.journal(RUN) as journal:
                journal.record(moved(job, JobState.FAILED, attempt=an_attempt(), code="x"))
                await journal.flush()

    import anyio

    anyio.run(write)
    sql(path, "PRAGMA user_version")
    return path


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_value_in_any_cell_is_shown_or_refused_in_one_line(
    whole: Path, data: st.DataObject
) -> None:
    table = data.draw(st.sampled_from(TABLES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vbsbatch.db"
        shutil.copy(whole, path)
        path.chmod(0o600)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            name = data.draw(st.sampled_from(names))
            value = data.draw(VALUES)
            try:
                db.execute(f"UPDATE OR IGNORE {table} SET {name} = ?", (value,))
            except (sqlite3.Error, UnicodeError, OverflowError):
                return  # SQLite itself has none of it
        with suppress(StoreError, UsageError):
            look_at_everything(path)


@pytest.mark.parametrize("column", ["attempts", "size", "free", "progress"])
def test_numbers_whose_sum_is_none_are_refused_in_one_line(whole: Path, column: str) -> None:
    with closing(sqlite3.connect(whole, isolation_level=None)) as db:
        db.execute(f"UPDATE jobs SET {column} = 8.98846567431158e+307")
    with pytest.raises((StoreError, UsageError)):
        look_at_everything(whole)


def look_at_everything(path: Path) -> None:
    from click.testing import CliRunner

    from vbsbatch.cli.app import app

    for words in (
        ["runs", "--json"],
        ["status", "--json"],
        ["jobs", "latest"],
        ["report", "latest", "--format", "json", "--all"],
        ["report", "latest", "--format", "html"],
    ):
        done = CliRunner().invoke(app, [*words, "--db", str(path)], standalone_mode=False)
        assert "\x1b" not in done.output
        assert "\n" not in str(done.exception or "")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception


async def drive_a_little(path: Path) -> None:
    with SqliteStore.open(path) as store:
        run = store.run("latest")
        async with store.journal(run.id) as journal:
            await journal.counts()
            await journal.claim(Elapsed(NOW + 10), 5, cloud_now=Cloud(NOW + 10))
            await journal.commands(Wall(NOW))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_an_engine_refuses_values_that_no_engine_writes(whole: Path, data: st.DataObject) -> None:
    import anyio

    table = data.draw(st.sampled_from(("runs", "jobs", "commands")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vbsbatch.db"
        shutil.copy(whole, path)
        path.chmod(0o600)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            name = data.draw(st.sampled_from(names))
            try:
                db.execute(f"UPDATE OR IGNORE {table} SET {name} = ?", (data.draw(VALUES),))
            except (sqlite3.Error, UnicodeError, OverflowError):
                return
        with suppress(StoreError, UsageError):
            anyio.run(drive_a_little, path)


def test_a_run_id_that_is_a_command_is_refused(path: Path) -> None:
    sql(path, "UPDATE runs SET id = ?", "x; touch /tmp/owned #")
    with (
        SqliteStore.open(path, readonly=True) as store,
        pytest.raises(StoreUnusable, match="an id"),
    ):
        store.runs()


def test_the_store_keeps_any_name_as_the_sender_of_a_command(path: Path) -> None:
    """Anybody who may write the file may write any name into it: so nobody else may, see above."""
    with SqliteStore.open(path) as store:
        store.ask(RUN, "pause", {}, "root@elsewhere")
    with closing(sqlite3.connect(path)) as db:
        assert json.loads(json.dumps(db.execute("SELECT asked_by FROM commands").fetchone())) == [
            "root@elsewhere"
        ]
