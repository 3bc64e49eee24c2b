"""File names that can be guessed, where a link, a pipe or a foreign file exists already."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.harness import Harness
from tests.store.fixtures import a_job, a_run
from vbsbatch.cli import detached_engine, engine_log
from vbsbatch.errors import StoreUnusable, UsageError
from vbsbatch.model import BackupSettings
from vbsbatch.private_files import make_folders, open_private, open_to_look
from vbsbatch.store import RunStore, open_store

RUN = "20261118-1200-aaaa"


def a_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def a_dangling_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("to-be-made"))


def a_second_name(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def a_pipe(path: Path, victim: Path) -> None:
    os.mkfifo(path)


def a_pipe_that_is_read(path: Path, victim: Path) -> None:
    os.mkfifo(path)
    READERS.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def a_folder(path: Path, victim: Path) -> None:
    path.mkdir()


def a_strangers_file(path: Path, victim: Path) -> None:
    path.touch()
    os.chown(path, 65534, 65534)


READERS: list[int] = []
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
TRAPS = [
    a_link,
    a_dangling_link,
    a_second_name,
    a_pipe,
    a_pipe_that_is_read,
    a_folder,
    pytest.param(a_strangers_file, marks=needs_root),
]
Trap = Callable[[Path, Path], None]
each_trap = pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "authorized_keys"
    path.write_text("mine\n")
    return path


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    store = open_store(tmp_path / "state" / "vbsbatch.db", create=True)
    store.create_run(a_run(RUN), [a_job(1)], BackupSettings())
    return store


def untouched(victim: Path) -> bool:
    return victim.read_text() == "mine\n" and not victim.with_name("to-be-made").exists()


@each_trap
def test_a_log_is_never_written_into_what_lies_there_already(
    store: RunStore, victim: Path, trap: Trap
) -> None:
    trap(engine_log.log_path(store, RUN), victim)
    began = time.monotonic()
    with store, pytest.raises(UsageError, match="cannot write"):
        detached_engine.start_engine(store, RUN)
    assert time.monotonic() - began < 5
    assert untouched(victim)


@each_trap
def test_a_lock_is_never_taken_on_what_lies_there_already(
    store: RunStore, victim: Path, trap: Trap
) -> None:
    with store:
        trap(store.path.with_name(f"{store.path.name}.lock"), victim)
        with pytest.raises(StoreUnusable, match="cannot open"), store.lock(RUN):
            pass
        began = time.monotonic()
        store.is_live(RUN)
        assert time.monotonic() - began < 1
    assert untouched(victim)


@each_trap
def test_private_files_belong_to_the_owner_alone(tmp_path: Path, victim: Path, trap: Trap) -> None:
    path = tmp_path / "ours"
    trap(path, victim)
    for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_TRUNC):
        with pytest.raises(OSError):
            os.close(open_private(path, flags))
    assert untouched(victim)
    if trap in (a_link, a_pipe, a_folder):
        with pytest.raises(OSError):
            os.close(open_to_look(path))


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_our_files_and_folders_are_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask if umask != 0o777 else 0o177)
    try:
        if umask != 0o777:
            make_folders(tmp_path / "a" / "b" / "c")
        os.close(open_private(tmp_path / "log", os.O_WRONLY | os.O_CREAT))
    finally:
        os.umask(before)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(made) == (3 if umask != 0o777 else 0)
    assert {path.stat().st_mode & 0o777 for path in made} <= {0o700}


def test_a_file_of_ours_that_others_may_read_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    path.chmod(0o666)
    os.close(open_private(path, os.O_WRONLY | os.O_APPEND))
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_folders_of_a_new_store_are_private_under_any_umask(harness: Harness) -> None:
    harness.cloud(volumes=1)
    store = harness.folder / "deep" / "deeper" / "vbsbatch.db"
    harness("run", "plan.yaml", "--yes", "--db", str(store), umask=0)
    for folder in (store.parent, store.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_clouds_file_is_not_drafted_through_a_link(tmp_path: Path, victim: Path) -> None:
    from vbsbatch.simulator import server

    (tmp_path / f".clouds.yaml.{os.getpid()}").symlink_to(victim)
    with pytest.raises(UsageError, match="symbolic link"):
        server._write_secret(tmp_path / "clouds.yaml", "password: x\n")
    assert victim.read_text() == "mine\n"


def test_every_new_file_is_opened_by_open_private() -> None:
    """`os.open` with O_CREAT, or an open for writing, stands nowhere else in the package."""
    import re

    package = Path(detached_engine.__file__).parents[1]
    door = re.compile(r"O_CREAT|\.write_text\(|\.write_bytes\(|open\([^)]*[\"'][wax]b?[\"']")
    allowed = {
        "private_files.py": "the door",
        "store/sqlite/descriptors.py": "O_EXCL: never through a link",
        "store/sqlite/lock_file.py": "through the door",
        "cli/detached_engine.py": "through the door",
        "cli/engine_log.py": "through the door",
        "cli/user_manager.py": "through the door",
        "simulator/server.py": "through the door",
        "report/output.py": "mkstemp",
        "simulator/demo_files.py": "in a folder of mkdtemp",
        "cli/__init__.py": "/dev/null",
    }
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if door.search(path.read_text("utf-8"))
    }
    assert found <= set(allowed)
