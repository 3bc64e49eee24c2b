"""What short commands cost in CPU, and that they never import the screen's toolkit."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.driving import new_run
from benchmarks.figure import Figure
from benchmarks.fleet import fleet
from benchmarks.scratch import folder
from vbsbatch.model import Limits
from vbsbatch.store.sqlite.store import SqliteStore

TIMES = 5
VBSBATCH = (sys.executable, "-m", "vbsbatch")


def figures(*, quick: bool) -> Iterator[Figure]:
    """CPU seconds (user and system) of the best of five, in a process of its own."""
    with folder() as place:
        status = {jobs: _status(place, jobs) for jobs in (600, 100_000)}
        yield _cost("vbsbatch --help", ("--help",), 0.2)
        yield _cost("vbsbatch status, 600 jobs", status[600], 0.5)
        yield _cost("vbsbatch status, 100,000 jobs", status[100_000], 0.5)
        imports = _imports(("--help",)) + _imports(status[600])
        yield Figure(
            name="imports of textual by --help and status",
            measured=sum(name.partition(".")[0] == "textual" for name in imports),
            at_most=0,
        )


def _status(place: Path, jobs: int) -> Sequence[str]:
    path = place / f"{jobs}.db"
    with SqliteStore.open(path, create=True) as store:
        new_run(store, fleet(jobs), Limits())
    return ("status", "--db", str(path))


def _cost(name: str, words: Sequence[str], at_most: float) -> Figure:
    best = min(_cpu(words) for _ in range(TIMES))
    return Figure(name=name, measured=best, unit="s of CPU", at_most=at_most)


def _cpu(words: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*VBSBATCH, *words], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _imports(words: Sequence[str]) -> list[str]:
    """Every module that the command imports."""
    command = [sys.executable, "-X", "importtime", "-m", "vbsbatch", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return [line.rpartition("|")[2].strip() for line in lines]
