"""Waves, windows, caps of groups and zones: the whole engine in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from vbsbatch.engine import Tuning
from vbsbatch.engine.gates import Hours, last_open
from vbsbatch.model import Answer, Job, JobMoved, JobState, Rate, RunState, Wave, Window
from vbsbatch.plan.order import ranks
from vbsbatch.policy.window import is_open

from .stage import NOW, Stage, a_job, settings

SELDOM = Tuning(poll=20.0, heartbeat=300.0)
"""For days of virtual time: looking at the commands twice a second would be most of the work."""

QUICK = {"rate": Rate(count=100), "in_flight": 200, "connections": 8}
TWO = (Wave(name="canary"), Wave(name="rest"))
REFUSED = Answer(status=400, code="VolumeBackup.0021", message="no such disk")


def waved(*waves: int, **fields: Any) -> list[Job]:
    return [a_job(no, wave=wave, **fields) for no, wave in enumerate(waves, 1)]


def staged(jobs: list[Job], **parts: Any) -> Stage:
    return Stage(jobs, settings(**({"limits": QUICK, "waves": TWO} | parts)))


def driven(stage: Stage, *steps: tuple[float, Callable[[], Awaitable[object]]]) -> Any:
    """Drive the run, and take each step so many seconds after the one before."""

    async def meanwhile() -> None:
        for wait, act in steps:
            await anyio.sleep(wait)
            await act()

    return stage.drive(meanwhile)


# Waves ------------------------------------------------------------------------------------------


def test_the_next_wave_starts_when_every_job_of_the_one_before_has_ended() -> None:
    stage = staged(waved(1, 0, 1, 0))
    assert stage.drive().state is RunState.ENDED
    first, second, third, fourth = stage.cloud.creates
    assert {first[1], second[1]} == {2, 4}
    assert {third[1], fourth[1]} == {1, 3}
    assert third[0] >= stage.cloud.made["backup-2"].ready_at
    assert third[0] < stage.cloud.made["backup-2"].ready_at + 15.0
    assert stage.notes("run") == ["wave canary has ended: wave rest starts"]


def test_a_gate_that_opens_while_the_store_is_asked_is_not_overlooked() -> None:
    """A wave that was skipped as a whole: it is over before the first claim knows of nothing."""
    jobs = [*waved(0, 0, state=JobState.SKIPPED), a_job(3, wave=1), a_job(4, wave=1)]
    stage = staged(jobs)
    journal_of = stage.store.journal

    def slow(run_id: str) -> Any:
        journal: Any = journal_of(run_id)
        for name, seconds in (("wave_counts", 0.1), ("blocked", 0.3)):
            setattr(journal, name, _late(getattr(journal, name), seconds))
        return journal

    stage.store.journal = slow  # type: ignore[method-assign]
    assert stage.drive().state is RunState.ENDED
    assert [no for _, no in stage.cloud.creates] == [3, 4]
    assert stage.cloud.creates[0][0] < NOW + 2.0


def _late(ask: Callable[..., Awaitable[Any]], seconds: float) -> Callable[..., Awaitable[Any]]:
    async def answered(*words: Any) -> Any:
        await anyio.sleep(seconds)
        return await ask(*words)

    return answered


def test_as_many_failures_as_a_wave_may_have_keep_nothing_shut() -> None:
    stage = staged(waved(0, 0, 1), waves=(Wave(name="canary", max_failures=1), Wave(name="rest")))
    stage.cloud.script[1].append(REFUSED)
    assert stage.drive().state is RunState.ENDED
    assert stage.states() == [JobState.FAILED, JobState.SUCCEEDED, JobState.SUCCEEDED]


def shut() -> Stage:
    """A run whose canary wave has a job that fails once."""
    stage = staged(waved(0, 0, 1))
    stage.cloud.script[1].append(REFUSED)
    return stage


def test_one_failure_more_pauses_the_run_with_the_reason_in_words() -> None:
    stage = shut()

    async def look() -> None:
        run = stage.store.run("run-1")
        assert (run.state, run.wave) == (RunState.PAUSED, 0)
        assert str(run.reason).startswith("wave canary ended with 1 failed, 0 are allowed")
        assert "unpause to go on" in str(run.reason)
        assert stage.notes("run") == [f"paused: {run.reason}"]
        assert run.heartbeat_at == pytest.approx(stage.clock.now(), abs=10.0)
        await stage.ask("stop")

    ending = driven(stage, (7200.0, look))
    assert (ending.state, ending.reason) == (RunState.STOPPED, "operator asked it to stop")
    assert stage.states()[2] is JobState.WAITING
    assert len(stage.cloud.creates) == 2


def test_unpause_starts_the_next_wave_in_spite_of_the_failures() -> None:
    stage, said = shut(), []

    async def waive() -> None:
        said.append(await stage.ask("unpause"))

    assert driven(stage, (600.0, waive)).state is RunState.ENDED
    assert said == ["going on with wave rest"]
    assert stage.states() == [JobState.FAILED, JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert stage.store.run("run-1").wave == 1


def test_a_wave_without_jobs_holds_nobody_up_after_a_gate_was_waived() -> None:
    stage = staged(waved(0, 2), waves=(*TWO, Wave(name="last")))
    stage.cloud.script[1].append(REFUSED)

    async def waive() -> None:
        await stage.ask("unpause")

    assert driven(stage, (600.0, waive)).state is RunState.ENDED
    assert stage.states() == [JobState.FAILED, JobState.SUCCEEDED]


def test_retry_tries_the_failed_ones_first_and_the_gate_is_looked_at_again() -> None:
    stage = shut()

    async def retry() -> None:
        await stage.ask("retry", states=["failed"])
        assert stage.store.run("run-1").state is RunState.RUNNING

    assert driven(stage, (600.0, retry)).state is RunState.ENDED
    assert [no for _, no in stage.cloud.creates][2:] == [1, 3]
    assert stage.states() == [JobState.SUCCEEDED] * 3


def test_a_retry_that_fails_again_pauses_the_run_again() -> None:
    stage = shut()
    stage.cloud.script[1].append(REFUSED)

    async def retry() -> None:
        await stage.ask("retry", states=["failed"])

    async def look() -> None:
        assert stage.store.run("run-1").state is RunState.PAUSED
        assert len(stage.notes("run")) == 2
        await stage.ask("stop")

    driven(stage, (600.0, retry), (60.0, look))
    assert len(stage.cloud.creates) == 3


def test_an_operators_pause_is_taken_back_before_a_gate_is_waived() -> None:
    stage, said = shut(), []

    async def ask(verb: str) -> None:
        said.append(await stage.ask(verb))

    steps = [
        (w, lambda v=v: ask(v)) for w, v in ((60.0, "pause"), (1.0, "unpause"), (60.0, "stop"))
    ]
    driven(stage, *steps)
    assert said[1].startswith("the pause is over, but wave canary ended with 1 failed")
    assert len(stage.cloud.creates) == 2


def test_cancelled_jobs_do_not_count_as_failed() -> None:
    stage = staged(waved(0, 0, 1), limits=QUICK | {"in_flight": 1})

    async def cancel() -> None:
        await stage.ask("cancel", volumes=["db-002"])

    assert driven(stage, (5.0, cancel)).state is RunState.ENDED
    assert stage.states() == [JobState.SUCCEEDED, JobState.CANCELLED, JobState.SUCCEEDED]


def test_the_deadline_ends_a_run_that_a_gate_holds() -> None:
    stage = staged(waved(0, 0, 1), deadline=3600.0)
    stage.cloud.script[1].append(REFUSED)
    assert stage.drive().state is RunState.ENDED
    assert stage.job(3).code == "deadline"
    assert 3600.0 <= stage.clock.elapsed < 3700.0


def test_a_resume_finds_the_gate_as_it_was() -> None:
    stage = shut()

    async def stop() -> None:
        await stage.ask("stop")

    driven(stage, (600.0, stop))
    driven(stage, (600.0, stop))
    assert len(stage.cloud.creates) == 2
    assert stage.store.run("run-1").state is RunState.STOPPED

    async def waive() -> None:
        await stage.ask("unpause")
        stage.cloud.took = 1000.0
        await anyio.sleep(1.0)
        await stage.ask("stop-now")

    driven(stage, (600.0, waive))
    stage.cloud.took = 0.1
    assert stage.drive().state is RunState.ENDED
    assert stage.states() == [JobState.FAILED, JobState.SUCCEEDED, JobState.SUCCEEDED]


def test_a_gate_that_has_opened_stays_open_and_retried_jobs_go_first() -> None:
    stage = staged(
        waved(0, 1, 1, 1),
        waves=(Wave(name="canary", max_failures=1), Wave(name="rest")),
        limits=QUICK | {"in_flight": 1},
    )
    stage.cloud.script[1].append(REFUSED)

    async def retry() -> None:
        await stage.ask("retry", states=["failed"])

    assert driven(stage, (20.0, retry)).state is RunState.ENDED
    assert [no for _, no in stage.cloud.creates] == [1, 2, 1, 3, 4]


def test_a_shut_gate_does_not_spin() -> None:
    stage = shut()
    looks = 0

    async def count() -> None:
        nonlocal looks
        counts = stage.journal.wave_counts

        async def counted() -> Any:
            nonlocal looks
            looks += 1
            return await counts()

        stage.journal.wave_counts = counted  # type: ignore[method-assign]

    async def stop() -> None:
        await stage.ask("stop")

    driven(stage, (100.0, count), (7200.0, stop))
    assert looks == 0


counts = st.dictionaries(
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(JobState), st.integers(0, 3), max_size=4),
    max_size=4,
)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), counts, st.data())
def test_a_wave_is_open_exactly_when_all_gates_before_it_are(
    allowed: list[int], found: dict[int, dict[JobState, int]], data: st.DataObject
) -> None:
    waves = [Wave(name=str(n), max_failures=most) for n, most in enumerate(allowed)]
    before = data.draw(st.integers(0, len(waves) - 1))
    last, failed = last_open(waves, before, found)

    def left(wave: int) -> int:
        return sum(n for s, n in found.get(wave, {}).items() if s.value in OPEN_OR_WAITING)

    def failures(wave: int) -> int:
        return found.get(wave, {}).get(JobState.FAILED, 0)

    def passed(gate: int) -> bool:
        return not any(map(left, range(gate + 1))) and failures(gate) <= allowed[gate]

    assert before <= last < len(waves)
    assert all(passed(gate) for gate in range(before, last))
    if last < len(waves) - 1:
        assert not passed(last)
        assert (failed is None) == any(map(left, range(last + 1)))
    else:
        assert failed is None


OPEN_OR_WAITING = {"waiting", "submitting", "running", "unknown"}


# The window -------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


def clock(at: float) -> str:
    return datetime.fromtimestamp(at, BERLIN).strftime("%H:%M")


def around_now(opens_in: int, length: int) -> Window:
    """A window that opens so many minutes after `NOW`."""
    local = datetime.fromtimestamp(NOW, BERLIN)
    opens = (local.hour * 60 + local.minute + opens_in) % 1440
    return Window(opens=opens, closes=(opens + length) % 1440, timezone="Europe/Berlin")


def test_nothing_is_sent_before_the_window_opens_and_that_is_said_once() -> None:
    window = around_now(180, 60)
    stage = Stage(3, settings(window=window))

    async def look() -> None:
        run = stage.store.run("run-1")
        assert run.state is RunState.RUNNING
        assert "window opens" in str(run.reason)
        assert stage.engine.paused
        assert stage.engine.waits_for == run.reason

    assert driven(stage, (3600.0, look)).state is RunState.ENDED
    opens = f"{window.opens // 60:02d}:{window.opens % 60:02d}"
    first, *_ = sorted(at for at, _ in stage.cloud.creates)
    assert clock(first) == opens
    assert clock(first - 1.0) != opens
    (told,) = stage.notes("run")
    assert f"{opens} CEST" in told
    assert stage.store.run("run-1").reason is None


def test_what_runs_is_followed_outside_the_window_and_what_waits_comes_the_next_day() -> None:
    two = settings(window=around_now(0, 2), limits={"in_flight": 2})
    stage = Stage(4, two, tuning=SELDOM)
    stage.cloud.duration = 300.0
    assert stage.drive().state is RunState.ENDED
    sent = stage.sent()
    assert max(sent[:2]) < 120.0
    assert min(sent[2:]) >= 86_000.0
    ended = [e.at - NOW for e in stage.events if isinstance(e, JobMoved)][-1]
    done = [
        e.at - NOW
        for e in stage.events
        if isinstance(e, JobMoved) and e.job.state is JobState.SUCCEEDED
    ]
    assert max(done[:2]) < 400.0 < ended


def test_a_retry_that_comes_due_outside_the_window_waits_for_it() -> None:
    late = settings(window=around_now(0, 5), retry={"base": 600.0, "cap": 600.0})
    stage = Stage(1, late)
    stage.cloud.script[1].append(Answer(status=400, code="VolumeBackup.0022"))
    stage.drive()
    assert all(clock(at) < clock(NOW + 300.0) or at < NOW + 300.0 for at, _ in stage.cloud.creates)
    assert len(stage.cloud.creates) == 2


def test_the_deadline_counts_while_the_window_is_closed() -> None:
    stage = Stage(2, settings(window=around_now(300, 60), deadline=3600.0))
    assert stage.drive().state is RunState.ENDED
    assert [job.code for job in stage.jobs()] == ["deadline"] * 2
    assert not stage.cloud.creates


def test_a_closed_window_does_not_spin() -> None:
    stage = Stage(2, settings(window=around_now(600, 60)), tuning=SELDOM)
    claims: list[float] = []

    async def count() -> None:
        claim = stage.journal.claim

        async def counted(now: float, limit: int) -> list[Job]:
            claims.append(now)
            return await claim(now, limit)

        stage.journal.claim = counted  # type: ignore[method-assign]

    driven(stage, (1.0, count))
    assert len(claims) <= 3
    assert not [what for at, what, _ in stage.cloud.reads if at < NOW + 36_000.0 - 60.0]


windows = st.builds(
    lambda opens, length, zone: Window(opens=opens, closes=(opens + length) % 1440, timezone=zone),
    st.integers(0, 1439),
    st.integers(1, 1439),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)


@given(windows, st.lists(st.floats(0, 86_400.0), max_size=6))
def test_the_wait_for_a_window_is_as_long_as_an_oracle_finds_it(
    window: Window, waits: list[float]
) -> None:
    hours, now, zone = Hours(window), NOW, ZoneInfo(window.timezone)

    def shows_a_time_of_the_window(at: float) -> bool:
        local = datetime.fromtimestamp(at, zone)
        minute = local.hour * 60 + local.minute
        return (minute - window.opens) % 1440 < (window.closes - window.opens) % 1440

    for wait in waits:
        now += wait
        found = hours.wait(now)
        assert (found == 0.0) is shows_a_time_of_the_window(now)
        if found:
            assert shows_a_time_of_the_window(now + found)
            assert not shows_a_time_of_the_window(now + found - 1.0)
            assert "window opens" in str(hours.told(now))


# Caps of groups and zones -----------------------------------------------------------------------


def most_open(stage: Stage, key: Callable[[Job], str | None]) -> Counter[str]:
    """The most open jobs at one time, by group or zone, from every claim and every end."""
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    edges: list[tuple[float, int, str]] = []
    for made in stage.cloud.made.values():
        job = next(job for job in stage.jobs() if job.volume_id == made.volume_id)
        if (name := key(job)) is not None:
            edges += [(made.made_at, 1, name), (made.ready_at, -1, name)]
    for _, by, name in sorted(edges):
        now[name] += by
        most[name] = max(most[name], now[name])
    return most


def test_a_group_at_its_cap_lets_others_go_first_and_ends_all_the_same() -> None:
    jobs = [a_job(n, group="db" if n <= 6 else f"g{n}") for n in range(1, 13)]
    stage = Stage(jobs, settings(limits=QUICK | {"per_group": 2}))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 12
    assert most_open(stage, lambda job: job.group)["db"] == 2
    first = [no for _, no in stage.cloud.creates][:8]
    assert sorted(first) == [1, 2, 7, 8, 9, 10, 11, 12]
    assert stage.clock.elapsed < 3 * 45.0


def test_a_zone_has_its_own_cap_and_any_other_the_one_of_the_star() -> None:
    zones = ("one", "two", "three", None)
    jobs = [a_job(n, az=zones[n % 4]) for n in range(1, 33)]
    caps = {"per_az": (("one", 3), ("*", 1))}
    stage = Stage(jobs, settings(limits=QUICK | caps))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 32
    assert most_open(stage, lambda job: job.az) == {"one": 3, "two": 1, "three": 1}


def test_room_that_a_job_leaves_is_taken_at_once() -> None:
    stage = Stage([a_job(1, group="db"), a_job(2, group="db")], settings(limits={"per_group": 1}))
    stage.drive()
    ended = next(e.at for e in stage.events if isinstance(e, JobMoved) and e.came_from == "running")
    assert ended <= stage.cloud.creates[1][0] < ended + 0.5


def test_jobs_that_a_cap_holds_cost_no_claim_until_one_of_theirs_ends() -> None:
    jobs = [a_job(n, group="db") for n in range(1, 21)]
    stage = Stage(jobs, settings(limits=QUICK | {"per_group": 1}))
    stage.cloud.duration = 3000.0
    claims: list[float] = []

    async def count() -> None:
        claim = stage.journal.claim

        async def counted(now: float, limit: int) -> list[Job]:
            claims.append(now)
            return await claim(now, limit)

        stage.journal.claim = counted  # type: ignore[method-assign]

    async def stop() -> None:
        await stage.ask("stop")

    driven(stage, (1.0, count), (2000.0, stop))
    assert len(claims) <= 2000.0 / 10.0 + 1


@trials(max_examples=25, deadline=None)
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
    stage = Stage(jobs, settings(limits=QUICK | caps))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * len(jobs)
    assert max(most_open(stage, lambda job: job.group).values(), default=0) <= per_group
    assert max(most_open(stage, lambda job: job.az).values(), default=0) <= per_az


# All of it at once ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """A small fleet, and a plan that says what goes when."""

    fleet: list[tuple[str | None, str | None, int, int, bool]]
    """Group, zone, wave, priority, and whether the first create is refused for good."""
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
        rank_of = ranks(alone, [job.wave for job in alone]) or [0] * len(alone)
        return [replace(job, rank=rank) for job, rank in zip(alone, rank_of, strict=True)]

    def stage(self) -> Stage:
        stage = Stage(
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


@trials(max_examples=30, deadline=None)
@given(ordered)
def test_whatever_a_plan_says_about_the_order_is_kept_and_all_jobs_end(plan: Ordered) -> None:
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
            assert all((j.ended_at or 0.0) <= at for j in sent if j.wave < jobs[later].wave)
    caps = ((plan.per_group, lambda job: job.group), (plan.per_az, lambda job: job.az))
    for cap, name in caps:
        assert cap is None or max(most_open(stage, name).values(), default=0) <= cap
    if plan.per_group is None and plan.per_az is None:
        units = [(job.wave, job.group or job.no) for job in sent]
        assert len(list(groupby(units))) == len(set(units)), "a group is sent without a break"
