"""What 100,000 jobs cost: the check of the plan, the start, memory, room on the disk."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.answerer import Answerer, answerer
from benchmarks.figure import Figure
from benchmarks.fleet import write_plan
from benchmarks.scratch import folder

JOBS = 100_000
FEW = 100
TIMES = 3


def figures(*, quick: bool) -> Iterator[Figure]:
    """Each step is a process of its own; `--quick` drives a tenth of the jobs to their end."""
    with folder() as place, answerer(made=True) as server:
        plan = place / "plan.yaml"
        write_plan(plan, JOBS)
        yield from _check(plan)
        yield _start(plan, place, server)
        yield _resume(place, server)
        yield from _whole_run(place, server, JOBS // 10 if quick else JOBS)


def _check(plan: Path) -> Iterator[Figure]:
    done = _process("check", plan)
    yield Figure(name="100,000 jobs: check the plan", measured=done["took"], unit="s", at_most=10)
    yield Figure(
        name="100,000 jobs: memory of the check", measured=done["memory"], unit="MB", note="peak"
    )


def _start(plan: Path, place: Path, server: Answerer) -> Figure:
    took = []
    for number in range(TIMES):
        server.reset()
        done = _process("start", plan, place / f"{number}.db", server.url)
        took.append(server.times()[0] - done["began"])
    return Figure(
        name="100,000 jobs: start to the first request",
        measured=min(took),
        unit="s",
        at_most=2,
        note=f"freeze the checked plan, start the engine; best of {TIMES}",
    )


def _resume(place: Path, server: Answerer) -> Figure:
    took = []
    for number in range(TIMES):
        server.reset()
        began = time.monotonic()
        _process("resume", place / f"{number}.db", server.url)
        took.append(server.times()[0] - began)
    return Figure(
        name="100,000 jobs: resume to the first request",
        measured=min(took),
        unit="s",
        at_most=2,
        note=f"from the start of the process, signing in not included; best of {TIMES}",
    )


def _whole_run(place: Path, server: Answerer, jobs: int) -> Iterator[Figure]:
    few, many = (_driven(place / f"whole-{count}.db", server, count) for count in (FEW, jobs))
    note = f"a whole run of {jobs:,} jobs"
    yield Figure(
        name="100,000 jobs: memory over that of 100",
        measured=many["memory"] - few["memory"],
        unit="MB",
        at_most=40,
        note=f"{note}: {many['memory']:.0f} MB at the peak",
    )
    yield Figure(
        name="100,000 jobs: store bytes per job",
        measured=many["bytes"] / jobs,
        at_most=300,
        note=f"{note}, ended, with events",
    )
    yield Figure(
        name="a whole run, sweeps included: jobs a second",
        measured=jobs / many["took"],
        note=f"{note}, no rate limit, 2,000 in flight",
    )


def _driven(store: Path, server: Answerer, jobs: int) -> dict[str, Any]:
    server.reset()
    _process("freeze", store, jobs)
    return _process("drive", store, server.url)


def _process(step: str, *words: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.large_process", step, *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
