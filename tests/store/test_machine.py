"""Random operations on two runs that share volumes: SQLite and memory never disagree."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.store.fixtures import NOW, StoreFixture, a_job, a_run, an_attempt, moved, volume
from vbsbatch.model import (
    MOVES,
    OPEN_STATES,
    BackupSettings,
    Elapsed,
    Job,
    JobState,
    RunNoted,
    RunState,
    Wall,
)
from vbsbatch.store.memory import MemoryStore
from vbsbatch.store.sqlite.store import SqliteStore

RUNS = ("20261118-1200-aaaa", "20261118-1300-bbbb")
T = TypeVar("T")

runs = st.sampled_from(RUNS)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.none()
ids = st.none() | st.uuids().map(str) | st.uuids().map(lambda u: u.hex) | st.just("odd id")
steps = st.integers(-100_000, 100_000)
plans = st.lists(
    st.tuples(st.integers(0, 5), st.integers(-2, 2), st.integers(0, 3)), min_size=1, max_size=6
)


class Machine(RuleBasedStateMachine):
    @initialize(first=plans, second=plans)
    def create(self, first: list[Any], second: list[Any]) -> None:
        self.folder = tempfile.mkdtemp()
        self.runner = asyncio.Runner()
        self.disk = StoreFixture(SqliteStore.open(Path(self.folder) / "s.db", create=True), True)
        self.memory = StoreFixture(MemoryStore(), None)
        self.ms = round(NOW * 1000)
        for run_id, plan in zip(RUNS, (first, second), strict=True):
            jobs = [
                a_job(
                    no,
                    volume_id=volume(number),
                    priority=priority,
                    due_at=NOW + due if due else 0.0,
                    settings=BackupSettings(full=True) if due else BackupSettings(),
                )
                for no, (number, priority, due) in enumerate(plan, start=1)
            ]
            for each_store in (self.disk, self.memory):
                each_store.create_run(a_run(run_id), jobs)
        self.open_journals()

    def open_journals(self) -> None:
        self.journals = {
            run_id: (self.memory.journal(run_id), self.disk.journal(run_id)) for run_id in RUNS
        }
        for pair in self.journals.values():
            for journal in pair:
                self.await_(journal.__aenter__())

    def await_(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def both(self, run_id: str, name: str, *args: Any, **kwargs: Any) -> Any:
        """Ask both journals; their answers must be the same."""
        in_memory, on_disk = self.journals[run_id]
        expected = self.await_(getattr(in_memory, name)(*args, **kwargs))
        assert self.await_(getattr(on_disk, name)(*args, **kwargs)) == expected
        return expected

    def blocked(self, journal: Any) -> list[tuple[Job, str, RunState]]:
        """Who holds which job; only the file knows of locks, and where it lies."""
        found = self.await_(journal.blocked(self.now))
        return [(job, holder.run_id, holder.state) for job, holder in found]

    def tell(self, run_id: str, name: str, *args: Any) -> None:
        for journal in self.journals[run_id]:
            getattr(journal, name)(*args)

    def some_job(self, run_id: str, pick: int) -> Job:
        jobs = self.both(run_id, "select", {"all": True})
        job: Job = jobs[pick % len(jobs)]
        return job

    @property
    def now(self) -> float:
        """Whole milliseconds, as the file keeps them."""
        return self.ms / 1000

    @rule(ms=st.integers(0, 3000))
    def time_passes(self, ms: int) -> None:
        self.ms += ms

    @rule(run_id=runs, limit=st.integers(0, 4))
    def claim(self, run_id: str, limit: int) -> None:
        other = RUNS[1 - RUNS.index(run_id)]
        held = {job.volume_id for job in self.disk.jobs(other) if job.state in OPEN_STATES}
        for job in self.both(run_id, "claim", self.now, limit, cloud_now=self.now + 40):
            assert job.state is JobState.SUBMITTING
            assert job.volume_id not in held

    @rule(
        run_id=runs,
        pick=st.integers(0, 9),
        to=st.sampled_from(JobState),
        changes=st.fixed_dictionaries(
            {"code": texts, "message": texts, "cloud_job_id": ids, "backup_id": ids},
            optional={"http_status": st.integers(100, 599), "progress": st.integers(0, 100)},
        ),
        later=st.integers(0, 3000),
        note=texts,
    )
    def move(
        self, run_id: str, pick: int, to: JobState, changes: Any, later: int, note: str | None
    ) -> None:
        job = self.some_job(run_id, pick)
        if to not in MOVES[job.state] or to is JobState.SUBMITTING:
            return
        attempt = an_attempt(job.attempts) if job.state is JobState.SUBMITTING else None
        due_at = (self.ms + later) / 1000
        self.tell(
            run_id,
            "record",
            moved(job, to, self.now, attempt=attempt, note=note, due_at=due_at, **changes),
        )

    @rule(run_id=runs, pick=st.integers(0, 9), later=st.integers(0, 3000))
    def touch(self, run_id: str, pick: int, later: int) -> None:
        job = self.some_job(run_id, pick)
        self.tell(
            run_id, "touch", replace(job, due_at=Elapsed((self.ms + later) / 1000), progress=7)
        )

    @rule(run_id=runs, text=texts)
    def note(self, run_id: str, text: str | None) -> None:
        self.tell(run_id, "record", RunNoted(at=Wall(self.now), kind="run", text=text or ""))

    @rule(run_id=runs)
    def flush(self, run_id: str) -> None:
        self.both(run_id, "flush")

    @rule(run_id=runs, ahead=st.integers(-7200, 7200), beaten=st.integers(0, 9000), step=steps)
    def begin(self, run_id: str, ahead: int, beaten: int, step: int) -> None:
        """An engine begins whose clock differs, after one that was alive some time ago."""
        run = replace(a_run(run_id), heartbeat_at=Wall((self.ms - beaten) / 1000), clock_step=step)
        self.both(run_id, "begin", run, self.now, self.now + ahead)
        self.both(run_id, "select", {"all": True})

    @rule(run_id=runs)
    def named(self, run_id: str) -> None:
        waiting = self.both(run_id, "named", ["nightly-db-001", "nightly-db-003", "nobody's"])
        assert {job.state for job in waiting} <= {JobState.WAITING}

    @rule(run_id=runs, obey=st.booleans())
    def command(self, run_id: str, obey: bool) -> None:
        for each_store in (self.disk, self.memory):
            each_store.ask(run_id, "pause", {"n": 1}, "ann")
        found = [
            self.await_(journal.commands(self.now))  # asked at different times, otherwise the same
            for journal in self.journals[run_id]
        ]
        assert [command.id for command in found[0]] == [command.id for command in found[1]]
        if obey:
            for journal in self.journals[run_id]:
                journal.acknowledge(found[0][0], self.now, "done")

    @rule(run_id=runs, state=st.sampled_from(RunState))
    def run_state(self, run_id: str, state: RunState) -> None:
        self.both(run_id, "run_state", state, self.now, "why")

    @rule()
    def killed(self) -> None:
        for pair in self.journals.values():
            for journal in pair:
                journal.crash()
        self.open_journals()

    @rule(run_id=runs)
    def compare(self, run_id: str) -> None:
        self.both(run_id, "counts")
        self.both(run_id, "next_due")
        in_memory, on_disk = (self.blocked(each) for each in self.journals[run_id])
        assert in_memory == on_disk
        self.both(run_id, "jobs_in", tuple(JobState))
        self.both(run_id, "jobs_in", tuple(OPEN_STATES))
        self.both(run_id, "select", {"status": [0, 400], "codes": [""]})
        assert list(self.disk.jobs(run_id)) == list(self.memory.jobs(run_id))
        assert self.disk.run(run_id) == self.memory.run(run_id)
        for count in ("counts", "wave_counts", "failures", "answers", "retrying", "attempt_total"):
            assert getattr(self.disk, count)(run_id) == getattr(self.memory, count)(run_id), count
        told = [
            [replace(e, id=0) for e in each.events(run_id)] for each in (self.disk, self.memory)
        ]
        assert told[0] == told[1]
        for no in range(1, 7):
            assert self.disk.attempts(run_id, no) == self.memory.attempts(run_id, no)

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        try:
            for run_id in RUNS:
                self.compare(run_id)
        finally:
            for pair in self.journals.values():
                for journal in pair:
                    self.await_(journal.__aexit__(None, None, None))
            self.runner.close()
            self.disk.close()
            shutil.rmtree(self.folder)


Machine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow],
)
TestMachine = Machine.TestCase
