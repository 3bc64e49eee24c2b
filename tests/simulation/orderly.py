"""Nights whose plan sets the order, and what must then hold, by the cloud's own ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from vbsbatch.model import Job, Settings, Wave, Window
from vbsbatch.simulator.virtual import START

from .fault_schedules import RATES, scenario
from .night import Night, with_settings

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu")


SLEEPS = (10.0, 600.0, 6 * 3600.0, 2 * 86400.0)
"""Seconds for which the machine sleeps: a window may close and open in that time."""


def orderly(seed: int) -> Night:
    """A night in which anything may go wrong, with waves, a window, groups and caps."""
    random = Random(f"order {seed}")
    sleeps = tuple((random.uniform(0.0, 7200.0), "sleep", random.choice(SLEEPS)) for _ in range(3))
    return Night(
        seed=seed,
        volumes=random.randint(4, 24),
        scenario=scenario(random),
        settings=settings(random),
        lives=random.choice((1, 3, 6)),
        stops=60,
        order=order(random),
        clock_events=sleeps if seed % 2 else (),
    )


def order(random: Random) -> Callable[[int], dict[str, Any]]:
    """A group, a zone and a wave for each job, the same every time."""
    drawn: dict[int, dict[str, Any]] = {}

    def of(no: int) -> dict[str, Any]:
        if no not in drawn:
            drawn[no] = {
                "group": random.choice((None, "db", "web")),
                "az": random.choice((None, "one", "two")),
                "wave": random.choice((0, 1, 1, 2)),
            }
        return drawn[no]

    return of


def settings(random: Random) -> Settings:
    opens = random.randrange(1440)
    window = Window(
        opens=opens,
        closes=(opens + random.randint(120, 900)) % 1440,
        timezone=random.choice(ZONES),
    )
    return with_settings(
        limits={
            "rate": random.choice(RATES),
            "in_flight": random.choice((4, 30)),
            "connections": random.choice((1, 4, 16)),
            "per_group": random.choice((None, 1, 3)),
            "per_az": random.choice(((), (("*", 2),), (("one", 1), ("*", 4)))),
        },
        retry={"settle": 30.0, "later_every": 30.0, "attempts": 6},
        timeouts={"read": random.choice((10.0, 60.0))},
        waves=(
            Wave(name="canary", max_failures=random.choice((0, 2))),
            Wave(name="first", max_failures=random.choice((0, 99))),
            Wave(name="rest"),
        ),
        window=random.choice((None, window)),
    )


def check_order(night: Night) -> None:
    """Check what waves, window, groups and caps promise."""
    only_within_the_window(night)
    one_wave_after_the_other(night)
    limits = night.settings.limits
    if limits.per_group is not None:
        never_over_a_cap(night, lambda job: job.group, {"*": limits.per_group})
    if limits.per_az:
        never_over_a_cap(night, lambda job: job.az, dict(limits.per_az))


def only_within_the_window(night: Night) -> None:
    """No create arrived while the local time was outside the window."""
    window = night.settings.window
    if window is None:
        return
    zone = ZoneInfo(window.timezone)
    for row in night.cloud.ledger.of("create"):
        local = datetime.fromtimestamp(row["at"], zone)
        into = (local.hour * 60 + local.minute - window.opens) % 1440
        assert into < (window.closes - window.opens) % 1440, f"a create at {local}, of {window}"


def one_wave_after_the_other(night: Night) -> None:
    """No job of a wave was sent before every job of the earlier waves had ended."""
    wave_of = {job.volume_id: job.wave for job in night.jobs()}
    began: dict[int, float] = {}
    for row in night.cloud.ledger.of("create"):
        wave = wave_of[row["volume"]]
        began[wave] = min(began.get(wave, row["at"]), row["at"])
    for job in night.jobs():
        later = [at for wave, at in began.items() if wave > job.wave]
        assert job.ended_at is not None
        ended = float(job.ended_at)
        assert ended <= min(later, default=ended), f"job {job.no} had not ended"


def never_over_a_cap(
    night: Night, name_of: Callable[[Job], str | None], caps: dict[str, int]
) -> None:
    """No group (zone) had more backups in progress than its cap; see `never_over_the_limit`."""
    names: dict[str | None, str | None] = {job.volume_id: name_of(job) for job in night.jobs()}
    hidden = {r["backup"] for r in night.cloud.ledger.rows if r.get("status") == "absent"}
    now: Counter[str] = Counter()
    for row in sorted(night.cloud.ledger.rows, key=lambda row: (row["at"], row["what"] != "ended")):
        name = names.get(row.get("volume"))
        if name is None or row.get("backup") in (None, *hidden):
            continue
        now[name] += {"create": 1, "ended": -1}.get(row["what"], 0)
        cap = caps.get(name, caps.get("*", now[name]))
        assert now[name] <= cap, f"{now[name]} backups of {name} at once"


def hours(night: Night) -> list[float]:
    """When creates arrived, in hours since the night began."""
    return [(row["at"] - START) / 3600.0 for row in night.cloud.ledger.of("create")]
