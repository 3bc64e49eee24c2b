"""A night is nearly as short as it can be, costs few calls, and its end is foreseen."""

from __future__ import annotations

from statistics import median

import pytest

from benchmarks.nights import ROWS, Row, play
from tests.simulation.night import RUN, Night
from vbsbatch.inventory.forecast import forecast
from vbsbatch.model import Backup, Cloud, JobState
from vbsbatch.plan import Plan
from vbsbatch.plan.plan import NO_CHOICES

SMALL = [
    Row(of=row.of, duration=row.duration, volumes=120, places=places, least=row.least - 0.05)
    for row in ROWS
    if row.places == 50
    for places in (12, 30)
]
OF = [f"{row.of} in {row.places}" for row in SMALL]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("row", SMALL, ids=OF)
def test_places_stand_empty_for_little_and_few_calls_are_made(row: Row, seed: int) -> None:
    share, calls, night = play(row, seed)
    assert share >= row.least, "the share of the shortest night"
    assert calls <= 1.1 + 15 / row.places + 20 / row.volumes
    seen_in_time(night)


def seen_in_time(night: Night) -> None:
    """Where nothing waits for a place, an end is seen in time: mostly, since most are foreseen."""
    ended = {row["volume"]: row["at"] for row in night.cloud.ledger.of("ended")}
    sent = {row["volume"]: row["at"] for row in night.cloud.ledger.of("create")}
    tail = [
        (float(move.at) - ended[move.job.volume_id], ended[move.job.volume_id])
        for move in night.moves
        if move.job.state is JobState.SUCCEEDED and ended[move.job.volume_id] > max(sent.values())
    ]
    late = [seconds for seconds, _ in tail]
    usual = max(ended[volume] - sent[volume] for volume in ended)
    assert median(late) <= 1.0 + max(10.0, usual / 50)
    assert sorted(late)[int(0.9 * len(late))] <= 2.0 + 1.5 * max(10.0, usual / 50)


@pytest.mark.parametrize("row", [row for row in ROWS if row.places == 50], ids=lambda row: row.of)
def test_the_night_that_follows_takes_as_long_as_the_forecast_says(row: Row) -> None:
    _, _, before = play(row, seed=11)
    _, _, night = play(row, seed=12)
    plan = Plan(
        name="night",
        cloud=None,
        settings=night.settings,
        defaults=NO_CHOICES,
        volumes=(),
        names_unique=True,
    )
    ahead = forecast(plan, [None] * row.volumes, backups_of(before))
    assert ahead.seconds is not None
    assert abs(ahead.seconds / night.clock.passed - 1) <= 0.15
    assert abs(ahead.calls / night.calls - 1) <= 0.25


def backups_of(night: Night) -> list[Backup]:
    """What the cloud's list shows after the night, newest first."""
    made = {}
    for row in night.cloud.ledger.rows:
        if row["what"] == "create":
            made[row["backup"]] = row["at"]
        elif row["what"] == "ended":
            made[row["backup"]] = made[row["backup"]], row["at"]
    return [
        Backup(id=backup, status="available", created_at=Cloud(began), updated_at=Cloud(ended))
        for backup, (began, ended) in reversed(made.items())
    ]


@pytest.mark.parametrize("row", SMALL[::2], ids=OF[::2])
def test_the_end_that_is_told_in_the_last_fifth_of_a_night_is_right(row: Row) -> None:
    told: list[tuple[float, float]] = []

    def keep(night: Night) -> None:
        ask = night.store.journal

        def journal(run_id: str) -> object:
            made = ask(run_id)
            beat = made.heartbeat

            async def heartbeat(at: float, **fields: object) -> None:
                if fields["ends_at"] is not None:
                    told.append((float(at), float(fields["ends_at"])))  # type: ignore[arg-type]
                await beat(at, **fields)  # type: ignore[arg-type]

            made.heartbeat = heartbeat  # type: ignore[assignment, method-assign]
            return made

        night.store.journal = journal  # type: ignore[assignment, method-assign]

    _, _, night = play(row, 3, before=keep)
    start, end = night.start, night.start + night.clock.passed
    late = [ends for at, ends in told if at > start + 0.8 * (end - start)]
    assert late
    assert all(abs(ends - end) <= 0.15 * (end - start) for ends in late)
    assert night.store.run(RUN).next_look_at is None
