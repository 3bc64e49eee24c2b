from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.fixtures import StoreFixture, in_memory, on_disk, on_disk_inline
from vbsbatch.store import Store


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vbsbatch.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path, create=True) as opened:
        yield opened


@pytest.fixture(params=[in_memory, on_disk, on_disk_inline], ids=lambda make: make.__name__)
def ground(request: pytest.FixtureRequest, path: Path) -> Iterator[StoreFixture]:
    with request.param(path) as made:
        yield made
