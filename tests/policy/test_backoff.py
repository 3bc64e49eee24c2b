from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.policy.backoff import backoff, ceiling

attempts = st.integers(-5, 10**9)
seconds = st.floats(0.001, 1e6)


@given(attempts, seconds, seconds, st.integers())
def test_a_wait_is_between_zero_and_its_ceiling(
    attempt: int, base: float, cap: float, seed: int
) -> None:
    pause = backoff(attempt, base=base, cap=cap, random=Random(seed))
    assert 0.0 <= pause <= ceiling(attempt, base=base, cap=cap) <= cap


@given(st.integers(1, 1000), seconds, seconds)
def test_ceilings_double_until_the_cap_and_never_fall(
    attempt: int, base: float, cap: float
) -> None:
    this = ceiling(attempt, base=base, cap=cap)
    after = ceiling(attempt + 1, base=base, cap=cap)
    assert after == min(cap, 2 * this) or attempt > 64


def test_the_first_ceiling_is_the_base() -> None:
    assert [ceiling(n, base=2.0, cap=300.0) for n in (0, 1, 2, 3, 8, 9, 5000)] == [
        2.0, 2.0, 4.0, 8.0, 256.0, 300.0, 300.0,
    ]  # fmt: skip


def test_full_jitter_spreads_jobs_that_failed_together() -> None:
    random = Random(7)
    pauses = sorted(backoff(5, base=2.0, cap=300.0, random=random) for _ in range(1000))
    assert pauses[0] < 1.0
    assert pauses[-1] > 31.0
    assert 14.0 < sum(pauses) / 1000 < 18.0
