"""The pace of a run, computed from the store."""

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


def test_completions_are_shown_for_thirty_minutes() -> None:
    minute = int(NOW) // 60
    completed = Counter({minute: 3, minute - 29: 2, minute - 30: 7})
    assert pace.per_minute(completed, NOW) == [2, *[0] * 28, 3]


def test_percentiles_are_values_that_occurred() -> None:
    assert pace.percentiles([]) is None
    assert pace.percentiles([0.5]) == (0.5, 0.5, 0.5)
    assert pace.percentiles([number / 100 for number in range(100, 0, -1)]) == (0.5, 0.95, 1.0)
