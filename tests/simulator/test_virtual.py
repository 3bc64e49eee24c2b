"""Virtual time jumps, never spins, waits for real threads, and says when nothing can happen."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest
from aiolimiter import AsyncLimiter

from vbsbatch.simulator import virtual
from vbsbatch.simulator.virtual import START, StandstillError, VirtualClock


def test_600_limited_requests_and_an_eight_hour_sleep_end_at_once() -> None:
    """A clock that stood still between two timers would let the limiter spin for ever."""
    clock = VirtualClock()

    async def night() -> None:
        limiter = AsyncLimiter(1, 0.2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 8 * 3600)
            for _ in range(600):
                await limiter.acquire()

    virtual.run(night, clock=clock)
    assert clock.passed == pytest.approx(8 * 3600, abs=1)


def test_the_wall_clock_follows_the_loop_and_outlives_it() -> None:
    clock = VirtualClock(start=1000.0)
    for _ in range(2):
        virtual.run(anyio.sleep, 60.0, clock=clock)
    assert clock.now() == pytest.approx(1120.0, abs=0.01)


def test_a_run_starts_where_it_is_told_and_returns_the_result() -> None:
    async def loop_time() -> float:
        return anyio.current_time()

    assert virtual.run(loop_time) < 1
    assert VirtualClock().now() == START


def test_timers_fire_in_their_order() -> None:
    order: list[int] = []

    async def note(after: int) -> None:
        await anyio.sleep(after)
        order.append(after)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for after in (30, 10, 20):
                tasks.start_soon(note, after)

    virtual.run(main)
    assert order == [10, 20, 30]


def test_a_thread_is_waited_for_when_no_timer_is_set() -> None:
    async def main() -> int:
        return await anyio.to_thread.run_sync(lambda: sum(range(100_000)))

    assert virtual.run(main) == 4999950000


def test_a_held_clock_does_not_jump_over_a_thread_at_work() -> None:
    clock = VirtualClock()

    passed: list[float] = []

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 3600)
            with clock.hold():
                await anyio.to_thread.run_sync(lambda: sum(range(300_000)))
            passed.append(clock.passed)

    virtual.run(main, clock=clock)
    assert passed[0] < 1
    assert clock.passed == pytest.approx(3600, abs=1)


def test_a_standstill_is_a_clear_error() -> None:
    with pytest.raises(StandstillError, match=r"no timer is set; waiting: .*stuck"):
        virtual.run(_stuck, clock=VirtualClock(patience=0.05))


def test_a_clock_held_for_ever_is_a_clear_error() -> None:
    clock = VirtualClock(patience=0.005)

    async def main() -> None:
        with clock.hold():
            await anyio.sleep(1)

    with pytest.raises(StandstillError, match="held"):
        virtual.run(main, clock=clock)


async def _stuck() -> None:
    await anyio.Event().wait()
