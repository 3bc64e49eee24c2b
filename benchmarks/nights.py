"""How near a night comes to the shortest there is, and what it costs: whole nights in virtual time.

The shortest night is greedy scheduling with perfect knowledge: the same volumes in the same order,
in as many places and at the same rate, each taking as long as it took, the next sent at the moment
in which one ends. The baseline is the pace before, see `former_pace`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any
from unittest.mock import patch

from benchmarks.figure import Figure
from benchmarks.former_pace import FormerPace
from benchmarks.scratch import folder
from tests.cli.harness import Harness
from tests.simulation.night import Night, check, with_settings
from vbsbatch.engine import Tuning
from vbsbatch.model import Rate
from vbsbatch.policy.night_length import night_length
from vbsbatch.simulator import BackupScript, Scenario
from vbsbatch.simulator.scenario import Span

TUNING = Tuning(poll=7.0, heartbeat=60.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of the table."""

    of: str
    duration: Span
    volumes: int
    places: int
    least: float
    """The share of the shortest night to reach."""
    rate: float = 100.0
    lag: Span = (0.0, 1.0)
    """How long a list still shows a backup as it was before its end."""

    @property
    def calls(self) -> float:
        """The calls per backup that the night may cost."""
        most = 1.1 + 15 / self.places + 20 / self.volumes
        return min(most, 1.2) if self.duration == TEN_MINUTES and self.places >= 50 else most


TEN_MINUTES = (540.0, 660.0)
THREE_MINUTES = (162.0, 198.0)
HALF_A_MINUTE = (27.0, 33.0)
MIXED = (60.0, 3600.0)

ROWS = [
    Row(of=of, duration=duration, volumes=volumes, places=places, least=least)
    for of, duration, least in (
        ("10 min", TEN_MINUTES, 0.95),
        ("3 min", THREE_MINUTES, 0.95),
        ("30 s", HALF_A_MINUTE, 0.90),
        ("1 min to 1 h", MIXED, 0.95),
    )
    for volumes, places in ((600, 50), (600, 200), (200, 10))
    if (of, places) != ("1 min to 1 h", 10)
]


def play(row: Row, seed: int = 1, **how: Any) -> tuple[float, float, Night]:
    """The share of the shortest night, the calls per backup, and the night."""
    night = Night(
        seed=seed,
        volumes=row.volumes,
        scenario=Scenario(backups=BackupScript(duration=row.duration, listed_after=row.lag)),
        settings=with_settings(
            limits={"rate": Rate(count=row.rate), "in_flight": row.places, "connections": 16}
        ),
        tuning=TUNING,
        **how,
    ).run()
    check(night)
    return shortest(night) / night.clock.passed, night.calls / row.volumes, night


def shortest(night: Night) -> float:
    """Seconds of the shortest night of these backups."""
    limits = night.settings.limits
    return _shortest(night.cloud.ledger.rows, limits.in_flight, limits.rate.per_second)


def _shortest(rows: Iterable[dict[str, Any]], places: int, per_second: float) -> float:
    began, took = [], {}
    for entry in rows:
        if entry["what"] == "create" and entry.get("backup"):
            began.append(entry["backup"])
            took[entry["backup"]] = -entry["at"]
        elif entry["what"] == "ended":
            took[entry["backup"]] += entry["at"]
    waiting = [took[backup] for backup in began]
    return night_length([], waiting, places=places, per_second=per_second)


SEEDS = (1, 2, 3)
USUAL = Rate(count=5)
LATE = (10.0, 10.0)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Share of the shortest night and calls per backup of each row, both of the same nights."""
    seeds = SEEDS[:1] if quick else SEEDS
    for row in ROWS:
        title = f"{row.of}, {row.volumes} in {row.places} places"
        share, calls = _mean(row, seeds)
        with patch("vbsbatch.engine.poller.PollSchedule", FormerPace):
            before, calls_before = _mean(row, seeds[:1])
        yield Figure(
            name=f"share of the shortest night, {title}",
            measured=share,
            at_least=row.least,
            note=f"the former pace: {before:.3f}",
        )
        yield Figure(
            name=f"calls per backup, {title}",
            measured=calls,
            at_most=row.calls,
            note=f"the former pace: {calls_before:.3f}",
        )
        if not quick:
            late = replace(row, rate=USUAL.count, lag=LATE)
            share, calls = _mean(late, seeds[:1])
            name = f"the same at {USUAL} with lists that lag 10 s, {title}"
            yield Figure(name=name, measured=share, note=f"{calls:.3f} calls per backup")
    yield _real(seconds=5 if quick else 30)


def _mean(row: Row, seeds: tuple[int, ...]) -> tuple[float, float]:
    nights = [play(row, seed) for seed in seeds]
    return fmean(night[0] for night in nights), fmean(night[1] for night in nights)


def _real(*, seconds: float) -> Figure:
    """The real command against a real HTTP server, 240 backups in 40 places."""
    volumes, places = 240, 40
    faults = f"backups: {{duration: [{0.9 * seconds}, {1.1 * seconds}], listed_after: [0s, 1s]}}"
    with folder() as place, closing(Harness(place)) as harness:
        cloud = harness.simulator(faults, volumes=volumes)
        harness.write_plan(limits={"rate": "100/s", "in_flight": places, "connections": 16})
        harness.finish(harness.start("run", "plan.yaml"), 0, patience=60 + 20 * seconds)
        rows = sorted(cloud.ledger("create") + cloud.ledger("ended"), key=lambda row: row["at"])
        calls = sum(run["calls"]["create"] + run["calls"]["read"] for run in harness.runs())
    took = rows[-1]["at"] - rows[0]["at"]
    return Figure(
        name=f"share of the shortest night, real processes, {seconds:g} s, {volumes} in {places}",
        measured=_shortest(rows, places, 100.0) / took,
        at_least=0.9 if seconds >= 30 else None,
        note=f"{calls / volumes:.3f} calls per backup",
    )
