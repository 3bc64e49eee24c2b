from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

import anyio
import pytest

from vbsbatch.engine.ledger import Ledger
from vbsbatch.model import (
    Cloud,
    Elapsed,
    IllegalMoveError,
    JobMoved,
    JobState,
    Run,
    RunNoted,
    RunState,
    Wall,
)
from vbsbatch.simulator.virtual import VirtualClock
from vbsbatch.simulator.virtual import run as run_virtual
from vbsbatch.store.memory import MemoryJournal, MemoryStore

from .harness import FAST, NOW, a_job


class Desk:
    """A ledger over a store with three jobs, and the events its listener received."""

    def __init__(self) -> None:
        self.clock = VirtualClock(NOW)
        self.store = MemoryStore()
        self.heard: list[JobMoved | RunNoted] = []
        run = Run(
            id="r",
            plan="p",
            cloud=None,
            state=RunState.RUNNING,
            settings=FAST,
            created_at=Wall(NOW),
        )
        self.store.create_run(run, [a_job(1), a_job(2, due_at=NOW + 50.0), a_job(3)])
        self.journal: Any

    def play(
        self,
        scene: Callable[[Ledger], Awaitable[None]],
        journal: Callable[[MemoryStore], Any] = lambda store: store.journal("r"),
    ) -> None:
        async def whole() -> None:
            self.journal = journal(self.store)
            ledger = Ledger(
                self.journal,
                self.clock,
                [self.heard.append],
                cloud_now=lambda: Cloud(self.clock.now()),
            )
            await ledger.load()
            await scene(ledger)
            await self.journal.flush()

        run_virtual(whole, clock=self.clock)

    def states(self) -> list[JobState]:
        return [job.state for job in self.store.jobs("r")]


def test_a_claim_takes_only_what_is_due_and_counts_it() -> None:
    desk = Desk()

    async def scene(ledger: Ledger) -> None:
        jobs = await ledger.claim(10)
        assert [job.no for job in jobs] == [1, 3]
        assert {job.state for job in jobs} == {JobState.SUBMITTING}
        assert set(ledger.open) == {1, 3}
        assert ledger.tally() == {JobState.WAITING: 1, JobState.SUBMITTING: 2}
        assert ledger.earliest_due == Elapsed(NOW + 50.0)

    desk.play(scene)
    assert desk.states() == [JobState.SUBMITTING, JobState.WAITING, JobState.SUBMITTING]


def test_a_move_is_checked_written_and_emitted() -> None:
    desk = Desk()

    async def scene(ledger: Ledger) -> None:
        job, _ = await ledger.claim(10)
        moved = ledger.move(job, JobState.RUNNING, cloud_job_id="j", note="so")
        assert moved.cloud_job_id == "j"
        assert ledger.open[1] is moved
        with pytest.raises(IllegalMoveError):
            ledger.move(moved, JobState.CANCELLED)
        ended = ledger.move(moved, JobState.SUCCEEDED)
        assert set(ledger.open) == {3}
        assert ledger.counts[JobState.SUCCEEDED] == 1
        with pytest.raises(IllegalMoveError):
            ledger.move(ended, JobState.WAITING)

    desk.play(scene)
    assert [(e.came_from, e.job.state, e.note) for e in desk.heard if isinstance(e, JobMoved)] == [
        (JobState.SUBMITTING, JobState.RUNNING, "so"),
        (JobState.RUNNING, JobState.SUCCEEDED, None),
    ]
    assert desk.states()[0] is JobState.SUCCEEDED


def test_the_run_ends_when_no_job_is_open_or_waiting() -> None:
    desk = Desk()

    async def scene(ledger: Ledger) -> None:
        for job in await ledger.claim(10):
            ledger.move(job, JobState.FAILED)
            assert not ledger.ended
        (late,) = await ledger._journal.jobs_in((JobState.WAITING,))
        ledger.move(late, JobState.CANCELLED)
        assert ledger.ended

    desk.play(scene)


def test_a_job_left_between_intent_and_answer_is_unknown_from_now_on() -> None:
    desk = Desk()

    async def die(ledger: Ledger) -> None:
        await ledger.claim(1)

    desk.play(die)
    desk.clock.passed += 500.0

    async def scene(ledger: Ledger) -> None:
        job = ledger.open[1]
        assert (job.state, job.attempts, job.charged) == (JobState.UNKNOWN, 1, 0)
        assert job.first_sent_at is not None
        assert job.intent_at == Elapsed(float(job.first_sent_at)) == pytest.approx(NOW, abs=1.0)
        assert job.unknown_at == pytest.approx(NOW + 500.0, abs=1.0)

    desk.play(scene)
    assert desk.states()[0] is JobState.UNKNOWN


def test_loading_twice_keeps_unknown_jobs_unchanged() -> None:
    desk = Desk()

    async def claim(ledger: Ledger) -> None:
        await ledger.claim(1)

    async def nothing(ledger: Ledger) -> None:
        pass

    desk.play(claim)
    desk.play(nothing)
    first = desk.store.held.runs["r"].jobs[1]
    desk.clock.passed += 99.0
    desk.play(nothing)
    assert desk.store.held.runs["r"].jobs[1] == first


def test_touching_changes_fields_and_emits_nothing() -> None:
    desk = Desk()

    async def scene(ledger: Ledger) -> None:
        (job,) = await ledger.claim(1)
        heard = len(desk.heard)
        assert ledger.touch(job, progress=5) is ledger.open[1]
        assert len(desk.heard) == heard

    desk.play(scene)
    assert desk.store.held.runs["r"].jobs[1].progress == 5


class SlowAnswers(MemoryJournal):
    """A journal whose answers take a moment to return, like a thread's."""

    async def next_due(self, *, busy_vaults: Collection[str] = ()) -> Elapsed | None:
        due = await super().next_due(busy_vaults=busy_vaults)
        await anyio.sleep(0.1)
        return due


def test_a_job_that_comes_back_while_the_next_due_time_is_asked_for_is_not_forgotten() -> None:
    desk = Desk()

    async def scene(ledger: Ledger) -> None:
        one, three = await ledger.claim(10)

        async def come_back() -> None:
            await anyio.sleep(0.05)
            ledger.move(one, JobState.WAITING, due_at=NOW + 7.0)

        async with anyio.create_task_group() as group:
            group.start_soon(come_back)
            group.start_soon(ledger.claim, 10)
        assert ledger.earliest_due == Elapsed(NOW + 7.0)
        assert set(ledger.open) == {three.no}

    desk.play(scene, journal=lambda store: SlowAnswers(store.held, "r"))
