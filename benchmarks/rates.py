"""How exactly the plan's rate is kept: as the server sees it, in real time, and per minute."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import anyio

from benchmarks.answerer import Answerer, answerer
from benchmarks.driving import drive, new_run
from benchmarks.figure import Figure
from benchmarks.fleet import fleet
from benchmarks.scratch import folder
from tests.simulation.night import Night, with_settings
from vbsbatch.model import Limits, Rate
from vbsbatch.store.sqlite.store import SqliteStore

PER_MINUTE = Rate(count=100, per=60.0)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Used / limit and peak / limit for rates from 100/min to 500/s."""
    plan = {5: 3, 100: 3, 500: 3} if quick else {5: 20, 100: 10, 500: 10}
    with answerer() as server:
        for count, seconds in plan.items():
            rate = Rate(count=count)
            sent, arrived = _real(server, rate, seconds)
            yield _used(rate, arrived, f"{seconds} s of real time")
            yield _peak(rate, sent, "as sent")
            yield _peak(rate, arrived, "as the server saw it")
    times = _virtual(PER_MINUTE, minutes=5)
    yield _used(PER_MINUTE, times, "5 min of virtual time")
    yield _peak(PER_MINUTE, times, "as the server saw it")


def _used(rate: Rate, times: Sequence[float], note: str) -> Figure:
    used = (len(times) - 1) / (times[-1] - times[0]) / rate.per_second
    return Figure(name=f"rate {rate}: used / limit", measured=used, at_least=0.98, note=note)


def _peak(rate: Rate, times: Sequence[float], note: str) -> Figure:
    most = peak(times, rate.per) / rate.count
    return Figure(name=f"rate {rate}: peak / limit", measured=most, at_most=1.0, note=note)


def _real(server: Answerer, rate: Rate, seconds: int) -> tuple[list[float], list[float]]:
    """When creates were sent and when they arrived, while more waited than could be sent."""
    server.reset()
    creates = int(rate.count * seconds)
    limits = Limits(rate=rate, in_flight=10**6, connections=32)
    with (
        folder() as place,
        SqliteStore.open(place / f"{time.monotonic_ns()}.db", create=True) as store,
    ):
        run = new_run(store, fleet(creates + int(rate.count)), limits)

        async def go() -> list[float]:
            return (await drive(store, run, server.url, stop_after=creates)).sent

        sent = anyio.run(go)
    return sent, sorted(server.times())


def _virtual(rate: Rate, *, minutes: int) -> list[float]:
    """The same from the ledger of the simulated cloud."""
    volumes = int(rate.per_second * 60 * minutes)
    limits = {"rate": rate, "in_flight": volumes, "connections": 32}
    night = Night(volumes=volumes, settings=with_settings(limits=limits)).run()
    return sorted(row["at"] for row in night.cloud.ledger.of("create"))


def peak(times: Sequence[float], per: float) -> int:
    """The most creates in any half-open `per` seconds; `times` ascend."""
    return max(index - bisect_right(times, at - per) + 1 for index, at in enumerate(times))
