from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.harness import Harness
from tests.screen.tmux import TMUX, Tmux
from vbsbatch.errors import VbsbatchError
from vbsbatch.store import Store


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    made.write_plan()
    yield made
    _end_engines(made)
    made.close()


@pytest.fixture
def tmux(stage: Harness) -> Iterator[Tmux]:
    if TMUX is None:
        pytest.skip("NOT TESTED: there is no tmux, so nothing was shown at a real terminal")
    made = Tmux(stage.folder, stage.environment)
    yield made
    made.close()


def _end_engines(stage: Harness) -> None:
    """Kill the engines that the screens of a test left running: they outlive everything else."""
    if not stage.store.exists():
        return
    with suppress(VbsbatchError), Store.open(stage.store, readonly=True) as store:
        for run in store.runs():
            if (holder := store.is_live(run.id)) and holder.pid is not None:
                os.kill(holder.pid, signal.SIGKILL)
