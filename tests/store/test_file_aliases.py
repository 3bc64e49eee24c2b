"""Second names of a store, beside which its write-ahead log would be another file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.fixtures import a_job, a_run
from tests.store.test_locks import HOLD, holding, put_together
from vbsbatch.errors import StoreUnusable
from vbsbatch.model import BackupSettings
from vbsbatch.store import Store, file_aliases

RUN = "20261118-1200-aaaa"
root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: needs root")


@pytest.fixture
def second(path: Path) -> Path:
    """A hard link to a store that no process has open."""
    with Store.open(path, create=True) as store:
        store.create_run(a_run(RUN), [a_job(1)], BackupSettings())
    put_together(path)
    other = path.with_name("elsewhere") / "second.db"
    other.parent.mkdir()
    os.link(path, other)
    return other


@pytest.mark.parametrize("readonly", [False, True])
def test_of_two_names_none_is_opened_where_no_log_shows_which_is_in_use(
    path: Path, second: Path, readonly: bool
) -> None:
    before = path.read_bytes()
    for name in (path, second):
        with pytest.raises(StoreUnusable, match="several names") as refusal:
            Store.open(name, create=True, readonly=readonly)
        assert "\n" not in str(refusal.value)
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == ["elsewhere", "vbsbatch.db"]
    second.unlink()
    Store.open(path, readonly=readonly).close()


def test_a_link_made_under_a_live_engine_is_refused_and_its_own_name_is_not(path: Path) -> None:
    with Store.open(path, create=True) as store:
        store.create_run(a_run(RUN), [a_job(1)], BackupSettings())
    second = path.with_name("second.db")
    with holding(str(path), RUN, script=HOLD) as engine:
        os.link(path, second)
        with pytest.raises(StoreUnusable, match="several names"):
            Store.open(second, readonly=True)
        with Store.open(path) as store:
            holder = store.is_live(RUN)
            assert holder is not None
            assert holder.pid == engine.pid
        second.with_name("second.db-wal").touch()  # left there from another time
        with pytest.raises(StoreUnusable, match="several names"):
            Store.open(second)


def test_a_link_is_refused_in_the_process_that_has_the_store_open(path: Path) -> None:
    second = path.with_name("second.db")
    with Store.open(path, create=True) as store:
        os.link(path, second)
        second.with_name("second.db-wal").touch()  # left there by whatever
        with pytest.raises(StoreUnusable, match="several names"):
            Store.open(second)
        Store.open(path).close()
        assert store.runs() == []


OPEN = """
import sys
from vbsbatch.errors import StoreError
from vbsbatch.store import Store
try:
    Store.open(sys.argv[1], create=True, readonly=sys.argv[2] == "ro").close()
    print("opened")
except StoreError as error:
    print(error)
"""


def mounted(what: Path, where: Path, opened: Path, how: str) -> str:
    """What becomes of opening a file in a namespace in which something is mounted."""
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    python = [sys.executable, "-c", OPEN, str(opened), how]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(what), str(where), *python],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"NOT TESTED: nothing can be mounted here: {done.stderr}")
    return done.stdout


@root
@pytest.mark.parametrize("how", ["ro", "rw"])
def test_a_store_that_is_mounted_as_a_single_file_is_refused(path: Path, how: str) -> None:
    Store.open(path, create=True).close()
    folder = path.with_name("a folder\twith\\everything")
    folder.mkdir()
    target = folder / "store.db"
    target.touch()
    link = path.with_name("link.db")
    link.symlink_to(target)
    for name in (target, link):
        assert "mount its folder instead" in mounted(path, target, name, how)
    assert os.listdir(folder) == ["store.db"]


@root
def test_a_store_in_a_mounted_folder_is_opened(path: Path) -> None:
    Store.open(path, create=True).close()
    folder = path.with_name("mounted")
    folder.mkdir()
    assert mounted(path.parent, folder, folder / path.name, "rw") == "opened\n"


def test_mount_points_are_read_as_the_kernel_writes_them() -> None:
    line = rb"36 35 98:0 /a\040b /mnt/x\040y\011\134z rw,noatime master:1 - ext3 /dev/root rw"
    assert file_aliases.mount_point(line) == b"/mnt/x y\t\\z"
    assert file_aliases.mount_point(b"") == b""
