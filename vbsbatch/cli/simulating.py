"""Commands around the simulated cloud: simulate, demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from vbsbatch.cli.options import PROGRESS, db_option
from vbsbatch.errors import UsageError

SMALL_FAULTS = """\
# A night like many: slow answers, some lost, some refused, a gateway that throttles.
backups: {duration: [2s, 6s], visible_after: 500ms, fail: 0.01, fail_code: VolumeBackup.0064}
limit: {count: 60, per: 1s}
latency: [5ms, 40ms]
faults:
  - {on: create, do: status, status: 503, code: VolumeBackup.0900, share: 0.02}
  - {on: create, do: drop_after, share: 0.01}
  - {on: create, do: revoke, first: 1, share: 0.005}
  - {on: list, do: status, status: 503, share: 0.02}
"""

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
@click.option("--seed", type=int, default=1, help="The same seed, the same cloud.")
@click.option("--clouds-file", type=click.Path(path_type=Path), help="Write the clouds.yaml here.")
def simulate(
    port: int, volumes: int, faults: Path | None, seed: int, clouds_file: Path | None
) -> None:
    """Serve a simulated cloud on this machine; print a ready clouds.yaml."""
    from vbsbatch.simulator import Scenario
    from vbsbatch.simulator.faults import load_scenario
    from vbsbatch.simulator.server import serve

    scenario = load_scenario(faults) if faults else Scenario()
    serve(scenario, volumes=volumes, seed=seed, port=port, clouds_file=clouds_file)


@click.command(
    epilog="""\b
Examples:
  vbsbatch demo --volumes 50 -v

\b
Exit codes as for run, and 1 when verify finds a difference.
"""
)
@click.option("--volumes", type=click.IntRange(1), default=600, show_default=True)
@click.option("--progress", type=click.Choice(PROGRESS), default="auto", show_default=True)
@click.option("--seed", type=int, default=1, help="The same seed, the same cloud.")
@click.option("-v", "--verbose", is_flag=True, help="Tell every change of every job.")
@db_option
def demo(volumes: int, progress: str, seed: int, verbose: bool, db: Path | None) -> int:
    """Back up a simulated fleet, with a few things going wrong on the way."""
    with tempfile.TemporaryDirectory(prefix="vbsbatch-demo-") as name:
        folder = Path(name)
        (folder / "faults.yaml").write_text(SMALL_FAULTS, encoding="utf-8")
        (folder / "demo.yaml").write_text(DEMO_PLAN, encoding="utf-8")
        _write_fleet(folder / "fleet.csv", volumes, seed)
        store = db or folder / "demo.db"
        with _simulator(folder, volumes, seed):
            vbsbatch = _Vbsbatch(folder, store)
            code = vbsbatch("run", "demo.yaml", "--progress", progress, *["-v"] * verbose, "--yes")
            vbsbatch("report", "latest")
            verified = vbsbatch("verify", "latest")
    return code or verified


class _Vbsbatch:
    """Runs commands of this very program in the demo's folder."""

    def __init__(self, folder: Path, store: Path) -> None:
        self._folder = folder
        self._store = store.absolute()
        self._environment = {**_without_cloud(), "OS_CLIENT_CONFIG_FILE": "clouds.yaml"}

    def __call__(self, *words: str) -> int:
        click.echo(f"$ vbsbatch {' '.join(words)}", err=True)
        command = [sys.executable, "-m", "vbsbatch", *words, "--db", str(self._store)]
        return subprocess.call(command, cwd=self._folder, env=self._environment)  # noqa: S603


def _without_cloud() -> dict[str, str]:
    """Our environment less anything that could lead the demo to a real cloud."""
    return {key: value for key, value in os.environ.items() if not key.startswith("OS_")}


def _write_fleet(path: Path, volumes: int, seed: int) -> None:
    import csv

    from vbsbatch.simulator import fleet

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("ID", "Name"))
        writer.writerows((volume.id, volume.name) for volume in fleet(volumes, seed))


@contextmanager
def _simulator(folder: Path, volumes: int, seed: int) -> Iterator[None]:
    """A simulated cloud in a process of its own, ready when the block begins."""
    command = [sys.executable, "-m", "vbsbatch", "simulate", "--volumes", str(volumes)]
    command += ["--seed", str(seed), "--faults", "faults.yaml", "--clouds-file", "clouds.yaml"]
    process = subprocess.Popen(  # noqa: S603 - our own program, our own words
        command, cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise UsageError("the simulated cloud did not start")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
