"""Messages about runs: the same for every store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.store.fixtures import NOW, a_job, a_run
from vbsbatch.errors import UsageError
from vbsbatch.model import BackupSettings, JobState, Message, Pace, RunNoted, Wall
from vbsbatch.store import RunStore

A, B = "20261118-1200-aaaa", "20261118-1300-bbbb"


@pytest.fixture
def store(any_store: RunStore) -> RunStore:
    for run_id in (A, B):
        any_store.create_run(a_run(run_id), [a_job(1)], BackupSettings())
    return any_store


def a_message(**fields: Any) -> Message:
    given: dict[str, Any] = {
        "run_id": A,
        "fact": "end:1",
        "channel": "ops",
        "first_at": Wall(NOW),
        "title": "it has ended",
        "body": "two\nlines",
        "due_at": Wall(NOW),
    }
    return Message(**(given | fields))


def test_each_fact_is_kept_once_for_each_channel(store: RunStore) -> None:
    one, other = a_message(), a_message(channel="mail")
    assert store.messages.post(one)
    assert store.messages.post(other)
    assert not store.messages.post(replace(one, title="again", first_at=Wall(NOW + 9)))
    assert store.messages.post(replace(one, fact="end:2", first_at=Wall(NOW + 1)))
    assert store.messages.post(replace(one, run_id=B, first_at=Wall(NOW - 1)))
    assert [each.fact for each in store.messages.of_run(A)] == ["end:1", "end:1", "end:2"]
    assert store.messages.of_run(A)[:2] == [other, one]
    assert [each.run_id for each in store.messages.unsent()] == [B, A, A, A]
    with pytest.raises(UsageError):
        store.messages.post(replace(one, run_id="20261118-1200-zzzz"))


def test_one_of_two_processes_gets_a_message(store: RunStore) -> None:
    message = a_message()
    store.messages.post(message)
    with store.again() as other:
        assert other.messages.claim(message, Wall(NOW + 45))
        assert not store.messages.claim(message, Wall(NOW + 45))
        (claimed,) = store.messages.unsent()
        assert (claimed.tries, float(claimed.due_at)) == (1, NOW + 45)
        other.messages.failed(claimed, "no connection", Wall(NOW + 10))
    (tried,) = store.messages.unsent()
    assert (tried.error, float(tried.due_at)) == ("no connection", NOW + 10)
    assert store.messages.claim(tried, Wall(NOW + 60))
    store.messages.sent(tried, Wall(NOW + 11))
    assert store.messages.unsent() == []
    (sent,) = store.messages.of_run(A)
    assert (sent.tries, sent.error, float(sent.sent_at or 0)) == (2, None, NOW + 11)
    assert not store.messages.claim(sent, Wall(NOW + 99))
    store.messages.failed(sent, "too late", Wall(NOW + 99))
    assert store.messages.of_run(A) == [sent]


def test_the_pace_of_a_run_is_that_of_its_jobs(store: RunStore) -> None:
    run_id = "20261118-1400-cccc"
    took = {"state": JobState.SUCCEEDED, "first_sent_at": Wall(NOW)}
    jobs = [
        a_job(1, **took, ended_at=Wall(NOW + 50)),
        a_job(2, **took, ended_at=Wall(NOW + 20)),
        a_job(3, state=JobState.FAILED, first_sent_at=Wall(NOW), ended_at=Wall(NOW + 70)),
        a_job(4),
    ]
    store.create_run(a_run(run_id), jobs, BackupSettings())
    assert store.messages.pace(A) == Pace()
    assert store.messages.pace(run_id) == Pace(last_end=Wall(NOW + 70), longest=50.0)


def test_what_happens_to_messages_is_in_the_history_of_the_run(store: RunStore) -> None:
    assert store.messages.last_note(A, ["notify"]) is None
    before = store.mark()
    for at, kind in enumerate(("notify", "run", "limiter")):
        store.messages.note(A, RunNoted(at=Wall(NOW + at), kind=kind, text=f"text {at}"))
    assert [(each.kind, each.text) for each in store.events(A, after=before.event)] == [
        ("notify", "text 0"),
        ("run", "text 1"),
        ("limiter", "text 2"),
    ]
    assert store.messages.last_note(A, ["notify", "run"]) == Wall(NOW + 1)
    assert store.messages.last_note(B, ["notify"]) is None
    assert store.mark() != before
