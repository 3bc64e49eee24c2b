"""Runs and their jobs as commands and screens see them: the same for every store."""

from __future__ import annotations

import re

import pytest

from tests.store.fixtures import NOW, a_job, a_run, an_attempt, moved, volume
from vbsbatch.errors import StoreUnusable, UsageError
from vbsbatch.model import (
    Answer,
    BackupSettings,
    Cloud,
    Elapsed,
    JobState,
    Limits,
    Rate,
    Retry,
    Rule,
    RunNoted,
    RunState,
    Settings,
    Verdict,
    VerifySummary,
    Wall,
)
from vbsbatch.store import ReadPosition, RunStore
from vbsbatch.store.selection import MANY, JobSelection
from vbsbatch.store.sqlite.journal_sql import PAGE

A, B, C = "20261118-1200-aaaa", "20261118-1300-bbbb", "20261119-0100-cccc"
DEFAULTS = BackupSettings(description="nightly", full=True)


@pytest.fixture
def store(any_store: RunStore) -> RunStore:
    return any_store


def three_runs(store: RunStore) -> None:
    for run_id in (A, B, C):
        store.create_run(a_run(run_id), [], DEFAULTS)


def test_a_run_comes_back_as_it_was_frozen(store: RunStore) -> None:
    settings = Settings(
        limits=Limits(rate=Rate(count=100, per=60), in_flight=7),
        retry=Retry(rules=(Rule(verdict=Verdict.RETRY, status=503, code="VolumeBackup.09*"),)),
        deadline=8 * 3600.0,
        names_unique=False,
    )
    run = a_run(A, settings=settings, cloud=None, deadline_at=NOW + 60, in_flight=3, reason="x")
    store.create_run(run, [], DEFAULTS)
    assert store.run(A) == run


def test_jobs_come_back_as_they_were_planned(store: RunStore) -> None:
    jobs = [
        a_job(1, settings=DEFAULTS, priority=3),
        a_job(2, settings=BackupSettings(tags=(("wave", "1"),)), group="db"),
        a_job(
            3, volume_name=volume(3), state=JobState.SKIPPED, message="has one", settings=DEFAULTS
        ),
    ]
    store.create_run(a_run(A), iter(jobs), DEFAULTS)
    assert list(store.jobs(A)) == jobs
    assert store.job(A, 2) == jobs[1]


def test_a_run_is_made_whole_or_not_at_all(store: RunStore) -> None:
    def broken() -> object:
        yield from (a_job(no) for no in range(1, 200))
        raise RuntimeError("the plan broke off")

    with pytest.raises(RuntimeError):
        store.create_run(a_run(A), broken(), DEFAULTS)  # type: ignore[arg-type]
    with pytest.raises(StoreUnusable):
        store.create_run(a_run(B), [a_job(1), a_job(1)], DEFAULTS)
    assert store.runs() == []


def test_a_run_id_is_never_used_twice(store: RunStore) -> None:
    store.create_run(a_run(A), [], DEFAULTS)
    with pytest.raises(UsageError):
        store.create_run(a_run(A), [], DEFAULTS)


def test_a_new_run_id_starts_with_the_minute(store: RunStore) -> None:
    assert re.fullmatch(r"20261118-1106-[a-z0-9]{4}", store.new_run_id(Wall(1795000000)))


def test_a_run_is_found_by_id_prefix_or_latest(store: RunStore) -> None:
    three_runs(store)
    assert store.run(B).id == B
    assert store.run("20261119").id == C
    assert store.run("latest").id == C
    assert [run.id for run in store.runs()] == [C, B, A]


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("20261118", [A, B]),
        ("20261118-1200-aaab", ["did you mean", A]),
        ("zzz", [A, B, C]),
        ("", [A, B, C]),
    ],
)
def test_a_run_that_is_not_clear_is_refused_with_candidates(
    store: RunStore, ref: str, words: list[str]
) -> None:
    three_runs(store)
    with pytest.raises(UsageError) as refusal:
        store.run(ref)
    assert all(word in str(refusal.value) for word in words)


def test_without_any_run_latest_says_so(store: RunStore) -> None:
    with pytest.raises(UsageError, match="no run"):
        store.run("latest")
    assert store.newest_unfinished() is None


@pytest.mark.anyio
async def test_the_newest_unfinished_run_is_the_one_to_resume(store: RunStore) -> None:
    three_runs(store)
    async with store.journal(C) as journal:
        await journal.run_state(RunState.ENDED, Wall(NOW))
    unfinished = store.newest_unfinished()
    assert unfinished is not None
    assert unfinished.id == B


def failed(no: int, **fields: object) -> object:
    return a_job(no, state=JobState.FAILED, ended_at=NOW, attempts=6, **fields)


def test_jobs_are_filtered_and_paged(store: RunStore) -> None:
    jobs = [
        a_job(1),
        failed(2, http_status=400, code="VolumeBackup.0040"),
        failed(3, http_status=503),
        failed(4),
        failed(5, http_status=400, code="VolumeBackup.0040"),
    ]
    store.create_run(a_run(A), jobs, DEFAULTS)  # type: ignore[arg-type]

    def found(**criteria: object) -> list[int]:
        return [job.no for job in store.jobs(A, **criteria)]  # type: ignore[arg-type]

    assert found(states=[JobState.FAILED]) == [2, 3, 4, 5]
    assert found(statuses=[400, 0], states=[JobState.FAILED]) == [2, 4, 5]
    assert found(codes=["VolumeBackup.0040"]) == [2, 5]
    assert found(volumes=[volume(4).replace("-", "").upper(), "db-001"]) == [1, 4]
    assert found(after=2, limit=2) == [3, 4]
    assert store.failures(A) == [(400, "VolumeBackup.0040", 2), (None, None, 1), (503, None, 1)]
    assert store.counts(A) == {JobState.WAITING: 1, JobState.FAILED: 4}
    assert store.attempt_total(A) == 24


def test_asking_about_no_run_or_job_is_refused(store: RunStore) -> None:
    store.create_run(a_run(A), [], DEFAULTS)
    with pytest.raises(UsageError):
        store.counts("gone")
    with pytest.raises(UsageError):
        store.job(A, 1)


def test_requeue_renews_the_budget_and_the_deadline_and_reopens_the_run(store: RunStore) -> None:
    jobs = [
        failed(1, http_status=400, code="X", later_since=NOW, backup_id="b"),
        failed(2, http_status=503),
        a_job(3, state=JobState.CANCELLED),
        a_job(4, state=JobState.SUCCEEDED, http_status=400),
    ]
    run = a_run(A, settings=Settings(deadline=60), state=RunState.ENDED, ended_at=NOW)
    store.create_run(run, jobs, DEFAULTS)  # type: ignore[arg-type]
    assert store.requeue(A, {"status": [400]}) == 1
    job = store.job(A, 1)
    assert (job.state, job.charged, job.due_at) == (JobState.WAITING, 0, Elapsed(0.0))
    assert (job.ended_at, job.later_since, job.backup_id, job.code) == (None, None, None, "X")
    after = store.run(A)
    assert (after.state, after.ended_at, after.deadline_at) == (
        RunState.STOPPED,
        None,
        Wall(NOW + 159),
    )
    (event,) = store.events(A)
    assert (event.no, event.came_from, event.to) == (1, JobState.FAILED, JobState.WAITING)
    assert event.text == "retry asked for"
    assert store.requeue(A, {"all": True}) == 2
    assert store.requeue(A, {"all": True}) == 0
    assert store.requeue(A, {"states": ["succeeded"]}) == 0


def test_thousands_of_volumes_are_compared_once_in_any_spelling(store: RunStore) -> None:
    store.create_run(a_run(A), [a_job(no) for no in range(1, 2001)], DEFAULTS)
    wanted = [volume(no) for no in range(501, 1801)]
    spelled = [name.replace("-", "").upper() for name in wanted[:650]] + wanted[650:]
    assert len(wanted) > MANY
    asked, _ = JobSelection(volumes=frozenset(spelled)).by_pages()
    assert asked.volumes is None, "not every volume is read anew for every page"
    assert store.cancel(A, {"volumes": [*spelled, "nobody's"]}) == 1300
    left = [job.no for job in store.jobs(A) if job.state is JobState.WAITING]
    assert left == [*range(1, 501), *range(1801, 2001)]
    assert store.requeue(A, {"volumes": [job.volume_name for job in store.jobs(A)]}) == 1300


@pytest.mark.parametrize("limit", [0, 1, PAGE, PAGE + 1, 5 * PAGE])
def test_jobs_beyond_a_page_are_limited_too(store: RunStore, limit: int) -> None:
    store.create_run(a_run(A), (a_job(no) for no in range(2 * PAGE)), DEFAULTS)
    after = [job.no for job in store.jobs(A, after=9, limit=limit)]
    assert after == list(range(10, min(10 + limit, 2 * PAGE)))


def test_requeue_and_cancel_work_on_more_jobs_than_a_page(store: RunStore) -> None:
    store.create_run(a_run(A), (a_job(no) for no in range(1, 1001)), DEFAULTS)
    assert store.cancel(A, {"all": True}) == 1000
    assert store.counts(A) == {JobState.CANCELLED: 1000}
    assert store.requeue(A, {"states": ["cancelled"]}) == 1000
    assert store.counts(A) == {JobState.WAITING: 1000}
    assert sum(1 for _ in store.events(A)) == 2000


def test_an_empty_selection_touches_nothing(store: RunStore) -> None:
    store.create_run(a_run(A), [a_job(1)], DEFAULTS)
    assert store.cancel(A, {}) == 0
    with pytest.raises(UsageError):
        store.cancel(A, {"everything": True})


def test_operators_limits_are_kept_for_the_next_engine(store: RunStore) -> None:
    store.create_run(a_run(A), [], DEFAULTS)
    store.set_limits(A, rate=Rate(count=2))
    store.set_limits(A, in_flight=9)
    run = store.run(A)
    assert (run.rate, run.in_flight) == (Rate(count=2), 9)


@pytest.mark.anyio
async def test_the_rate_of_the_last_heartbeat_is_kept(store: RunStore) -> None:
    store.create_run(a_run(A), [], DEFAULTS)
    assert store.sending_rate(A) is None
    async with store.journal(A) as journal:
        await journal.heartbeat(
            Wall(NOW),
            clock_step=0.0,
            adopted=0,
            rate=Rate(count=4.5),
            create_calls=1,
            read_calls=1,
            next_look_at=None,
            ends_at=None,
            rate_used=0.5,
            circuit_open=False,
        )
    assert store.sending_rate(A) == Rate(count=4.5)


@pytest.mark.anyio
async def test_history_has_every_move_that_no_attempt_records(store: RunStore) -> None:
    store.create_run(a_run(A), [a_job(1), a_job(2)], DEFAULTS)
    store.create_run(a_run(B), [], DEFAULTS)
    async with store.journal(A) as journal, store.journal(B) as other:
        one, two = await journal.claim(Elapsed(NOW), 2, cloud_now=Cloud(NOW))
        accepted = moved(one, JobState.RUNNING, attempt=an_attempt())
        journal.record(accepted)
        refusal = an_attempt(verdict=Verdict.FAIL, answer=Answer(status=400, message="no"))
        journal.record(moved(two, JobState.FAILED, NOW + 1, attempt=refusal, note="gave up"))
        await journal.flush()
        other.record(RunNoted(at=Wall(NOW), kind="breaker", text="not of this run"))
        await other.flush()
        journal.record(RunNoted(at=Wall(NOW + 2), kind="limiter", text="5/s -> 4/s"))
        journal.record(moved(accepted.job, JobState.SUCCEEDED, NOW + 3))
    events = list(store.events(A))
    assert [(event.no, event.kind, event.to, event.text) for event in events] == [
        (2, "move", JobState.FAILED, "gave up"),
        (None, "limiter", None, "5/s -> 4/s"),
        (1, "move", JobState.SUCCEEDED, None),
    ]
    assert events[2].at == NOW + 3
    assert [event.id for event in store.events(A, after=events[0].id, limit=1)] == [events[1].id]
    assert [event.no for event in store.events(A, no=2)] == [2]
    assert [event.kind for event in store.events(B)] == ["breaker"]


@pytest.mark.anyio
async def test_a_follower_gets_each_changed_job_and_no_other(store: RunStore) -> None:
    store.create_run(a_run(A), (a_job(no) for no in range(1, 9)), DEFAULTS)
    store.create_run(a_run(B), [a_job(1, volume_id=volume(99))], DEFAULTS)
    mark, version = store.mark(), store.data_version()
    assert store.changed(A, mark) == (mark, [])
    async with store.journal(A) as journal, store.journal(B) as other:
        one, two = await journal.claim(Elapsed(NOW), 2, cloud_now=Cloud(NOW))
        await other.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW))
        assert store.data_version() != version
        mark, jobs = store.changed(A, mark)
        assert jobs == [one, two]
        running = moved(one, JobState.RUNNING, attempt=an_attempt())
        journal.record(running)
        journal.record(moved(two, JobState.FAILED))
        await journal.flush()
        mark, jobs = store.changed(A, mark)
        assert [(job.no, job.state) for job in jobs] == [
            (1, JobState.RUNNING),
            (2, JobState.FAILED),
        ]
        journal.record(moved(running.job, JobState.SUCCEEDED))
        await journal.flush()
        mark, jobs = store.changed(A, mark)
        assert [(job.no, job.state) for job in jobs] == [(1, JobState.SUCCEEDED)]
    assert store.changed(A, mark)[1] == []
    assert [job.no for job in store.changed(A, ReadPosition())[1]] == [1, 2]


def test_a_run_remembers_what_its_last_verify_found(store: RunStore) -> None:
    three_runs(store)
    first = VerifySummary(differences=(("missing", 2), ("duplicate", 1)), leftovers=3, pruned=4)
    for found in (first, VerifySummary()):
        store.set_verified(B, found)
        assert store.run(B).verified_at == Wall(NOW + 99)
        assert store.run(B).verified == found
    assert first.total == 3
    assert store.run(A).verified_at is None
