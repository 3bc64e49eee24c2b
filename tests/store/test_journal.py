"""What every journal does, in memory and on disk alike."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from tests.store.fixtures import NOW, StoreFixture, a_job, a_run, an_attempt, moved, volume
from vbsbatch.engine.ports import Journal
from vbsbatch.errors import StoreFailed, UsageError
from vbsbatch.model import (
    Answer,
    BackupSettings,
    IllegalMoveError,
    Job,
    JobState,
    Rate,
    RunNoted,
    RunState,
    Verdict,
    Wall,
)
from vbsbatch.store.selection import MANY

pytestmark = pytest.mark.anyio

A, B = "20261118-1200-aaaa", "20261118-1300-bbbb"


def one_run(each_store: StoreFixture, *jobs: Job) -> None:
    each_store.create_run(a_run(A), jobs)


async def test_it_is_a_journal_in_the_sense_of_the_engine(each_store: StoreFixture) -> None:
    one_run(each_store, a_job(1))
    async with each_store.journal(A) as journal:
        _: Journal = journal


async def test_a_job_that_is_skipped_from_the_start_is_never_claimed_and_says_why(
    each_store: StoreFixture,
) -> None:
    why = "has a backup that is new enough"
    one_run(each_store, a_job(1), a_job(2, state=JobState.SKIPPED, message=why, ended_at=NOW))
    async with each_store.journal(A) as journal:
        assert [job.no for job in await journal.claim(NOW, 3, cloud_now=NOW)] == [1]
        assert await journal.counts() == {JobState.SUBMITTING: 1, JobState.SKIPPED: 1}
    (skipped,) = [job for job in each_store.jobs(A) if job.state is JobState.SKIPPED]
    assert (skipped.no, skipped.message, skipped.ended_at) == (2, why, NOW)


async def test_claim_takes_the_highest_priority_first_then_plan_order(
    each_store: StoreFixture,
) -> None:
    one_run(each_store, a_job(1), a_job(2, priority=-1), a_job(3, priority=5), a_job(4), a_job(5))
    async with each_store.journal(A) as journal:
        assert [job.no for job in await journal.claim(NOW, 3, cloud_now=NOW)] == [3, 1, 4]
        assert [job.no for job in await journal.claim(NOW, 3, cloud_now=NOW)] == [5, 2]
        assert await journal.claim(NOW, 3, cloud_now=NOW) == []


async def test_a_probe_takes_those_that_were_tried_least_first(each_store: StoreFixture) -> None:
    tried = [a_job(no, attempts=attempts) for no, attempts in ((1, 3), (2, 1), (4, 1))]
    one_run(each_store, *tried, a_job(3), a_job(5, wave=1), a_job(6, due_at=NOW + 9))
    async with each_store.journal(A) as journal:
        claimed = [await journal.claim(NOW, 1, cloud_now=NOW, least_tried=True) for _ in range(5)]
        assert [[job.no for job in jobs] for jobs in claimed] == [[3], [2], [4], [1], []]


async def test_a_claimed_job_is_submitting_and_has_one_attempt_more(
    each_store: StoreFixture,
) -> None:
    one_run(each_store, a_job(1, attempts=2, code="X", message="why", http_status=400))
    async with each_store.journal(A) as journal:
        (job,) = await journal.claim(NOW, 3, cloud_now=NOW)
        assert job == a_job(
            1,
            attempts=3,
            code="X",
            message="why",
            http_status=400,
            state=JobState.SUBMITTING,
            intent_at=NOW,
            intent_cloud_at=NOW,
        )
        assert await journal.jobs_in([JobState.SUBMITTING]) == [job]


async def test_a_job_is_not_claimed_before_it_is_due(each_store: StoreFixture) -> None:
    one_run(each_store, a_job(1, due_at=NOW + 5), a_job(2, due_at=NOW))
    async with each_store.journal(A) as journal:
        assert [job.no for job in await journal.claim(NOW, 9, cloud_now=NOW)] == [2]
        assert await journal.next_due() == NOW + 5
        assert await journal.claim(NOW + 4.999, 9, cloud_now=NOW + 4.999) == []
        assert [job.no for job in await journal.claim(NOW + 5, 9, cloud_now=NOW + 5)] == [1]
        assert await journal.next_due() is None


async def test_a_job_can_be_claimed_at_the_very_time_that_next_due_names(
    each_store: StoreFixture,
) -> None:
    awkward = NOW + 1.0014999
    one_run(each_store, a_job(1, due_at=awkward))
    async with each_store.journal(A) as journal:
        due = await journal.next_due()
        assert due is not None
        assert len(await journal.claim(due, 1, cloud_now=due)) == 1


async def test_a_volume_with_an_open_job_in_another_run_is_passed_over(
    each_store: StoreFixture,
) -> None:
    each_store.create_run(a_run(A), [a_job(1), a_job(2)])
    each_store.create_run(a_run(B), [a_job(1, volume_id=volume(2)), a_job(2, volume_id=volume(9))])
    async with each_store.journal(A) as first, each_store.journal(B) as second:
        assert len(await first.claim(NOW, 9, cloud_now=NOW)) == 2
        assert [job.no for job in await second.claim(NOW, 9, cloud_now=NOW)] == [2]
        ((held, holder),) = await second.blocked(NOW)
        assert (held.no, holder.run_id, holder.volumes) == (1, A, 1)
        assert await second.next_due() is None
        assert await first.blocked(NOW) == []


@pytest.mark.parametrize(
    ("via", "free"),
    [
        ([JobState.RUNNING, JobState.SUCCEEDED], True),
        ([JobState.UNKNOWN, JobState.WAITING], True),
        ([JobState.FAILED], True),
        ([JobState.UNKNOWN], False),
        ([JobState.RUNNING], False),
    ],
)
async def test_a_volume_is_free_again_once_its_job_is_no_longer_open(
    each_store: StoreFixture, via: list[JobState], free: bool
) -> None:
    each_store.create_run(a_run(A), [a_job(1)])
    each_store.create_run(a_run(B), [a_job(1)])
    async with each_store.journal(A) as first, each_store.journal(B) as second:
        (job,) = await first.claim(NOW, 9, cloud_now=NOW)
        for state in via:
            move = moved(job, state)
            first.record(move)
            job = move.job
        await first.flush()
        assert bool(await second.claim(NOW, 9, cloud_now=NOW)) is free


async def test_a_blocked_job_that_is_not_due_is_left_out(each_store: StoreFixture) -> None:
    each_store.create_run(a_run(A), [a_job(1)])
    each_store.create_run(a_run(B), [a_job(1, due_at=NOW + 60)])
    async with each_store.journal(A) as first, each_store.journal(B) as second:
        await first.claim(NOW, 9, cloud_now=NOW)
        assert await second.blocked(NOW) == []
        assert [job.no for job, _ in await second.blocked(NOW + 60)] == [1]


async def test_a_move_writes_every_field_of_the_job(each_store: StoreFixture) -> None:
    one_run(each_store, a_job(1, group="db", settings=BackupSettings(full=True)), a_job(2))
    async with each_store.journal(A) as journal:
        job = (await journal.claim(NOW, 1, cloud_now=NOW))[0]
        end = replace(
            job,
            uncharged=1,
            due_at=NOW + 1.5,
            unknown_at=NOW + 2.25,
            later_since=NOW + 3.125,
            first_sent_at=NOW + 0.001,
            first_cloud_at=NOW - 3600.0,
            ended_at=NOW + 9,
            http_status=400,
            code="VolumeBackup.0040",
            message="20 backups\x00\x1b[31m\u2028 and a name: \U0001f4be",
            cloud_job_id="4010b39b5281d3590152874bfa3b1604",
            backup_id=volume(77),
            errored_backup_id="no uuid at all",
            progress=61,
        )
        journal.record(moved(end, JobState.FAILED))
        assert await journal.jobs_in([JobState.FAILED]) == [replace(end, state=JobState.FAILED)]
        assert [job.no for job in await journal.jobs_in([JobState.WAITING])] == [2]


async def test_several_moves_of_one_job_are_applied_in_order(each_store: StoreFixture) -> None:
    one_run(each_store, a_job(1))
    async with each_store.journal(A) as journal:
        job = (await journal.claim(NOW, 1, cloud_now=NOW))[0]
        for step, state in enumerate(
            (JobState.UNKNOWN, JobState.RUNNING, JobState.WAITING), start=1
        ):
            move = moved(job, state, attempt=an_attempt(step))
            journal.record(move)
            job = move.job
        journal.touch(replace(job, due_at=NOW + 60))
        await journal.flush()
        assert await journal.next_due() == NOW + 60
    assert [attempt.number for attempt in each_store.attempts(A, 1)] == [1, 2, 3]


async def test_an_attempt_keeps_what_came_back(each_store: StoreFixture) -> None:
    one_run(each_store, a_job(1))
    refusal = an_attempt(
        1,
        verdict=Verdict.THROTTLE,
        took=None,
        answer=Answer(
            status=429,
            code="APIG.0308",
            message="too fast",
            request_id="req-6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ),
    )
    async with each_store.journal(A) as journal:
        job = (await journal.claim(NOW, 1, cloud_now=NOW))[0]
        journal.record(moved(job, JobState.WAITING, attempt=refusal))
    assert each_store.attempts(A, 1) == [refusal]


async def test_an_attempt_stays_as_it_was_first_recorded(each_store: StoreFixture) -> None:
    one_run(each_store, a_job(1))
    async with each_store.journal(A) as journal:
        job = (await journal.claim(NOW, 1, cloud_now=NOW))[0]
        journal.record(moved(job, JobState.UNKNOWN, attempt=an_attempt(1, took=1.5)))
        again = replace(job, state=JobState.UNKNOWN)
        journal.record(moved(again, JobState.RUNNING, attempt=an_attempt(1, took=2.5)))
    assert [attempt.took for attempt in each_store.attempts(A, 1)] == [1.5]


async def test_an_illegal_move_is_refused(each_store: StoreFixture) -> None:
    one_run(each_store, a_job(1))
    async with each_store.journal(A) as journal:
        with pytest.raises(IllegalMoveError):
            journal.record(moved(a_job(1), JobState.SUCCEEDED))


async def test_jobs_in_gives_plan_order_and_respects_the_limit(each_store: StoreFixture) -> None:
    one_run(each_store, *(a_job(no) for no in range(600, 0, -1)))
    async with each_store.journal(A) as journal:
        assert [job.no for job in await journal.jobs_in([JobState.WAITING])] == [*range(1, 601)]
        assert len(await journal.jobs_in([JobState.WAITING], limit=300)) == 300
        assert await journal.jobs_in([JobState.WAITING], limit=0) == []
        assert await journal.jobs_in([JobState.RUNNING, JobState.FAILED]) == []


@pytest.mark.parametrize("others", [0, 2 * MANY])
async def test_select_finds_volumes_in_any_spelling_and_by_name(
    each_store: StoreFixture, others: int
) -> None:
    one_run(
        each_store, *(a_job(no) for no in range(1, 5)), a_job(5, volume_id="odd", volume_name="odd")
    )
    wanted = [volume(1).upper(), volume(2).replace("-", ""), "db-003", "odd"]
    wanted += [volume(1000 + no) for no in range(others)]
    async with each_store.journal(A) as journal:
        assert [job.no for job in await journal.select({"volumes": wanted})] == [1, 2, 3, 5]


async def test_select_wants_all_criteria_to_fit(each_store: StoreFixture) -> None:
    one_run(
        each_store,
        a_job(1, state=JobState.FAILED, http_status=400, code="X"),
        a_job(2, state=JobState.FAILED, http_status=400, code="Y"),
        a_job(3, state=JobState.FAILED),
        a_job(4, http_status=400, code="X"),
    )
    async with each_store.journal(A) as journal:

        async def selected(**argument: object) -> list[int]:
            return [job.no for job in await journal.select(argument)]

        assert await selected(status=[400], codes=["X"]) == [1, 4]
        assert await selected(status=[400], codes=["X"], states=["failed"]) == [1]
        assert await selected(status=[0], codes=[""], states=["failed"]) == [3]
        assert await selected(all=True) == [1, 2, 3, 4]
        assert await selected() == []
        assert await selected(states=[], all=True) == []


async def test_a_selection_that_makes_no_sense_is_refused(each_store: StoreFixture) -> None:
    one_run(each_store, a_job(1))
    async with each_store.journal(A) as journal:
        with pytest.raises(UsageError, match="volums"):
            await journal.select({"volums": ["x"]})
        with pytest.raises(ValueError, match="gone"):
            await journal.select({"states": ["gone"]})


async def test_counts_tell_each_state(each_store: StoreFixture) -> None:
    one_run(each_store, a_job(1), a_job(2), a_job(3, state=JobState.SKIPPED))
    async with each_store.journal(A) as journal:
        await journal.claim(NOW, 1, cloud_now=NOW)
        assert await journal.counts() == {
            JobState.WAITING: 1,
            JobState.SUBMITTING: 1,
            JobState.SKIPPED: 1,
        }


async def test_commands_are_given_once_and_answered_once_acknowledged(
    each_store: StoreFixture,
) -> None:
    one_run(each_store, a_job(1))
    each_store.create_run(a_run(B), [])
    first = each_store.ask(A, "pause", {}, "ann@pts/3")
    second = each_store.ask(A, "rate", {"count": 5, "per": 1}, "ann@pts/3")
    each_store.ask(B, "stop", {}, "bob")
    async with each_store.journal(A) as journal:
        commands = await journal.commands(NOW)
        assert [(c.id, c.verb, dict(c.argument)) for c in commands] == [
            (first, "pause", {}),
            (second, "rate", {"count": 5, "per": 1}),
        ]
        assert commands[0].asked_by == "ann@pts/3"
        assert each_store.command_result(first) is None
        journal.acknowledge(commands[0], NOW, "paused")
        assert await journal.commands(NOW) == [], "what was taken is not told again"
    assert each_store.command_result(first) == "paused"


async def test_the_heartbeat_records_the_calls_and_keeps_the_operators_rate(
    each_store: StoreFixture,
) -> None:
    each_store.create_run(a_run(A, rate=Rate(count=3.5, per=60)), [])
    async with each_store.journal(A) as journal:
        await journal.heartbeat(
            NOW + 7,
            clock_step=-3600.0,
            adopted=4,
            rate=Rate(count=1),
            create_calls=12,
            read_calls=3,
            next_look_at=NOW + 9,
            ends_at=None,
            rate_used=0.5,
            circuit_open=False,
        )
    run = each_store.run(A)
    assert (run.heartbeat_at, run.create_calls, run.read_calls) == (NOW + 7, 12, 3)
    assert (run.clock_step, run.adopted) == (-3600.0, 4)
    assert run.rate == Rate(count=3.5, per=60)


async def test_a_new_deadline_is_durable_at_once(each_store: StoreFixture) -> None:
    each_store.create_run(a_run(A, deadline_at=NOW + 5), [])
    async with each_store.journal(A) as journal:
        await journal.deadline(NOW + 9)
        assert each_store.run(A).deadline_at == NOW + 9


async def test_the_state_of_a_run_names_its_engine_while_there_is_one(
    each_store: StoreFixture,
) -> None:
    each_store.create_run(a_run(A), [])
    async with each_store.journal(A) as journal:
        await journal.run_state(RunState.RUNNING, NOW + 1)
        await journal.run_state(RunState.PAUSED, NOW + 2)
        run = each_store.run(A)
        assert (run.state, run.started_at, run.ended_at) == (RunState.PAUSED, NOW + 1, None)
        assert run.pid is not None
        assert run.host
        await journal.run_state(RunState.STOPPED, NOW + 3, "quota")
        run = each_store.run(A)
        assert (run.reason, run.pid, run.host, run.ended_at) == ("quota", None, None, None)
        await journal.run_state(RunState.ENDED, NOW + 4)
        run = each_store.run(A)
        assert (run.state, run.reason, run.ended_at) == (RunState.ENDED, None, NOW + 4)
        assert run.started_at == NOW + 1


async def test_a_killed_engine_leaves_its_claims_behind_and_what_was_flushed(
    each_store: StoreFixture,
) -> None:
    one_run(each_store, a_job(1), a_job(2), a_job(3))
    async with each_store.journal(A) as journal:
        first, second, _ = await journal.claim(NOW, 3, cloud_now=NOW)
        journal.record(moved(first, JobState.RUNNING))
        await journal.flush()
        journal.record(RunNoted(at=Wall(NOW), kind="run", text="may be lost"))
        journal.crash()
        with pytest.raises(StoreFailed):
            journal.record(moved(second, JobState.RUNNING))
    async with each_store.journal(A) as journal:
        assert await journal.counts() == {JobState.RUNNING: 1, JobState.SUBMITTING: 2}


async def test_after_closing_everything_is_written(each_store: StoreFixture) -> None:
    one_run(each_store, *(a_job(no) for no in range(1, 301)))
    async with each_store.journal(A) as journal:
        for job in await journal.claim(NOW, 300, cloud_now=NOW):
            journal.record(moved(job, JobState.RUNNING, attempt=an_attempt()))
    assert {job.state for job in each_store.jobs(A)} == {JobState.RUNNING}


async def test_failed_waits_as_long_as_no_write_fails(each_store: StoreFixture) -> None:
    one_run(each_store, a_job(1))
    async with each_store.journal(A) as journal:
        with anyio.move_on_after(0) as scope:
            await journal.failed()
        assert scope.cancelled_caught
        await journal.flush()
