"""Caps of groups and zones: the whole engine in virtual time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from vbsbatch.model import Elapsed, Job, JobMoved, JobState

from .harness import EngineHarness, a_job, settings
from .ordering import (
    QUICK,
    driven,
    most_open,
)


def test_a_group_at_its_cap_lets_others_go_first_and_still_ends() -> None:
    jobs = [a_job(n, group="db" if n <= 6 else f"g{n}") for n in range(1, 13)]
    stage = EngineHarness(jobs, settings(limits=QUICK | {"per_group": 2}))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 12
    assert most_open(stage, lambda job: job.group)["db"] == 2
    first = [no for _, no in stage.cloud.creates][:8]
    assert sorted(first) == [1, 2, 7, 8, 9, 10, 11, 12]
    assert stage.clock.passed < 3 * 45.0


def test_a_zone_has_its_own_cap_and_unlisted_zones_that_of_the_star() -> None:
    zones = ("one", "two", "three", None)
    jobs = [a_job(n, az=zones[n % 4]) for n in range(1, 33)]
    caps = {"per_az": (("one", 3), ("*", 1))}
    stage = EngineHarness(jobs, settings(limits=QUICK | caps))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 32
    assert most_open(stage, lambda job: job.az) == {"one": 3, "two": 1, "three": 1}


def test_a_slot_that_becomes_free_is_used_at_once() -> None:
    stage = EngineHarness(
        [a_job(1, group="db"), a_job(2, group="db")], settings(limits={"per_group": 1})
    )
    stage.drive()
    moves = [e for e in stage.events if isinstance(e, JobMoved)]
    ended = next(float(e.at) for e in moves if e.came_from == "running")
    assert ended <= stage.cloud.creates[1][0] < ended + 0.5


def test_capped_jobs_cost_no_claim_until_an_open_one_of_their_group_ends() -> None:
    jobs = [a_job(n, group="db") for n in range(1, 21)]
    stage = EngineHarness(jobs, settings(limits=QUICK | {"per_group": 1}))
    stage.cloud.duration = 3000.0
    claims: list[float] = []

    async def count() -> None:
        claim = stage.journal.claim

        async def counted(now: Elapsed, limit: int, **order: Any) -> list[Job]:
            claims.append(float(now))
            return await claim(now, limit, **order)

        stage.journal.claim = counted  # type: ignore[method-assign]

    async def stop() -> None:
        await stage.ask("stop")

    driven(stage, (1.0, count), (2000.0, stop))
    assert len(claims) <= 2000.0 / 10.0 + 1


@trials(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from([None, "x", "y"])),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 12),
)
def test_no_cap_is_ever_exceeded_and_nothing_starves(
    fleet: list[tuple[str | None, str | None]], per_group: int, per_az: int, in_flight: int
) -> None:
    jobs = [a_job(no, group=group, az=az) for no, (group, az) in enumerate(fleet, 1)]
    caps = {"per_group": per_group, "per_az": (("*", per_az),), "in_flight": in_flight}
    stage = EngineHarness(jobs, settings(limits=QUICK | caps))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * len(jobs)
    assert max(most_open(stage, lambda job: job.group).values(), default=0) <= per_group
    assert max(most_open(stage, lambda job: job.az).values(), default=0) <= per_az
