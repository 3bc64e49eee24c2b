"""What one would do without vbsbatch, on the same simulated cloud."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import yaml

from benchmarks.commands import VBSBATCH
from benchmarks.figure import Figure, Skipped
from benchmarks.scratch import folder

VOLUMES = 400
WORKERS = 8
FAULTS = "services: both\nbackups: {duration: [1s, 1s], visible_after: 0s}\nlatency: [1ms, 2ms]\n"
PLAN = f"""\
name: others
cloud: simulator
limits: {{rate: 10000/s, in_flight: 1000, connections: {WORKERS}}}
volumes_from: volumes.json
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """A simulated cloud in a process of its own."""

    place: Path
    url: str
    environment: Mapping[str, str]

    def get(self, path: str) -> object:
        """A JSON document of its control doors."""
        with urlopen(f"{self.url}/_sim/{path}") as answer:
            return json.load(answer)

    def arrivals(self) -> list[float]:
        """When accepted creates arrived (epoch seconds), in order."""
        rows = self.get("ledger?what=create")["rows"]  # type: ignore[index]
        return sorted(row["at"] for row in rows if row["outcome"] == "accepted")


def figures(*, quick: bool) -> Iterator[Figure | Skipped]:
    """Creates a second of each way, start of its processes and sign-in included."""
    yield _told("vbsbatch run", _vbsbatch, f"{VOLUMES} volumes, {WORKERS} connections")
    yield _told("openstacksdk, thread pool", _sdk, f"{VOLUMES} volumes, {WORKERS} threads")
    few = WORKERS if quick else 2 * WORKERS
    for tool, words in (("xargs", ("-P",)), ("parallel", ("-j",))):
        name = f"openstack volume backup create, {tool}"
        missing = [each for each in (tool, _openstack()) if shutil.which(each) is None]
        if missing:
            yield Skipped(name=name, why=f"{missing[0]} is not installed here")
        else:
            command = [tool, *words, str(WORKERS)]
            yield _told(name, partial(_shell, tool=command, few=few), f"{few} volumes")


def _told(name: str, way: Callable[[Cloud], None], note: str) -> Figure:
    with _cloud() as cloud:
        began = time.time()
        way(cloud)
        times = cloud.arrivals()
    sending = (len(times) - 1) / (times[-1] - times[0])
    return Figure(
        name=f"{name}: creates/s",
        measured=len(times) / (times[-1] - began),
        note=f"{note}; from the first to the last create {sending:.0f}/s",
    )


def _vbsbatch(cloud: Cloud) -> None:
    (cloud.place / "plan.yaml").write_text(PLAN, encoding="utf-8")
    words = ("run", "plan.yaml", "--db", "others.db", "--progress", "quiet", "--yes")
    subprocess.run([*VBSBATCH, *words], cwd=cloud.place, env=cloud.environment, check=True)


def _sdk(cloud: Cloud) -> None:
    code = f"""\
import json, openstack
from concurrent.futures import ThreadPoolExecutor
connection = openstack.connect(cloud="simulator")
volumes = json.load(open("volumes.json"))
def create(volume):
    connection.block_storage.create_backup(volume_id=volume["ID"], name=volume["Name"], force=True)
with ThreadPoolExecutor({WORKERS}) as pool:
    list(pool.map(create, volumes))
"""
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=cloud.place, env=cloud.environment, check=True)


def _shell(cloud: Cloud, tool: list[str], few: int) -> None:
    volumes = json.loads((cloud.place / "volumes.json").read_text())[:few]
    words = ["-n", "1", _openstack(), "--os-cloud", "simulator", "volume", "backup", "create"]
    subprocess.run(
        [*tool, *words, "--force"],
        input="\n".join(volume["ID"] for volume in volumes),
        text=True,
        cwd=cloud.place,
        env=cloud.environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _openstack() -> str:
    """The `openstack` command beside this very Python, or of the path."""
    return str(Path(sys.executable).with_name("openstack"))


@contextmanager
def _cloud() -> Iterator[Cloud]:
    with folder() as place:
        (place / "faults.yaml").write_text(FAULTS, encoding="utf-8")
        words = ("simulate", "--volumes", str(VOLUMES), "--faults", "faults.yaml")
        command = [*VBSBATCH, *words, "--clouds-file", "clouds.yaml"]
        with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline(), "the simulated cloud did not start"
                yield _opened(place)
            finally:
                process.terminate()


def _opened(place: Path) -> Cloud:
    document = yaml.safe_load((place / "clouds.yaml").read_text())
    url = document["clouds"]["simulator"]["auth"]["auth_url"].removesuffix("/identity/v3")
    own = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    environment = {**own, "OS_CLIENT_CONFIG_FILE": str(place / "clouds.yaml")}
    cloud = Cloud(place=place, url=url, environment=environment)
    (place / "volumes.json").write_text(json.dumps(cloud.get("volumes")), encoding="utf-8")
    return cloud
