"""A store that an earlier version wrote: what is stored stays the same, and what it means."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.store.fixtures import NOW, volume
from tests.store.known_store import DEFAULTS, FIRST, MESSAGE, PLACE, SECOND, SETTINGS, dump, write
from vbsbatch.model import BackupSettings, Cloud, Elapsed, JobState, Rate, RunState, Verdict, Wall
from vbsbatch.store.sqlite.schema import APPLICATION_ID
from vbsbatch.store.sqlite.store import SqliteStore

KNOWN = Path(__file__).with_name("known_store.sql").read_text("utf-8")


@pytest.fixture
def known(path: Path) -> Path:
    """The store as a file."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(KNOWN)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 7")
    path.chmod(0o600)
    return path


@pytest.mark.anyio
async def test_what_is_written_is_to_the_byte_what_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 4242)
    monkeypatch.setattr(socket, "gethostname", lambda: "backup-1")
    with SqliteStore.open(path, create=True, clock=lambda: Wall(NOW)) as store:
        await write(store)
    assert dump(path) == KNOWN


def seconds(*values: Any) -> tuple[Any, ...]:
    """The values, moments of any clock as plain seconds."""
    clocks = (Wall, Cloud, Elapsed)
    return tuple(float(each) if isinstance(each, clocks) else each for each in values)


def test_runs_are_read_as_they_were_written(known: Path) -> None:
    with SqliteStore.open(known) as store:
        first, second = store.run(FIRST), store.run(SECOND)
        assert store.sending_rate(FIRST) == Rate(count=0.1)
        tried = replace(MESSAGE, tries=1, error="no connection", due_at=Wall(NOW + 80))
        assert store.messages.of_run(FIRST) == [tried]
    assert first.settings == SETTINGS
    assert {name: getattr(first, name) for name in PLACE} == PLACE
    assert (first.state, first.reason) == (RunState.STOPPED, "retry asked for")
    assert seconds(first.created_at, first.created_cloud_at) == (NOW, NOW + 1.25)
    assert seconds(first.started_at, first.ended_at) == (NOW + 7, None)
    assert seconds(first.deadline_at, first.heartbeat_at) == (NOW + 7200, NOW + 60)
    assert (first.rate, first.in_flight, first.wave) == (Rate(count=4, per=3600), 5, 1)
    assert (first.create_calls, first.read_calls, first.adopted) == (5, 6, 7)
    assert first.clock_step == -1.5
    assert (second.state, second.wave, second.rate) == (RunState.RUNNING, 0, None)


def test_pins_are_read_as_they_were_written(known: Path) -> None:
    with SqliteStore.open(known) as store:
        one, two = store.pins()
        assert (one.run_id, one.backup_id, one.until, one.pinned_by) == (
            FIRST,
            volume(8),
            None,
            "ann",
        )
        assert seconds(two.run_id, two.backup_id, two.until) == (SECOND, None, NOW + 86400)
        assert seconds(store.run(SECOND).retained_at) == (NOW,)


def test_jobs_are_read_as_they_were_written(known: Path) -> None:
    with SqliteStore.open(known) as store:
        one, two, three, four, five, six = store.jobs(FIRST)
        (attempt,) = store.attempts(FIRST, 4)
        assert len(list(store.jobs(SECOND))) == 70
    assert (one.priority, one.group, one.az, one.rank) == (3, "db", "eu-de-01", 2)
    assert seconds(one.state, one.settings, one.first_sent_at) == (
        JobState.RUNNING,
        DEFAULTS,
        NOW + 9,
    )
    assert seconds(one.intent_at, one.intent_cloud_at) == (NOW + 8 - 1.5, NOW + 48)
    assert seconds(two.state, two.wave, two.ended_at) == (JobState.CANCELLED, 1, NOW)
    assert (three.volume_name, three.backup_id) == (volume(3), volume(8))
    assert three.settings == BackupSettings(source_backup_id="b", force=False)
    assert seconds(three.intent_cloud_at, three.first_cloud_at) == (NOW + 48, NOW + 49)
    assert (four.volume_id, four.state, four.code) == ("Odd Id", JobState.WAITING, "X")
    assert four.settings == BackupSettings(snapshot_id="s", full=False)
    assert (five.volume_id, five.uncharged) == (volume(5).upper(), 1)
    assert seconds(five.unknown_at, five.later_since) == (NOW + 12 - 1.5, NOW + 2 - 1.5)
    assert seconds(six.state, six.message, six.ended_at) == (JobState.SKIPPED, "has one", NOW)
    assert (attempt.verdict, attempt.took) == (Verdict.FAIL, None)
    answer = attempt.answer
    assert (answer.request_id, answer.backup_id) == (f"req-{volume(77)}", volume(7))
    assert (answer.status, answer.code, answer.message) == (400, "X", "zu groß \U0001f4be")
