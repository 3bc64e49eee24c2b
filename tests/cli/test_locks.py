"""Who holds a store is a matter of the file itself: the command line, with real processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.clouds import GlassCloud
from tests.cli.harness import SLOW, Harness, Process, until
from tests.store.test_locks import open_folder, put_together
from tests.store.without_locks import without_locks

__all__ = ["open_folder"]

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="NOT TESTED: only Linux locks the store itself"
)
root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: needs root")


def under_way(stage: Harness) -> tuple[Process, GlassCloud]:
    """A run whose backups do not end, all of them sent."""
    cloud = stage.cloud(SLOW, volumes=2)
    engine = stage.start("run", "plan.yaml", "--progress", "quiet", "--db", str(stage.store))
    until(lambda: len(cloud.ledger("create")) == 2)
    return engine, cloud


@linux
def test_a_lock_file_that_is_tidied_away_lets_no_second_engine_in(stage: Harness) -> None:
    engine, cloud = under_way(stage)
    stage.store.with_name("vbsbatch.db.lock").unlink()
    assert "running (LIVE)" in stage.look("status")
    assert f"is driven by process {engine.pid} already, since 2" in stage.refused("resume")
    assert stage("pause", "latest").stdout
    assert "paused (PAUSED)" in stage.look("status")
    engine.kill()
    engine.communicate()
    assert "STALE" in stage.look("status")
    assert len(cloud.ledger("create")) == 2


@linux
@root
def test_a_container_that_is_given_the_store_as_one_file_is_refused(stage: Harness) -> None:
    engine, cloud = under_way(stage)
    target = stage.folder / "data" / "a store.db"
    target.parent.mkdir()
    target.touch()
    mount = 'mount --bind "$1" "$2" || exit 77; shift 2; exec "$@"'
    program = [sys.executable, "-P", "-m", "vbsbatch"]
    for words in (["run", "plan.yaml", "--yes"], ["resume"], ["status"], ["runs"]):
        inside = ["unshare", "-m", "sh", "-c", mount, "sh", str(stage.store), str(target)]
        done = subprocess.run(
            [*inside, *program, *words, "--db", str(target)],
            cwd=stage.folder,
            env=stage.environment,
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
    assert "running (LIVE)" in stage.look("status")
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
    stage: Harness, open_folder: Path
) -> None:
    stage.store = open_folder / "vbsbatch.db"
    engine, _ = under_way(stage)
    for file in open_folder.glob("vbsbatch.db*"):
        if not file.name.endswith(".lock"):
            file.chmod(0o644)
    command = [sys.executable, "-P", "-c", AS_ANOTHER, "status", "--db", str(stage.store)]

    def look() -> str:
        done = subprocess.run(
            command, env=stage.environment, capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("--\n")[2]

    assert "running (LIVE)" in look()
    engine.kill()
    engine.communicate()
    assert "running (STALE)" in look()


@linux
@pytest.mark.parametrize("kinds", ["posix ofd", "ofd"])
def test_on_a_file_system_without_locks_nothing_is_sent_and_what_can_be_read_is(
    stage: Harness, tmp_path: Path, kinds: str
) -> None:
    engine, cloud = under_way(stage)
    engine.kill()
    engine.communicate()
    put_together(stage.store)
    environment = {**without_locks(tmp_path, kinds, errno.ENOLCK), **stage.environment}
    for words in (["run", "plan.yaml", "--yes"], ["resume"], ["cancel", "latest"]):
        line = stage.refused(*words, env=environment)
        assert f"the file system of {stage.store} has no locks" in line
        assert "put the store on a local disk" in line
    shown = stage("status", env=environment).stdout
    assert "running (LIVE?)" in shown
    assert "it cannot be told whether one drives the run" in shown
    assert "resume" not in shown
    assert '"live": null' in stage("status", "--json", env=environment).stdout
    assert "LIVE?" in stage("runs", env=environment).stdout
    assert stage("jobs", env=environment).stdout
    assert "LIVE?" in stage("report", env=environment).stdout
    assert len(cloud.ledger("create")) == 2
