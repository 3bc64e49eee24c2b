"""The store as the screens see it: the same for every store."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.fixtures import NOW, a_job, a_run, an_attempt, moved, volume
from vbsbatch.errors import StoreError
from vbsbatch.model import (
    MOVES,
    Answer,
    BackupSettings,
    Cloud,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    RunNoted,
    Verdict,
    Wall,
)
from vbsbatch.store import ReadPosition, RunStore, ScreenReader
from vbsbatch.store.memory import MemoryStore
from vbsbatch.store.run_stats import RunStats
from vbsbatch.store.sqlite.store import SqliteStore

RUN, OTHER = "20261118-1200-aaaa", "20261118-1300-bbbb"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    words: tuple[str, ...] = ()
    any_words: tuple[str, ...] = ()
    states: frozenset[JobState] = frozenset()
    retrying: bool = False
    statuses: frozenset[int] = frozenset()
    codes: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()


NAMES = ("db-01", "Db_01", "100%", "Übung", "ÜBUNG", "日本-01", "[/b]\x1b[31m", "a" * 300, None)
CODES = (None, "VolumeBackup.0022", "volumebackup.0900", "APIG.0308", "-")
GROUPS = (None, "db", "DB", "tier 1")
WORDS = (
    "db",
    "DB-01",
    "b_0",
    "%",
    "übung",
    "日本",
    "b8-0",
    "8-0000000000",
    "-",
    "80b4",
    "ba7b8",
    "x",
)


def sundry(count: int, seed: int = 1) -> list[Job]:
    """Jobs in every state, with and without everything."""
    chance = random.Random(seed)
    jobs = []
    for no in range(1, count + 1):
        tried = chance.random() < 0.7
        at = NOW + chance.randrange(100)
        state = chance.choice(list(JobState)) if tried else JobState.WAITING
        volume_id = volume(no) if no % 5 else f"Disk-B8-0{no}"
        jobs.append(
            a_job(
                no,
                volume_id=volume_id,
                volume_name=chance.choice(NAMES) or volume_id,
                group=chance.choice(GROUPS),
                state=state,
                attempts=int(tried),
                intent_at=at if tried else None,
                ended_at=at + 1
                if tried and state in (JobState.FAILED, JobState.SUCCEEDED)
                else None,
                due_at=at if tried and state is JobState.WAITING else 0.0,
                http_status=chance.choice([None, 200, 400, 503]) if tried else None,
                code=chance.choice(CODES) if tried else None,
                message=chance.choice([None, "no Übung", "100% b_0"]),
                settings=BackupSettings(),
                size=no % 7 * 10 if no % 3 else None,
            )
        )
    return jobs


JOBS = sundry(150)


@pytest.fixture
def store(any_store: RunStore) -> RunStore:
    return any_store


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def screen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScreenReader]:
    path = tmp_path_factory.mktemp("screen") / "vbsbatch.db"
    memory = request.param == "memory"
    with MemoryStore() if memory else SqliteStore.open(path, create=True) as store:
        store.create_run(a_run(OTHER), sundry(20, 2), BackupSettings())
        store.create_run(a_run(RUN), JOBS, BackupSettings())
        with closing(store.screen()) as opened:
            yield opened


def fits(job: Job, wanted: Wanted) -> bool:
    """The criteria said again, in Python."""
    texts = [job.volume_name, job.backup_name, job.code, job.message, job.group, job.volume_id]
    if job.volume_id.startswith("6ba7"):
        texts.append(job.volume_id.replace("-", ""))
    states = job.state in wanted.states or (
        wanted.retrying and job.state is JobState.WAITING and job.attempts > 0
    )
    code = (job.code or "").lower()
    codes = [
        (job.code is None and job.attempts > 0)
        if wish == "-"
        else job.code is not None and code.startswith(wish.lower())
        for wish in wanted.codes
    ]
    status = job.http_status or (0 if job.attempts else None)
    occurring = [
        word
        for word in (*wanted.words, *wanted.any_words)
        if any(word.lower() in (text or "").lower() for text in texts)
    ]
    return (
        all(word in occurring for word in wanted.words)
        and (not wanted.any_words or any(word in occurring for word in wanted.any_words))
        and (states or not (wanted.states or wanted.retrying))
        and (status in wanted.statuses or not wanted.statuses)
        and (any(codes) or not codes)
        and (job.group in wanted.groups or not wanted.groups)
    )


criteria = st.builds(
    Wanted,
    words=st.lists(st.sampled_from(WORDS), max_size=2).map(tuple),
    any_words=st.lists(st.sampled_from(WORDS), max_size=3).map(tuple),
    states=st.frozensets(st.sampled_from(list(JobState)), max_size=3),
    retrying=st.booleans(),
    statuses=st.frozensets(st.sampled_from([0, 200, 400, 503]), max_size=2),
    codes=st.lists(st.sampled_from(["VolumeBackup.", "vol", "apig", "-", "0"]), max_size=2).map(
        tuple
    ),
    groups=st.frozensets(st.sampled_from(["db", "tier 1"]), max_size=2),
)


@given(wanted=criteria)
def test_a_view_has_the_jobs_that_fit_every_criterion(screen: ScreenReader, wanted: Wanted) -> None:
    found = screen.numbers(RUN, wanted)
    assert list(found) == [job.no for job in JOBS if fits(job, wanted)]


RANKS = [
    JobState.FAILED,
    JobState.UNKNOWN,
    "retry",
    JobState.RUNNING,
    JobState.SUBMITTING,
    JobState.WAITING,
    JobState.SUCCEEDED,
    JobState.CANCELLED,
    JobState.SKIPPED,
]


def rank(job: Job) -> int:
    retrying = job.state is JobState.WAITING and job.attempts
    return RANKS.index("retry" if retrying else job.state)


def ascii_lower(text: str | None) -> str | None:
    return None if text is None else "".join(c.lower() if c.isascii() else c for c in text)


SORTS: dict[str, Callable[[Job], Any]] = {
    "number": lambda job: job.no,
    "state": rank,
    "volume": lambda job: ascii_lower(
        job.volume_id.replace("-", "")
        if job.volume_name == job.volume_id and job.volume_id.startswith("6")
        else job.volume_name
    ),
    "http": lambda job: job.http_status,
    "code": lambda job: ascii_lower(job.code),
    "attempts": lambda job: job.attempts,
    "age": lambda job: None if (at := job.ended_at or job.intent_at) is None else -float(at),
    "due": lambda job: (job.due_at or None) if job.state is JobState.WAITING else None,
    "group": lambda job: ascii_lower(job.group),
    "size": lambda job: None if job.size is None else -job.size,
}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTS)
def test_a_view_is_sorted_with_plan_order_in_ties_and_what_lacks_the_key_last(
    screen: ScreenReader, sort: str, descending: bool
) -> None:
    key = SORTS[sort]
    having = [job for job in JOBS if key(job) is not None]
    lacking = [job for job in JOBS if key(job) is None]
    wanted = [*sorted(having, key=key, reverse=descending), *lacking]
    if descending:  # `reverse` keeps ties in plan order too: sorts are stable
        assert [key(job) for job in wanted[: len(having)]] == sorted(map(key, having), reverse=True)
    found = screen.numbers(RUN, Wanted(), sorts=[(sort, descending)])
    assert list(found) == [job.no for job in wanted]


@given(
    sorts=st.lists(st.tuples(st.sampled_from(list(SORTS)), st.booleans()), min_size=2, max_size=4)
)
def test_where_one_key_says_nothing_the_next_one_decides(
    screen: ScreenReader, sorts: list[tuple[str, bool]]
) -> None:
    wanted = list(JOBS)
    for sort, descending in reversed(sorts):  # sorts are stable: the last one decides first
        key = SORTS[sort]
        having = sorted(
            (job for job in wanted if key(job) is not None), key=key, reverse=descending
        )
        wanted = [*having, *(job for job in wanted if key(job) is None)]
    found = screen.numbers(RUN, Wanted(), sorts=sorts)
    assert list(found) == [job.no for job in wanted]


def test_all_jobs_are_numbered_in_plan_order(screen: ScreenReader) -> None:
    assert list(screen.all_numbers(RUN)) == [*range(1, 151)]


def test_numbers_without_gaps_cost_nothing(path: Path) -> None:
    with SqliteStore.open(path, create=True) as store, closing(store.screen()) as screen:
        store.create_run(a_run(RUN), JOBS)
        assert screen.all_numbers(RUN) == range(1, 151)


def test_gaps_between_the_numbers_are_no_jobs(store: RunStore) -> None:
    store.create_run(a_run(RUN), [a_job(2), a_job(5)], BackupSettings())
    store.create_run(a_run(OTHER), [], BackupSettings())
    screen = store.screen()
    assert list(screen.all_numbers(RUN)) == [2, 5]
    assert list(screen.all_numbers(OTHER)) == []
    screen.close()


def test_jobs_come_in_the_order_of_their_numbers_and_missing_ones_not_at_all(
    screen: ScreenReader,
) -> None:
    found = screen.jobs_at(RUN, [9, 3, 9999, 150])
    assert found == [JOBS[8], JOBS[2], JOBS[149]]
    assert screen.jobs_at(RUN, []) == []


def test_half_a_surrogate_pair_in_a_filter_finds_nothing_and_breaks_nothing(
    screen: ScreenReader,
) -> None:
    for wanted in (Wanted(words=("\ud800",)), Wanted(codes=("\ud800",))):
        assert not screen.numbers(RUN, wanted)
    odd = Wanted(groups=frozenset({"\ud800"}))
    assert not screen.numbers(RUN, odd)


@pytest.mark.anyio
async def test_the_newest_events_come_oldest_first_and_other_runs_not_at_all(
    store: RunStore,
) -> None:
    for run_id in (OTHER, RUN):
        store.create_run(a_run(run_id), [a_job(1)], BackupSettings())
        async with store.journal(run_id) as journal:
            for number in range(9):
                kind = "limiter" if number % 2 else "session"
                journal.record(RunNoted(at=Wall(NOW), kind=kind, text=f"{run_id} {number}"))
    screen = store.screen()
    newest = screen.newest_events(RUN, limit=3)
    assert [event.text for event in newest] == [f"{RUN} {number}" for number in (6, 7, 8)]
    until = newest[0].id
    noted = screen.loud_events(RUN, ["limiter"], after=0, until=until, limit=9)
    assert [event.text for event in noted] == [f"{RUN} {number}" for number in (1, 3, 5)]
    assert screen.loud_events(RUN, ["limiter"], after=noted[0].id, until=until, limit=1) == [
        noted[-1]
    ]
    screen.close()


@pytest.mark.anyio
async def test_of_the_moves_only_failures_are_loud(store: RunStore) -> None:
    store.create_run(a_run(RUN), [a_job(no) for no in range(1, 9)], BackupSettings())
    async with store.journal(RUN) as journal:
        for state in (JobState.FAILED, JobState.RUNNING, JobState.WAITING, JobState.UNKNOWN):
            [job] = await journal.claim(Elapsed(NOW), 1, cloud_now=Cloud(NOW))
            journal.record(moved(job, state, note="so it is"))
        journal.record(RunNoted(at=Wall(NOW), kind="sweep", text="cannot read"))
    screen = store.screen()
    [event] = screen.loud_events(RUN, ["limiter"], after=0, until=99, limit=9)
    assert (event.no, event.to, event.text) == (1, JobState.FAILED, "so it is")
    assert len(screen.newest_events(RUN, limit=9)) == 5
    screen.close()


@pytest.mark.anyio
async def test_slowest_jobs_and_times_of_answers(store: RunStore) -> None:
    store.create_run(a_run(RUN), [a_job(no) for no in range(1, 5)], BackupSettings())
    async with store.journal(RUN) as journal:
        for step, took in enumerate((0.5, None, 0.25)):
            [job] = await journal.claim(Elapsed(NOW + step), 1, cloud_now=Cloud(NOW + step))
            attempt = an_attempt(sent_at=NOW + step, took=took)
            journal.record(moved(job, JobState.RUNNING, attempt=attempt))
        await journal.claim(Elapsed(NOW + 9), 1, cloud_now=Cloud(NOW + 9))
    screen = store.screen()
    assert [job.no for job in screen.slowest(RUN, limit=2)] == [1, 2]
    assert screen.took(RUN, [1, 2, 3, 4], limit=9) == [0.25, 0.5]
    assert screen.took(RUN, [1, 2, 3, 4], limit=1) == [0.25]
    screen.close()


def test_the_settings_of_a_run_are_read_as_any_reader_reads_them(screen: ScreenReader) -> None:
    assert screen.run(RUN) == screen.run(RUN) == a_run(RUN)


def test_a_file_that_goes_bad_is_a_store_error(path: Path) -> None:
    with SqliteStore.open(path, create=True) as store:
        store.create_run(a_run(RUN), [a_job(1)], BackupSettings())
        screen = store.screen()
        screen.close()
        with pytest.raises(StoreError):
            screen.rev(RUN)


def a_move(job: Job, chance: random.Random, at: float) -> JobMoved:
    to = chance.choice(sorted(MOVES[job.state]))
    status, code = chance.choice([(200, None), (400, "A"), (503, None)])
    answered = job.state is JobState.SUBMITTING
    attempt = an_attempt(
        job.attempts,
        verdict=Verdict.ACCEPTED if to is JobState.RUNNING else Verdict.RETRY,
        answer=Answer(status=status, code=code),
        sent_at=at,
    )
    ended = to in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED)
    changes: dict[str, Any] = {"ended_at": at if ended else None}
    if answered:
        changes |= {"http_status": status, "code": code}
    return moved(job, to, at, attempt=attempt if answered else None, **changes)


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(4))
async def test_stats_that_follow_the_changes_equal_fresh_ones(store: RunStore, seed: int) -> None:
    chance = random.Random(seed)
    store.create_run(a_run(OTHER), [a_job(no + 500) for no in range(9)], BackupSettings())
    store.create_run(a_run(RUN), [a_job(no) for no in range(1, 60)], BackupSettings())
    screen = store.screen()
    stats, mark = RunStats(), None
    async with store.journal(RUN) as journal, store.journal(OTHER) as other:
        await other.claim(Elapsed(NOW), 3, cloud_now=Cloud(NOW))
        for step in range(40):
            at = NOW + step
            await journal.claim(Elapsed(at), 3, cloud_now=Cloud(at))
            jobs = [job for job in store.jobs(RUN) if MOVES[job.state] and job.attempts]
            for job in chance.sample(jobs, min(5, len(jobs))):
                if job.state is JobState.WAITING:
                    journal.touch(replace(job, due_at=Elapsed(at + 3)))
                else:
                    journal.record(a_move(job, chance, at))
            await journal.flush()
            if chance.random() < 0.6:
                mark = follow_and_compare(screen, store, stats, mark)
    store.requeue(RUN, {"states": ["failed"]})
    store.cancel(RUN, {"all": True})
    follow_and_compare(screen, store, stats, mark)
    screen.close()


def follow_and_compare(
    screen: ScreenReader, store: RunStore, stats: RunStats, mark: ReadPosition | None
) -> ReadPosition:
    mark = screen.follow(RUN, stats, mark)
    fresh = RunStats()
    screen.follow(RUN, fresh, None)
    assert stats.counts == fresh.counts == store.counts(RUN)
    assert stats.sizes == fresh.sizes == store.sizes(RUN)
    assert stats.retrying == fresh.retrying == store.retrying(RUN)
    assert sorted(map(str, stats.failures)) == sorted(map(str, store.failures(RUN)))
    return mark


def test_a_view_of_a_store_that_moved_on_is_read_fresh(store: RunStore) -> None:
    store.create_run(a_run(RUN), [a_job(1), a_job(2)], BackupSettings())
    screen = store.screen()
    before, version = screen.rev(RUN), screen.data_version()
    store.cancel(RUN, {"volumes": [volume(1)]})
    assert screen.rev(RUN) > before
    assert screen.data_version() != version
    cancelled = Wanted(states=frozenset({JobState.CANCELLED}))
    assert list(screen.numbers(RUN, cancelled)) == [1]
    screen.close()
