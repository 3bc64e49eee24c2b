from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import anyio
import pytest

from tests.observers.looks import a_channel
from tests.store.fixtures import a_job, a_run
from vbsbatch.api.notices import StoreDesk, open_desk
from vbsbatch.errors import StoreFailed
from vbsbatch.model import Address, BackupSettings, RunState, Settings
from vbsbatch.model.clocks import wall
from vbsbatch.observers import LiveRun, RunEnded, RunStarted
from vbsbatch.observers.notifier import Notifier
from vbsbatch.store.memory import MemoryStore

pytestmark = pytest.mark.anyio

RUN = "20261118-1200-aaaa"
NOBODY = Address(variable="NO_SUCH_URL")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    settings = Settings(notify=("ops",))
    made.create_run(a_run(RUN, settings=settings), [a_job(1)], BackupSettings())
    return made


class Desks:
    """Opens the store for a notifier; the first so many times it fails."""

    def __init__(self, store: MemoryStore, failures: int = 0) -> None:
        self.store = store
        self.failures = failures

    @contextmanager
    def __call__(self) -> Iterator[StoreDesk]:
        if self.failures:
            self.failures -= 1
            raise StoreFailed("the disk is full")
        with open_desk(self.store, RUN) as desk:
            yield desk


def started(store: MemoryStore, desks: Desks) -> RunStarted:
    return RunStarted(run=store.run(RUN), live=cast("LiveRun", None), desk=desks)


def ended(store: MemoryStore) -> RunEnded:
    store.held.run(RUN).change(state=RunState.ENDED, ended_at=wall())
    return RunEnded(run=store.run(RUN), counts={}, exit_code=0)


async def test_the_channels_of_the_plan_are_told_although_the_store_failed_once(
    store: MemoryStore,
) -> None:
    told: list[str] = []
    channels = [a_channel(name=name, address=NOBODY) for name in ("ops", "mail")]
    notifier = Notifier(channels, told=lambda note: told.append(note.text))
    notifier(started(store, Desks(store, failures=1)))
    notifier(ended(store))
    await notifier.finish()
    words = "not sent to ops: the environment variable NO_SUCH_URL is not set"
    assert told == [f"end: {words}; it will be tried again"]
    assert [each.channel for each in store.messages.of_run(RUN)] == ["ops"]


async def test_a_store_that_stays_broken_costs_the_run_nothing(store: MemoryStore) -> None:
    notifier = Notifier([a_channel(address=NOBODY)])
    notifier(started(store, Desks(store, failures=999)))
    notifier(ended(store))
    began = time.monotonic()
    async with anyio.create_task_group() as group:
        group.start_soon(notifier.finish)
        await anyio.sleep(0.2)
        notifier.hurry()
    assert time.monotonic() - began < 10
    assert store.messages.unsent() == []


async def test_without_a_store_there_is_nothing_to_finish() -> None:
    notifier = Notifier([a_channel()])
    notifier(RunStarted(run=a_run(RUN), live=cast("LiveRun", None)))
    await notifier.finish()
