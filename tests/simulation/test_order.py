"""Nights under plans with waves, windows, groups and caps: their promises hold whatever goes wrong.

`make sim SEEDS=10000` for more; see `test_nights.py` for how to replay one.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from vbsbatch.model import JobState, Rate, Wave, Window
from vbsbatch.simulator import BackupScript, Do, Fault, Kind, Scenario
from vbsbatch.simulator.virtual import START

from .night import POINTS, Night, check, with_settings
from .orderly import check_order, hours, orderly

SEEDS = max(20, int(os.environ.get("VBSBATCH_SEEDS", "300")) // 8)
HOUR = 3600.0
WAVES = (Wave(name="canary"), Wave(name="rest"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_night_with_an_order_keeps_every_promise_under_any_faults(seed: int) -> None:
    night = orderly(seed).run()
    check(night)
    check_order(night)


def small_canary(no: int) -> dict[str, Any]:
    return {
        "wave": int(no > 3),
        "group": f"server-{no % 4}",
        "az": f"zone-{no % 2}",
    }


@pytest.mark.parametrize("point", [*POINTS, "before wave", "after wave"])
def test_a_kill_at_any_point_changes_nothing_about_the_order(point: str) -> None:
    local = datetime.fromtimestamp(START, ZoneInfo("Europe/Berlin"))
    opens = local.hour * 60 + local.minute + 90
    night = Night(
        volumes=25,
        lives=8,
        points=(point,),
        settings=with_settings(
            limits={"per_group": 2, "per_az": (("*", 4),)},
            waves=WAVES,
            window=Window(
                opens=opens % 1440, closes=(opens + 480) % 1440, timezone="Europe/Berlin"
            ),
        ),
        order=small_canary,
    ).run()
    check(night)
    check_order(night)
    assert night.states() == {JobState.SUCCEEDED: 25}
    assert min(hours(night)) >= 1.45


def test_a_failed_canary_wave_stops_the_next_wave() -> None:
    night = Night(volumes=40, order=small_canary)
    canary = frozenset(job.volume_id for job in night.jobs()[:3])
    refuse = {"do": Do.STATUS, "status": 400, "code": "VolumeBackup.0021"}
    night = Night(
        volumes=40,
        order=small_canary,
        waive=False,
        scenario=Scenario(faults=(Fault(on=Kind.CREATE, volumes=canary, **refuse),)),  # type: ignore[arg-type]
        settings=with_settings(waves=WAVES, deadline=8 * HOUR),
    ).run()
    check(night)
    sent = {row["volume"] for row in night.cloud.ledger.of("create")}
    assert sent == canary
    assert any("3 failed, 0 are allowed" in note.text for note in night.notes)
    assert {job.code for job in night.jobs()[3:]} == {"deadline"}


def test_the_volumes_of_a_server_are_submitted_minutes_apart_not_hours() -> None:
    """A fleet whose plan lists the servers' first disks first, then the second ones, and so on.

    With groups (as ranks, which the plan gives) a server's four creates follow one another; by plan
    order alone they would be hours apart.
    """

    def spread(grouped: bool) -> float:
        servers = 60
        night = Night(
            volumes=4 * servers,
            scenario=Scenario(backups=BackupScript(duration=(540.0, 660.0))),
            settings=with_settings(limits={"rate": Rate(count=5), "in_flight": 12}),
            order=lambda no: {
                "group": f"server-{(no - 1) % servers}",
                "rank": (no - 1) % servers if grouped else 0,
            },
        ).run()
        check(night)
        server_of = {job.volume_id: job.group for job in night.jobs()}
        at: dict[str | None, list[float]] = {}
        for row in night.cloud.ledger.of("create"):
            at.setdefault(server_of[row["volume"]], []).append(row["at"])
        return max(max(times) - min(times) for times in at.values())

    assert spread(grouped=True) <= 15 * 60.0
    assert spread(grouped=False) >= 2 * HOUR


@pytest.mark.parametrize(
    ("day", "hours_open"), [((2026, 10, 25), 9), ((2026, 3, 29), 7), ((2026, 6, 1), 8)]
)
def test_a_window_follows_local_time_when_the_clocks_change(
    day: tuple[int, int, int], hours_open: int
) -> None:
    window = Window(opens=22 * 60, closes=6 * 60, timezone="Europe/Berlin")
    noon = datetime(*day, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() - 24 * HOUR
    night = Night(
        volumes=60,
        scenario=Scenario(backups=BackupScript(duration=(900.0, 900.0))),
        settings=with_settings(
            limits={"rate": Rate(count=1), "in_flight": 1}, window=window, deadline=40 * HOUR
        ),
        start=noon,
    ).run()
    check_order(night)
    times = [row["at"] - noon for row in night.cloud.ledger.of("create")]
    first_night = [at for at in times if at < 24 * HOUR]
    assert min(first_night) == pytest.approx(10 * HOUR, abs=2 * HOUR)
    assert max(first_night) - min(first_night) == pytest.approx(hours_open * HOUR, abs=1000.0)
