"""How long backups take, learnt from those that ended and from those that still run."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import Backup, Cloud
from vbsbatch.policy.durations import (
    BINS,
    EDGES,
    Curves,
    Durations,
    Kind,
    interval,
    kind_of,
    took,
)

ALL: Kind = (None, None)
ages = st.lists(st.floats(0.1, 80_000.0), max_size=30)


def learnt(ended: list[float], running: list[float] = [], kind: Kind = ALL) -> Curves:  # noqa: B006
    durations = Durations()
    for seconds in ended:
        durations.ended(seconds, kind)
    return durations.curves((kind, age) for age in running)


@given(st.floats(0.0, 250_000.0))
def test_every_age_lies_in_its_interval(age: float) -> None:
    at = interval(age)
    assert EDGES[at] <= age * 1.000001
    assert age <= EDGES[at + 1] * 1.000001


@given(ages, ages, st.floats(0.01, 0.98), st.floats(0.0, 50_000.0))
def test_a_quantile_is_never_before_the_age_and_grows_with_the_share(
    ended: list[float], running: list[float], share: float, age: float
) -> None:
    curves = learnt(ended, running)
    low = curves.quantile(ALL, share, age)
    assert age <= low <= max(age, EDGES[BINS])
    assert low <= curves.quantile(ALL, min(share + 0.01, 0.99), age) + 1e-6


def test_backups_that_are_alike_are_expected_to_stay_so() -> None:
    random = Random(1)
    curves = learnt([random.uniform(540, 660) for _ in range(100)])
    assert 520 < curves.quantile(ALL, 0.05) < 570
    assert 590 < curves.quantile(ALL, 0.5) < 610
    assert 630 < curves.quantile(ALL, 0.95) < 690
    assert 640 < curves.quantile(ALL, 0.5, 630) < 660


def test_the_first_ends_of_a_night_do_not_make_all_backups_look_short() -> None:
    """Of 100 backups of up to an hour, those of ten minutes end first."""
    random = Random(2)
    whole = [random.uniform(60, 3600) for _ in range(400)]
    now = 600.0
    curves = learnt([s for s in whole if s <= now], [now for s in whole if s > now])
    ended = sum(s <= now for s in whole) / len(whole)
    assert abs(curves.quantile(ALL, ended * 0.9) - now * 0.9) < 60
    assert curves.quantile(ALL, 0.5) > now


def test_what_the_first_end_tells_counts_for_the_others_at_that_age() -> None:

    def soon(curves: Curves) -> float:
        """How much of the hazard lies between 600 s and 660 s."""
        return curves.whole.at(660.0) - curves.whole.at(600.0)

    alone = learnt([], [600.0] * 50)
    after_three = learnt([590.0, 595.0, 600.0], [600.0] * 47)
    assert soon(after_three) > 5 * soon(alone)


def test_a_class_is_like_all_until_it_has_ends_of_its_own() -> None:
    small, large = kind_of(None, 10), kind_of(None, 1000)
    durations = Durations()
    for _ in range(20):
        durations.ended(60.0, small)
    curves = durations.curves([])
    assert curves.quantile(large, 0.5) < 90
    for _ in range(20):
        durations.ended(3600.0, large)
    curves = durations.curves([])
    assert 50 < curves.quantile(small, 0.5) < 75
    assert 3000 < curves.quantile(large, 0.5) < 4200


def made(seconds: float, **fields: object) -> Backup:
    given = {"status": "available", "created_at": Cloud(1000.0), "size": 40}
    told = {**given, "updated_at": Cloud(1000.0 + seconds), **fields}
    return Backup(id="b", **told)  # type: ignore[arg-type]


def test_earlier_backups_count_until_the_run_has_ends_of_its_own() -> None:
    durations = Durations()
    assert not durations.enough
    durations.told_before([made(300.0)] * 10)
    assert durations.enough
    assert 270 < durations.curves([]).quantile(ALL, 0.5) < 330
    durations.ended(30.0, ALL)
    assert not durations.enough, "one end of the run, and it contradicts"
    for _ in range(2):
        durations.ended(30.0, ALL)
    assert 25 < durations.curves([]).quantile(ALL, 0.5) < 36


def test_only_times_that_can_be_durations_are_taken() -> None:
    odd = [
        made(-5.0),
        made(0.0),
        made(1e7),
        made(60.0, status="error"),
        made(60.0, created_at=None),
        made(60.0, updated_at=None),
    ]
    assert took(odd) == []
    assert took([*odd, made(60.0)]) == [(60.0, 40)]
    assert len(took([made(60.0)] * 500)) == 200


def test_the_spread_is_the_standard_deviation_by_the_mean() -> None:
    durations = Durations()
    assert durations.spread == 1.0
    for seconds in (100.0, 100.0, 100.0):
        durations.ended(seconds, ALL)
    assert durations.spread == 0.0
    for seconds in (300.0, 300.0, 300.0):
        durations.ended(seconds, ALL)
    assert abs(durations.spread - 0.5) < 0.02
