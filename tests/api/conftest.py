from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.harness import Harness


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """A user's files, in this very process: the API is called here."""
    made = Harness(tmp_path)
    made.write_plan()
    environment = made.environment
    for name in set(os.environ) - environment.keys():
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OS_CLOUD", "simulator")
    monkeypatch.chdir(tmp_path)
    yield made
    made.close()
