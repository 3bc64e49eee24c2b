"""Waves, windows, groups and caps of a plan: what is refused, and in which order volumes go."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plan.samples import RUN, A, B, Load, Problems
from vbsbatch.model import Job, Limits, Wave, Window
from vbsbatch.plan.plan import PlanVolume, ranks

WAVES = "waves: [{name: canary, max_failures: 2}, {name: rest}]\n"
TWO = f"volumes:\n  - {{id: {A}, wave: canary}}\n  - {{id: {B}}}\n"


def test_waves_windows_and_caps_reach_the_settings_of_the_run(plan: Load) -> None:
    got = plan(
        WAVES
        + 'window: {from: 22:00, to: "6:30", timezone: Europe/Berlin}\n'
        + 'limits: {per_group: 2, per_az: {eu-de-01: 20, "*": 10}}\n'
        + f"volumes:\n  - {{id: {A}, wave: canary, az: eu-de-01}}\n  - {{id: {B}}}\n"
    )
    assert got.settings.waves == (Wave(name="canary", max_failures=2), Wave(name="rest"))
    assert got.settings.window == Window(opens=1320, closes=390, timezone="Europe/Berlin")
    assert got.settings.limits == Limits(per_group=2, per_az=(("eu-de-01", 20), ("*", 10)))
    assert [(job.wave, job.az) for job in got.jobs(RUN)] == [(0, "eu-de-01"), (1, None)]


def test_one_cap_for_every_zone_is_a_number(plan: Load) -> None:
    assert plan("limits: {per_az: 5}\n" + TWO.replace(", wave: canary", "")).settings.limits == (
        Limits(per_az=(("*", 5),))
    )


def test_a_volume_goes_into_its_own_wave_else_that_of_defaults_else_the_last(plan: Load) -> None:
    def waves(more: str) -> list[int]:
        return [job.wave for job in plan(WAVES + more + TWO).jobs(RUN)]

    assert waves("") == [0, 1]
    assert waves("defaults: {wave: canary}\n") == [0, 0]
    assert waves("defaults: {wave: rest}\n") == [0, 1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            WAVES + TWO.replace("canary", "canry"),
            '3:54: volumes.wave: there is no wave "canry": did you mean "canary"?',
        ),
        (
            WAVES + "defaults: {wave: rets}\n" + TWO,
            '2:18: defaults.wave: there is no wave "rets": did you mean "rest"?',
        ),
        (
            WAVES + TWO.replace("canary", "zzz"),
            '3:54: volumes.wave: there is no wave "zzz": there are "canary", "rest"',
        ),
        (TWO, '2:54: volumes.wave: there is no wave "canary": the plan has no waves'),
        (
            WAVES + TWO.replace("canary", "rest"),
            '1:16: waves.name: no volume is in the wave "canary"',
        ),
        (
            "waves: [{name: canary}, {name: canary}]\n" + TWO,
            '1:32: waves.name: "canary" is the name of an earlier wave',
        ),
        (
            "window: {from: 22:00, to: 22:00, timezone: UTC}\n" + TWO,
            "1:27: window.to: is the same as from: leave the window out",
        ),
        (
            "window: {from: 1320, to: 06:00, timezone: UTC}\n" + TWO,
            '1:16: window.from: must be a time such as "22:00", not 1320',
        ),
        (
            "window: {from: 22:60, to: 06:00, timezone: UTC}\n" + TWO,
            '1:16: window.from: must be a time such as "22:00", not "22:60"',
        ),
        (
            "window: {from: 22:00, to: 06:00, timezone: Europe/Berlim}\n" + TWO,
            '1:44: window.timezone: there is no time zone "Europe/Berlim": '
            'did you mean "Europe/Berlin"?',
        ),
        (
            "window: {from: 22:00, to: 06:00, timezone: ../etc/passwd}\n" + TWO,
            '1:44: window.timezone: there is no time zone "../etc/passwd": one is Europe/Berlin',
        ),
        (
            "window: {from: 22:00, to: 06:00, timezone: Europe}\n" + TWO,
            '1:44: window.timezone: there is no time zone "Europe": ',
        ),
        ("window: {from: 22:00, to: 06:00}\n" + TWO, '1:9: window: "timezone" is missing'),
        (
            "limits: {per_az: {eu-de-01: 0}}\n" + TWO,
            '1:18: limits.per_az: "eu-de-01" must be from 1 to 100000, not 0',
        ),
        (
            "limits: {per_az: many}\n" + TWO,
            '1:18: limits.per_az: must be a whole number, not "many"',
        ),
    ],
)
def test_problems_are_reported_with_their_place(problems: Problems, text: str, told: str) -> None:
    assert problems(text)[0].startswith(told)


def test_a_list_of_volumes_names_no_waves_so_a_canary_of_a_list_is_refused(
    problems: Problems,
) -> None:
    told = problems(WAVES + "volumes_from: fleet.txt\n")
    assert told[0] == '1:16: waves.name: no volume is in the wave "canary"'


def test_a_wave_with_only_a_broken_volume_is_not_a_second_problem(problems: Problems) -> None:
    told = problems(WAVES + f"volumes:\n  - {{id: x, wave: canary}}\n  - {{id: {B}}}\n")
    assert len(told) == 1


volumes = st.lists(
    st.builds(
        PlanVolume,
        id=st.just("id"),
        name=st.just("name"),
        priority=st.integers(-1, 2),
        group=st.sampled_from([None, "a", "b", "c"]),
    ),
    max_size=12,
)


def order_of(fleet: Sequence[PlanVolume], waves: Sequence[int]) -> list[int]:
    """Places in the order in which a journal claims them."""
    rank_of = ranks(fleet, waves) or [0] * len(fleet)
    return sorted(
        range(len(fleet)),
        key=lambda place: (waves[place], rank_of[place], -fleet[place].priority, place),
    )


@given(volumes, st.data())
def test_groups_stay_together_where_their_best_member_would_stand(
    fleet: list[PlanVolume], data: st.DataObject
) -> None:
    waves = [data.draw(st.integers(0, 2)) for _ in fleet]
    order = order_of(fleet, waves)
    units: list[tuple[object, list[int]]] = []
    for place in order:
        group = fleet[place].group
        unit = (waves[place], group if group is not None else place)
        if units and units[-1][0] == unit:
            units[-1][1].append(place)
        else:
            units.append((unit, [place]))
    assert len({unit for unit, _ in units}) == len(units), "no group is torn apart"
    stands = [(waves[places[0]], -fleet[places[0]].priority, places[0]) for _, places in units]
    assert stands == sorted(stands), "units go by their first, which is their best member"
    for _, places in units:
        alone = [(-fleet[place].priority, place) for place in places]
        assert alone == sorted(alone)


@given(volumes)
def test_a_plan_without_groups_needs_no_ranks(fleet: list[PlanVolume]) -> None:
    alone = [PlanVolume(id=v.id, name=v.name, priority=v.priority) for v in fleet]
    assert ranks(alone, [0] * len(alone)) is None


@given(volumes, st.data())
def test_the_largest_goes_first_within_wave_and_priority(
    fleet: list[PlanVolume], data: st.DataObject
) -> None:
    alone = [PlanVolume(id=v.id, name=v.name, priority=v.priority) for v in fleet]
    waves = [data.draw(st.integers(0, 2)) for _ in alone]
    sizes = [data.draw(st.none() | st.integers(1, 5)) for _ in alone]
    rank_of = ranks(alone, waves, sizes)
    assert rank_of is not None

    def claimed(place: int) -> tuple[int, int, int, int]:
        return waves[place], rank_of[place], -alone[place].priority, place

    def wanted(place: int) -> tuple[int, int, int, int]:
        return waves[place], -alone[place].priority, -(sizes[place] or 0), place

    places = range(len(alone))
    assert sorted(places, key=claimed) == sorted(places, key=wanted)


def test_a_groups_volumes_are_claimed_one_after_the_other(plan: Load) -> None:
    ids = [f"6ba7b810-9dad-11d1-80b4-{n:012x}" for n in range(5)]
    rows = [
        f"  - {{id: {ids[0]}, group: web}}\n",
        f"  - {{id: {ids[1]}, priority: 5}}\n",
        f"  - {{id: {ids[2]}, group: db}}\n",
        f"  - {{id: {ids[3]}, group: web}}\n",
        f"  - {{id: {ids[4]}, group: db, priority: 1}}\n",
    ]

    def place(job: Job) -> tuple[int, int, int, int]:
        return job.wave, job.rank, -job.priority, job.no

    jobs = sorted(plan("volumes:\n" + "".join(rows)).jobs(RUN), key=place)
    assert [job.no for job in jobs] == [2, 5, 3, 1, 4]
