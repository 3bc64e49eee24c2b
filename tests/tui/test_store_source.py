"""The source of the screens, on a real store with a real journal."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.store.fixtures import NOW, a_job, a_run, an_attempt, moved, volume
from vbsbatch.errors import StoreError, UsageError
from vbsbatch.model import (
    Answer,
    BackupSettings,
    Cloud,
    Elapsed,
    Job,
    JobState,
    Limits,
    Rate,
    RunNoted,
    RunState,
    Settings,
    Verdict,
    Wall,
)
from vbsbatch.policy import documented
from vbsbatch.store.sqlite.journal import SqliteJournal
from vbsbatch.store.sqlite.store import SqliteStore
from vbsbatch.tui.filter_syntax import parse
from vbsbatch.tui.store_source import NOT_TAKEN, StoreSource
from vbsbatch.tui.view_models import Sent, Sort, SortKey, Source, View

RUN, LATER = "20261118-1200-aaaa", "20261118-1300-bbbb"
FAILED = View(terms=parse("state:fail"))
BY_STATE = View(sorts=(Sort(SortKey.STATE, True),))
BACKWARDS = View(sorts=(Sort(SortKey.NUMBER, True),))


@dataclass
class Time:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Desk:
    """A source, with what it was given."""

    store: SqliteStore
    source: StoreSource
    wall: Time
    ticks: Time
    started: list[str]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    wall, ticks = Time(), Time(0.0)
    started: list[str] = []
    with SqliteStore.open(
        tmp_path / "vbsbatch.db", create=True, clock=lambda: Wall(wall())
    ) as store:
        source = StoreSource(
            store,
            read_only=False,
            meaning=documented,
            request=lambda run, job: Sent(line=f"POST {run.id} {job.no}"),
            starter=started.append,
            asked_by="op@pts/3",
            clock=wall,
            monotonic=ticks,
        )
        yield Desk(store, source, wall, ticks, started)
        source.close()


def create(desk: Desk, jobs: int | Sequence[Job], run_id: str = RUN, **fields: object) -> None:
    made = [a_job(no) for no in range(1, jobs + 1)] if isinstance(jobs, int) else jobs
    desk.store.create_run(a_run(run_id, **fields), made, BackupSettings())


def answered(job: Job, at: float, *, to: JobState, status: int, code: str | None) -> object:
    verdict = Verdict.ACCEPTED if status == 200 else Verdict.FAIL
    answer = Answer(status=status, code=code, message="said so" if code else None)
    attempt = an_attempt(job.attempts, sent_at=at, verdict=verdict, answer=answer)
    ended = {"ended_at": at} if to is JobState.FAILED else {}
    return moved(
        job, to, at, attempt=attempt, http_status=status, code=code, first_sent_at=at, **ended
    )


async def work(journal: SqliteJournal, count: int, *, at: float = NOW, fail: int = 0) -> None:
    """Claim and answer `count` jobs, a second each; the first `fail` of them for good."""
    for step in range(count):
        [job] = await journal.claim(Elapsed(at + step), 1, cloud_now=Cloud(at + step))
        to, status, code = JobState.RUNNING, 200, None
        if step < fail:
            to, status, code = JobState.FAILED, 400, "VolumeBackup.0040"
        journal.record(answered(job, at + step, to=to, status=status, code=code))  # type: ignore[arg-type]
    await journal.flush()


async def finish(desk: Desk, journal: SqliteJournal, *, at: float, every: float = 1.0) -> None:
    for step, job in enumerate(desk.store.jobs(RUN, states=[JobState.RUNNING])):
        then = at + step * every
        journal.record(moved(job, JobState.SUCCEEDED, then, ended_at=then, backup_id=volume(9)))
    await journal.flush()


def test_it_is_a_source(desk: Desk) -> None:
    source: Source = desk.source
    assert source.read_only is False


def test_a_change_is_noticed_once_whoever_made_it(desk: Desk) -> None:
    create(desk, 2)
    assert desk.source.changed()
    assert not desk.source.changed()
    desk.store.cancel(RUN, {"all": True})
    assert desk.source.changed()
    assert not desk.source.changed()


async def beat(journal: SqliteJournal, *, at: float, ends_at: float) -> None:
    await journal.heartbeat(
        Wall(at),
        clock_step=0.0,
        adopted=0,
        rate=Rate(count=3),
        create_calls=40,
        read_calls=2,
        next_look_at=None,
        ends_at=Wall(ends_at),
        rate_used=0.5,
        circuit_open=False,
    )


@pytest.mark.anyio
async def test_the_header_shows_counts_failures_and_pace(desk: Desk) -> None:
    limits = Settings(limits=Limits(rate=Rate(count=7)))
    create(desk, 100, settings=limits, started_at=NOW)
    async with desk.store.journal(RUN) as journal:
        with desk.store.lock(RUN):
            assert desk.source.overview(RUN).rate_now == 0.0
            await work(journal, 40, fail=4)
            await finish(desk, journal, at=NOW + 40)
            await beat(journal, at=NOW + 75, ends_at=NOW + 176)
            desk.wall.now = NOW + 76
            seen = desk.source.overview(RUN)
    gone = desk.source.overview(RUN)
    assert (gone.rate_now, gone.eta) == (0.0, None), "nobody sends any more"
    assert seen.counts == desk.store.counts(RUN)
    assert (seen.total, seen.retrying) == (100, 0)
    assert seen.failures == [(400, "VolumeBackup.0040", 4)]
    assert seen.holder is not None
    assert seen.holder.pid == os.getpid()
    assert seen.rate_limit == Rate(count=3)
    assert 0.2 < seen.rate_now < 1
    assert seen.eta == 100.0, "what the engine told"


@pytest.mark.anyio
async def test_a_screen_that_attaches_late_knows_the_pace_at_once(desk: Desk) -> None:
    create(desk, 100, started_at=NOW)
    async with desk.store.journal(RUN) as journal:
        with desk.store.lock(RUN):
            desk.source.overview(RUN)
            await work(journal, 40)
            await finish(desk, journal, at=NOW + 40)
            desk.wall.now = NOW + 80
            early = desk.source.overview(RUN)
            late = StoreSource(
                desk.store,
                read_only=True,
                meaning=documented,
                request=lambda run, job: Sent(line=""),
                starter=desk.started.append,
                asked_by="x",
                clock=desk.wall,
            )
            assert late.overview(RUN) == early
            assert late.panes(RUN) == desk.source.panes(RUN)
            late.close()


@pytest.mark.anyio
async def test_a_paused_run_and_one_without_an_engine_have_no_estimate(
    desk: Desk,
) -> None:
    create(desk, 100, started_at=NOW)
    desk.wall.now = NOW + 80
    async with desk.store.journal(RUN) as journal:
        await work(journal, 40)
        await finish(desk, journal, at=NOW + 40)
        alone = desk.source.overview(RUN)
        assert (alone.holder, alone.eta) == (None, None)
        assert alone.rate_limit == Rate(count=5)
        with desk.store.lock(RUN):
            await beat(journal, at=NOW + 79, ends_at=NOW + 180)
            assert desk.source.overview(RUN).eta == 100.0
            await journal.run_state(RunState.PAUSED, Wall(NOW + 80))
            assert desk.source.overview(RUN).eta is None


@pytest.mark.anyio
async def test_pages_rows_and_sizes_of_a_view_agree(desk: Desk) -> None:
    create(desk, 30)
    async with desk.store.journal(RUN) as journal:
        await work(journal, 12, fail=5)
    source = desk.source
    assert (source.size(RUN, View()), source.size(RUN, FAILED)) == (30, 5)
    for view in (View(), FAILED, BY_STATE, BACKWARDS):
        numbers = source.numbers(RUN, view, 0, None)
        assert [job.no for job in source.page(RUN, view, 0, 99)] == numbers
        assert [job.no for job in source.page(RUN, view, 2, 2)] == numbers[2:4]
        assert [source.row_of(RUN, view, no) for no in numbers] == list(range(len(numbers)))
    assert source.row_of(RUN, FAILED, 30) is None
    assert source.page(RUN, FAILED, 99, 5) == []
    assert source.page(RUN, FAILED, -3, 1) == source.page(RUN, FAILED, 0, 1)


@pytest.mark.anyio
async def test_an_order_is_made_again_when_the_run_changed_and_not_at_every_read(
    desk: Desk,
) -> None:
    create(desk, 9)
    assert desk.source.size(RUN, FAILED) == 0
    async with desk.store.journal(RUN) as journal:
        await work(journal, 4, fail=4)
        assert desk.source.size(RUN, FAILED) == 0
        desk.ticks.now = 0.6
        assert desk.source.size(RUN, FAILED) == 4


@pytest.mark.anyio
async def test_a_page_shows_the_jobs_as_they_are_now(desk: Desk) -> None:
    create(desk, 3)
    view = View(sorts=(Sort(SortKey.STATE), Sort(SortKey.AGE, True)))
    assert {job.state for job in desk.source.page(RUN, view, 0, 9)} == {JobState.WAITING}
    async with desk.store.journal(RUN) as journal:
        await work(journal, 2, fail=1)
    states = [job.state for job in desk.source.page(RUN, view, 0, 9)]
    assert states == [JobState.FAILED, JobState.RUNNING, JobState.WAITING]


@pytest.mark.anyio
async def test_the_right_hand_pane(desk: Desk) -> None:
    create(desk, 20)
    async with desk.store.journal(RUN) as journal:
        await work(journal, 6)
        journal.record(RunNoted(at=Wall(NOW), kind="limiter", text="6.0->5.0/s"))
        journal.record(RunNoted(at=Wall(NOW), kind="sweep", text="not this"))
        await finish(desk, journal, at=NOW + 60, every=30.0)
        desk.wall.now = NOW + 300
        assert desk.source.panes(RUN).limiter == ((NOW, "6.0->5.0/s"),)
        journal.record(RunNoted(at=Wall(NOW + 9), kind="breaker", text="down"))
        await work(journal, 2, at=NOW + 200)
        panes = desk.source.panes(RUN)
    assert panes.limiter == ((NOW, "6.0->5.0/s"), (NOW + 9, "down"))
    assert len(panes.per_minute) == 30
    assert (sum(panes.per_minute), panes.per_minute[-1]) == (6, 0)
    assert panes.latency == (0.125, 0.125, 0.125)
    assert [job.no for job in panes.slowest] == [7, 8]


@pytest.mark.anyio
async def test_a_job_in_detail(desk: Desk) -> None:
    create(desk, 2)
    async with desk.store.journal(RUN) as journal:
        await work(journal, 2, fail=1)
    detail = desk.source.detail(RUN, 1)
    assert detail.job == desk.store.job(RUN, 1)
    assert detail.run.id == RUN
    assert desk.source.request(detail) == Sent(line=f"POST {RUN} 1")
    assert [attempt.answer.code for attempt in detail.attempts] == ["VolumeBackup.0040"]
    assert [event.to for event in detail.events] == [JobState.FAILED]
    assert detail.meaning == documented("VolumeBackup.0040", 400)
    with pytest.raises(UsageError):
        desk.source.detail(RUN, 99)


@pytest.mark.anyio
async def test_the_newest_events_of_a_run(desk: Desk) -> None:
    create(desk, 9)
    async with desk.store.journal(RUN) as journal:
        await work(journal, 5, fail=5)
        newest = desk.source.events(RUN, limit=2, every=True)
        assert [event.no for event, _ in newest] == [4, 5]
        assert [job and job.code for _, job in newest] == ["VolumeBackup.0040"] * 2
        assert newest == desk.source.events(RUN, limit=2), "failures matter"
        journal.record(
            RunNoted(at=Wall(NOW), kind="command", text="in the name of anna: pause: paused")
        )
        journal.record(RunNoted(at=Wall(NOW), kind="sweep", text="cannot read the backups now"))
        await work(journal, 3)
        matters = desk.source.events(RUN, limit=2)
        assert [(event.no, event.kind) for event, _ in matters] == [(5, "move"), (None, "command")]
        assert desk.source.events(RUN, limit=1, every=True)[0][0].kind == "sweep"


@pytest.mark.anyio
async def test_reading_does_not_keep_the_write_ahead_log_from_being_emptied(desk: Desk) -> None:
    create(desk, 60)
    source = desk.source
    async with desk.store.journal(RUN) as journal:
        await work(journal, 40, fail=30)
        source.prepare(RUN)
        source.prepare(None)
        for every in (False, True):
            source.events(RUN, limit=5, every=every)
        for view in (View(), FAILED, BY_STATE):
            source.page(RUN, view, 0, 3)
            source.row_of(RUN, view, 7)
        source.runs()
        source.overview(RUN)
        source.panes(RUN)
        source.detail(RUN, 7)
        source.compare(RUN, RUN)
        source.changed()
        await work(journal, 10)
    with closing(sqlite3.connect(desk.store.path)) as db:
        busy, left, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, left) == (0, 0), "a reader that never ends lets the log grow without end"


@pytest.mark.anyio
async def test_every_run_has_its_line(desk: Desk) -> None:
    create(desk, 3, run_id=LATER, state=RunState.STOPPED)
    create(desk, 2)
    line = desk.source.runs()[0]
    assert (line.run.id, line.standing, line.top) == (RUN, "STALE", None)
    async with desk.store.journal(RUN) as journal:
        with desk.store.lock(RUN):
            await work(journal, 2, fail=1)
            line, stopped = desk.source.runs()
            assert line.standing == "LIVE"
            assert line.top == (400, "VolumeBackup.0040", 1)
            assert line.counts == {JobState.FAILED: 1, JobState.RUNNING: 1}
            assert (stopped.standing, stopped.counts) == ("STOP", {JobState.WAITING: 3})
            await journal.run_state(RunState.PAUSED, Wall(NOW))
            assert desk.source.runs()[0].standing == "PAUSED"
            await finish(desk, journal, at=NOW + 60)
            await journal.run_state(RunState.ENDED, Wall(NOW))
    assert desk.source.runs()[0].standing == "PART"
    assert desk.source.runs()[0].counts == desk.store.counts(RUN)


@pytest.mark.anyio
async def test_two_runs_are_compared_by_volume(desk: Desk) -> None:
    create(desk, 6)
    shuffled = [a_job(no, volume_id=volume(7 - no).upper()) for no in range(1, 7)]
    create(desk, shuffled, run_id=LATER)
    for run_id, fail in ((RUN, 4), (LATER, 3)):
        async with desk.store.journal(run_id) as journal:
            await work(journal, fail, fail=fail)
    seen = desk.source.compare(RUN, LATER)
    assert (seen.left.run.id, seen.right.run.id) == (RUN, LATER)
    assert [(left.no, right.no) for left, right in seen.failed_in_both] == [(4, 3)]
    assert [job.no for job in seen.failed_only_left] == [1, 2, 3]
    assert [job.no for job in seen.failed_only_right] == [1, 2]


@pytest.mark.anyio
async def test_gigabytes_are_told_by_what_is_done_of_what_there_is(desk: Desk) -> None:
    create(desk, [a_job(no, size=None if no == 4 else 100) for no in range(1, 5)])
    async with desk.store.journal(RUN) as journal:
        with desk.store.lock(RUN):
            await work(journal, 2, fail=0)
            await finish(desk, journal, at=NOW + 60)
            sizes = desk.source.overview(RUN).sizes
            assert desk.source.runs()[0].sizes.done == sizes.done
    assert (sizes.done, sizes.total, sizes.unsized) == (200, 300, 1)


@pytest.mark.anyio
async def test_a_run_whose_volumes_have_no_size_tells_none(desk: Desk) -> None:
    create(desk, 3)
    assert desk.source.overview(RUN).sizes.total is None
    assert desk.source.runs()[0].sizes.total is None


@pytest.mark.anyio
async def test_a_request_is_shown_until_the_engine_answers(desk: Desk) -> None:
    create(desk, 2)
    async with desk.store.journal(RUN) as journal:
        with desk.store.lock(RUN):
            request = desk.source.ask(RUN, "pause", {})
            assert desk.source.asked(request).result is None
            [command] = await journal.commands(Wall(NOW))
            assert (command.verb, command.asked_by) == ("pause", "op@pts/3")
            journal.acknowledge(command, Wall(NOW), "paused")
            await journal.flush()
            done = desk.source.asked(request)
    assert done == replace(request, result="paused")
    assert desk.source.asked(done) is done


def test_a_request_that_no_engine_took_is_reported_as_not_taken(desk: Desk) -> None:
    create(desk, 2)
    with desk.store.lock(RUN):
        request = desk.source.ask(RUN, "stop", {})
    assert desk.source.asked(request).result == NOT_TAKEN


@pytest.mark.anyio
async def test_a_rate_is_asked_for_and_kept_for_the_next_engine(desk: Desk) -> None:
    create(desk, 2)
    kept = desk.source.ask(RUN, "rate", {"count": 2, "per": 60})
    assert kept.result is not None
    assert desk.source.overview(RUN).rate_limit == Rate(count=2, per=60)
    with desk.store.lock(RUN):
        desk.source.ask(RUN, "in-flight", {"count": 9})
    assert desk.store.run(RUN).in_flight == 9
    for argument in ({}, {"count": 0, "per": 1}, {"count": "x", "per": 1}, {"count": 1e999}):
        with pytest.raises(UsageError):
            desk.source.ask(RUN, "rate", argument)


@pytest.mark.anyio
async def test_without_an_engine_a_retry_starts_one_and_a_cancel_is_done_at_once(
    desk: Desk,
) -> None:
    create(desk, 4)
    assert desk.source.ask(RUN, "retry", {"all": True}).result == "to be tried again: 0"
    assert desk.started == []
    async with desk.store.journal(RUN) as journal:
        await work(journal, 2, fail=2)
    cancelled = desk.source.ask(RUN, "cancel", {"volumes": [volume(4)]})
    assert desk.source.asked(cancelled).result == "cancelled 1"
    retried = desk.source.ask(RUN, "retry", {"status": [400]})
    assert retried.result == "to be tried again: 2"
    assert desk.started == [RUN]
    assert desk.store.counts(RUN) == {JobState.WAITING: 3, JobState.CANCELLED: 1}


def test_commands_that_need_an_engine_are_refused_without_one(desk: Desk) -> None:
    create(desk, 1)
    for verb in ("pause", "unpause", "stop", "stop-now", "frobnicate"):
        with pytest.raises(UsageError, match="resume it first"):
            desk.source.ask(RUN, verb, {})


def test_an_engine_is_started_for_a_run_without_one(desk: Desk) -> None:
    create(desk, 1)
    with desk.store.lock(RUN), pytest.raises(UsageError, match=str(os.getpid())):
        desk.source.resume(RUN)
    desk.source.resume(RUN)
    assert desk.started == [RUN]


def test_a_read_only_screen_steers_nothing(desk: Desk) -> None:
    create(desk, 1)
    desk.source.read_only = True
    with pytest.raises(UsageError, match="read-only"):
        desk.source.ask(RUN, "cancel", {"all": True})
    with pytest.raises(UsageError, match="read-only"):
        desk.source.resume(RUN)
    assert desk.started == []
    assert desk.store.counts(RUN) == {JobState.WAITING: 1}


@pytest.mark.anyio
async def test_a_view_is_exported_in_its_order(desk: Desk, tmp_path: Path) -> None:
    create(desk, 1200)
    async with desk.store.journal(RUN) as journal:
        await work(journal, 3, fail=2)
    place = tmp_path / "jobs.csv"
    assert desk.source.export(RUN, BACKWARDS, "csv", str(place)) == 1200
    rows = csv.DictReader(place.read_text().splitlines())
    assert [row["name"] for row in rows] == [f"db-{no:03}" for no in range(1200, 0, -1)]
    place = tmp_path / "failed.json"
    assert desk.source.export(RUN, FAILED, "json", str(place)) == 2
    document = json.loads(place.read_text())
    assert (document["run_id"], len(document["jobs"])) == (RUN, 2)


def test_an_export_goes_to_a_file_and_nowhere_else(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    create(desk, 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert desk.source.export(RUN, View(), "csv", "-") == 1
    assert (tmp_path / "-").exists()
    assert desk.source.export(RUN, View(), "csv", "~/mine.csv") == 1
    assert (tmp_path / "mine.csv").exists()
    for form, path in (("csv", ""), ("csv", "no/such/folder"), ("xls", "x"), ("csv", "a\0b")):
        with pytest.raises(UsageError):
            desk.source.export(RUN, View(), form, path)
    assert capsys.readouterr().out == ""


def test_a_store_that_cannot_be_read_is_a_store_error(desk: Desk) -> None:
    create(desk, 1)
    desk.source.close()
    with pytest.raises(StoreError):
        desk.source.changed()


def test_a_store_that_was_moved_away_is_not_followed_any_more(desk: Desk) -> None:
    assert desk.source.changed()
    path, elsewhere = desk.store.path, desk.store.path.with_suffix(".old")
    path.rename(elsewhere)
    with pytest.raises(StoreError, match=r"is gone: it was moved or deleted"):
        desk.source.changed()
    elsewhere.rename(path)
    assert not desk.source.changed()


def test_the_source_needs_neither_textual_nor_the_rooms_it_must_not_know() -> None:
    script = (
        "import sys, vbsbatch.tui.store_source, vbsbatch.tui.filter_syntax\n"
        "rooms = ('textual', 'httpx', 'openstack', 'vbsbatch.engine', 'vbsbatch.cloud', "
        "'vbsbatch.policy', 'vbsbatch.cli')\n"
        "print([name for name in rooms if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
