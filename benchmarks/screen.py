"""The screen at a real terminal over 100,000 jobs, and what two of them cost the engine."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles

from benchmarks.answerer import Answerer, answerer
from benchmarks.driving import NO_LIMIT, new_run
from benchmarks.figure import Figure, median_ratio
from benchmarks.fleet import fleet, volume_name
from benchmarks.scratch import folder
from benchmarks.terminal import Terminal
from benchmarks.throughput import speed
from vbsbatch.model import ENDED_STATES, JobState, Limits
from vbsbatch.store.sqlite.store import SqliteStore

JOBS = 100_000
CHANGES = 1000
"""Changes of jobs a second while a screen is watched."""

STARTS = 4
SCREENS = 2
FIRST_ROW = re.compile(re.sub(rb"\d+", rb"\\d+", volume_name(1).encode()))
PLACE = re.compile(f"row ([0-9,]+) of {JOBS:,}".encode())
"""Where the cursor is: both screens have a line that says so, painted after the rows."""

KEYS = (b"\x1b[B", b"\x1b[6~")
"""One row down, one screenful down."""

IN_PLAN_ORDER = (b"s", b"k", b"\r")
"""Keys that sort by number: only keys change the cursor's place then."""

RESTS = (0.05, 0.08, 0.13)
"""Seconds between a paint and the next key, in turn: out of step with the looks at the store."""

WATCH = 4.0
"""Seconds of watching without a key."""

MOST = 12.0
"""Seconds of typing at most."""

PROCESS = (sys.executable, "-m", "benchmarks.screen_process")
VBSBATCH = (sys.executable, "-m", "vbsbatch")
ROOT = Path(__file__).parents[1]


def figures(*, quick: bool) -> Iterator[Figure]:
    """The screen while jobs change, Textual's own table on the same jobs, the engine beside it."""
    keys, rounds, creates = (24, 2, 1500) if quick else (60, 7, 5000)
    with folder() as place:
        stage = _Stage(place)
        with stage.churn() as (path, changes):
            starts = [_watched(stage.attach(path), stage, keys=0) for _ in range(STARTS)]
            watched = _watched(stage.attach(path), stage, keys=keys)
            yield from _screen([*starts, watched], watched, changes())
        with stage.churn() as (path, _):
            table = (*PROCESS, "table", str(path))
            yield from _table(_watched(table, stage, keys=keys // 6, ordered=False))
        yield _beside(stage, rounds, creates)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What a screen's process showed, at 80x24."""

    first: float
    """Seconds from its start to the first paint with rows of jobs."""
    cpu: float
    """CPU seconds until then."""
    took: Sequence[float] = ()
    """Seconds from each key to the paint of what it did."""
    watching: float = 0.0
    """Bytes a second to the terminal without a key."""
    typing: float = 0.0
    """Bytes a second while keys were pressed."""
    memory: float = 0.0
    """Peak in MB."""


def _watched(command: Sequence[str], stage: _Stage, *, keys: int, ordered: bool = True) -> Watched:
    with Terminal(command, stage.environment, ROOT) as terminal:
        first = terminal.painted(FIRST_ROW.search) - terminal.began
        cpu = terminal.cpu
        if not keys:
            return Watched(first=first, cpu=cpu)
        terminal.painted(PLACE.search)
        watching = _output(terminal, WATCH)
        if ordered:
            _sort(terminal)
        before, began = terminal.written, time.monotonic()
        took = list(_keys(terminal, keys))
        typing = (terminal.written - before) / (time.monotonic() - began)
        return Watched(
            first=first,
            cpu=cpu,
            took=took,
            watching=watching,
            typing=typing,
            memory=terminal.memory,
        )


def _sort(terminal: Terminal) -> None:
    """Sort the jobs in plan order, the cursor on the first."""
    for key in IN_PLAN_ORDER:
        since = terminal.written
        terminal.press(key)
        terminal.painted(lambda output: output, since)
        time.sleep(0.5)
    terminal.press(b"g")
    time.sleep(0.5)


def _output(terminal: Terminal, seconds: float) -> float:
    """Bytes a second."""
    before = terminal.written
    time.sleep(seconds)
    return (terminal.written - before) / seconds


def _keys(terminal: Terminal, keys: int) -> Iterator[float]:
    """Press keys, each when the one before was painted; seconds that each took."""
    until = time.monotonic() + MOST
    row = b"1"
    for key, rest in islice(zip(cycle(KEYS), cycle(RESTS), strict=False), keys):
        since, pressed = terminal.written, time.monotonic()
        if pressed > until:
            return
        terminal.press(key)
        yield terminal.painted(partial(elsewhere, row), since) - pressed
        row = PLACE.findall(terminal.output(since))[-1]
        time.sleep(rest)


def elsewhere(row: bytes, output: bytes) -> bool:
    """Whether a place other than `row` was painted."""
    return any(found != row for found in PLACE.findall(output))


class _Stage:
    """A frozen run of 100,000 jobs to copy, and what processes are started with."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._frozen = place / "frozen.db"
        # A user's second start finds bytecode; whether this shell writes any does not matter.
        kept = {k: v for k, v in os.environ.items() if k not in _UNWANTED}
        self.environment = kept | {"PYTHONPYCACHEPREFIX": str(place / "bytecode")}
        with SqliteStore.open(self._frozen, create=True) as store:
            limits = Limits(rate=NO_LIMIT, in_flight=10**6, connections=32)
            self._run = new_run(store, fleet(JOBS), limits).id
        _watched(self.attach(self._frozen), self, keys=0)

    def attach(self, path: Path) -> Sequence[str]:
        """The command of a user who watches the run."""
        return (*VBSBATCH, "attach", self._run, "--db", str(path), "--progress", "tui")

    def copy(self) -> Path:
        """A run of its own, nothing of it done."""
        path = self._place / f"{time.monotonic_ns()}.db"
        shutil.copy(self._frozen, path)
        return path

    @contextmanager
    def churn(self) -> Iterator[tuple[Path, _Changes]]:
        """A run whose jobs change all the time, and what tells how fast."""
        path = self.copy()
        changes = _Changes(path, self._run)
        command = (*PROCESS, "churn", str(path), str(CHANGES))
        with subprocess.Popen(command, cwd=ROOT, env=self.environment) as process:
            try:
                changes.wait_for_the_first()
                yield path, changes
            finally:
                process.kill()

    def driven(self, server: Answerer, creates: int, screens: int) -> Driven:
        """Let an engine, in a process of its own, send so many creates beside so many screens."""
        path = self.copy()
        with ExitStack() as stack:
            terminals = [
                stack.enter_context(Terminal(self.attach(path), self.environment, ROOT))
                for _ in range(screens)
            ]
            for terminal in terminals:
                terminal.painted(PLACE.search)
            time.sleep(1)  # the whole-run figures of the screens
            server.reset()
            watching, engine, began = _cpu(terminals), _children(), time.monotonic()
            words = ("drive", str(path), server.url, str(creates))
            subprocess.run([*PROCESS, *words], cwd=ROOT, env=self.environment, check=True)
            return Driven(
                speed=speed(server.times()),
                cpu=(_children() - engine) / creates,
                screens=(_cpu(terminals) - watching) / (time.monotonic() - began),
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Driven:
    """An engine that ran beside screens."""

    speed: float
    """Creates a second, as the server saw them."""
    cpu: float
    """CPU seconds of the engine's process per create."""
    screens: float
    """What of a core all screens together used meanwhile."""


_UNWANTED = frozenset({"CI", "NO_COLOR", "PYTHONDONTWRITEBYTECODE", "TMUX"})


class _Changes:
    """How many changes a second a store saw since the first one."""

    def __init__(self, path: Path, run_id: str) -> None:
        self._path = path
        self._run_id = run_id
        self._began = 0.0

    def wait_for_the_first(self) -> None:
        """Until jobs change."""
        while not self._count():
            time.sleep(0.05)
        self._began = time.monotonic()

    def __call__(self) -> float:
        return self._count() / (time.monotonic() - self._began)

    def _count(self) -> int:
        """Claim, answer and end are one change each."""
        with SqliteStore.open(self._path, readonly=True) as store:
            counts = store.counts(self._run_id)
        begun = JOBS - counts[JobState.WAITING]
        answered = begun - counts.get(JobState.SUBMITTING, 0)
        return begun + answered + sum(counts.get(state, 0) for state in ENDED_STATES)


def _cpu(terminals: Sequence[Terminal]) -> float:
    return sum(terminal.cpu for terminal in terminals)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _screen(starts: Sequence[Watched], watched: Watched, changes: float) -> Iterator[Figure]:
    note = f"{changes:.0f} changes/s"
    firsts = sorted(each.first for each in starts)
    yield Figure(
        name="screen, 100,000 jobs: attach to first paint",
        measured=firsts[0],
        unit="s",
        at_most=1,
        note=f"{note}; best of {len(firsts)}, median {median(firsts):.2f} s; "
        f"{median(each.cpu for each in starts):.2f} s of CPU",
    )
    yield Figure(
        name="screen, 100,000 jobs: key to paint, p95",
        measured=1000 * quantiles(watched.took, n=20)[-1],
        unit="ms",
        at_most=100,
        note=f"{note}; median {1000 * median(watched.took):.0f} ms, "
        f"worst {1000 * max(watched.took):.0f} ms of {len(watched.took)} keys",
    )
    yield Figure(
        name="screen, 100,000 jobs: memory",
        measured=watched.memory,
        unit="MB",
        at_most=150,
        note="peak",
    )
    yield Figure(
        name="screen, 100,000 jobs: terminal output",
        measured=watched.watching / 1000,
        unit="KB/s",
        at_most=30,
        note=f"{note}; {watched.typing / 1000:.0f} KB/s while paging several times a second",
    )


def _table(watched: Watched) -> Iterator[Figure]:
    note = "Textual's own DataTable on the same jobs and changes"
    yield Figure(
        name="DataTable, 100,000 jobs: start to first paint",
        measured=watched.first,
        unit="s",
        note=note,
    )
    yield Figure(
        name="DataTable, 100,000 jobs: key to paint, median",
        measured=1000 * median(watched.took),
        unit="ms",
        note=f"{note}; worst of {len(watched.took)}: {1000 * max(watched.took):.0f} ms",
    )
    yield Figure(
        name="DataTable, 100,000 jobs: memory", measured=watched.memory, unit="MB", note="peak"
    )


def _beside(stage: _Stage, rounds: int, creates: int) -> Figure:
    pairs: list[tuple[Driven, Driven]] = []
    with answerer() as server:
        for number in range(rounds):
            order = (0, SCREENS) if number % 2 else (SCREENS, 0)
            done = {screens: stage.driven(server, creates, screens) for screens in order}
            pairs.append((done[SCREENS], done[0]))
    ratios = sorted(beside.speed / alone.speed for beside, alone in pairs)
    by_cpu = median_ratio((alone.cpu, beside.cpu) for beside, alone in pairs)
    return Figure(
        name="engine with two screens / without: creates/s",
        measured=median(ratios),
        at_least=0.93,
        note=f"{median(alone.speed for _, alone in pairs):.0f}/s without; "
        f"{ratios[0]:.2f} to {ratios[-1]:.2f} in {rounds} rounds; by its CPU {by_cpu:.2f}; "
        f"both screens {100 * median(beside.screens for beside, _ in pairs):.0f} % of a core",
    )
