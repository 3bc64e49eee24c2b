"""When the list is read next: arithmetic, for any run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.engine.poll_schedule import Demand, PollSchedule, RunningBackup
from vbsbatch.engine.tuning import Tuning
from vbsbatch.model import Polling
from vbsbatch.policy.durations import Kind

ALL: Kind = (None, None)
TUNING = Tuning()
ages = st.lists(st.floats(-50.0, 20_000.0), min_size=1, max_size=40)
demands = st.builds(
    Demand,
    in_flight=st.integers(1, 500),
    places=st.integers(0, 1000),
    after=st.floats(0.0, 200.0),
    rounds=st.floats(1.0, 50.0),
    gate=st.integers(0, 100),
)


def schedule(took: Sequence[float] = (), polling: Polling = Polling.NORMAL) -> PollSchedule:
    made = PollSchedule(TUNING, polling)
    for seconds in took:
        made.durations.ended(seconds, ALL)
    return made


def alike(count: int = 100) -> list[float]:
    random = Random(1)
    return [random.uniform(540, 660) for _ in range(count)]


def next_look(
    of: PollSchedule, running: Sequence[float], *, creates: int = 1000, **demand: float
) -> float:
    wanted = Demand(in_flight=50, **demand)  # type: ignore[arg-type]
    return of.next([RunningBackup(ALL, age) for age in running], wanted, creates=creates)


def test_with_nothing_running_it_looks_rarely() -> None:
    assert next_look(schedule(), []) == TUNING.stale


@given(st.lists(st.floats(1.0, 20_000.0), max_size=30), ages, demands)
def test_a_look_is_neither_too_soon_nor_put_off_for_long(
    took: list[float], running: list[float], demand: Demand
) -> None:
    backups = [RunningBackup(ALL, age) for age in running]
    found = schedule(took).next(backups, demand, creates=100)
    most = max([TUNING.stale, *took, *running])
    assert TUNING.freshest <= found <= most
    assert math.isfinite(found)


def test_while_nothing_is_known_looks_come_at_growing_ages() -> None:
    at = 0.0
    looks = []
    for _ in range(12):
        at += next_look(schedule(), [at] * 50, places=100)
        looks.append(at)
    assert looks[:4] == [1.0, 2.0, 4.0, 8.0]
    assert all(1.2 < later / sooner < 2.1 for sooner, later in pairwise(looks))


def test_nothing_is_asked_before_an_end_is_to_be_expected() -> None:
    found = next_look(schedule(alike()), [0.0] * 50, places=500, rounds=12)
    assert found >= 270, "half the usual duration, for the percentages"
    assert 480 < 300 + next_look(schedule(alike()), [300.0] * 50, places=500, rounds=12) < 640


def test_ends_that_are_spread_evenly_keep_each_place_empty_for_the_idle_share() -> None:
    of = schedule(alike())
    running = [600.0 * n / 50 for n in range(50)]
    found = next_look(of, running, places=500, rounds=100)
    assert 0.03 < found / 2 / 600 < 0.09


@given(st.integers(2, 40))
def test_a_list_of_many_pages_is_read_less_often(pages: int) -> None:
    running = [600.0 * n / 50 for n in range(50)]
    cheap, dear = schedule(alike()), schedule(alike())
    for _ in range(10):
        cheap.page_read()
        cheap.looked()
        for _ in range(pages):
            dear.page_read()
        dear.looked()
    wanted = {"places": 500, "rounds": 12, "creates": 100_000}
    soon = next_look(cheap, running, **wanted)
    assert soon <= next_look(dear, running, **wanted)


def test_eager_looks_sooner_and_sparing_later() -> None:
    running = [600.0 * n / 50 for n in range(50)]
    wanted = {"places": 500, "rounds": 12}
    found = [next_look(schedule(alike(), each), running, **wanted) for each in Polling]
    assert found == sorted(found)
    assert found[0] < found[-1]


@given(st.floats(20.0, 7200.0), st.integers(1, 60))
def test_where_only_people_wait_an_end_is_seen_in_time(usual: float, many: int) -> None:
    """Any end that is to be expected is seen within 10 s or a fiftieth of the backup's age."""
    random = Random(many)
    of = schedule([random.uniform(0.9, 1.1) * usual for _ in range(100)])
    running = [random.uniform(0.0, 0.85) * usual for _ in range(many)]
    at = next_look(of, running)
    soonest = min(0.9 * usual - age for age in running)
    assert at <= max(soonest, 0.0) + max(10.0, 1.1 * usual / 50) + 0.1 * usual


def test_the_last_end_is_seen_at_once_since_the_whole_run_waits_for_it() -> None:
    of = schedule([6000.0 + n for n in range(50)])
    last = [RunningBackup(ALL, 6000.0, low=6010.0, high=6011.0)]
    for_all = of.next(last, Demand(in_flight=50, gate=50), creates=100)
    assert for_all <= of.next(last, Demand(in_flight=50), creates=100)


def test_places_that_the_rate_cannot_fill_are_worth_nothing() -> None:
    running = [600.0 * n / 50 for n in range(50)]
    held_up = next_look(schedule(alike()), running, places=500, after=100.0)
    assert held_up >= 100.0


def test_percentages_tell_when_an_end_is_due_before_any_has_come() -> None:
    of = schedule()
    told = [RunningBackup(ALL, 100.0, low=600.0, high=620.0)] * 50
    found = of.next(told, Demand(in_flight=50, places=500), creates=50)
    assert found == 60.0, "not put off by more than this before an end has proved them"
    told = [RunningBackup(ALL, 500.0, low=600.0, high=620.0)] * 50
    assert 100 < of.next(told, Demand(in_flight=50, places=500), creates=50) < 130


def test_looks_beyond_what_the_creates_pay_for_come_later() -> None:
    running = [600.0 * n / 50 for n in range(50)]
    of = schedule(alike())
    before = next_look(of, running, places=500, rounds=12, creates=100)
    for _ in range(200):
        of.page_read()
        of.looked()
    assert next_look(of, running, places=500, rounds=12, creates=100) > 1.5 * before
