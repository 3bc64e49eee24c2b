from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import JobMoved, JobState, RunNoted, Wall
from vbsbatch.report import Sample, eta, wanted
from vbsbatch.report.progress import WINDOW

from .samples import T0, failed, job

samples = st.lists(
    st.builds(
        Sample,
        at=st.floats(0, 1e6),
        ended=st.integers(0, 10**6),
        paused=st.booleans(),
    ),
    max_size=30,
)


def steady(
    per_second: float, seconds: int, *, start: float = 0.0, first: float = 0.0
) -> list[Sample]:
    return [
        Sample(at=start + second, ended=int(first + second * per_second))
        for second in range(seconds + 1)
    ]


def test_a_steady_pace_gives_the_remaining_jobs_over_it() -> None:
    assert eta(steady(4, 60), 3840) == pytest.approx(960)


def test_nothing_is_said_until_enough_jobs_have_ended_over_enough_time() -> None:
    assert eta([], 10) is None
    assert eta(steady(4, 9), 10) is None
    assert eta(steady(0.05, 60), 10) is None
    assert eta(steady(0.05, 100), 10) is not None


def test_nothing_remaining_takes_no_time() -> None:
    assert eta([], 0) == 0.0


def test_a_pause_counts_for_nothing() -> None:
    before, after = steady(4, 60), steady(4, 60, start=7260, first=240)
    before[-1] = Sample(at=60, ended=240, paused=True)
    assert eta([*before, *after], 960) == pytest.approx(240)


def test_only_the_recent_pace_counts() -> None:
    slow = steady(0.1, 3000)
    fast = steady(10, int(WINDOW), start=3000, first=300)
    assert eta([*slow, *fast[1:]], 1000) == pytest.approx(100, rel=0.02)


def test_jobs_that_an_operator_sent_back_do_not_turn_the_pace_round() -> None:
    run = [*steady(4, 60), *steady(4, 60, start=61, first=0)]
    assert eta(run, 400) == pytest.approx(400 / (480 / 121))


def test_a_clock_that_was_set_back_is_skipped() -> None:
    run = [*steady(4, 30), *steady(4, 30, start=-500, first=120)]
    assert eta(run, 400) == pytest.approx(100)


@given(samples, st.integers(0, 10**6))
def test_an_estimate_is_never_negative(samples: list[Sample], remaining: int) -> None:
    guess = eta(samples, remaining)
    assert guess is None or guess >= 0


@given(st.integers(5, 200), st.integers(1, 1000))
def test_more_remaining_jobs_never_end_sooner(per_minute: int, remaining: int) -> None:
    run = steady(per_minute / 60, 300)
    guesses = [eta(run, remaining + more) for more in range(3)]
    for one, two in pairwise(guesses):
        assert one is not None
        assert two is not None
        assert one <= two


def test_failures_and_events_of_the_run_are_always_printed_the_rest_if_asked() -> None:
    fail = JobMoved(job=failed(), came_from=JobState.SUBMITTING, at=Wall(T0))
    good = JobMoved(job=job(state=JobState.SUCCEEDED), came_from=JobState.RUNNING, at=Wall(T0))
    limiter = RunNoted(at=Wall(T0), kind="limiter", text="x")
    sweep = RunNoted(at=Wall(T0), kind="sweep", text="x")
    assert [wanted(e, verbose=False) for e in (fail, good, limiter, sweep)] == [1, 0, 1, 0]
    assert all(wanted(e, verbose=True) for e in (fail, good, limiter, sweep))
