"""Waves, ranks and caps: what every journal claims and what it passes over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import anyio
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from tests.store.fixtures import NOW, StoreFixture, a_job, a_run, moved, volume
from vbsbatch.model import BackupSettings, Job, JobState, Limits, Settings
from vbsbatch.store.concurrency_caps import ConcurrencyCaps

A, B = "20261118-1200-aaaa", "20261118-1300-bbbb"


def a_capped_run(
    each_store: StoreFixture, jobs: Iterable[Job], run_id: str = A, **caps: object
) -> None:
    limits = Limits(**caps)  # type: ignore[arg-type]
    each_store.create_run(a_run(run_id, settings=Settings(limits=limits)), jobs)


def numbers(jobs: Iterable[Job]) -> list[int]:
    return [job.no for job in jobs]


@pytest.mark.anyio
async def test_claims_go_by_wave_then_rank_then_priority_then_place(
    each_store: StoreFixture,
) -> None:
    order = [(1, 0, 9), (0, 1, 5), (0, 0, 0), (0, 0, 3), (0, 0, 0), (0, 1, 6)]
    jobs = [
        a_job(no, wave=wave, rank=rank, priority=priority)
        for no, (wave, rank, priority) in enumerate(order, 1)
    ]
    each_store.create_run(a_run(A), jobs)
    async with each_store.journal(A) as journal:
        await journal.open_wave(1)
        assert numbers(await journal.claim(NOW, 4, cloud_now=NOW)) == [4, 3, 5, 6]
        assert numbers(await journal.claim(NOW, 4, cloud_now=NOW)) == [2, 1]


@pytest.mark.anyio
async def test_a_job_keeps_its_wave_rank_and_zone(each_store: StoreFixture) -> None:
    job = a_job(1, wave=2, rank=7, az="eu-de-01", group="db")
    each_store.create_run(a_run(A), [job])
    assert list(each_store.jobs(A)) == [job]
    async with each_store.journal(A) as journal:
        await journal.open_wave(2)
        (claimed,) = await journal.claim(NOW, 1, cloud_now=NOW)
        assert (claimed.wave, claimed.rank, claimed.az) == (2, 7, "eu-de-01")


@pytest.mark.anyio
async def test_jobs_of_a_later_wave_are_neither_claimed_nor_due_nor_blocked(
    each_store: StoreFixture,
) -> None:
    each_store.create_run(a_run(A), [a_job(1), a_job(2)])
    each_store.create_run(a_run(B), [a_job(1, wave=1), a_job(2, volume_id=volume(9), wave=1)])
    async with each_store.journal(A) as first, each_store.journal(B) as second:
        assert len(await first.claim(NOW, 1, cloud_now=NOW)) == 1
        assert await second.claim(NOW, 9, cloud_now=NOW) == []
        assert await second.next_due() is None
        assert await second.blocked(NOW) == []
        await second.open_wave(1)
        assert each_store.run(B).wave == 1
        assert await second.next_due() == 0.0
        assert numbers(await second.claim(NOW, 9, cloud_now=NOW)) == [2]
        assert [(job.no, by.run_id) for job, by in await second.blocked(NOW)] == [(1, A)]


@pytest.mark.anyio
async def test_the_last_open_wave_outlives_the_engine(each_store: StoreFixture) -> None:
    each_store.create_run(a_run(A), [a_job(1, wave=1)])
    async with each_store.journal(A) as journal:
        await journal.open_wave(1)
    async with each_store.journal(A) as journal:
        assert len(await journal.claim(NOW, 9, cloud_now=NOW)) == 1


@pytest.mark.anyio
async def test_jobs_are_counted_by_wave_and_state(each_store: StoreFixture) -> None:
    each_store.create_run(a_run(A), [a_job(1), a_job(2), a_job(3, wave=1), a_job(4, wave=1)])
    async with each_store.journal(A) as journal:
        (job,) = await journal.claim(NOW, 1, cloud_now=NOW)
        journal.record(moved(job, JobState.FAILED))
        expected = {
            0: {JobState.FAILED: 1, JobState.WAITING: 1},
            1: {JobState.WAITING: 2},
        }
        assert await journal.wave_counts() == expected
        assert each_store.wave_counts(A) == expected


@pytest.mark.anyio
async def test_a_group_and_a_zone_at_their_caps_are_passed_over(each_store: StoreFixture) -> None:
    jobs = [
        a_job(1, group="db", az="one"),
        a_job(2, group="db", az="two"),
        a_job(3, group="db", az="two"),
        a_job(4, az="one"),
        a_job(5, az="one"),
        a_job(6, group="web", az="three"),
        a_job(7),
    ]
    a_capped_run(each_store, jobs, per_group=2, per_az=(("one", 2), ("*", 1)))
    async with each_store.journal(A) as journal:
        assert numbers(await journal.claim(NOW, 3, cloud_now=NOW)) == [1, 2, 4]
        assert numbers(await journal.claim(NOW, 9, cloud_now=NOW)) == [6, 7], (
            "3: group full, 5: zone full"
        )
        assert await journal.claim(NOW, 9, cloud_now=NOW) == []
        assert await journal.next_due() is None


@pytest.mark.anyio
async def test_the_least_tried_go_first_under_caps_too(each_store: StoreFixture) -> None:
    jobs = [
        a_job(1, group="db", attempts=2),
        a_job(2, group="db", attempts=1),
        a_job(3, attempts=3),
    ]
    a_capped_run(each_store, jobs, per_group=1)
    async with each_store.journal(A) as journal:
        assert numbers(await journal.claim(NOW, 1, cloud_now=NOW, least_tried=True)) == [2]
        assert numbers(await journal.claim(NOW, 1, cloud_now=NOW, least_tried=True)) == [3], (
            "1: group full"
        )


@pytest.mark.anyio
async def test_there_is_room_again_once_a_job_is_no_longer_open(each_store: StoreFixture) -> None:
    a_capped_run(each_store, [a_job(n, group="db") for n in range(1, 4)], per_group=1)
    async with each_store.journal(A) as journal:
        (job,) = await journal.claim(NOW, 9, cloud_now=NOW)
        journal.record(moved(job, JobState.RUNNING))
        assert await journal.claim(NOW, 9, cloud_now=NOW) == []
        assert await journal.next_due() is None
        job = moved(job, JobState.RUNNING).job
        journal.record(moved(job, JobState.SUCCEEDED))
        assert await journal.next_due() == 0.0
        assert numbers(await journal.claim(NOW, 9, cloud_now=NOW)) == [2]


@pytest.mark.anyio
async def test_open_jobs_of_another_run_take_no_room(each_store: StoreFixture) -> None:
    a_capped_run(each_store, [a_job(1, group="db")], per_group=1)
    a_capped_run(each_store, [a_job(1, volume_id=volume(9), group="db")], run_id=B, per_group=1)
    async with each_store.journal(A) as first, each_store.journal(B) as second:
        assert len(await first.claim(NOW, 9, cloud_now=NOW)) == 1
        assert len(await second.claim(NOW, 9, cloud_now=NOW)) == 1


@pytest.mark.anyio
async def test_a_claim_under_caps_passes_over_what_another_run_holds(
    each_store: StoreFixture,
) -> None:
    a_capped_run(each_store, [a_job(1, group="db")])
    a_capped_run(each_store, [a_job(1, group="db"), a_job(2, group="db")], run_id=B, per_group=1)
    async with each_store.journal(A) as first, each_store.journal(B) as second:
        await first.claim(NOW, 9, cloud_now=NOW)
        assert numbers(await second.claim(NOW, 9, cloud_now=NOW)) == [2]
        assert await second.next_due() is None


@pytest.mark.anyio
async def test_very_many_jobs_of_a_full_group_do_not_hide_others(each_store: StoreFixture) -> None:
    jobs = [a_job(n, group="db") for n in range(1, 700)] + [a_job(700, group="web"), a_job(701)]
    a_capped_run(each_store, jobs, per_group=1)
    async with each_store.journal(A) as journal:
        assert numbers(await journal.claim(NOW, 9, cloud_now=NOW)) == [1, 700, 701]


groups, zones = st.sampled_from([None, "a", "b"]), st.sampled_from([None, "x", "y"])
fleets = st.lists(st.tuples(groups, zones, st.integers(0, 1)), min_size=1, max_size=14)


@trials(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fleet=fleets,
    per_group=st.none() | st.integers(1, 3),
    per_az=st.sampled_from([(), (("*", 2),), (("x", 1),), (("x", 3), ("*", 1))]),
    chunks=st.lists(st.integers(1, 6), min_size=1, max_size=4),
)
def test_claims_of_any_size_take_what_checking_each_job_in_turn_would(
    each_store: StoreFixture,
    fleet: list[tuple[str | None, str | None, int]],
    per_group: int | None,
    per_az: tuple[tuple[str, int], ...],
    chunks: list[int],
) -> None:
    run_id = f"20261118-1200-{len(each_store.runs()):04}"
    number = int(run_id[-4:]) * 100
    jobs = [
        a_job(no, volume_id=volume(number + no), group=group, az=az, rank=rank)
        for no, (group, az, rank) in enumerate(fleet, 1)
    ]
    a_capped_run(each_store, jobs, run_id=run_id, per_group=per_group, per_az=per_az)
    caps = dict(per_az)

    def expected(limit: int) -> list[int]:
        taken: list[int] = []
        for job in sorted(left, key=lambda job: (job.rank, job.no)):
            cap = caps.get(job.az or "", caps.get("*"))
            group_full = per_group is not None and job.group and open_in[job.group] >= per_group
            zone_full = cap is not None and job.az and open_in[job.az] >= cap
            if len(taken) < limit and not group_full and not zone_full:
                open_in.update(name for name in (job.group, job.az) if name)
                taken.append(job.no)
        return taken

    left, open_in = list(jobs), Counter[str]()

    async def claim_all() -> None:
        nonlocal left
        async with each_store.journal(run_id) as journal:
            for chunk in chunks:
                wanted = expected(chunk)
                assert numbers(await journal.claim(NOW, chunk, cloud_now=NOW)) == wanted
                left = [job for job in left if job.no not in wanted]

    anyio.run(claim_all)


def test_a_room_without_caps_takes_everything() -> None:
    room = ConcurrencyCaps(Limits(), [("a", "x", 10_000)])
    assert room.take("a", "x")
    assert (room.full_groups(), room.full_azs()) == ([], [])


@pytest.mark.anyio
@pytest.mark.parametrize("caps", [{}, {"per_group": 9}])
async def test_jobs_of_busy_vaults_are_passed_over(
    each_store: StoreFixture, caps: dict[str, int]
) -> None:
    """Also those whose vault is the one of the plan's defaults."""
    usual, other = BackupSettings(vault="usual"), BackupSettings(vault="other")
    jobs = [a_job(no, settings=(usual, other)[no % 2], group="db") for no in range(1, 7)]
    run = a_run(A, settings=Settings(limits=Limits(**caps)))  # type: ignore[arg-type]
    each_store.create_run(run, jobs, usual)
    async with each_store.journal(A) as journal:

        async def claimed(*vaults: str, least_tried: bool = False) -> list[int]:
            order = {"least_tried": least_tried, "busy_vaults": vaults}
            return numbers(await journal.claim(NOW, 2, cloud_now=NOW, **order))

        assert await claimed("usual", "other") == []
        assert await journal.next_due(busy_vaults=["usual", "other"]) is None
        assert await claimed("usual") == [1, 3]
        assert await claimed("other", least_tried=True) == [2, 4]
        assert await journal.next_due(busy_vaults=["usual"]) == 0.0
        assert await claimed() == [5, 6]
