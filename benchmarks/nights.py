"""How near a night comes to the shortest there is, and what it costs: whole nights in virtual time.

The shortest night is greedy scheduling with perfect knowledge: the same volumes in the same order,
in as many places and at the same rate, each taking as long as it took, the next sent at the moment
in which one ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.figure import Figure
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


def play(row: Row, seed: int = 1) -> tuple[float, float, Night]:
    """The share of the shortest night, the calls per backup, and the night."""
    night = Night(
        seed=seed,
        volumes=row.volumes,
        scenario=Scenario(backups=BackupScript(duration=row.duration, listed_after=row.lag)),
        settings=with_settings(
            limits={"rate": Rate(count=row.rate), "in_flight": row.places, "connections": 16}
        ),
        tuning=TUNING,
    ).run()
    check(night)
    return shortest(night) / night.clock.passed, night.calls / row.volumes, night


def shortest(night: Night) -> float:
    """Seconds of the shortest night of these backups."""
    limits = night.settings.limits
    began, took = [], {}
    for entry in night.cloud.ledger.rows:
        if entry["what"] == "create" and entry.get("backup"):
            began.append(entry["backup"])
            took[entry["backup"]] = -entry["at"]
        elif entry["what"] == "ended":
            took[entry["backup"]] += entry["at"]
    return night_length(
        [],
        [took[backup] for backup in began],
        places=limits.in_flight,
        per_second=limits.rate.per_second,
    )


def figures(*, quick: bool) -> Iterator[Figure]:
    """Share of the shortest night and calls per backup of each row, of the same night."""
    for row in ROWS:
        share, calls, _ = play(row)
        title = f"{row.of}, {row.volumes} in {row.places} places"
        yield Figure(
            name=f"share of the shortest night, {title}", measured=share, at_least=row.least
        )
        yield Figure(name=f"calls per backup, {title}", measured=calls, at_most=row.calls)
