from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.engine.breaker import Breaker, Circuit
from vbsbatch.engine.tuning import Tuning

TUNING = Tuning(outage_after=3, excuses=2, probe_first=5.0, probe_longest=40.0)
MANY = 1000


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(tuning=TUNING)


def opened(breaker: Breaker, now: float = 0.0) -> Breaker:
    for no in (1, 2, 3):
        breaker.outage(no, now, MANY)
    assert breaker.circuit is Circuit.OPEN
    return breaker


def test_so_many_outages_in_a_row_open_it_and_excuse_those_who_met_them(breaker: Breaker) -> None:
    assert breaker.outage(1, 100.0, MANY) == []
    assert breaker.outage(2, 101.0, MANY) == []
    assert breaker.circuit is Circuit.CLOSED
    assert breaker.outage(3, 102.0, MANY) == [1, 2, 3]
    assert breaker.circuit is Circuit.OPEN
    assert breaker.probe_at == 107.0


def test_an_answer_in_between_starts_the_count_anew(breaker: Breaker) -> None:
    for no in range(20):
        breaker.outage(no, 0.0, MANY)
        breaker.outage(no + 100, 0.0, MANY)
        assert not breaker.answered()
    assert breaker.circuit is Circuit.CLOSED


def test_one_job_alone_does_not_look_like_an_outage(breaker: Breaker) -> None:
    for _ in range(20):
        assert breaker.outage(7, 0.0, MANY) == []
    assert breaker.circuit is Circuit.CLOSED
    assert set(breaker.outage(8, 0.0, MANY)) == {7, 8}


def test_answers_that_arrive_while_it_is_open_are_excused_too(breaker: Breaker) -> None:
    opened(breaker)
    assert breaker.outage(9, 1.0, MANY) == [9]
    assert breaker.circuit is Circuit.OPEN


def test_failed_probes_make_the_next_one_wait_longer_up_to_a_bound(breaker: Breaker) -> None:
    now, waits = 0.0, []
    opened(breaker, now)
    for no in range(10, 17):
        waits.append(breaker.probe_at - now)
        now = breaker.probe_at
        breaker.probe()
        assert breaker.circuit is Circuit.PROBING
        assert breaker.outage(no, now, MANY) == [no]
        assert breaker.circuit is Circuit.OPEN
    assert waits == [5.0, 10.0, 20.0, 40.0, 40.0, 40.0, 40.0]


def test_the_first_answer_ends_the_outage_and_forgets_it(breaker: Breaker) -> None:
    opened(breaker)
    breaker.probe()
    breaker.wait_longer(5.0)
    breaker.probe()
    assert breaker.answered()
    assert breaker.circuit is Circuit.CLOSED
    assert not breaker.answered()
    opened(breaker, 100.0)
    assert breaker.probe_at == 105.0


def test_it_opens_at_once_when_something_every_create_needs_is_down(breaker: Breaker) -> None:
    breaker.trip(50.0)
    assert breaker.circuit is Circuit.OPEN
    assert breaker.probe_at == 55.0
    breaker.trip(54.0)
    assert breaker.probe_at == 55.0


def test_jobs_step_back_only_during_an_outage(breaker: Breaker) -> None:
    assert breaker.step_back == 0.0
    opened(breaker)
    assert breaker.step_back >= breaker.probe_at


def test_jobs_that_can_never_be_created_are_not_excused_for_ever(breaker: Breaker) -> None:
    excused: Counter[int] = Counter()
    for turn in range(100):
        no = turn % 3
        excused.update(breaker.outage(no, float(turn), left=3))
    assert excused
    assert max(excused.values()) <= TUNING.excuses + 1
    assert breaker.circuit is Circuit.CLOSED


acts = st.lists(
    st.one_of(
        st.tuples(st.just("outage"), st.integers(1, 12)),
        st.tuples(st.just("answered"), st.just(0)),
        st.tuples(st.just("probe"), st.just(0)),
        st.tuples(st.just("read failed"), st.just(0)),
        st.tuples(st.just("trip"), st.just(0)),
    ),
    max_size=200,
)


@given(acts, st.integers(1, 12))
def test_it_is_never_stuck_and_excuses_are_bounded_once_all_had_theirs(
    what: list[tuple[str, int]], left: int
) -> None:
    breaker, now = Breaker(tuning=TUNING), 0.0
    excused: Counter[int] = Counter()
    met: Counter[int] = Counter()
    for act, no in what:
        now += 1.0
        match act:
            case "outage":
                met[no] += 1
                excused.update(breaker.outage(no, now, left))
            case "answered":
                ended = breaker.circuit is not Circuit.CLOSED
                assert breaker.answered() == ended
                assert breaker.circuit is Circuit.CLOSED
            case "probe" if breaker.circuit is Circuit.OPEN:
                breaker.probe()
            case "read failed" if breaker.circuit is Circuit.OPEN:
                breaker.wait_longer(now)
            case "trip":
                breaker.trip(now)
        if breaker.circuit is Circuit.OPEN:
            assert breaker.probe_at - now <= TUNING.probe_longest
        assert all(excused[each] <= met[each] for each in excused)
