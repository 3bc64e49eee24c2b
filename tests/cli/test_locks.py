"""The lock is on the store file itself: the command line, with real processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.clouds import GlassCloud, Process
from tests.cli.harness import SLOW, Harness, until
from tests.store.test_locks import open_folder, put_together
from tests.store.without_locks import without_locks

__all__ = ["open_folder"]

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="NOT TESTED: only Linux locks the store itself"
)
root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: needs root")


def under_way(harness: Harness) -> tuple[Process, GlassCloud]:
    """A run whose backups do not end, all of them sent."""
    cloud = harness.cloud(SLOW, volumes=2)
    engine = harness.start("run", "plan.yaml", "--progress", "quiet", "--db", str(harness.store))
    until(lambda: len(cloud.ledger("create")) == 2)
    return engine, cloud


@linux
def test_removing_the_lock_file_lets_no_second_engine_in(harness: Harness) -> None:
    engine, cloud = under_way(harness)
    harness.store.with_name("vbsbatch.db.lock").unlink()
    assert "running (LIVE)" in harness.look("status")
    assert f"is driven by process {engine.pid} already, since 2" in harness.refused("resume")
    assert harness("pause", "latest").stdout
    assert "paused (PAUSED)" in harness.look("status")
    engine.kill()
    engine.communicate()
    assert "STALE" in harness.look("status")
    assert len(cloud.ledger("create")) == 2


@linux
@root
def test_a_store_mounted_as_a_single_file_is_refused(harness: Harness) -> None:
    engine, cloud = under_way(harness)
    target = harness.folder / "data" / "a store.db"
    target.parent.mkdir()
    target.touch()
    mount = 'mount --bind "$1" "$2" || exit 77; shift 2; exec "$@"'
    program = [sys.executable, "-P", "-m", "vbsbatch"]
    for words in (["run", "plan.yaml", "--yes"], ["resume"], ["status"], ["runs"]):
        inside = ["unshare", "-m", "sh", "-c", mount, "sh", str(harness.store), str(target)]
        done = subprocess.run(
            [*inside, *program, *words, "--db", str(target)],
            cwd=harness.folder,
            env=harness.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode in (1, 77):
            pytest.skip(f"NOT TESTED: nothing can be mounted here: {done.stderr}")
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        assert "mount its folder instead" in line
    assert os.listdir(target.parent) == [target.name]
    assert "running (LIVE)" in harness.look("status")
    assert engine.poll() is None
    assert len(cloud.ledger("create")) == 2


AS_ANOTHER = """
import os, sys
from vbsbatch.cli import command_line
command_line()  # what has to be imported may be out of the other user's reach
os.setresuid(65534, 65534, 65534)
print("--", flush=True)
sys.exit(command_line())
"""


@linux
@root
def test_another_user_who_may_read_the_store_sees_that_its_run_is_live(
    harness: Harness, open_folder: Path
) -> None:
    harness.store = open_folder / "vbsbatch.db"
    engine, _ = under_way(harness)
    for file in open_folder.glob("vbsbatch.db*"):
        if not file.name.endswith(".lock"):
            file.chmod(0o644)
    command = [sys.executable, "-P", "-c", AS_ANOTHER, "status", "--db", str(harness.store)]

    def look() -> str:
        done = subprocess.run(
            command, env=harness.environment, capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("--\n")[2]

    assert "running (LIVE)" in look()
    engine.kill()
    engine.communicate()
    assert "running (STALE)" in look()


@linux
@pytest.mark.parametrize("kinds", ["posix ofd", "ofd"])
def test_without_file_locks_nothing_is_sent_and_reading_still_works(
    harness: Harness, tmp_path: Path, kinds: str
) -> None:
    engine, cloud = under_way(harness)
    engine.kill()
    engine.communicate()
    put_together(harness.store)
    environment = {**without_locks(tmp_path, kinds, errno.ENOLCK), **harness.environment}
    for words in (["run", "plan.yaml", "--yes"], ["resume"], ["cancel", "latest"]):
        line = harness.refused(*words, env=environment)
        assert f"the file system of {harness.store} has no locks" in line
        assert "put the store on a local disk" in line
    shown = harness("status", env=environment).stdout
    assert "running (LIVE?)" in shown
    assert "it cannot be told whether one drives the run" in shown
    assert "resume" not in shown
    assert '"live": null' in harness("status", "--json", env=environment).stdout
    assert "LIVE?" in harness("runs", env=environment).stdout
    assert harness("jobs", env=environment).stdout
    assert "LIVE?" in harness("report", env=environment).stdout
    assert len(cloud.ledger("create")) == 2
