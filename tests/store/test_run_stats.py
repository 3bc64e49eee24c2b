"""The counters that a follower of a run keeps in memory."""

from __future__ import annotations

from vbsbatch.model import JobState
from vbsbatch.store.ports import Glance
from vbsbatch.store.run_stats import NEWEST, RunStats

WAITING, SUBMITTING, _, RUNNING, SUCCEEDED, FAILED, CANCELLED, SKIPPED = range(8)
MINUTE = 60_000
AT = 29_900_000 * MINUTE


def glance(
    no: int,
    state: int,
    attempts: int = 0,
    *,
    status: int | None = None,
    code: str | None = None,
    sent: int | None = None,
    ended: int | None = None,
    size: int | None = None,
) -> Glance:
    return (no, state, attempts, status, code, sent, ended, size)


def test_jobs_are_counted_by_state_and_again_when_they_move() -> None:
    stats = RunStats()
    stats.see([glance(1, WAITING), glance(2, WAITING), glance(3, WAITING)])
    assert stats.counts == {JobState.WAITING: 3}
    stats.see([glance(2, RUNNING, 1, sent=AT), glance(3, WAITING, 1, sent=AT)])
    assert stats.counts == {JobState.WAITING: 2, JobState.RUNNING: 1}
    assert stats.retrying == 1


def test_failures_are_counted_by_status_and_code_the_most_frequent_first() -> None:
    stats = RunStats()
    failed = [(400, "B"), (None, None), (400, "A"), (400, "B")]
    stats.see(
        glance(no, FAILED, 1, status=status, code=code, sent=AT, ended=AT)
        for no, (status, code) in enumerate(failed, 1)
    )
    assert stats.failures == [(400, "B", 2), (None, None, 1), (400, "A", 1)]
    stats.see([glance(1, WAITING, 1, sent=AT)])
    assert stats.failures == [(None, None, 1), (400, "A", 1), (400, "B", 1)]


def test_a_create_counts_when_it_was_intended_and_not_when_it_was_given_back() -> None:
    stats = RunStats()
    stats.see([glance(1, WAITING), glance(2, RUNNING, 3, sent=AT)])
    assert stats.creates.total() == 1  # of the first two of job 2 nobody knows when
    stats.see([glance(1, SUBMITTING, 1, sent=AT + 5000)])
    assert stats.creates == {AT // 5000: 1, AT // 5000 + 1: 1}
    stats.see([glance(1, WAITING, 0, sent=AT + 5000)])
    assert stats.creates.total() == 1


def test_an_end_counts_once_and_a_second_end_after_a_retry_again() -> None:
    stats = RunStats()
    stats.see([glance(1, RUNNING, 1, sent=AT)])
    over = glance(1, FAILED, 1, sent=AT, ended=AT + MINUTE)
    stats.see([over])
    stats.see([over])
    assert stats.ends.total() == 1
    stats.see([glance(1, SUCCEEDED, 2, sent=AT + MINUTE, ended=AT + 2 * MINUTE)])
    assert stats.ends.total() == 2
    assert stats.completed == {AT // MINUTE + 2: 1}


def test_what_is_cancelled_or_skipped_is_no_work_done() -> None:
    stats = RunStats()
    stats.see([glance(1, WAITING), glance(2, WAITING)])
    stats.see([glance(1, CANCELLED, ended=AT), glance(2, SKIPPED, ended=AT)])
    assert stats.ends.total() == 0


def test_the_newest_creates_are_remembered_and_no_more_of_them() -> None:
    stats = RunStats()
    stats.see(glance(no, RUNNING, 1, sent=AT + (no * 7919) % 2000) for no in range(1, 2001))
    wanted = sorted(range(1, 2001), key=lambda no: (no * 7919) % 2000)[-NEWEST:]
    assert set(stats.newest) == set(wanted)


def test_seeing_everything_again_changes_nothing() -> None:
    rows = [
        glance(7, WAITING),
        glance(9, FAILED, 2, status=500, sent=AT, ended=AT),
        glance(8, SUCCEEDED, 1, sent=AT, ended=AT),
    ]
    once, twice = RunStats(), RunStats()
    once.see(rows)
    twice.see([*rows, *rows])
    assert once.counts == twice.counts == dict.fromkeys(once.counts, 1)
    assert (once.creates, once.ends, once.newest) == (twice.creates, twice.ends, twice.newest)


def test_sizes_are_summed_by_state_and_follow_the_jobs() -> None:
    stats = RunStats()
    stats.see([glance(1, WAITING, size=40), glance(2, WAITING), glance(3, RUNNING, 1, size=0)])
    assert stats.sizes == {JobState.WAITING: (40, 1), JobState.RUNNING: (0, 0)}
    over = AT + MINUTE
    stats.see([glance(1, SUCCEEDED, 1, sent=AT, ended=over, size=40), glance(2, WAITING, size=7)])
    assert stats.sizes == {
        JobState.WAITING: (7, 0),
        JobState.RUNNING: (0, 0),
        JobState.SUCCEEDED: (40, 0),
    }
    assert stats.completed_gigabytes == {over // MINUTE: 40}
