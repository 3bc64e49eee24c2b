"""Commands with a simulated cloud: simulate, demo."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import mention
from vbsbatch.cli.options import PROGRESS, db_option, open_store
from vbsbatch.cli.parent_death import ParentDeath
from vbsbatch.errors import UsageError
from vbsbatch.model import JobState, RunState, Service

if TYPE_CHECKING:
    from vbsbatch.model import Run
    from vbsbatch.store import RunStore

PATIENCE = 20.0
"""Seconds that an engine may take to stop when the demo ends."""


@click.command(
    epilog="""\b
Try it in a second terminal:
  vbsbatch simulate --volumes 600 > clouds.yaml
  OS_CLIENT_CONFIG_FILE=clouds.yaml openstack --os-cloud simulator volume list
"""
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes any free port.")
@click.option("--volumes", type=click.IntRange(0), default=50, show_default=True)
@click.option("--faults", type=click.Path(path_type=Path), help="A file of faults, YAML or JSON.")
@click.option(
    "--service",
    type=click.Choice((*map(str, Service), "both", "all")),
    help="Which backup services it offers; wins over the faults file, whose default is vbs.",
)
@click.option("--seed", type=int, default=1, help="The same seed, the same cloud.")
@click.option("--clouds-file", type=click.Path(path_type=Path), help="Write the clouds.yaml here.")
@click.option("--access-key", is_flag=True, help="Print an entry that signs with a key, too.")
def simulate(
    port: int,
    volumes: int,
    faults: Path | None,
    service: str | None,
    seed: int,
    clouds_file: Path | None,
    access_key: bool,
) -> None:
    """Serve a simulated cloud on this machine; print a ready clouds.yaml."""
    from dataclasses import replace

    from vbsbatch.simulator import Scenario, Services
    from vbsbatch.simulator.faults import load_scenario
    from vbsbatch.simulator.server import serve

    scenario = load_scenario(faults) if faults else Scenario()
    if service is not None:
        scenario = replace(scenario, services=Services(service))
    serve(
        scenario,
        volumes=volumes,
        seed=seed,
        port=port,
        clouds_file=clouds_file,
        access_key=access_key,
    )


@click.command(
    epilog="""\b
Examples:
  vbsbatch demo --volumes 50 -v
  vbsbatch demo --service cinder

Exit codes as for run, and 1 when verify finds a difference.
"""
)
@click.option("--volumes", type=click.IntRange(1), default=600, show_default=True)
@click.option("--progress", type=click.Choice(PROGRESS), default="auto", show_default=True)
@click.option(
    "--service",
    type=click.Choice(tuple(map(str, Service))),
    default="vbs",
    show_default=True,
    help="Which backup service the simulated cloud offers.",
)
@click.option("--seed", type=int, default=1, help="The same seed, the same cloud.")
@click.option("-v", "--verbose", is_flag=True, help="Print every change of every job.")
@db_option
def demo(
    volumes: int, progress: str, service: str, seed: int, verbose: bool, db: Path | None
) -> int:
    """Back up a simulated fleet. Some volumes fail at first and are retried by their code."""
    name = tempfile.mkdtemp(prefix="vbsbatch-demo-")
    store = (db or Path(name, "demo.db")).absolute()
    kept = False
    try:
        words = ["--progress", progress, *["-v"] * verbose]
        code, kept = _show_a_night(Path(name), store, service, volumes, seed, words)
    finally:
        if db or not kept:
            shutil.rmtree(name)
    _say_what_is_left(store if kept or db else None, None if db else name)
    return code


def _show_a_night(
    folder: Path, store: Path, service: str, volumes: int, seed: int, words: list[str]
) -> tuple[int, bool]:
    """Run the demo's commands; its exit code, and whether all of them were run."""
    from vbsbatch.simulator.demo_files import write_demo_files

    write_demo_files(folder, service, volumes, seed)
    others = {run.id for run in _runs(store)}
    with (
        _Signals() as signals,
        ParentDeath() as tie,
        _simulator(folder, volumes, service, seed, tie),
    ):
        vbsbatch = _Vbsbatch(folder, store, signals, tie)
        code = vbsbatch("run", "demo.yaml", *words, "--yes", "--no-preflight")
        own = next((run for run in _runs(store) if _is_own(run, others)), None)
        if own is None or _stopped_what_goes_on(store, own) or signals.seen:
            return code, False
        retried = _retry_what_failed(vbsbatch, store, own, words)
        vbsbatch("report", "latest")
        verified = vbsbatch("verify", "latest")
        return (code if retried is None else retried) or verified, not signals.seen


def _retry_what_failed(vbsbatch: _Vbsbatch, store: Path, run: Run, words: list[str]) -> int | None:
    """Retry the failed volumes by their codes, without the screen; None where none failed."""
    from vbsbatch.inventory.plan_writer import counted
    from vbsbatch.policy import documented

    with open_store(store, readonly=True) as opened:
        failed = opened.jobs(run.id, states=frozenset({JobState.FAILED}))
        causes = Counter((job.code, job.http_status) for job in failed)
    if not causes:
        return None
    for (code, status), count in causes.items():
        meaning = documented(code, status) or "no known cause"
        mention(f"{counted(count, 'volume')} failed with {code or status}: {meaning}.")
    mention("Suppose that the cause is fixed by now. Then a retry by code is all it takes:")
    codes = {code for code, _ in causes if code is not None}
    chosen = [word for code in sorted(codes) for word in ("--code", code)] or ["--all-failed"]
    plain = ["plain" if word in ("auto", "tui") else word for word in words]
    return vbsbatch("retry", run.id, *chosen, *plain, "--yes")


def _say_what_is_left(store: Path | None, folder: str | None) -> None:
    """Print what became of the demo's cloud and store, and commands that work from now on."""
    if store is None:
        mention("the demo is over: its cloud and its store are gone")
        return
    vbsbatch, at = _own_command(), shlex.quote(str(store))
    mention("the demo is over: its cloud is gone, its store is kept. Look at it with:")
    mention(f"  {vbsbatch} attach --db {at}")
    mention(f"  {vbsbatch} jobs --state ok --db {at}")
    mention(f"  {vbsbatch} report --format html --output demo.html --db {at}")
    if folder is not None:
        mention(f"  rm -r {shlex.quote(folder)}    # removes the store")


def _own_command() -> str:
    """How to call this program from the current folder."""
    called, found = Path(sys.argv[0]), shutil.which("vbsbatch")
    if found and Path(found).resolve() == called.resolve():
        return "vbsbatch"
    if called.name == "vbsbatch":
        return shlex.quote(os.path.relpath(called))
    return shlex.join([sys.executable, "-m", "vbsbatch"])


def _runs(store: Path) -> list[Run]:
    """List the runs of the store if it exists, newest first."""
    if not (store.exists() and store.stat().st_size):
        return []
    with open_store(store, readonly=True) as opened:
        return opened.runs()


def _is_own(run: Run, others: Set[str]) -> bool:
    """Whether the demo started this run: its store may contain other runs."""
    return run.id not in others and (run.plan, run.cloud) == ("demo", "simulator")


def _stopped_what_goes_on(store: Path, run: Run) -> bool:
    """Stop an engine that still runs, because its cloud ends now; return whether there was one."""
    with open_store(store) as opened:
        if opened.is_live(run.id) is None:
            return False
        left = run.state in (RunState.RUNNING, RunState.PAUSED)
        if left:
            mention(f"you left the demo early: stopping run {run.id}, because its cloud ends now")
            opened.ask(run.id, "stop-now", {}, "the demo")
        _await_end(opened, run.id)
    return left


def _await_end(store: RunStore, run_id: str) -> None:
    """Wait for the engine's end; kill it if it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while (holder := store.is_live(run_id)) is not None:
        if time.monotonic() > deadline:
            if not holder.visible or holder.pid is None:
                raise UsageError(f"run {run_id} is still driven by {holder.who}: stop it there")
            os.kill(holder.pid, signal.SIGKILL)
        time.sleep(0.05)


class _Signals:
    """Passes signals on to the running command; the demo cleans up afterwards."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.seen: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _take(self, number: int, frame: object) -> None:
        self.seen = number
        if self.child is not None:
            # After a hang-up a run continues; a demo must not.
            self.child.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)


class _Vbsbatch:
    """Runs vbsbatch commands in the demo's folder."""

    def __init__(self, folder: Path, store: Path, signals: _Signals, tie: ParentDeath) -> None:
        self._store = store
        self._signals = signals
        self._how: dict[str, Any] = {
            "cwd": folder,
            "env": {**_without_cloud(), "OS_CLIENT_CONFIG_FILE": "clouds.yaml", **tie.variables},
            "pass_fds": tie.passed,
        }

    def __call__(self, *words: str) -> int:
        """Run a command, unless a signal came, and return its exit code or the signal's."""
        if self._signals.seen is None:
            mention(f"$ vbsbatch {shlex.join(words)}")
            command = [sys.executable, "-P", "-m", "vbsbatch", *words, "--db", str(self._store)]
            with subprocess.Popen(command, **self._how) as child:  # noqa: S603
                self._signals.child = child
                code = child.wait()
                self._signals.child = None
        return code if self._signals.seen is None else 128 + self._signals.seen


def _without_cloud() -> dict[str, str]:
    """Our environment without variables that could lead the demo to a real cloud."""
    return {key: value for key, value in os.environ.items() if not key.startswith("OS_")}


@contextmanager
def _simulator(
    folder: Path, volumes: int, service: str, seed: int, tie: ParentDeath
) -> Iterator[None]:
    """Run a simulated cloud in a separate process, ready when the block begins."""
    command = [sys.executable, "-P", "-m", "vbsbatch", "simulate", "--volumes", str(volumes)]
    command += ["--service", service, "--seed", str(seed)]
    command += ["--faults", "faults.yaml", "--clouds-file", "clouds.yaml"]
    process = subprocess.Popen(  # noqa: S603 - our own program, our own words
        command,
        cwd=folder,
        env={**os.environ, **tie.variables},
        pass_fds=tie.passed,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise UsageError("the simulated cloud did not start")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
