"""However a screen ends, the run continues; however an engine ends, the screen says so."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing

from tests.cli.harness import Harness, until
from tests.screen.tmux import Tmux
from tests.screen.watching import DETACH, ended, engine_of, settled, sql_counts

STEADY = "backups: {duration: 600ms, visible_after: 50ms}\n"
ONE_BY_ONE = {"rate": "200/s", "in_flight": 2, "connections": 2}


def test_leaving_a_screen_in_any_way_does_not_end_the_run(harness: Harness, tmux: Tmux) -> None:
    harness.write_plan(limits=ONE_BY_ONE)
    harness.simulator(STEADY, volumes=24)
    started = tmux.open("run", "plan.yaml")
    started.until(r"active 2 of 2 [\s\S]*q Detach")
    started.press("p")
    started.until(r"PAUSED")
    engine = engine_of(harness)
    assert engine is not None
    assert os.getsid(engine) == engine, "a session of its own"
    quit_, hung_up, killed, closed = (tmux.open("attach") for _ in range(4))
    for window in (quit_, hung_up, killed, closed):
        window.until(DETACH)

    back = f"run {harness.run_id()} goes on; come back with: vbsbatch attach {harness.run_id()}"
    started.close()
    closed.close()
    os.kill(killed.pid(), signal.SIGKILL)
    quit_.press("q")
    code, text = quit_.left()
    assert code == 0
    assert back in text
    os.kill(hung_up.pid(), signal.SIGHUP)
    code, text = hung_up.left()
    assert code == 128 + signal.SIGHUP
    assert back in text
    killed.until(r"left with 137")
    assert engine_of(harness) == engine
    harness("in-flight", "latest", "50")
    harness("unpause", "latest")
    until(ended(harness))
    assert sql_counts(harness.store) == {"succeeded": 24}
    log = harness.store.with_name(f"vbsbatch.db.{harness.run_id()}.log")
    assert log.stat().st_mode & 0o777 == 0o600
    assert "end      done ok=24 fail=0 exit=0" in log.read_text()


def test_a_terminated_screen_leaves_the_terminal_as_it_was(harness: Harness, tmux: Tmux) -> None:
    harness.write_plan(limits=ONE_BY_ONE)
    harness.simulator(STEADY, volumes=30)
    named = str(harness.folder / "named.db")
    window = tmux.open("run", "plan.yaml", "--db", named)
    window.until(r"active 2 of 2 [\s\S]*q Detach")
    os.kill(window.pid(), signal.SIGTERM)
    code, text = window.left()
    assert code == 128 + signal.SIGTERM
    assert f"--db {named}" in text.replace("\n", ""), "how to come back names the store"
    harness("stop", "latest", "--db", named)


def test_a_killed_engine_is_shown_in_time_and_replaced_from_the_screen(
    harness: Harness, tmux: Tmux
) -> None:
    harness.write_plan(limits={"rate": "200/s", "in_flight": 4, "connections": 2})
    cloud = harness.simulator("backups: {duration: 1s, visible_after: 50ms}\n", volumes=12)
    window = tmux.open("run", "plan.yaml")
    window.until(r"active 4 of 4 [\s\S]*q Detach")
    engine = engine_of(harness)
    assert engine is not None
    killed_at = time.monotonic()
    os.kill(engine, signal.SIGKILL)
    window.until(r"ENGINE GONE[\s\S]*engine gone, resume\?.*press c to resume", patience=10)
    assert time.monotonic() - killed_at < 10

    window.press("c")
    window.until(r" ENDED .*\n.*100\.0 %   12 of 12")
    assert settled(harness, window) == {"succeeded": 12}
    window.press("q")
    assert window.left()[0] == 0
    assert len(cloud.accepted()) == 12, "nothing twice"


def test_an_engine_that_cannot_start_is_reported_on_the_screen(
    harness: Harness, tmux: Tmux
) -> None:
    harness.cloud("backups: {duration: 60s, visible_after: 50ms}\n", volumes=2)
    window = tmux.open("run", "plan.yaml")
    window.until(r"active 2 [\s\S]*q Detach")
    harness("stop", "latest")
    window.until(r"stopped: .*press c to resume")
    harness.edit_clouds(r"password: \S+", "password: another")
    window.press("c")
    window.until(r"the engine did not start: [\s\S]*\(401\)")
    window.press("q")
    code, text = window.left()
    assert code == 3
    assert f'next="vbsbatch resume {harness.run_id()}"' in text.replace("\n", "")


def test_invalid_values_in_the_store_are_reported_and_the_screen_continues(
    harness: Harness, tmux: Tmux
) -> None:
    harness.cloud("backups: {duration: 60s, visible_after: 50ms}\n", volumes=3)
    window = tmux.open("run", "plan.yaml")
    window.until(r"active 3 [\s\S]*q Detach")
    with closing(sqlite3.connect(harness.store)) as db:
        # Where only a job's details look.
        db.execute("UPDATE attempts SET verdict = 'nonsense'")
        db.commit()
    window.press("Enter")
    window.until("that no vbsbatch wrote")
    window.press("q")
    code, text = window.left()
    assert code == 0
    assert "Traceback" not in text


def test_a_crash_of_the_screen_is_reported_and_does_not_affect_the_run(
    harness: Harness, tmux: Tmux
) -> None:
    cloud = harness.cloud("backups: {duration: 60s, visible_after: 50ms}\n", volumes=3)
    (harness.folder / "faulty").mkdir()
    (harness.folder / "faulty" / "sitecustomize.py").write_text(
        "from vbsbatch.tui import detail_text\ndetail_text.part = lambda *_: 1 / 0\n"
    )
    window = tmux.open("run", "plan.yaml", begin="export PYTHONPATH=$PWD/faulty")
    window.until(r"active 3 [\s\S]*q Detach")
    window.press("Enter")
    code, text = window.left()
    assert code == 1
    assert "the screen failed (" in text
    assert "the run is not affected" in text
    assert f"vbsbatch attach {harness.run_id()}" in text.replace("\n", "")
    assert engine_of(harness) is not None
    everything = window.raw().decode()
    assert "Traceback" not in everything
    tokens = cloud.world.issued
    assert tokens
    assert not [secret for secret in (cloud.password, *tokens) if secret in everything]
