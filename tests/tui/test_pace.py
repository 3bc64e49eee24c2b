"""How fast a run goes, from what the store kept."""

from __future__ import annotations

from collections import Counter

import pytest

from vbsbatch.store.run_stats import STEP, RunStats
from vbsbatch.tui import pace

NOW = 1_795_000_000.0


def tally(*, creates: list[float] | None = None, ends: list[float] | None = None) -> RunStats:
    made = RunStats()
    made.creates.update(int(at) // STEP for at in creates or ())
    made.ends.update(int(at) // STEP for at in ends or ())
    return made


def test_a_fast_rate_is_that_of_the_last_seconds() -> None:
    slow = [NOW - 60 + step for step in range(45)]
    fast = [NOW - 12 + step / 10 for step in range(120)]
    assert pace.rate(tally(creates=slow + fast), NOW, NOW - 900) == pytest.approx(10, rel=0.2)


def test_a_slow_rate_is_that_of_the_last_minute() -> None:
    creates = [NOW - 70 + 10 * step for step in range(7)]
    assert pace.rate(tally(creates=creates), NOW, NOW - 900) == pytest.approx(0.1)


def test_the_rate_of_a_young_run_is_not_spread_over_a_minute_it_did_not_have() -> None:
    assert pace.rate(tally(creates=[NOW - 2, NOW - 1]), NOW, NOW - 2) == 1.0


def test_nothing_sent_lately_is_no_rate() -> None:
    assert pace.rate(tally(creates=[NOW - 300]), NOW, NOW - 900) == 0.0


def test_the_time_left_comes_from_the_pace_of_the_ends() -> None:
    ends = [NOW - 400 + 2 * step for step in range(200)]
    left = pace.remaining_time(tally(ends=ends), 100, NOW, NOW - 500, [])
    assert left == pytest.approx(200, rel=0.05)


def test_the_time_left_leaves_pauses_out() -> None:
    before = [NOW - 4000 + 2 * step for step in range(200)]  # until NOW - 3600
    after = [NOW - 100 + 2 * step for step in range(50)]
    ends = tally(ends=before + after)
    paused = pace.remaining_time(ends, 100, NOW, NOW - 5000, [(NOW - 3600, NOW - 100)])
    assert paused == pytest.approx(200, rel=0.1)


def test_the_time_left_leaves_a_night_without_an_engine_out() -> None:
    before = [NOW - 40_000 + 2 * step for step in range(200)]
    after = [NOW - 100 + 2 * step for step in range(50)]
    left = pace.remaining_time(tally(ends=before + after), 100, NOW, NOW - 50_000, [])
    assert left == pytest.approx(200, rel=0.1)


def test_nobody_can_tell_the_time_left_from_too_little() -> None:
    assert pace.remaining_time(tally(), 5, NOW, NOW - 100, []) is None
    assert pace.remaining_time(tally(ends=[NOW - 50] * 2), 5, NOW, NOW - 100, []) is None


def test_a_pause_ends_when_it_is_taken_back() -> None:
    told = [(100.0, True), (150.0, True), (200.0, False), (300.0, True)]
    assert pace.pauses(told, {}, 400.0) == [(100.0, 200.0), (300.0, 400.0)]


def test_a_pause_ends_with_the_first_create_of_the_next_engine() -> None:
    creates = {100 // STEP: 3, 500 // STEP: 1}
    assert pace.pauses([(101.0, True)], creates, 900.0) == [(101.0, 500.0)]
    assert pace.pauses([(101.0, True), (800.0, False)], creates, 900.0) == [(101.0, 500.0)]


def test_completions_are_told_for_thirty_minutes() -> None:
    minute = int(NOW) // 60
    completed = Counter({minute: 3, minute - 29: 2, minute - 30: 7})
    assert pace.per_minute(completed, NOW) == [2, *[0] * 28, 3]


def test_percentiles_are_values_that_occurred() -> None:
    assert pace.percentiles([]) is None
    assert pace.percentiles([0.5]) == (0.5, 0.5, 0.5)
    assert pace.percentiles([number / 100 for number in range(100, 0, -1)]) == (0.5, 0.95, 1.0)
