"""How many creates a second the engine sends, held against loops that do nothing else."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection, Cursor
from typing import Any

import anyio

from benchmarks.answerer import Answerer, answerer
from benchmarks.clients import clients, shared_client, transports
from benchmarks.driving import NO_LIMIT, drive, new_run
from benchmarks.figure import Figure, Skipped, median_ratio
from benchmarks.fleet import fleet
from benchmarks.scratch import folder
from vbsbatch.model import JobState, Limits
from vbsbatch.store.sqlite.store import SqliteStore

RAMP_UP = 0.1
"""The share of creates, from the first on, that no side's speed is taken from."""

SLOWER = 0.010
"""Seconds added to every commit on the slow disk."""

UNDISTURBED = 0.9
"""What of a core the baselines, of one busy thread each, must get for a round to count.

On a busy machine the engine, of two threads, would be given more of it than they: too good figures.
"""

PATIENCE = 2
"""So many times the wanted rounds are tried when rounds are disturbed."""


class SlowDisk(Connection):
    """A connection whose durable commits take longer."""

    _writing = False

    def execute(self, sql: str, *parameters: Any) -> Cursor:
        """Wait before a commit that has something to write."""
        if sql.startswith("BEGIN"):
            self._writing = sql == "BEGIN IMMEDIATE"
        elif sql == "COMMIT" and self._writing:
            time.sleep(SLOWER)
        return super().execute(sql, *parameters)


def figures(*, quick: bool) -> Iterator[Figure | Skipped]:
    """Creates a second, by ratio."""
    creates, rounds = (1500, 2) if quick else (2000, 6)
    with answerer() as server, folder() as place:
        for connections in (8, 32):
            bench = _Bench(server, place, creates, connections)
            for _ in range(rounds * PATIENCE):
                bench.round()
                if len(bench.rounds) == rounds:
                    break
            yield from bench.figures()


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """One competitor in one round."""

    speed: float
    """Creates a second, as the server saw them."""
    cpu: float
    """CPU seconds of this process per create, of all its threads."""
    share: float
    """CPU seconds a second: what of a core this process got."""


Round = dict[str, Pace]


class _Bench:
    """Every competitor in turn, round after round, at one number of connections."""

    def __init__(self, server: Answerer, place: Path, creates: int, connections: int) -> None:
        self._server = server
        self._place = place
        self._creates = creates
        self._connections = connections
        self._commits = [0.0]
        self._disturbed = 0
        self.rounds: list[Round] = []
        """The rounds in which nobody else took the baselines' CPU."""

    def round(self) -> None:
        """Let each run once, the engine between its baselines."""
        paces = {
            "transports": self._measure(self._loop(transports)),
            "engine": self._measure(lambda: self._engine()),
            "clients": self._measure(self._loop(clients)),
            "slow disk": self._measure(lambda: self._engine(SlowDisk)),
        }
        if self._connections == 32:
            paces["shared"] = self._measure(self._loop(shared_client, self._creates // 4))
        if min(paces[name].share for name in ("transports", "clients")) >= UNDISTURBED:
            self.rounds.append(paces)
        else:
            self._disturbed += 1

    def _loop(
        self, loop: Callable[[str, int, int], Awaitable[None]], creates: int | None = None
    ) -> Callable[[], Awaitable[None]]:
        return lambda: loop(self._server.url, creates or self._creates, self._connections)

    def _measure(self, run: Callable[[], Awaitable[None]]) -> Pace:
        self._server.reset()
        gc.collect()
        began, cpu = time.monotonic(), time.process_time()
        anyio.run(run)
        took, cpu = time.monotonic() - began, time.process_time() - cpu
        times = self._server.times()
        return Pace(speed=speed(times), cpu=cpu / len(times), share=cpu / took)

    async def _engine(self, factory: type[Connection] = Connection) -> None:
        limits = Limits(rate=NO_LIMIT, in_flight=10**6, connections=self._connections)
        path = self._place / f"{time.monotonic_ns()}.db"
        with SqliteStore.open(path, create=True) as store:
            run = new_run(store, fleet(self._creates), limits)
            driven = await drive(
                store, run, self._server.url, stop_after=self._creates, factory=factory
            )
            assert store.counts(run.id) == {JobState.RUNNING: self._creates}, "not all are durable"
        if factory is Connection:
            self._commits.append(driven.commits / self._creates)

    def figures(self) -> Iterator[Figure | Skipped]:
        """The ratios of this number of connections."""
        at = f"at {self._connections} connections"
        yield self._ratio(f"creates/s / bare client loop, {at}", "engine", "clients", 0.85)
        yield self._ratio(f"same, 10 ms more a commit, {at}", "slow disk", "clients", 0.75)
        yield self._ratio(f"creates/s / transport alone, {at}", "engine", "transports", None)
        if self._connections == 32:
            yield self._ratio(f"creates/s / one shared client, {at}", "engine", "shared", 3.0)
        yield Figure(
            name=f"durable commits per job, {at}", measured=max(self._commits), at_most=0.1
        )

    def _ratio(
        self, name: str, candidate: str, baseline: str, at_least: float | None
    ) -> Figure | Skipped:
        if not self.rounds:
            why = f"others used the CPU in all of {self._disturbed} rounds: measure again"
            return Skipped(name=name, why=why, required=True)
        pairs = [(each[candidate], each[baseline]) for each in self.rounds]
        by_cpu = median_ratio((theirs.cpu, ours.cpu) for ours, theirs in pairs)
        fastest, other = (max(pace.speed for pace in side) for side in zip(*pairs, strict=True))
        return Figure(
            name=name,
            measured=median_ratio((ours.speed, theirs.speed) for ours, theirs in pairs),
            at_least=at_least,
            note=f"best {fastest:.0f}/s and {other:.0f}/s; by CPU {by_cpu:.2f}; "
            f"{len(pairs)} rounds, {self._disturbed} disturbed",
        )


def speed(times: list[float]) -> float:
    """Creates a second as the server saw them, the ramp-up left out."""
    ordered = sorted(times)
    first = int(len(ordered) * RAMP_UP)
    return (len(ordered) - 1 - first) / (ordered[-1] - ordered[first])
