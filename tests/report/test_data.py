from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.model import (
    BackupSettings,
    Job,
    JobState,
    Operation,
    Rate,
    RunState,
    Settings,
    VerifySummary,
    Wave,
    Window,
)
from vbsbatch.report import data as figures
from vbsbatch.report import documents, sections
from vbsbatch.report.data import CodeCount

from .samples import T0, any_text, failed, job, one_of_each, report, run
from .schema_check import problems

counts = st.dictionaries(st.sampled_from(list(JobState)), st.integers(0, 10**6))


@given(counts)
def test_a_hundred_percent_is_said_of_a_complete_run_only(counts: dict[JobState, int]) -> None:
    total, ended = sum(counts.values()), figures.ended(counts)
    percent = figures.percent(counts)
    assert 0 <= percent <= 100
    assert (percent == 100) == (total > 0 and ended == total)


def test_percent_is_that_of_the_ended_jobs() -> None:
    counts = {JobState.SUCCEEDED: 5420, JobState.FAILED: 788, JobState.CANCELLED: 20}
    assert figures.percent({**counts, JobState.WAITING: 3772}) == 62.3
    assert figures.percent({JobState.FAILED: 9999, JobState.WAITING: 1}) == 99.9


def test_the_totals_by_state_add_up_to_all_jobs() -> None:
    data = report(one_of_each())
    assert sum(count for _, count in sections.totals(data)) == data.total == 9
    assert dict(sections.totals(data))["~ retry"] == 1


def test_the_jobs_that_are_not_listed_are_not_even_read() -> None:
    asked: list[set[JobState]] = []

    def none(states: Iterable[JobState] = ()) -> Iterator[Job]:
        asked.append(set(states))
        return iter(())

    data = replace(report(one_of_each()), jobs=none)
    sections.listed(data, all_jobs=False)
    sections.listed(data, all_jobs=True)
    assert asked == [{JobState.FAILED, JobState.SKIPPED}, set()]


def test_calls_per_completed_backup_count_creates_and_reads() -> None:
    assert figures.calls_per_succeeded(run(), {JobState.SUCCEEDED: 10}) == 1.2
    assert figures.calls_per_succeeded(run(), {JobState.FAILED: 10}) is None
    assert "1.20 per completed backup" in sections.calls(run(), {JobState.SUCCEEDED: 10})


@pytest.mark.parametrize(
    ("state", "changes", "live", "seconds"),
    [
        (RunState.ENDED, {}, False, 4212),
        (RunState.RUNNING, {"ended_at": None, "heartbeat_at": T0 + 50}, True, 5000),
        (RunState.RUNNING, {"ended_at": None, "heartbeat_at": T0 + 50}, False, 50),
        (RunState.STOPPED, {"ended_at": None, "heartbeat_at": T0 + 70}, False, 70),
        (RunState.STOPPED, {"ended_at": None}, False, 5000),
        (RunState.RUNNING, {"started_at": None, "ended_at": None}, True, None),
    ],
)
def test_a_run_lasts_until_its_end_or_its_last_sign_of_life(
    state: RunState, changes: dict[str, float | None], live: bool, seconds: float | None
) -> None:
    data = report(run=run(state=state, **changes), live=live)
    assert figures.duration(data) == (None if seconds is None else pytest.approx(seconds))


def test_commands_name_a_store_that_is_not_the_usual_one() -> None:
    stopped = report(run=run(state=RunState.STOPPED), db_option=" --db '/a b/c.db'")
    (command,) = figures.next_commands(stopped)
    assert command == f"vbsbatch resume {stopped.run.id} --db '/a b/c.db'"


def test_failures_come_most_frequent_first_with_their_meaning() -> None:
    rows: list[CodeCount] = [(400, "VolumeBackup.0040", 3), (503, None, 7), (None, None, 1)]
    assert [(f.count, f.meaning) for f in figures.failures(report(failures=rows))] == [
        (7, "the service is in trouble"),
        (3, "the disk has reached the limit of 20 backups"),
        (1, "no answer"),
    ]


def test_codes_that_no_table_knows_are_listed_even_when_the_job_succeeded_later() -> None:
    data = report(
        failures=[(400, "VolumeBackup.9999", 2), (400, "VolumeBackup.0040", 3), (418, None, 1)],
        answers=[(400, "VolumeBackup.9999", 9), (500, "X.1", 4), (200, None, 50), (503, None, 2)],
    )
    strange = [(f.http_status, f.code, f.count) for f in figures.unknown_codes(data)]
    assert strange == [(400, "VolumeBackup.9999", 9), (500, "X.1", 4), (418, None, 1)]


def test_the_next_step_of_a_run_with_failures_is_to_retry_them_by_code() -> None:
    rows: list[CodeCount] = [(None, None, 9), (400, "VolumeBackup.0040", 3), (503, None, 7)]
    assert figures.next_commands(report(failures=rows)) == [
        "vbsbatch retry 20261123-0715-k3f9 --status 503",
        "vbsbatch retry 20261123-0715-k3f9 --code VolumeBackup.0040",
        "vbsbatch retry 20261123-0715-k3f9 --all-failed",
    ]


@pytest.mark.parametrize(
    ("state", "live", "command"),
    [
        (RunState.ENDED, False, ["vbsbatch verify 20261123-0715-k3f9"]),
        (RunState.STOPPED, False, ["vbsbatch resume 20261123-0715-k3f9"]),
        (RunState.RUNNING, False, ["vbsbatch resume 20261123-0715-k3f9"]),
        (RunState.PAUSED, True, ["vbsbatch unpause 20261123-0715-k3f9"]),
        (RunState.RUNNING, True, []),
    ],
)
def test_the_next_step_depends_on_the_state_of_the_run(
    state: RunState, live: bool, command: list[str]
) -> None:
    assert figures.next_commands(report(run=run(state=state), live=live)) == command


@given(any_text)
def test_no_untrusted_code_reaches_a_shell(code: str) -> None:
    [command] = figures.next_commands(report(failures=[(500, code, 1)]))
    option = command.removeprefix("vbsbatch retry 20261123-0715-k3f9 ")
    assert option == "--status 500" or option == f"--code {code}"
    assert not set(command) & set("\n\r\t$`;|&<>()'\"\\*?[]{}!#~")


@pytest.mark.parametrize(
    ("state", "live", "jobs", "word"),
    [
        (RunState.ENDED, False, [], "DONE"),
        (RunState.ENDED, False, [failed()], "PART"),
        (RunState.STOPPED, False, [], "STOP"),
        (RunState.RUNNING, True, [], "LIVE"),
        (RunState.PAUSED, True, [], "PAUSED"),
        (RunState.PAUSED, False, [], "STALE"),
        (RunState.RUNNING, False, [], "STALE"),
    ],
)
def test_a_run_has_its_standing_in_one_word(
    state: RunState, live: bool, jobs: list[object], word: str
) -> None:
    data = report(jobs, run=run(state=state), live=live)  # type: ignore[arg-type]
    assert figures.standing(data) == word


def test_every_state_has_a_glyph_and_a_word_of_its_own() -> None:
    marks = [figures.mark(each) for each in one_of_each()]
    assert len(set(marks)) == len(marks)
    assert all(mark.isascii() and mark[1] == " " and mark[2:] for mark in marks)


def test_only_running_jobs_have_a_percentage() -> None:
    running = job(state=JobState.RUNNING, progress=30)
    assert documents.job_document(running)["progress"] == 30
    assert problems(documents.job_document(running), "job") == []
    assert documents.job_document(failed(progress=30))["progress"] is None


def test_a_temporary_run_has_no_next_commands() -> None:
    assert figures.next_commands(report())
    assert figures.next_commands(report(temporary=True)) == []


def test_only_waiting_jobs_have_a_due_time() -> None:
    assert documents.job_document(job(due_at=T0))["due_at"] == "2026-11-23T07:27:39.120Z"
    assert documents.job_document(job(due_at=0.0))["due_at"] is None
    assert documents.job_document(failed(due_at=T0))["due_at"] is None


def test_the_facts_leave_out_missing_values() -> None:
    full = dict(sections.facts(report(run=run(reason="quota"))))
    bare = dict(sections.facts(report(run=run(cloud=None, started_at=None, ended_at=None))))
    assert full["reason"] == "quota"
    assert full["took"] == "1h10m"
    assert not {"cloud", "reason", "started", "ended", "took"} & bare.keys()


WAVED = Settings(
    waves=(Wave(name="canary"), Wave(name="rest")),
    window=Window(opens=1320, closes=360, timezone="Europe/Berlin"),
)


def test_the_facts_show_each_wave_and_the_window() -> None:
    counts = {0: {JobState.SUCCEEDED: 3, JobState.FAILED: 2}, 1: {JobState.WAITING: 295}}
    facts = dict(sections.facts(report(run=run(settings=WAVED), waves=counts)))
    assert facts["waves"] == "canary 5/5 (2 failed), rest 0/295 waits"
    first, second = documents.wave_documents(report(run=run(settings=WAVED), waves=counts))
    assert (first["failed"], first["max_failures"], first["open"]) == (2, 0, True)
    assert (second["jobs"], second["ended"], second["open"]) == (295, 0, False)
    assert problems(first, "wave") == problems(second, "wave") == []
    assert facts["window"] == "22:00-06:00 Europe/Berlin"
    assert dict(sections.facts(report(run=run(settings=WAVED, wave=1), waves=counts)))[
        "waves"
    ].endswith("rest 0/295")
    given_up = {1: {JobState.CANCELLED: 295}}
    assert dict(sections.facts(report(run=run(settings=WAVED), waves=counts | given_up)))[
        "waves"
    ].endswith("rest 295/295"), "what has ended waits for nothing"
    assert not {"waves", "window"} & dict(sections.facts(report())).keys()


def test_the_next_commands_at_a_closed_gate_are_retry_and_unpause() -> None:
    held = run(state=RunState.PAUSED, settings=WAVED, reason="wave canary ended with 2 failed")
    data = report([failed(1), failed(2), job(3)], run=held, live=True)
    retry, unpause = figures.next_commands(data)
    assert retry.startswith(f"vbsbatch retry {held.id} --all-failed")
    assert unpause.startswith(f"vbsbatch unpause {held.id}")
    paused = replace(data, run=replace(held, reason=None))
    assert len(figures.next_commands(paused)) == 1


def test_the_reason_of_an_engine_that_is_gone_is_not_shown() -> None:
    """It said `waiting and probing`, and nobody did."""
    down = run(state=RunState.RUNNING, reason="the service seems down; waiting and probing")
    assert "reason" in dict(sections.facts(report(run=down, live=True)))
    assert "reason" not in dict(sections.facts(report(run=down, live=False)))


def test_report_data_is_frozen() -> None:
    data = report()
    with pytest.raises(AttributeError):
        data.attempts = 1  # type: ignore[misc]
    assert {f.name for f in fields(replace(data, attempts=2))} >= {"run", "counts", "jobs"}


def test_the_facts_name_the_service_where_it_is_not_the_usual_one() -> None:
    on_cinder = report(service="Cinder")
    assert dict(sections.facts(on_cinder))["service"] == "Cinder"
    assert "service" not in dict(sections.facts(report()))


@pytest.mark.parametrize(
    ("settings", "attempts", "kind"),
    [
        (BackupSettings(), 1, None),
        (BackupSettings(full=True), 1, "full"),
        (BackupSettings(full=False), 3, "incremental"),
        (BackupSettings(full=False, full_if_no_parent=True), 1, "incremental"),
        (BackupSettings(full=False, full_if_no_parent=True), 2, None),
        (BackupSettings(full=True, source_backup_id="b"), 1, None),
    ],
)
def test_the_kind_of_a_backup_is_what_was_asked_for_if_that_is_certain(
    settings: BackupSettings, attempts: int, kind: str | None
) -> None:
    assert figures.kind(job(settings=settings, attempts=attempts)) == kind


def fact(label: str, **changes: Any) -> str | None:
    return dict(sections.facts(report(one_of_each(), **changes))).get(label)


def test_the_facts_have_the_result_and_time_of_the_last_verify() -> None:
    assert fact("verified") == "not yet"
    found = VerifySummary(differences=(("duplicate", 1), ("missing", 2)), leftovers=3, pruned=4)
    late: Any = {"verified_at": T0 + 5000, "verified": found}
    assert fact("verified", run=run(**late)) == (
        "2026-11-23 08:50:59Z: 3 differences (1 duplicate, 2 missing); backups in error: 3; "
        "backups deleted on purpose: 4"
    )
    early: Any = {"verified_at": T0 + 5, "verified": VerifySummary()}
    assert fact("verified", run=run(**early)) == (
        "2026-11-23 07:27:44Z, before the run ended: no difference between cloud and store"
    )


def test_a_live_run_says_when_it_looks_next_and_when_it_will_end() -> None:
    going: Any = {"state": RunState.RUNNING, "ended_at": None}
    ahead: Any = {"next_look_at": T0 + 5012, "ends_at": T0 + 8600}
    live = run(**going, **ahead)
    assert fact("next look", run=live, live=True) == "in 12 s"
    assert fact("ends", run=live, live=True) == "in about 1 h 0 min, 2026-11-23 09:50:59Z"
    now = run(**going, next_look_at=T0 + 4999)
    assert fact("next look", run=now, live=True) == "now"
    document = documents.run_document(report(run=live, live=True))
    assert document["next_look_at"] == "2026-11-23T08:51:11.120Z"
    for gone in (report(run=live, live=False), report(run=run(**ahead), live=True)):
        assert documents.run_document(gone)["next_look_at"] is None
        assert dict(sections.facts(gone)).keys().isdisjoint({"next look", "ends"})


def test_the_rate_is_an_average_after_the_first_minute_and_the_limit() -> None:
    assert fact("rate", attempts=8424) == "2.0/s on average, at most 5/s"
    assert fact("rate", attempts=2) == "0.028/min on average, at most 5/s"
    short = run(ended_at=T0 + 59, rate=Rate(count=7, per=60))
    assert fact("rate", run=short) == "at most 7/min"


def test_the_words_about_calls_are_those_of_the_operation() -> None:
    for operation, words in (
        (Operation.RESTORE, "12 (9 restores, 3 reads), 12.00 per restored volume"),
        (Operation.PRUNE, "12 (9 deletions, 3 reads), 12.00 per deleted backup"),
    ):
        settings = Settings(operation=operation, source_run="r")
        assert fact("API calls", run=run(settings=settings)) == words
