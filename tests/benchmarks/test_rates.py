from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rates import peak
from benchmarks.throughput import speed


def test_a_window_is_half_open() -> None:
    assert peak([0.0, 1.0, 2.0], 1.0) == 1
    assert peak([0.0, 0.999, 2.0], 1.0) == 2


@given(st.lists(st.floats(0, 10), min_size=1, max_size=40).map(sorted))
def test_the_peak_is_the_fullest_window_that_ends_with_a_create(times: list[float]) -> None:
    assert peak(times, 1.0) == max(sum(end - 1.0 < at <= end for at in times) for end in times)


def test_the_speed_leaves_the_ramp_up_out() -> None:
    slow_start = [0.0, *(100.0 + n for n in range(100))]
    assert speed(slow_start) == 1.0
