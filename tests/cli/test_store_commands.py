"""`vbsbatch store compact`, the config key that does it, and the logs that go with it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cli.harness import Harness, until
from vbsbatch.cli import engine_log
from vbsbatch.store.sqlite.store import SqliteStore


def test_compact_beside_a_live_run_and_a_follower_then_alone(harness: Harness) -> None:
    cloud = harness.cloud(volumes=120)
    harness("run", "plan.yaml", "--yes")
    ended = harness.run_id()
    store = SqliteStore.open(harness.store)
    log = engine_log.log_path(store, ended)
    log.write_text("old\n")
    log.with_name(f"{log.name}.1").symlink_to(harness.plan)
    report = harness.look("report", ended, "--format", "csv")
    cloud.behave("backups: {duration: 2s, visible_after: 20ms}\n")
    engine = harness.start("run", "plan.yaml", "--yes")
    until(lambda: harness.runs()[0]["live"])
    attached = harness.start("attach", "latest", "--progress", "json")

    said = harness("store", "compact", "--older-than", "0", "--dry-run")
    assert f"run {ended} of plan night, ended " in said.stdout
    assert "120 attempts of 1 run would be removed" in said.stdout
    assert list(store.events(ended)) != []
    refused = harness.refused("store", "compact", "--older-than", "0")
    assert refused == "store compact removes history: confirm it on a terminal, or use --yes"
    said = harness("store", "compact", "--older-than", "0", "--yes")
    assert "120 attempts of 1 run, 4 bytes of logs; the store has " in said.stdout
    assert f"(the file keeps its size: an engine drives run {harness.run_id()})" in said.stdout
    assert not log.exists()
    assert log.with_name(f"{log.name}.1").is_symlink(), "it is not ours"
    harness.finish(engine, 0)
    follower = harness.finish(attached, 0)
    assert '"event": "end"' in follower.stderr
    assert [each.kind for each in store.events(ended)] == ["run"]
    store.close()

    status = harness.json("status", ended)["run"]
    assert status["compacted_at"] is not None
    assert status["attempts"] == 120
    assert "events and attempts were removed" in harness.look("status", ended)
    assert harness.look("report", ended, "--format", "csv") == report
    harness("verify", ended)
    before = harness.store.stat().st_size
    assert "less than before" in harness("store", "compact", "--older-than", "0s", "--yes").stdout
    assert harness.store.stat().st_size < before
    assert "nothing to remove" in harness("store", "compact").stdout


def test_the_config_file_compacts_at_the_end_of_each_run(harness: Harness) -> None:
    harness.cloud(volumes=3)
    config = harness.folder / "config" / "vbsbatch" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("compact: {older_than: 0}\n")
    config.chmod(0o600)
    done = harness("run", "plan.yaml", "--yes", "--progress", "json")
    assert "3 attempts of 1 run" in done.stderr
    assert harness.json("status")["run"]["compacted_at"] is not None
    assert "compact.older_than" in harness("config").stdout
    config.write_text("compact: {older_than: soon}\n")
    assert "config.yaml:1:23" in harness.refused("runs")


def test_a_log_that_grows_too_large_is_rotated_and_nothing_is_lost(tmp_path: Path) -> None:
    """In a child, whose outputs are the log."""
    log = tmp_path / "vbsbatch.db.RUN.log"
    child = os.fork()
    if child == 0:
        try:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            for number in range(40):
                os.write(1 + number % 2, f"line {number:04}\n".encode())
                engine_log.rotate(log, largest=100)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    kept = [log.with_name(f"{log.name}.2"), log.with_name(f"{log.name}.1"), log]
    lines = [line for path in kept for line in path.read_text().splitlines()]
    assert lines == [f"line {number:04}" for number in range(40)][-len(lines) :]
    assert len(lines) >= 20
    assert all(path.stat().st_size <= 110 for path in kept)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_log_whose_older_name_is_taken_is_not_rotated_over_it(tmp_path: Path) -> None:
    log, victim = tmp_path / "a.log", tmp_path / "victim"
    victim.write_text("mine\n")
    log.with_name("a.log.1").symlink_to(victim)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(descriptor, 2)
            os.write(2, b"x" * 200)
            code = int(engine_log.rotate(log, largest=100))
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert victim.read_text() == "mine\n"
    assert log.stat().st_size == 200
    assert not engine_log.is_output(log)
