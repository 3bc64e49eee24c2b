"""Commands around the simulated cloud: simulate, demo."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import mention
from vbsbatch.cli.options import PROGRESS, db_option, open_store
from vbsbatch.cli.parent_death import ParentDeath
from vbsbatch.errors import UsageError
from vbsbatch.model import RunState, Service

if TYPE_CHECKING:
    from vbsbatch.model import Run
    from vbsbatch.store import Store

PATIENCE = 20.0
"""Seconds that an engine may take to stop when its demo ends."""

SMALL_FAULTS = """\
# A night like many: slow answers, some lost, some refused, a gateway that throttles.
backups: {duration: [2s, 6s], visible_after: 500ms, fail: 0.01, fail_code: FAILED}
limit: {count: 60, per: 1s}
latency: [5ms, 40ms]
faults:
  - {on: create, do: status, DOWN, share: 0.02}
  - {on: create, do: drop_after, share: 0.01}
  - {on: create, do: revoke, first: 1, share: 0.005}
  - {on: list, do: status, status: 503, share: 0.02}
"""

TROUBLES = {
    Service.VBS: {"FAILED": "VolumeBackup.0064", "DOWN": "status: 503, code: VolumeBackup.0900"},
    Service.CINDER: {"FAILED": "Backup driver reported an error", "DOWN": "status: 503"},
}
"""What the words in capitals of `SMALL_FAULTS` are with each service."""

DEMO_PLAN = """\
# Every volume of the simulated cloud, with a few things going wrong on the way.
name: demo
cloud: simulator
defaults:
  backup_name: "{plan}-{volume}-{run}"
  description: vbsbatch demo
  full: true
limits: {rate: 40/s, in_flight: 200, connections: 8}
retry: {attempts: 6, base: 500ms, settle: 3s, later_every: 2s}
volumes_from: fleet.csv
"""


@click.command(
    epilog="""\b
Try it in a second terminal:
  vbsbatch simulate --volumes 600 > clouds.yaml
  OS_CLIENT_CONFIG_FILE=clouds.yaml openstack --os-cloud simulator volume list
"""
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes any free port.")
@click.option("--volumes", type=click.IntRange(0), default=50, show_default=True)
@click.option("--faults", type=click.Path(path_type=Path), help="What goes wrong; YAML or JSON.")
@click.option(
    "--service",
    type=click.Choice(("vbs", "cinder", "both")),
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
    default=Service.VBS.value,
    show_default=True,
    help="Which backup service the simulated cloud offers.",
)
@click.option("--seed", type=int, default=1, help="The same seed, the same cloud.")
@click.option("-v", "--verbose", is_flag=True, help="Tell every change of every job.")
@db_option
def demo(
    volumes: int, progress: str, service: str, seed: int, verbose: bool, db: Path | None
) -> int:
    """Back up a simulated fleet, with a few things going wrong on the way."""
    with tempfile.TemporaryDirectory(prefix="vbsbatch-demo-") as name, _Signals() as signals:
        folder = Path(name)
        (folder / "faults.yaml").write_text(_faults(Service(service)), encoding="utf-8")
        (folder / "demo.yaml").write_text(DEMO_PLAN, encoding="utf-8")
        _write_fleet(folder / "fleet.csv", volumes, seed)
        store = (db or folder / "demo.db").absolute()
        others = {run.id for run in _runs(store)}
        with ParentDeath() as tie, _simulator(folder, volumes, service, seed, tie):
            vbsbatch = _Vbsbatch(folder, store, signals, tie)
            words = ["--progress", progress, *["-v"] * verbose, "--yes", "--no-preflight"]
            code = vbsbatch("run", "demo.yaml", *words)
            own = next((run for run in _runs(store) if _is_own(run, others)), None)
            if own is None or _stopped_what_goes_on(store, own) or signals.seen:
                _mention_what_is_gone(db)
                return code
            vbsbatch("report", "latest")
            verified = vbsbatch("verify", "latest")
    _mention_what_is_gone(db)
    return code or verified


def _mention_what_is_gone(db: Path | None) -> None:
    """What was told to type next means a cloud, and usually a store, that no command finds now."""
    store = "" if db else ", and so is its store (--db FILE keeps that)"
    mention(f"the demo is over: its cloud is gone{store}")


def _faults(service: Service) -> str:
    text = SMALL_FAULTS
    for word, meaning in TROUBLES[service].items():
        text = text.replace(word, meaning)
    return text


def _runs(store: Path) -> list[Run]:
    """The runs of the store, if there is one, newest first."""
    if not (store.exists() and store.stat().st_size):
        return []
    with open_store(store, readonly=True) as opened:
        return opened.runs()


def _is_own(run: Run, others: Set[str]) -> bool:
    """Whether the demo began this run: its store may be one that others work in."""
    return run.id not in others and (run.plan, run.cloud) == ("demo", "simulator")


def _stopped_what_goes_on(store: Path, run: Run) -> bool:
    """Stop the engine that a person left to itself, for its cloud ends here; whether one was."""
    with open_store(store) as opened:
        if opened.is_live(run.id) is None:
            return False
        left = run.state in (RunState.RUNNING, RunState.PAUSED)
        if left:
            mention(f"left before its end: stopping run {run.id}, for its cloud ends with the demo")
            opened.ask(run.id, "stop-now", {}, "the demo")
        _await_end(opened, run.id)
    return left


def _await_end(store: Store, run_id: str) -> None:
    """Wait for the engine's end; one that takes too long has its end made."""
    deadline = time.monotonic() + PATIENCE
    while (holder := store.is_live(run_id)) is not None:
        if time.monotonic() > deadline:
            if not holder.visible or holder.pid is None:
                raise UsageError(f"run {run_id} is still driven by {holder.who}: end it there")
            os.kill(holder.pid, signal.SIGKILL)
        time.sleep(0.05)


class _Signals:
    """Signals go to the command that runs, and the demo tidies up after it."""

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
            # A hang-up would leave the run going on, as it should, but for a demo.
            self.child.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)


class _Vbsbatch:
    """Runs commands of this very program in the demo's folder."""

    def __init__(self, folder: Path, store: Path, signals: _Signals, tie: ParentDeath) -> None:
        self._store = store
        self._signals = signals
        self._how: dict[str, Any] = {
            "cwd": folder,
            "env": {**_without_cloud(), "OS_CLIENT_CONFIG_FILE": "clouds.yaml", **tie.variables},
            "pass_fds": tie.passed,
        }

    def __call__(self, *words: str) -> int:
        """The command's exit code; after a signal that of the signal, and nothing is run any
        more."""
        if self._signals.seen is None:
            mention(f"$ vbsbatch {shlex.join(words)}")
            command = [sys.executable, "-P", "-m", "vbsbatch", *words, "--db", str(self._store)]
            with subprocess.Popen(command, **self._how) as child:  # noqa: S603
                self._signals.child = child
                code = child.wait()
                self._signals.child = None
        return code if self._signals.seen is None else 128 + self._signals.seen


def _without_cloud() -> dict[str, str]:
    """Our environment less anything that could lead the demo to a real cloud."""
    return {key: value for key, value in os.environ.items() if not key.startswith("OS_")}


def _write_fleet(path: Path, volumes: int, seed: int) -> None:
    import csv

    from vbsbatch.simulator import sample_volumes

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("ID", "Name"))
        writer.writerows((volume.id, volume.name) for volume in sample_volumes(volumes, seed))


@contextmanager
def _simulator(
    folder: Path, volumes: int, service: str, seed: int, tie: ParentDeath
) -> Iterator[None]:
    """A simulated cloud in a process of its own, ready when the block begins."""
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
