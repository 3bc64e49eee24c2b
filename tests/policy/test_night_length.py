"""How long a night takes: greedy scheduling, and what is expected of it."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.policy.durations import Durations, Kind
from vbsbatch.policy.night_length import MOST, expected_length, night_length

ALL: Kind = (None, None)
seconds = st.lists(st.floats(1.0, 1000.0), max_size=40)


@given(seconds, seconds, st.integers(1, 12))
def test_it_is_what_places_that_never_stand_empty_give(
    running: list[float], waiting: list[float], places: int
) -> None:
    found = night_length(running[:places], waiting, places=places, per_second=1e9)
    ends = running[:places] + [0.0] * (places - len(running[:places]))
    for each in waiting:
        ends.sort()
        ends[0] += each
    assert abs(found - max(ends)) < 1e-4


def test_the_rate_bounds_it_where_there_are_places_enough() -> None:
    assert night_length([], [10.0] * 101, places=500, per_second=2.0) == 60.0


def test_what_is_expected_is_near_what_follows() -> None:
    random = Random(3)
    durations = Durations()
    for _ in range(200):
        durations.ended(random.uniform(60, 3600), ALL)
    curves = durations.curves([])
    waiting = [random.uniform(60, 3600) for _ in range(600)]
    real = night_length([], waiting, places=50, per_second=100.0)
    found = expected_length([], [ALL] * 600, curves, places=50, per_second=100.0)
    assert abs(found / real - 1) < 0.1


def test_very_many_volumes_are_counted_in_rounds() -> None:
    durations = Durations()
    for _ in range(20):
        durations.ended(100.0, ALL)
    curves = durations.curves([])
    few = expected_length([], [ALL] * MOST, curves, places=100, per_second=1e6)
    many = expected_length([], [ALL] * (MOST * 5), curves, places=100, per_second=1e6)
    assert abs(many / few / 5 - 1) < 0.05
