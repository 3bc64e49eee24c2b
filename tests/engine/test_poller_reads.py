"""How the poller handles lists and queries: failing, paged, few."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, cycle

import anyio
import pytest

from vbsbatch.errors import (
    CloudError,
    CloudRefused,
    CloudUnavailable,
    ListChanged,
    SignInError,
)
from vbsbatch.model import Answer, Backup, BackupPage, Job, JobState, Rate, RunState

from .harness import FAILS, HIDDEN, NOW, EngineHarness, Made, accepting, failing, settings

# Reads that fail --------------------------------------------------------------------------------


def test_a_failed_list_proves_nothing() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(stage.cloud.lose)
    failing(stage, "backups", until=1800.0)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert len(stage.sent()) == 1
    assert stage.path()[0] == "unknown"
    assert len(stage.cloud.asked("backups")) < 60


def test_after_an_outage_of_the_list_the_settle_time_restarts() -> None:
    stage = EngineHarness(1)
    settle = stage.store.run(stage.run_id).settings.retry.settle
    stage.cloud.script[1].append(lambda job: stage.cloud.lose(job, visible_at=float("inf")))

    def until_it_is_back(kind: str, what: str | None) -> CloudError | None:
        if kind == "backups" and 1.0 < stage.clock.passed < 600.0:
            return CloudUnavailable("503: no")
        for made in stage.cloud.made.values():
            made.visible_at = min(made.visible_at, stage.clock.now() + 0.9 * settle)
        return None

    stage.cloud.failing = until_it_is_back
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert len(stage.sent()) == 1


def test_a_list_without_an_end_is_an_outage_and_no_proof() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(stage.cloud.lose)
    honest, numbers = stage.cloud.backups, count(1)

    async def endless(page: str | None = None) -> BackupPage:
        if page is None and stage.clock.passed > 1200.0:
            return await honest(page)
        number = next(numbers)
        return BackupPage(backups=(Backup(id=f"foreign-{number}"),), next=str(number))

    stage.cloud.backups = endless  # type: ignore[method-assign]
    stage.drive()
    assert any("has more than" in note for note in stage.notes("sweep"))
    assert stage.states() == [JobState.SUCCEEDED]
    assert len(stage.sent()) == 1


def test_lists_that_fail_every_other_time_do_not_keep_a_job_unknown_forever() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(Answer(message="the connection was reset"))
    turns = cycle([CloudUnavailable("503: no"), None])
    stage.cloud.failing = lambda kind, what: next(turns) if kind == "backups" else None
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    first, second = stage.sent()
    settle = stage.store.run(stage.run_id).settings.retry.settle
    assert second - first < 15 * settle


def test_a_page_that_fails_does_not_cost_the_pages_before_it() -> None:
    """A regression: a sweep of 40 pages was restarted whenever one page failed, so that few ever
    finished."""
    stage = EngineHarness(40, settings(limits={"rate": Rate(count=40), "in_flight": 40}))
    stage.cloud.page_size = 1
    turns = cycle([None] * 7 + [CloudUnavailable("502: no")])
    stage.cloud.failing = lambda kind, what: next(turns) if kind == "backups" else None
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 40
    assert stage.clock.passed < 10 * stage.cloud.duration


def test_a_second_page_that_fails_proves_nothing_either() -> None:
    stage = EngineHarness(1)
    stage.cloud.page_size = 1
    stage.cloud.script[1].append(stage.cloud.lose)
    failing(stage, "backups", until=600.0, what={"1"})

    async def others() -> None:
        # Other backups push ours to a later page.
        while True:
            await anyio.sleep(1.0)
            foreign = Job(no=9, volume_id="other", volume_name="x", backup_name="foreign")
            if len(stage.cloud.made) < 4:
                stage.cloud.make(foreign, ready_at=NOW)

    stage.drive(others)
    assert stage.states() == [JobState.SUCCEEDED]
    assert len(stage.sent()) == 1


@pytest.mark.parametrize("error", [CloudRefused("403: no"), SignInError("no")])
def test_a_list_that_is_refused_stops_the_run_and_loses_nothing(error: CloudError) -> None:
    stage = EngineHarness(2)
    stage.cloud.failing = lambda kind, what: error if kind == "backups" else None
    ending = stage.drive()
    assert ending.state is RunState.STOPPED
    assert "cannot read the backups" in str(ending.reason)
    stage.cloud.failing = lambda kind, what: None
    assert stage.drive().counts == {JobState.SUCCEEDED: 2}


def test_a_page_that_vanished_between_two_requests_does_not_stop_the_run() -> None:
    stage = EngineHarness(4, settings(limits={"rate": Rate(count=50)}))
    stage.cloud.page_size = 2
    gone = iter([True, True])
    stage.cloud.failing = lambda kind, what: (
        ListChanged("the list of backups changed while it was read")
        if kind == "backups" and what is not None and next(gone, False)
        else None
    )
    assert stage.drive().counts == {JobState.SUCCEEDED: 4}


def test_retry_after_is_honoured_by_reads() -> None:
    stage = EngineHarness(1)
    told: list[float] = []

    def fail(kind: str, what: str | None) -> CloudError | None:
        if kind == "backups" and not told:
            told.append(stage.clock.now())
            return CloudUnavailable("429", status=429, retry_after=45.0)
        return None

    stage.cloud.failing = fail
    stage.drive()
    second = stage.cloud.asked("backups")[1][0]
    assert second - told[0] >= 45.0


@pytest.mark.parametrize("stuck", [1, 3, 5])
def test_a_query_that_always_fails_delays_no_other_job(stuck: int) -> None:
    stage = EngineHarness(10, settings(limits={"rate": Rate(count=50), "in_flight": 10}))
    for no in range(1, stuck + 1):
        stage.cloud.script[no].append(accepting(stage, **FAILS))
    for no in (9, 10):
        stage.cloud.script[no].append(accepting(stage, visible_at=HIDDEN))
    names = {f"cloud-job-{no}" for no in range(1, stuck + 1)}
    failing(stage, "cloud_job", what=names, until=1000.0)
    ended: list[float] = []

    async def meanwhile() -> None:
        while stage.states()[stuck:].count(JobState.SUCCEEDED) < 10 - stuck:
            await anyio.sleep(1.0)
            await stage.journal.flush()
        ended.append(stage.clock.passed)

    stage.drive(meanwhile)
    assert ended[0] <= 400.0
    assert stage.states() == [JobState.SUCCEEDED] * 10


def test_hidden_jobs_whose_query_always_fails_delay_no_other_either() -> None:
    stage = EngineHarness(8, settings(limits={"rate": Rate(count=50), "in_flight": 10}))
    for no in range(1, 9):
        stage.cloud.script[no].append(accepting(stage, visible_at=HIDDEN))
    failing(stage, "cloud_job", what={f"cloud-job-{n}" for n in (1, 2, 3, 4)}, until=3000.0)
    ended: list[float] = []

    async def meanwhile() -> None:
        while stage.states()[4:].count(JobState.SUCCEEDED) < 4:
            await anyio.sleep(1.0)
            await stage.journal.flush()
        ended.append(stage.clock.passed)

    stage.drive(meanwhile)
    assert ended[0] <= 600.0
    assert stage.states() == [JobState.SUCCEEDED] * 8


# Few calls --------------------------------------------------------------------------------------


def older(stage: EngineHarness, number: int, age: float = 86400.0) -> None:
    """Fill the list with backups of earlier days."""
    for n in range(number):
        stage.cloud.made[f"old-{n}"] = Made(
            id=f"old-{n}",
            cloud_job_id=f"old-job-{n}",
            name=f"old-{n}",
            volume_id="6ba7b810-9dad-11d1-80b4-ffffffffffff",
            made_at=NOW - age - n,
            ready_at=0.0,
            visible_at=0.0,
        )


def test_a_sweep_stops_at_the_first_page_that_reaches_back_before_the_run() -> None:
    stage = EngineHarness(5)
    older(stage, 100)
    stage.cloud.page_size = 10
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 5
    assert {what for _, what in stage.cloud.asked("backups")} == {None}


def test_an_unknown_job_is_absent_only_after_the_pages_that_could_contain_it() -> None:
    stage = EngineHarness(25, settings(limits={"rate": Rate(count=50), "in_flight": 30}))
    stage.cloud.page_size = 10
    stage.cloud.duration = 300.0
    stage.cloud.script[1].append(stage.cloud.lose)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 25
    assert len(stage.sent(1)) == 1


def test_a_few_stragglers_beyond_the_first_page_are_queried_one_by_one() -> None:
    stage = EngineHarness(3, settings(limits={"rate": Rate(count=50)}))
    stage.cloud.page_size = 10
    stage.cloud.duration = 600.0

    async def others() -> None:
        await anyio.sleep(100.0)
        for _ in range(200):
            stage.cloud.make(Job(no=9, volume_id="o", volume_name="x", backup_name="y"))

    stage.drive(others)
    assert stage.states() == [JobState.SUCCEEDED] * 3
    assert {what for _, what in stage.cloud.asked("backup")} <= {"backup-1", "backup-2", "backup-3"}
    assert stage.cloud.asked("backup")
    assert {what for _, what in stage.cloud.asked("backups")} == {None}


def test_reads_have_a_budget_of_their_own() -> None:
    stage = EngineHarness(200, settings(limits={"rate": Rate(count=200), "in_flight": 200}))
    stage.cloud.always = accepting(stage, visible_at=HIDDEN)
    stage.drive()
    times = [at for at, _, _ in stage.cloud.reads]
    assert max(sum(at <= other < at + 1.0 for other in times) for at in times) <= 11


# The server's clock -----------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_a_server_clock_that_differs_is_corrected(ahead: float) -> None:
    stage = EngineHarness(4, settings(names_unique=False))
    stage.cloud.clock_ahead = ahead
    stage.cloud.page_size = 2
    older(stage, 30)
    for no in (1, 3):
        stage.cloud.script[no].append(stage.cloud.lose)
    stage.cloud.script[2].append(Answer())
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 4
    assert len(stage.cloud.made) == 34


def test_a_name_of_an_older_backup_of_unknown_age_fails_as_uncertain() -> None:
    stage = EngineHarness(1, settings(names_unique=False))
    made = stage.cloud.make(stage.job(), ready_at=0.0)
    tell_all = stage.cloud._as_listed

    def tell_no_age(made: Made) -> Backup:
        return replace(tell_all(made), created_at=None)

    stage.cloud._as_listed = tell_no_age  # type: ignore[method-assign]
    stage.drive()
    assert (stage.job().state, stage.job().code) == (JobState.FAILED, "uncertain")
    assert not stage.sent(), "what cannot be told is not sent"
    assert made.id in stage.cloud.made
