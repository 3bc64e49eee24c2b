from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.engine.breaker import Breaker, Circuit
from vbsbatch.engine.tuning import Tuning
from vbsbatch.model import Elapsed

TUNING = Tuning(outage_after=3, outage_many=6, excuses=2, probe_first=5.0, probe_longest=40.0)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(tuning=TUNING)


def is_open(breaker: Breaker) -> bool:
    return breaker.circuit is Circuit.OPEN


def opened(breaker: Breaker, now: float = 0.0) -> Breaker:
    for no in (1, 2, 3):
        breaker.outage(no, Elapsed(now))
    assert breaker.circuit is Circuit.OPEN
    return breaker


def test_enough_outages_in_a_row_open_it_and_excuse_the_jobs_that_met_them(
    breaker: Breaker,
) -> None:
    assert breaker.outage(1, Elapsed(100.0)) == []
    assert breaker.outage(2, Elapsed(101.0)) == []
    assert not is_open(breaker)
    assert breaker.outage(3, Elapsed(102.0)) == [1, 2, 3]
    assert is_open(breaker)
    assert breaker.probe_at == Elapsed(107.0)


def test_an_answer_in_between_restarts_the_count(breaker: Breaker) -> None:
    for no in range(20):
        breaker.outage(no, Elapsed(0.0))
        breaker.outage(no + 100, Elapsed(0.0))
        assert not breaker.answered(1000)
    assert breaker.circuit is Circuit.CLOSED


def test_one_job_alone_does_not_look_like_an_outage(breaker: Breaker) -> None:
    for _ in range(20):
        assert breaker.outage(7, Elapsed(0.0)) == []
    assert breaker.circuit is Circuit.CLOSED
    assert set(breaker.outage(8, Elapsed(0.0))) == {7, 8}


def test_outages_while_the_circuit_is_open_are_excused_too(breaker: Breaker) -> None:
    opened(breaker)
    assert breaker.outage(9, Elapsed(1.0)) == [9]
    assert breaker.circuit is Circuit.OPEN


def test_failed_probes_delay_the_next_one_up_to_a_limit(breaker: Breaker) -> None:
    now, waits = Elapsed(0.0), []
    opened(breaker, float(now))
    for no in range(10, 17):
        waits.append(breaker.probe_at - now)
        now = breaker.probe_at
        breaker.probe()
        assert breaker.circuit is Circuit.PROBING
        assert breaker.outage(no, now) == [no]
        assert is_open(breaker)
    assert waits == [5.0, 10.0, 20.0, 40.0, 40.0, 40.0, 40.0]


def test_the_first_answer_closes_the_circuit_and_resets_it(breaker: Breaker) -> None:
    opened(breaker)
    breaker.probe()
    breaker.wait_longer(Elapsed(5.0))
    breaker.probe()
    assert breaker.answered(1000)
    assert breaker.circuit is Circuit.CLOSED
    assert not breaker.answered(1000)
    for no in (1, 2, 3):
        breaker.answered(no)
    opened(breaker, 100.0)
    assert breaker.probe_at == Elapsed(105.0)


def test_the_circuit_opens_at_once_when_every_create_is_blocked(breaker: Breaker) -> None:
    breaker.trip(Elapsed(50.0))
    assert breaker.circuit is Circuit.OPEN
    assert breaker.probe_at == Elapsed(55.0)
    breaker.trip(Elapsed(54.0))
    assert breaker.probe_at == Elapsed(55.0)


def test_a_few_jobs_that_can_never_be_created_are_not_excused_forever(breaker: Breaker) -> None:
    excused: Counter[int] = Counter()
    for turn in range(100):
        no = turn % 3
        excused.update(breaker.outage(no, Elapsed(float(turn))))
    assert excused
    assert max(excused.values()) <= TUNING.excuses
    assert breaker.circuit is Circuit.CLOSED


def test_an_outage_that_many_jobs_meet_is_real_however_long_it_lasts(breaker: Breaker) -> None:
    for turn in range(100):
        breaker.outage(turn % TUNING.outage_many, Elapsed(float(turn)))
        if breaker.circuit is Circuit.OPEN:
            breaker.probe()
    assert breaker.circuit is Circuit.PROBING
    assert breaker.outage(1, Elapsed(100.0)) == [1]


def test_a_job_that_failed_while_others_were_answered_does_not_open_it(breaker: Breaker) -> None:
    for no in (1, 2):
        breaker.outage(no, Elapsed(0.0))
    breaker.answered(9)
    for turn in range(20):
        assert breaker.outage(turn % 2 + 1, Elapsed(1.0)) == []
    assert breaker.circuit is Circuit.CLOSED


def test_a_job_whose_outage_ended_for_others_does_not_open_it_until_answered(
    breaker: Breaker,
) -> None:
    opened(breaker)
    breaker.probe()
    assert breaker.answered(9)
    for turn in range(20):
        assert breaker.outage(turn % 3 + 1, Elapsed(10.0)) == []
    assert breaker.circuit is Circuit.CLOSED
    for no in (1, 2, 3):
        breaker.answered(no)
    opened(breaker, 20.0)


def test_every_job_that_meets_an_outage_is_excused(breaker: Breaker) -> None:
    breaker.outage(7, Elapsed(0.0))
    breaker.answered(9)
    opened(breaker, 1.0)
    assert breaker.outage(7, Elapsed(2.0)) == [7]


acts = st.lists(
    st.one_of(
        st.tuples(st.just("outage"), st.integers(1, 12)),
        st.tuples(st.just("answered"), st.integers(1, 12)),
        st.tuples(st.just("probe"), st.just(0)),
        st.tuples(st.just("read failed"), st.just(0)),
        st.tuples(st.just("trip"), st.just(0)),
    ),
    max_size=200,
)


@given(acts)
def test_it_is_never_stuck_and_excuses_only_jobs_that_met_an_outage(
    what: list[tuple[str, int]],
) -> None:
    breaker, now = Breaker(tuning=TUNING), Elapsed(0.0)
    excused: Counter[int] = Counter()
    met: Counter[int] = Counter()
    for act, no in what:
        now += 1.0
        match act:
            case "outage":
                met[no] += 1
                excused.update(breaker.outage(no, now))
            case "answered":
                ended = breaker.circuit is not Circuit.CLOSED
                assert breaker.answered(no) == ended
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
