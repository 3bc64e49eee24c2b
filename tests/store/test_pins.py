"""Pins, notes, and the jobs that made backups, in both stores."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.fixtures import NOW, a_job, a_run, volume
from vbsbatch.errors import UsageError
from vbsbatch.model import (
    BackupSettings,
    JobState,
    Operation,
    Pin,
    RunNoted,
    RunState,
    Settings,
    Wall,
)
from vbsbatch.store import RunStore

ONE, TWO = "20261122-2200-aaaa", "20261123-2200-bbbb"


def a_pin(run_id: str, backup_id: str | None = None, **facts: Any) -> Pin:
    return Pin(run_id=run_id, backup_id=backup_id, pinned_at=Wall(NOW), pinned_by="ann", **facts)


def made(no: int, **facts: Any) -> Any:
    known = {"state": JobState.SUCCEEDED, "backup_id": volume(100 + no), "ended_at": NOW}
    return a_job(no, **{**known, **facts})


@pytest.fixture
def kept(any_store: RunStore) -> RunStore:
    """A store with two runs that made backups."""
    any_store.create_run(a_run(ONE), [made(1), made(2), a_job(3)])
    any_store.create_run(a_run(TWO), [made(4, volume_id=volume(1), backup_id="odd")])
    return any_store


def test_a_pin_is_replaced_and_released(kept: RunStore) -> None:
    kept.pin(a_pin(ONE))
    kept.pin(a_pin(ONE, volume(101)))
    kept.pin(a_pin(ONE, until=Wall(NOW + 3600)))
    assert kept.pins() == [a_pin(ONE, volume(101)), a_pin(ONE, until=Wall(NOW + 3600))]
    assert not kept.release(TWO, None)
    assert kept.release(ONE, None)
    assert kept.release(ONE, volume(101))
    assert not kept.release(ONE, volume(101))
    assert kept.pins() == []


def test_a_pin_that_has_ended_is_forgotten_with_the_next_change(kept: RunStore) -> None:
    kept.pin(a_pin(ONE, until=Wall(NOW + 98)))
    kept.pin(a_pin(TWO, until=Wall(NOW + 100)))
    assert kept.pins() == [a_pin(TWO, until=Wall(NOW + 100))]


def test_only_a_run_that_there_is_can_be_pinned(kept: RunStore) -> None:
    with pytest.raises(UsageError):
        kept.pin(a_pin("20261124-2200-cccc"))
    assert kept.pins() == []


def test_who_made_a_backup_is_found_by_its_id_name_or_volume(kept: RunStore) -> None:
    def found(*ids: str, **how: Any) -> list[tuple[str, int]]:
        return [(run_id, job.no) for run_id, job in kept.made(ids, **how)]

    assert found(volume(102), "odd", "unknown") == [(ONE, 2), (TWO, 4)]
    assert found(volumes=[volume(1)]) == [(ONE, 1), (TWO, 4)]
    assert found(names=[made(2).backup_name]) == [(ONE, 2)]
    assert found() == []
    prune = a_run("20261124-2200-cccc", settings=Settings(operation=Operation.PRUNE))
    kept.create_run(prune, [made(5, settings=BackupSettings(source_backup_id="odd"))])
    assert found(volume(105)) == [], "that run made nothing"


def test_a_note_is_in_the_history_and_seen_as_a_change(kept: RunStore) -> None:
    before = kept.mark()
    kept.note(ONE, RunNoted(at=Wall(NOW + 1), kind="retention", text="none to delete"))
    (event,) = kept.events(ONE)
    assert (event.kind, event.text) == ("retention", "none to delete")
    assert kept.mark().event > before.event
    kept.set_retained(ONE)
    assert (kept.run(ONE).retained_at, kept.run(TWO).retained_at) == (Wall(NOW + 99), None)


@pytest.mark.parametrize("why", ["follows", "makes_room_for"])
def test_the_latest_run_is_one_that_a_person_began(kept: RunStore, why: str) -> None:
    asked: dict[str, Any] = {why: TWO}
    automatic = Settings(operation=Operation.PRUNE, source_plan="nightly", **asked)
    kept.create_run(a_run("20261124-2200-cccc", settings=automatic, state=RunState.ENDED), [])
    assert kept.run("latest").id == TWO
    by_hand = Settings(operation=Operation.PRUNE, source_plan="nightly")
    kept.create_run(a_run("20261124-2200-dddd", settings=by_hand), [])
    assert kept.run("latest").id == "20261124-2200-dddd"
