from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextvars import Context
from random import Random
from typing import Any, TypeVarTuple, Unpack

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vbsbatch.engine.limiter import CreateLimiter, bucket
from vbsbatch.engine.tuning import Tuning
from vbsbatch.model import Elapsed, Rate
from vbsbatch.simulator.virtual import VirtualClock, VirtualLoop

TUNING = Tuning()
Arguments = TypeVarTuple("Arguments")


class LateLoop(VirtualLoop):
    """A loop whose timers fire up to `late` seconds after their time."""

    def __init__(self, clock: VirtualClock, late: float, seed: int) -> None:
        super().__init__(clock)
        self.late, self.random = late, Random(seed)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        late = when + self.random.uniform(0.0, self.late)
        return super().call_at(late, callback, *args, context=context)


class Sender:
    """Takes permits and records when each came."""

    def __init__(self, rate: Rate, *, late: float = 0.0, seed: int = 0) -> None:
        self.rate = rate
        self.clock = VirtualClock()
        self.limiter: CreateLimiter
        self.times: list[float] = []
        self._loop = lambda: LateLoop(self.clock, late, seed)

    def play(self, scene: Callable[[], Awaitable[None]]) -> list[float]:
        """Play a scene with a new limiter; returns the times of all permits."""
        options = {"loop_factory": self._loop}
        anyio.run(self._play, scene, backend="asyncio", backend_options=options)
        return self.times

    async def _play(self, scene: Callable[[], Awaitable[None]]) -> None:
        self.renew()
        await scene()

    def renew(self) -> None:
        self.limiter = CreateLimiter(
            self.rate, now=lambda: Elapsed(self.clock.now()), tuning=TUNING
        )

    async def send(self, permits: int) -> None:
        for _ in range(permits):
            await self.limiter.permit()
            self.times.append(self.clock.passed)

    async def send_until(self, end: float) -> None:
        with anyio.move_on_after(end - self.clock.passed):
            while True:
                await self.send(1)

    def throttled(self, **said: Any) -> tuple[Rate, Rate] | None:
        given: dict[str, Any] = {"sent_at": self.clock.now(), "retry_after": None, "limit": None}
        return self.limiter.throttled(**(given | said))


def most(times: list[float], window: float) -> int:
    """The most permits in any half-open window."""
    first = best = 0
    for last, at in enumerate(times):
        while times[first] <= at - window + 1e-9:
            first += 1
        best = max(best, last - first + 1)
    return best


def assert_within(times: list[float], rate: Rate) -> None:
    for periods in (1, 2, 3, 10):
        allowed = math.ceil(rate.count * periods - 1e-9)
        assert most(times, rate.per * periods) <= allowed, f"over {rate} in {periods} periods"


def used(times: list[float], rate: Rate) -> float:
    return (len(times) - 1) / (times[-1] - times[0]) / rate.per_second


rates = st.one_of(
    st.sampled_from([
        Rate(count=100, per=60.0),
        Rate(count=2.5),
        Rate(count=1, per=2.0),
        Rate(count=1),
        Rate(count=5),
        Rate(count=500),
        Rate(count=1000, per=3600.0),
    ]),
    st.builds(Rate, count=st.integers(1, 500).map(float), per=st.just(1.0)),
    st.builds(Rate, count=st.integers(2, 6000).map(float), per=st.just(60.0)),
    st.builds(Rate, count=st.floats(0.2, 50.0), per=st.just(1.0)),
)  # fmt: skip
lateness = st.sampled_from([0.0, 0.001, 0.01])

# The rate ---------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(rates, lateness, st.integers(0, 99))
def test_no_window_exceeds_the_rate_and_98_percent_of_it_are_used(
    rate: Rate, late: float, seed: int
) -> None:
    sender = Sender(rate, late=late, seed=seed)
    times = sender.play(
        lambda: sender.send(max(100, int(3 * rate.count), int(5 * rate.per_second)))
    )
    assert_within(times, rate)
    assert used(times, rate) >= 0.98


@given(rates)
def test_the_bucket_keeps_the_window_by_arithmetic(rate: Rate) -> None:
    capacity, drain = bucket(rate)
    leaks_in_a_window = capacity / drain * rate.per
    assert 0.99 * rate.count + 1 <= capacity + leaks_in_a_window <= rate.count + 1


@settings(max_examples=20)
@given(rates, lateness, st.integers(0, 99))
def test_permits_taken_without_waiting_keep_the_window_with_those_waited_for(
    rate: Rate, late: float, seed: int
) -> None:
    sender = Sender(rate, late=late, seed=seed)

    async def in_passing() -> None:
        while True:
            if await sender.limiter.permit_now():
                sender.times.append(sender.clock.passed)
            await anyio.sleep(0.3 / rate.per_second)

    async def scene() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(in_passing)
            await sender.send(max(20, int(2 * rate.count)))
            group.cancel_scope.cancel()

    assert_within(sorted(sender.play(scene)), rate)


def test_no_permit_is_taken_without_waiting_during_a_429_hold() -> None:
    sender = Sender(Rate(count=5))

    async def scene() -> None:
        await sender.send(1)
        await anyio.sleep(1.0)
        sender.throttled(retry_after=30.0)
        assert not await sender.limiter.permit_now()
        await sender.send(1)

    first, second = sender.play(scene)
    assert second - first >= 31.0


def test_the_limiter_does_not_start_with_a_burst() -> None:
    rate = Rate(count=500)
    sender = Sender(rate)
    times = sender.play(lambda: sender.send(500))
    assert most(times, 0.1) <= 51
    assert times[-1] - times[0] >= 0.99


def test_no_burst_follows_a_pause() -> None:
    rate = Rate(count=100)
    sender = Sender(rate)

    async def scene() -> None:
        for pause in (0.0, 0.3, 1.0, 5.0, 3600.0):
            await anyio.sleep(pause)
            await sender.send(150)

    times = sender.play(scene)
    assert_within(times, rate)
    assert most(times, 0.01) <= 3


def test_a_second_engine_that_resumes_at_once_adds_no_burst() -> None:
    rate = Rate(count=50)
    sender = Sender(rate)

    async def scene() -> None:
        await sender.send(70)
        sender.renew()
        await sender.send(70)

    assert_within(sender.play(scene), rate)


# Throttling -------------------------------------------------------------------------------------


def test_a_429_halves_the_rate_at_once_and_pauses_briefly() -> None:
    sender = Sender(Rate(count=10))

    async def scene() -> None:
        await sender.send(10)
        assert sender.throttled() == (Rate(count=10), Rate(count=5))
        await sender.send(20)

    times = sender.play(scene)
    assert sender.limiter.rate == Rate(count=5)
    assert times[10] - times[9] >= TUNING.throttle_hold
    assert most(times[10:], 1.0) <= 5


def test_retry_after_applies_to_current_waiters_too() -> None:
    sender = Sender(Rate(count=2))

    async def scene() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(sender.send, 10)
            await anyio.sleep(1.2)
            sender.throttled(retry_after=30.0)

    times = sender.play(scene)
    before = [at for at in times if at < 1.2]
    assert len(before) == 2
    assert times[2] >= 31.2


def test_an_absurd_retry_after_is_capped() -> None:
    sender = Sender(Rate(count=2))

    async def scene() -> None:
        sender.throttled(retry_after=1e9)
        await sender.send(1)

    assert sender.play(scene)[0] <= TUNING.throttle_hold_longest + 2


def test_the_gateways_figure_is_respected_with_a_margin() -> None:
    sender = Sender(Rate(count=100))

    async def scene() -> None:
        assert sender.throttled(limit=Rate(count=20)) == (Rate(count=100), Rate(count=18))
        await sender.send(60)

    assert most(sender.play(scene), 1.0) <= 18


def test_a_gateway_figure_that_is_not_lower_still_lowers_the_rate() -> None:
    sender = Sender(Rate(count=10))

    async def scene() -> None:
        assert sender.throttled(limit=Rate(count=200)) == (Rate(count=10), Rate(count=5))

    sender.play(scene)


@pytest.mark.parametrize("limit", [Rate(count=290, per=60.0), Rate(count=1, per=0.5)])
def test_a_gateway_limit_in_another_unit_keeps_the_plans_rate(limit: Rate) -> None:
    rate = Rate(count=5)
    sender = Sender(rate)

    async def scene() -> None:
        sender.throttled(limit=limit)
        await sender.send(1)
        await anyio.sleep(4.0)  # the bucket is empty now, and the rate has not climbed yet
        await sender.send(8)

    times = sender.play(scene)
    assert_within(times, rate)
    assert most(times, limit.per) <= limit.count


def test_answers_to_earlier_creates_do_not_lower_the_rate_again() -> None:
    sender = Sender(Rate(count=64))

    async def scene() -> None:
        sent_at = sender.clock.now()
        assert sender.throttled(sent_at=sent_at)
        await anyio.sleep(0.5)
        for _ in range(5):
            assert sender.throttled(sent_at=sent_at) is None
        assert sender.limiter.rate == Rate(count=32)
        await anyio.sleep(0.5)
        assert sender.throttled() == (Rate(count=32), Rate(count=16))

    sender.play(scene)


def test_the_rate_never_falls_below_the_lowest_rate() -> None:
    sender = Sender(Rate(count=1))

    async def scene() -> None:
        for _ in range(50):
            await anyio.sleep(1.0)
            sender.throttled()

    sender.play(scene)
    assert sender.limiter.rate.per_second == pytest.approx(TUNING.lowest_rate)


def test_a_plan_that_is_slower_than_the_lowest_rate_is_not_sped_up() -> None:
    sender = Sender(Rate(count=1, per=3600.0))

    async def scene() -> None:
        assert sender.throttled() is None

    sender.play(scene)
    assert sender.limiter.rate == Rate(count=1, per=3600.0)


def test_the_rate_climbs_back_in_equal_steps_up_to_the_plan() -> None:
    sender = Sender(Rate(count=20))
    seen: list[tuple[float, float]] = []

    async def scene() -> None:
        sender.throttled()
        while not seen or seen[-1][0] < 108.0:
            await sender.send(1)
            seen.append((sender.clock.passed, sender.limiter.rate.per_second))

    assert_within(sender.play(scene), Rate(count=20))
    steps = sorted({speed for _, speed in seen})
    assert steps == pytest.approx([10 + n for n in range(11)])
    back_at = min(at for at, speed in seen if speed == 20.0)
    assert back_at == pytest.approx(10 * TUNING.climb_every + TUNING.throttle_hold, abs=1.0)


def test_time_on_hold_does_not_count_for_the_climb() -> None:
    sender = Sender(Rate(count=20))

    async def scene() -> None:
        sender.throttled(retry_after=250.0)
        await sender.send(1)
        assert sender.limiter.rate == Rate(count=10)

    sender.play(scene)


def test_time_without_any_create_counts_for_the_climb() -> None:
    sender = Sender(Rate(count=20))

    async def scene() -> None:
        sender.throttled()
        await anyio.sleep(1000.0)
        await sender.send(1)

    sender.play(scene)
    assert sender.limiter.rate == Rate(count=20)


# The operator's rate ----------------------------------------------------------------------------


def test_an_operators_rate_applies_to_current_waiters() -> None:
    sender = Sender(Rate(count=1, per=3600.0))

    async def scene() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(sender.send, 11)
            await anyio.sleep(60.0)
            sender.limiter.set_ceiling(Rate(count=10))

    times = sender.play(scene)
    assert times[-1] <= 62.0
    assert most(times, 1.0) <= 10


def test_an_operators_lower_rate_is_the_new_ceiling() -> None:
    sender = Sender(Rate(count=50))

    async def scene() -> None:
        await sender.send(60)
        sender.limiter.set_ceiling(Rate(count=5))
        await anyio.sleep(100.0)
        await sender.send(20)

    assert most(sender.play(scene)[60:], 1.0) <= 5


@settings(max_examples=60)
@given(
    st.sampled_from([Rate(count=100, per=60.0), Rate(count=5), Rate(count=2.5), Rate(count=80)]),
    st.lists(
        st.one_of(
            st.tuples(st.just("idle"), st.sampled_from([0.1, 1.0, 5.0, 90.0])),
            st.tuples(st.just("send"), st.sampled_from([0.5, 2.0, 20.0])),
            st.tuples(st.just("hold"), st.floats(0.0, 40.0)),
            st.tuples(st.just("429"), st.none()),
            st.tuples(
                st.just("limit"),
                st.builds(
                    Rate, count=st.floats(0.5, 400.0), per=st.sampled_from([0.5, 1.0, 60.0, 3600.0])
                ),
            ),
            st.tuples(st.just("same rate"), st.none()),
        ),
        max_size=12,
    ),
    lateness,
)
def test_no_window_ever_exceeds_the_plans_rate(
    rate: Rate, acts: list[tuple[str, Any]], late: float
) -> None:
    sender = Sender(rate, late=late)

    async def scene() -> None:
        for what, value in acts:
            match what:
                case "idle":
                    await anyio.sleep(value)
                case "send":
                    await sender.send_until(sender.clock.passed + value)
                case "hold":
                    sender.throttled(retry_after=value)
                case "429":
                    sender.throttled()
                case "limit":
                    sender.throttled(limit=value)
                case _:
                    sender.limiter.set_ceiling(rate)
        await sender.send_until(sender.clock.passed + 70.0)

    times = sender.play(scene)
    assert sender.limiter.rate.per_second <= rate.per_second + 1e-9
    assert_within(times, rate)
