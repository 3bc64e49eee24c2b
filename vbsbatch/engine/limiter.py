"""Limits how fast creates go: never above the plan's rate, and slower at once when the cloud asks
for it.

The exactness comes from the size of the bucket. A leaky bucket of capacity b that leaks r a second
lets fewer than b + r through in any half-open second. So with b + r = R + 1 it never lets through
more than R. A bucket of one permit (b = 1, r = R) would be exact too, but loses the time by which
each timer wakes too late; b = 1 + R/100 tolerates 10 ms of lateness at the price of one percent.
The cloud counts arrivals, and creates that were sent evenly arrive a little less evenly: four
permits in a thousand stay unused for that. The bucket starts full, so that neither the start, nor a
change of rate, nor a resumed run begins with a burst.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
from aiolimiter import AsyncLimiter

from vbsbatch.engine.signal import Signal
from vbsbatch.engine.tuning import Tuning
from vbsbatch.model import AT_ONCE, LONG_AGO, Elapsed, Rate

LATENESS = 0.01
"""Fraction of the rate spent on tolerating late timers."""

UNEVENNESS = 0.004
"""Fraction of the rate left unused, because creates may arrive closer together than they were
sent."""


def bucket(rate: Rate) -> tuple[float, float]:
    """Return the capacity, and the seconds to drain it, for at most `rate.count` permits in any
    `rate.per` seconds."""
    capacity = 1 + rate.count * LATENESS
    leak_per_second = rate.count * (1 - LATENESS - UNEVENNESS) / rate.per
    return capacity, capacity / leak_per_second


class CreateLimiter:
    """Permits for create requests, with the plan's rate as its ceiling."""

    def __init__(self, rate: Rate, *, now: Callable[[], Elapsed], tuning: Tuning) -> None:
        self._now = now
        self._tuning = tuning
        self._ceiling = rate
        self._rate = rate
        self._held_until = AT_ONCE
        self._lowered_at = LONG_AGO
        self._climbed_at = LONG_AGO
        self._woken = Signal()
        self._bucket: AsyncLimiter | None = None
        self._waiting = anyio.CancelScope()

    @property
    def rate(self) -> Rate:
        """The rate in force."""
        return self._rate

    async def permit(self) -> None:
        """Wait until one create may be sent now."""
        while True:
            await self._rest()
            self._climb()
            bucket = await self._full_bucket()
            if bucket.has_capacity():
                await bucket.acquire()  # returns at once: there is no wait to cancel
            else:
                with anyio.CancelScope() as self._waiting:
                    await bucket.acquire()
            if bucket is self._bucket and self._now() >= self._held_until:
                return

    async def permit_now(self) -> bool:
        """Take a permit if one is free now; never waits."""
        if self._now() < self._held_until:
            return False
        self._climb()
        bucket = self._bucket
        if bucket is None or not bucket.has_capacity():
            return False
        await bucket.acquire()
        return True

    def wake(self) -> None:
        """Wake all waiters to check the clock again after the machine slept; the loop's timers do
        not."""
        self._woken.notify()

    def set_ceiling(self, rate: Rate) -> None:
        """Set an operator's rate: both the new ceiling and the rate in force."""
        self._ceiling = rate
        self._use(rate)

    def throttled(
        self, *, sent_at: Elapsed, retry_after: float | None, limit: Rate | None
    ) -> tuple[Rate, Rate] | None:
        """Handle a create, sent at `sent_at`, that was refused as too fast.

        Returns the old and the new rate if the rate was lowered. Answers to requests that left
        before the last lowering say nothing about the new rate.
        """
        now, longest = self._now(), self._tuning.throttle_hold_longest
        hold = self._tuning.throttle_hold if retry_after is None else min(retry_after, longest)
        self._held_until = max(self._held_until, now + hold)
        self._climbed_at = max(self._climbed_at, self._held_until)
        if sent_at <= self._lowered_at:
            return None
        before, after = self._rate, self._lower(limit)
        self._lowered_at = now
        if after.per_second >= before.per_second:
            return None
        self._use(after)
        return before, after

    def _lower(self, limit: Rate | None) -> Rate:
        now = self._rate
        half = max(now.per_second / 2, min(self._tuning.lowest_rate, now.per_second))
        if limit is not None and limit.count > 0 and limit.per_second < now.per_second:
            # The gateway's figure may be shared with other users, so stay a little below it. The
            # shorter of its unit and the plan's keeps the windows of both.
            per = min(limit.per, self._ceiling.per)
            return Rate(count=0.9 * limit.per_second * per, per=per)
        return Rate(count=half * now.per, per=now.per)

    def _climb(self) -> None:
        if self._rate.per_second >= self._ceiling.per_second:
            return
        steps = int((self._now() - self._climbed_at) / self._tuning.climb_every)
        if steps < 1:
            return
        self._climbed_at += steps * self._tuning.climb_every
        higher = self._rate.per_second + steps * self._tuning.climb_by * self._ceiling.per_second
        ceiling = self._ceiling
        self._use(Rate(count=min(higher * ceiling.per, ceiling.count), per=ceiling.per))

    def _use(self, rate: Rate) -> None:
        self._rate = rate
        self._bucket = None
        self._waiting.cancel()  # waiters for a permit of the old rate start again

    async def _full_bucket(self) -> AsyncLimiter:
        if self._bucket is None:
            capacity, drain = bucket(self._rate)
            self._bucket = full = AsyncLimiter(capacity, drain)
            await full.acquire(capacity)
        return self._bucket

    async def _rest(self) -> None:
        while (rest := self._held_until - self._now()) > 0:
            await self._woken.wait(rest)
