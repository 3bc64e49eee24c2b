from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from vbsbatch.engine.dispatcher import DOUBTED_FOR
from vbsbatch.engine.sign_in import TOKEN_SPREAD
from vbsbatch.errors import CloudRefused, CloudUnavailable, SignInError
from vbsbatch.model import Answer, Elapsed, JobState, Rate, Rule, RunState, Verdict

from .harness import EngineHarness, settings

DOWN = Answer(status=503, code="VolumeBackup.0900")
UNAUTHORIZED = Answer(status=401)
QUICK = {"rate": Rate(count=50), "in_flight": 200, "connections": 8}


def most_in(times: list[float], window: float) -> int:
    return max(sum(at <= other < at + window for other in times) for at in times)


# Pace -------------------------------------------------------------------------------------------


def test_a_throttled_create_is_sent_again_and_all_slow_down() -> None:
    stage = EngineHarness(30, settings(limits={"rate": Rate(count=10)}, retry={"attempts": 1}))
    stage.cloud.script[3].append(Answer(status=429, retry_after=20.0))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 30
    sent = sorted(stage.sent())
    rest = [at for at in sent if at > 1.0]
    assert rest[0] >= 20.0
    assert most_in(rest[:10], 1.0) <= 5
    assert stage.job(3).attempts == 2
    assert stage.job(3).charged == 1
    assert stage.notes("limiter") == ["10/s->5/s reason=429 retry_after=20s"]


def test_workers_together_never_exceed_the_rate() -> None:
    stage = EngineHarness(200, settings(limits=QUICK))
    stage.cloud.took = 1.0
    stage.drive()
    assert most_in(stage.sent(), 1.0) <= 50


def test_no_more_creates_are_under_way_than_there_are_connections() -> None:
    stage = EngineHarness(40, settings(limits=QUICK | {"connections": 3}))
    stage.cloud.took = 10.0
    stage.drive()
    assert most_in(stage.sent(), 10.0) == 3


def test_a_possible_used_up_quota_slows_down_first_and_stops_the_run_if_it_persists() -> None:
    doubtful = Answer(status=413, retry_after=0.0)
    stage = EngineHarness(10, settings(retry={"attempts": 1}))
    stage.cloud.script[2].extend([doubtful] * 2)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 10
    stage = EngineHarness(10, settings(retry={"attempts": 1}))
    stage.cloud.always = doubtful
    ending = stage.drive()
    assert ending.state is RunState.STOPPED
    assert "too many requests, or a quota that is used up" in str(ending.reason)
    assert DOUBTED_FOR <= stage.clock.passed < 2 * DOUBTED_FOR
    assert ending.counts == {JobState.WAITING: 10}


def test_a_busy_service_gets_the_time_it_names_at_no_cost() -> None:
    stage = EngineHarness(10, settings(retry={"attempts": 1}))
    stage.cloud.script[2].append(Answer(status=503, retry_after=20.0))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 10
    assert stage.notes("limiter")[0].endswith("reason=503 retry_after=20s")


def test_a_blocked_way_is_waited_out_at_no_cost() -> None:
    blocked = Answer(status=404, json=False, passing=True)
    stage = EngineHarness(10, settings(retry={"attempts": 1}))
    stage.cloud.always = lambda job: (
        blocked if 1.0 < stage.clock.passed < 30.0 else stage.cloud.accept(job)
    )
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 10
    assert "the way to the service is blocked" in stage.notes("breaker")[0]
    assert len([at for at in stage.sent() if 2.0 < at < 30.0]) < 8, "probes, no more"


# Pause ------------------------------------------------------------------------------------------


def test_a_pause_sends_nothing_and_follows_running_jobs() -> None:
    stage = EngineHarness(20, settings(limits={"rate": Rate(count=1)}))

    async def meanwhile() -> None:
        await anyio.sleep(5.0)
        said = await stage.ask("pause")
        assert said.startswith("paused")
        assert stage.store.run("run-1").state is RunState.PAUSED
        assert stage.engine.paused
        at, before = stage.clock.passed, len(stage.sent())
        await anyio.sleep(600.0)
        assert len(stage.sent()) == before
        assert stage.states().count(JobState.SUCCEEDED) == before
        assert stage.states().count(JobState.WAITING) == 20 - before
        assert await stage.ask("unpause") == "continuing"
        assert stage.store.run("run-1").state is RunState.RUNNING
        await anyio.sleep(3.0)
        assert len(stage.sent()) > before
        assert most_in([sent for sent in stage.sent() if sent > at], 1.0) == 1

    stage.drive(meanwhile)
    assert stage.states() == [JobState.SUCCEEDED] * 20


# Outages ----------------------------------------------------------------------------------------


def during(stage: EngineHarness, end: float, down: Answer) -> None:
    """Until `end` every create meets `down`."""
    stage.cloud.always = lambda job: down if stage.clock.passed < end else stage.cloud.accept(job)


@pytest.mark.parametrize("attempts", [1, 6])
def test_an_outage_pauses_probes_and_costs_no_job_and_no_attempt(attempts: int) -> None:
    stage = EngineHarness(40, settings(limits=QUICK, retry={"attempts": attempts}))
    during(stage, 7200.0, DOWN)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 40
    assert max(job.charged for job in stage.jobs()) == 1
    probes = [at for at in stage.sent() if 30.0 < at < 7200.0]
    assert len(probes) <= 7200 / 60 + 10
    assert most_in(probes, 4.9) == 1
    assert max(stage.sent()) < 7200.0 + 400.0
    assert stage.notes("breaker")[0].startswith("the service seems down")
    assert stage.notes("breaker")[-1].startswith("the service answers again")


def test_an_outage_is_the_reason_of_the_run_while_it_lasts() -> None:
    stage = EngineHarness(20, settings(limits=QUICK))
    during(stage, 600.0, DOWN)
    reasons: list[str | None] = []

    async def watch() -> None:
        while True:
            await anyio.sleep(100.0)
            reasons.append(stage.store.run("run-1").reason)

    stage.drive(watch)
    assert len(reasons) > 4
    assert all((reason or "").startswith("the service seems down (") for reason in reasons[:5])
    assert set(reasons[7:]) <= {None}
    assert stage.store.run("run-1").reason is None


def test_no_create_is_sent_while_reads_fail_too() -> None:
    stage = EngineHarness(20, settings(limits=QUICK))
    during(stage, 3600.0, DOWN)
    stage.cloud.failing = lambda kind, what: (
        CloudUnavailable("503") if stage.clock.passed < 3600.0 and kind != "ready" else None
    )
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 20
    assert not [at for at in stage.sent() if 10.0 < at < 3600.0]


def test_an_outage_that_a_rule_calls_retry_costs_no_job_either() -> None:
    rule = Rule(status=503, verdict=Verdict.RETRY)
    stage = EngineHarness(40, settings(limits=QUICK, retry={"rules": (rule,), "attempts": 6}))
    during(stage, 7200.0, DOWN)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 40


def test_one_volume_that_always_fails_is_no_outage() -> None:
    stage = EngineHarness(30)
    stage.cloud.script[1].extend([DOWN] * 50)
    stage.drive()
    assert stage.states() == [JobState.FAILED] + [JobState.SUCCEEDED] * 29
    assert stage.job(1).charged == 6
    assert (stage.job(1).http_status, stage.job(1).code) == (503, "VolumeBackup.0900")


# Tokens -----------------------------------------------------------------------------------------


def test_a_refused_token_is_renewed_and_the_create_repeated_at_no_cost() -> None:
    stage = EngineHarness(5, settings(retry={"attempts": 1}))
    stage.cloud.script[2].append(UNAUTHORIZED)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 5
    assert len(stage.cloud.renewals) == 1
    assert stage.notes("session") == ["the token was refused; signed in again"]


def test_while_a_refused_token_is_renewed_nothing_is_sent_with_it() -> None:
    """A regression: it was refused again and again for one job, and the run stopped as if the fresh
    token were bad."""
    stage = EngineHarness(40, settings(limits={"rate": Rate(count=10), "connections": 8}))
    cloud, renewed = stage.cloud, False

    async def slowly(used_since: Elapsed) -> None:
        nonlocal renewed
        await anyio.sleep(20.0)
        renewed = True

    cloud.renew_token = slowly  # type: ignore[method-assign]
    cloud.always = lambda job: (
        cloud.accept(job) if renewed or len(cloud.creates) <= 10 else UNAUTHORIZED
    )
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 40
    assert len(cloud.creates) <= 40 + 2, "at most those under way when the first was refused"


def test_a_fresh_token_that_is_refused_for_some_seconds_stops_the_run() -> None:
    stage = EngineHarness(5)
    stage.cloud.always = UNAUTHORIZED
    ending = stage.drive()
    assert TOKEN_SPREAD <= stage.clock.passed < 3 * TOKEN_SPREAD
    assert ending.state is RunState.STOPPED
    assert "a fresh token was refused too" in str(ending.reason)
    assert ending.counts == {JobState.WAITING: 5}
    assert len(stage.cloud.renewals) <= 8
    assert len(stage.sent()) <= 8 + stage.store.run("run-1").settings.limits.connections


def test_a_fresh_token_that_some_nodes_do_not_know_yet_is_no_reason_to_stop() -> None:
    """One node in three refuses tokens it does not know; the others accept them."""
    stage = EngineHarness(20)
    refused = iter((number % 15 in (9, 10) or number % 7 == 0) for number in range(9, 1000))
    stage.cloud.always = lambda job: UNAUTHORIZED if next(refused) else stage.cloud.accept(job)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 20


def test_the_refused_create_goes_first_with_the_fresh_token() -> None:
    """Otherwise each job claimed ahead of it costs a sign-in of its own."""
    stage = EngineHarness(40, settings(limits={"rate": Rate(count=50), "connections": 16}))
    stage.cloud.took = 0.001
    stage.cloud.always = UNAUTHORIZED
    assert stage.drive().state is RunState.STOPPED
    assert len(stage.cloud.renewals) <= 5
    assert len(stage.sent()) <= 6
    assert len(stage.sent(1)) >= 5, "until it steps back"


def test_a_volume_whose_token_is_always_refused_stops_the_run() -> None:
    stage = EngineHarness(30)
    stage.cloud.script[3].extend([UNAUTHORIZED] * 50)
    ending = stage.drive()
    assert ending.state is RunState.STOPPED
    assert len(stage.sent(3)) <= 8


def test_an_identity_service_that_is_down_pauses_the_run() -> None:
    stage = EngineHarness(10, settings(retry={"attempts": 1}))
    stage.cloud.script[2].append(UNAUTHORIZED)
    stage.cloud.failing = lambda kind, what: (
        CloudUnavailable("identity says 503")
        if stage.clock.passed < 900.0 and len(stage.sent()) >= 2
        else None
    )
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 10
    assert not [at for at in stage.sent() if 5.0 < at < 900.0]
    assert "cannot sign in now" in stage.notes("breaker")[0]


def test_an_identity_outage_is_reported_once_though_every_worker_meets_it() -> None:
    stage = EngineHarness(20, settings(limits={"rate": Rate(count=50), "connections": 8}))
    stage.cloud.took = 1.0
    stage.cloud.always = lambda job: (
        stage.cloud.accept(job) if stage.clock.passed > 60.0 else UNAUTHORIZED
    )
    stage.cloud.failing = lambda kind, what: (
        CloudUnavailable("identity says 503")
        if kind == "renew" and stage.clock.passed < 60.0
        else None
    )
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 20
    told = [note for note in stage.notes("breaker") if "cannot sign in now" in note]
    assert len(told) == 1


def test_an_identity_service_that_is_down_at_the_start_is_waited_for() -> None:
    stage = EngineHarness(3)
    stage.cloud.failing = lambda kind, what: (
        CloudUnavailable("identity says 503") if stage.clock.passed < 900.0 else None
    )
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 3
    assert min(stage.sent()) >= 900.0


@pytest.mark.parametrize("kind", ["ready", "renew"])
def test_credentials_that_are_refused_stop_the_run(kind: str) -> None:
    stage = EngineHarness(3)
    stage.cloud.always = UNAUTHORIZED
    stage.cloud.failing = lambda asked, what: SignInError("no") if asked == kind else None
    ending = stage.drive()
    assert (ending.state, ending.counts) == (RunState.STOPPED, {JobState.WAITING: 3})
    assert "cannot sign in" in str(ending.reason)


def test_a_list_that_is_refused_during_an_outage_stops_the_run() -> None:
    stage = EngineHarness(20, settings(limits=QUICK))
    during(stage, 3600.0, DOWN)
    stage.cloud.failing = lambda kind, what: CloudRefused("403: no") if kind == "backups" else None
    assert "cannot read the backups" in str(stage.drive().reason)


# Stops ------------------------------------------------------------------------------------------


def test_a_used_up_quota_stops_the_run_and_costs_no_attempt() -> None:
    stage = EngineHarness(50, settings(limits=QUICK, retry={"attempts": 1}))
    stage.cloud.always = lambda job: (
        stage.cloud.accept(job)
        if len(stage.cloud.made) < 10
        else Answer(status=400, code="VolumeBackup.0080")
    )
    ending = stage.drive()
    assert ending.state is RunState.STOPPED
    assert ending.reason == "VolumeBackup.0080: backup count quota used up"
    assert ending.counts == {JobState.RUNNING: 10, JobState.WAITING: 40}
    assert len(stage.sent()) <= 10 + 2 * QUICK["connections"]  # type: ignore[operator]
    assert sum(job.charged for job in stage.jobs()) == 10
    stage.cloud.always = None
    assert stage.drive().counts == {JobState.SUCCEEDED: 50}


def test_a_sign_in_page_instead_of_the_service_stops_the_run() -> None:
    stage = EngineHarness(5)
    stage.cloud.always = Answer(status=302, json=False)
    ending = stage.drive()
    assert "HTTP 302: redirected" in str(ending.reason)
    assert ending.counts == {JobState.WAITING: 5}


# Creates without an answer ----------------------------------------------------------------------


def test_an_unanswered_create_that_arrived_is_found_and_never_sent_again() -> None:
    stage = EngineHarness(6)
    for no in (2, 4):
        stage.cloud.script[no].append(stage.cloud.lose)
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED] * 6
    assert len(stage.sent()) == len(stage.cloud.made) == 6
    assert stage.path(2) == ["unknown", "running", "succeeded"]


def test_a_lost_create_is_sent_again_only_after_the_settle_time() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].append(Answer())
    stage.drive()
    first, second = stage.sent()
    assert second - first >= 10.0
    assert stage.job().attempts == 2


def test_a_conflict_on_the_repeat_means_ours_may_be_running() -> None:
    stage = EngineHarness(1, settings(retry={"settle": 5.0}))
    # The first create arrived, and stays hidden a little longer than the settle time.
    hidden_until = stage.clock.now() + 9.0
    stage.cloud.script[1].append(lambda job: stage.cloud.lose(job, visible_at=hidden_until))
    stage.cloud.script[1].append(Answer(status=400, code="VolumeBackup.0013"))
    stage.drive()
    assert stage.states() == [JobState.SUCCEEDED]
    assert len(stage.cloud.made) == 1
    assert len(stage.sent()) == 2
    assert stage.path() == ["unknown", "waiting", "unknown", "running", "succeeded"]


def test_attempts_are_recorded_with_their_verdicts() -> None:
    stage = EngineHarness(1)
    stage.cloud.script[1].extend(
        [Answer(status=400, code="VolumeBackup.0017"), Answer(status=429), Answer()]
    )
    stage.drive()
    attempts = stage.store.attempts("run-1", 1)
    assert [a.verdict for a in attempts] == ["retry", "throttle", "unknown", "accepted"]
    assert [a.number for a in attempts] == [1, 2, 3, 4]
    assert all(a.took == pytest.approx(0.1, abs=0.01) for a in attempts)
    assert stage.job().charged == 3


def test_a_permanent_refusal_fails_only_its_job() -> None:
    stage = EngineHarness(4)
    refused = Answer(status=400, code="VolumeBackup.0040")
    stage.cloud.script[2].append(refused)
    stage.cloud.script[3].append(replace(refused, code=None, status=404))
    stage.drive()
    assert stage.states() == [
        JobState.SUCCEEDED, JobState.FAILED, JobState.FAILED, JobState.SUCCEEDED,
    ]  # fmt: skip
    assert stage.job(2).message == "the disk has reached the limit of 20 backups"
    assert (stage.job(3).message, stage.job(3).http_status) == ("the disk does not exist", 404)
