from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.fixtures import NOW, StoreFixture, in_memory, on_disk, on_disk_inline
from vbsbatch.model import Wall
from vbsbatch.store import RunStore
from vbsbatch.store.memory import MemoryStore
from vbsbatch.store.sqlite.store import SqliteStore


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vbsbatch.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore.open(path, create=True) as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite"])
def any_store(request: pytest.FixtureRequest, path: Path) -> Iterator[RunStore]:
    """Either store, whose clock stands at 99 s after `NOW`."""

    def clock() -> Wall:
        return Wall(NOW + 99)

    if request.param == "memory":
        yield MemoryStore(clock=clock)
    else:
        with SqliteStore.open(path, create=True, clock=clock) as opened:
            yield opened


@pytest.fixture(params=[in_memory, on_disk, on_disk_inline], ids=lambda make: make.__name__)
def each_store(request: pytest.FixtureRequest, path: Path) -> Iterator[StoreFixture]:
    with request.param(path) as made:
        yield made
