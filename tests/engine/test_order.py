"""Waves, a window, groups and caps all at once, in generated plans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import anyio
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from vbsbatch.model import Job, JobState, Rate, RunState, Wave
from vbsbatch.plan.plan import PlanVolume, ranks
from vbsbatch.policy.window import is_open

from .harness import EngineHarness, a_job, settings
from .ordering import (
    REFUSED,
    SELDOM,
    around_now,
    most_open,
)


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """A small fleet, and a plan that sets its order."""

    fleet: list[tuple[str | None, str | None, int, int, bool]]
    """Group, zone, wave, priority, and whether the first create is refused permanently."""
    per_group: int | None
    per_az: int | None
    max_failures: int
    opens_in: int
    length: int
    in_flight: int

    def jobs(self) -> list[Job]:
        alone = [
            a_job(no, group=group, az=az, wave=wave, priority=priority)
            for no, (group, az, wave, priority, _) in enumerate(self.fleet, 1)
        ]
        planned = [
            PlanVolume(
                id=job.volume_id, name=job.volume_name, priority=job.priority, group=job.group
            )
            for job in alone
        ]
        rank_of = ranks(planned, [job.wave for job in alone]) or [0] * len(alone)
        return [replace(job, rank=rank) for job, rank in zip(alone, rank_of, strict=True)]

    def stage(self) -> EngineHarness:
        stage = EngineHarness(
            self.jobs(),
            settings(
                limits={
                    "rate": Rate(count=5),
                    "connections": 1,
                    "in_flight": self.in_flight,
                    "per_group": self.per_group,
                    "per_az": () if self.per_az is None else (("*", self.per_az),),
                },
                waves=tuple(Wave(name=str(n), max_failures=self.max_failures) for n in range(3)),
                window=around_now(self.opens_in, self.length),
            ),
            tuning=SELDOM,
        )
        for no, (*_, refused) in enumerate(self.fleet, 1):
            if refused:
                stage.cloud.script[no].append(REFUSED)
        return stage


ordered = st.builds(
    Ordered,
    fleet=st.lists(
        st.tuples(
            st.sampled_from([None, "a", "b"]),
            st.sampled_from([None, "x", "y"]),
            st.integers(0, 2),
            st.integers(0, 1),
            st.sampled_from([False, False, False, True]),
        ),
        min_size=1,
        max_size=10,
    ),
    per_group=st.none() | st.integers(1, 2),
    per_az=st.none() | st.integers(1, 2),
    max_failures=st.integers(0, 2),
    opens_in=st.integers(-88, 600),
    length=st.integers(90, 600),
    in_flight=st.integers(1, 10),
)


@trials(max_examples=30)
@given(ordered)
def test_the_plans_order_is_kept_and_all_jobs_end(plan: Ordered) -> None:
    stage = plan.stage()

    async def waive() -> None:
        while True:
            await anyio.sleep(300.0)
            run = stage.store.run("run-1")
            if run.state is RunState.PAUSED:
                assert "are allowed" in str(run.reason)
                await stage.ask("unpause")

    assert stage.drive(waive).state is RunState.ENDED
    jobs = {job.no: job for job in stage.jobs()}
    for no, (*_, refused) in enumerate(plan.fleet, 1):
        assert jobs[no].state is (JobState.FAILED if refused else JobState.SUCCEEDED)
    window = stage.store.run("run-1").settings.window
    assert window is not None
    assert all(is_open(window, at) for at, _ in stage.cloud.creates)
    sent = [jobs[no] for _, no in stage.cloud.creates]
    assert [job.wave for job in sent] == sorted(job.wave for job in sent)
    for (_, earlier), (at, later) in pairwise(stage.cloud.creates):
        if jobs[earlier].wave < jobs[later].wave:
            assert all(float(j.ended_at or 0.0) <= at for j in sent if j.wave < jobs[later].wave)
    caps = ((plan.per_group, lambda job: job.group), (plan.per_az, lambda job: job.az))
    for cap, name in caps:
        assert cap is None or max(most_open(stage, name).values(), default=0) <= cap
    if plan.per_group is None and plan.per_az is None:
        units = [(job.wave, job.group or job.no) for job in sent]
        assert len(list(groupby(units))) == len(set(units)), "a group is sent without a break"
