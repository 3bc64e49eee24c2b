from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.engine.poll_schedule import PollSchedule
from vbsbatch.engine.tuning import Tuning
from vbsbatch.model import Elapsed

TUNING = Tuning()
LAST = 10_000.0


def schedule(*, in_flight: int = 50, took: float | None = None, sweeps: int = 0) -> PollSchedule:
    made = PollSchedule(TUNING, in_flight=in_flight)
    if took is not None:
        made.ended(took)
    for _ in range(sweeps):
        made.page_read()
    return made


def due(
    of: PollSchedule,
    *,
    sent: Sequence[float] = (),
    settle: Sequence[float] = (),
    creates: int = 1000,
) -> float:
    """Seconds after the last sweep."""
    at = of.next(
        last=Elapsed(LAST),
        creates=creates,
        sent=[Elapsed(each) for each in sent],
        settle=[Elapsed(each) for each in settle],
    )
    return float(at) - LAST


def test_with_nothing_open_it_sweeps_rarely() -> None:
    assert due(schedule()) == TUNING.stale


def test_a_young_backup_is_swept_soon_and_an_old_one_every_ten_seconds() -> None:
    assert due(schedule(), sent=[LAST]) == TUNING.freshest
    assert due(schedule(), sent=[LAST - 6.0]) == 3.0
    assert due(schedule(), sent=[LAST - 3600.0]) == TUNING.fresh


def test_the_oldest_backup_counts() -> None:
    both = due(schedule(), sent=[LAST, LAST - 6.0])
    assert both == due(schedule(), sent=[LAST - 6.0])


def test_once_it_is_known_how_long_backups_take_it_waits_until_one_is_due() -> None:
    of = schedule(took=600.0)
    assert due(of, sent=[LAST - 500.0]) == 40.0
    assert due(of, sent=[LAST - 600.0]) == TUNING.fresh
    assert due(of, sent=[LAST - 10.0]) == TUNING.stale


def test_the_shortest_backup_sets_the_pace() -> None:
    of = schedule(took=600.0)
    of.ended(20.0)
    of.ended(900.0)
    assert due(of, sent=[LAST - 20.0]) == 1.0


def test_an_unknown_job_is_swept_for_as_soon_as_it_can_be_judged() -> None:
    assert due(schedule(took=600.0), sent=[LAST], settle=[LAST + 12.0, LAST + 40.0]) == 12.0
    assert due(schedule(), settle=[LAST - 99.0]) == TUNING.freshest


def test_an_unknown_job_with_a_long_settle_time_is_swept_for_in_between() -> None:
    assert due(schedule(), settle=[LAST + 150.0]) == TUNING.stale
    assert due(schedule(), settle=[LAST + 50.0]) == 50.0


def test_out_of_budget_it_sweeps_in_proportion_to_how_long_backups_take() -> None:
    assert due(schedule(took=600.0, sweeps=500), sent=[LAST - 600.0]) == TUNING.thrifty
    assert due(schedule(took=4.0, sweeps=500), sent=[LAST - 4.0]) == 12.0
    assert due(schedule(sweeps=500), sent=[LAST - 3600.0]) == TUNING.thrifty


def test_few_slots_get_a_larger_budget() -> None:
    assert due(schedule(in_flight=1, took=600.0, sweeps=500), sent=[LAST - 600.0]) == TUNING.fresh


past = st.floats(0.0, 1e5).map(lambda age: LAST - age)


@given(
    st.integers(1, 600),
    st.lists(st.floats(0.0, 1e5), max_size=5),
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.lists(past, max_size=5),
    st.lists(st.floats(LAST - 1e5, LAST + 1e5), max_size=5),
)
def test_it_sweeps_no_more_often_than_the_freshest_and_forgets_nothing_open(
    in_flight: int,
    took: list[float],
    sweeps: int,
    creates: int,
    sent: list[float],
    settle: list[float],
) -> None:
    of = schedule(in_flight=in_flight, sweeps=sweeps)
    for each in took:
        of.ended(each)
    wait = due(of, sent=sent, settle=settle, creates=creates)
    assert wait >= TUNING.freshest
    patience = max([TUNING.thrifty, TUNING.stale, *((LAST - at) / 50 for at in sent)])
    soonest = TUNING.stale if sent else min([s - LAST for s in settle], default=TUNING.stale)
    assert wait <= max(patience, soonest) + 1e-6
