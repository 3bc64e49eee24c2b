"""Shared by the tests of waves, windows and caps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import anyio

from vbsbatch.engine import Tuning
from vbsbatch.model import Answer, Job, Rate, Wave, Window

from .harness import NOW, EngineHarness, a_job, settings

SELDOM = Tuning(poll=20.0, heartbeat=300.0)
"""For days of virtual time: checking the commands table twice a second would be most of the
work."""

QUICK = {"rate": Rate(count=100), "in_flight": 200, "connections": 8}
TWO = (Wave(name="canary"), Wave(name="rest"))
REFUSED = Answer(status=400, code="VolumeBackup.0021", message="no such disk")


def waved(*waves: int, **fields: Any) -> list[Job]:
    return [a_job(no, wave=wave, **fields) for no, wave in enumerate(waves, 1)]


def staged(jobs: list[Job], **parts: Any) -> EngineHarness:
    return EngineHarness(jobs, settings(**({"limits": QUICK, "waves": TWO} | parts)))


def driven(stage: EngineHarness, *steps: tuple[float, Callable[[], Awaitable[object]]]) -> Any:
    """Drive the run, and take each step so many seconds after the previous one."""

    async def meanwhile() -> None:
        for wait, act in steps:
            await anyio.sleep(wait)
            await act()

    return stage.drive(meanwhile)


BERLIN = ZoneInfo("Europe/Berlin")


def clock(at: float) -> str:
    return datetime.fromtimestamp(at, BERLIN).strftime("%H:%M")


def around_now(opens_in: int, length: int) -> Window:
    """A window that opens so many minutes after `NOW`."""
    local = datetime.fromtimestamp(NOW, BERLIN)
    opens = (local.hour * 60 + local.minute + opens_in) % 1440
    return Window(opens=opens, closes=(opens + length) % 1440, timezone="Europe/Berlin")


def most_open(stage: EngineHarness, key: Callable[[Job], str | None]) -> Counter[str]:
    """The most open jobs at one time, by group or zone, from every claim and every end."""
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    edges: list[tuple[float, int, str]] = []
    for made in stage.cloud.made.values():
        job = next(job for job in stage.jobs() if job.volume_id == made.volume_id)
        if (name := key(job)) is not None:
            edges += [(made.made_at, 1, name), (made.ready_at, -1, name)]
    for _, by, name in sorted(edges):
        now[name] += by
        most[name] = max(most[name], now[name])
    return most
