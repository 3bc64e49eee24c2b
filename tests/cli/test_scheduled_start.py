"""What a start by the clock remembers, without a process or a cloud."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.store.fixtures import a_job, a_run
from vbsbatch.cli.scheduled_start import ScheduledStart
from vbsbatch.errors import SignInError
from vbsbatch.model import RunState, Wall
from vbsbatch.policy.timetable import Scheduled, Timetable, parse_at
from vbsbatch.store.sqlite.store import SqliteStore

DAY = 86_400.0


def daily(due: float, since: float) -> Scheduled:
    """A schedule whose newest moment is `due`."""
    at = parse_at(time.strftime("%H:%M:%S", time.gmtime(due)))
    return Scheduled(timetable=Timetable(at=at), since=since, plan="nightly")


def kinds(store: SqliteStore) -> list[str]:
    return [each.kind.value for each in store.missed_starts()]


def test_a_start_in_time_misses_nothing_and_a_second_one_neither(tmp_path: Path) -> None:
    now = float(int(time.time()))
    scheduled = daily(now - 5, since=now - 10 * DAY)
    with SqliteStore.open(tmp_path / "s.db", create=True) as store:
        before = a_run("20261118-1200-aaaa", created_at=Wall(now - DAY))
        store.create_run(before, [a_job(1)])
        for run_id in ("20261118-1200-bbbb", "20261118-1200-cccc"):
            start = ScheduledStart(scheduled, None)
            start.begin(store)
            run = a_run(run_id, created_at=Wall(now), state=RunState.RUNNING)
            store.create_run(run, [a_job(1)])
            start.made(store, run)
            start.end(store)
        assert kinds(store) == []


def test_a_failed_start_is_remembered_once_for_each_moment(tmp_path: Path) -> None:
    now = float(int(time.time()))
    scheduled = daily(now - 60, since=now - 2.5 * DAY)
    db = tmp_path / "s.db"
    for _ in range(3):
        with pytest.raises(SignInError), ScheduledStart(scheduled, db).recorded():
            raise SignInError("no answer\x1b")
    with SqliteStore.open(db) as store:
        failed, *earlier = store.missed_starts()
        assert [each.at for each in earlier] == [Wall(now - 60 - DAY), Wall(now - 60 - 2 * DAY)]
        assert failed.text == "no run was made: no answer\ufffd"


def test_a_start_by_a_person_remembers_nothing(tmp_path: Path) -> None:
    db = tmp_path / "s.db"
    with pytest.raises(SignInError), ScheduledStart(None, db).recorded():
        raise SignInError("no answer")
    assert not db.exists()
    with SqliteStore.open(db, create=True) as store:
        start = ScheduledStart(None, db)
        start.begin(store)
        start.end(store)
        assert kinds(store) == []
