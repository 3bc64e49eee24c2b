from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest

from tests.receivers import Hook, free_port
from tests.store.fixtures import a_run
from vbsbatch.model import Address, Operation, Pings, RunNoted, Settings
from vbsbatch.observers import LiveRun, RunEnded, RunStarted
from vbsbatch.observers.pinger import Pinger

SECRET = "T0KEN-that-nobody-may-see"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook(SECRET)
    yield made
    made.close()


async def pinged(pings: Mapping[str, Pings], code: int, **run: Any) -> list[str]:
    """A run that starts and ends with this exit code; what was told about its pings."""
    told: list[RunNoted] = []
    pinger = Pinger(pings, told=told.append, waits=(0.0, 0.0))
    about = a_run(**run)
    pinger(RunStarted(run=about, live=cast("LiveRun", None)))
    pinger(RunEnded(run=about, counts={}, exit_code=code))
    await pinger.finish()
    return [note.text for note in told]


def all_three(hook: Hook) -> Mapping[str, Pings]:
    words = ("start", "success", "failure")
    return {"nightly": Pings(**{word: Address(url=hook.url("http", f"/{word}")) for word in words})}


@pytest.mark.parametrize(("code", "word"), [(0, "success"), (1, "failure"), (3, "failure")])
async def test_a_run_pings_at_its_start_and_its_end(hook: Hook, code: int, word: str) -> None:
    assert await pinged(all_three(hook), code) == []
    assert hook.pings() == ["/start", f"/{word}"]


async def test_restores_and_runs_of_other_plans_do_not_ping(hook: Hook) -> None:
    await pinged(all_three(hook), 0, plan="weekly")
    await pinged(all_three(hook), 0, settings=Settings(operation=Operation.RESTORE))
    assert hook.pings() == []


async def test_a_ping_is_tried_again_and_told_when_it_fails(hook: Hook) -> None:
    nowhere = Address(url=f"http://127.0.0.1:{free_port()}/{SECRET}")
    hook.status = 503
    hook.meanwhile = lambda: setattr(hook, "status", 200 if len(hook.hits) == 1 else hook.status)
    only = {"nightly": Pings(start=Address(url=hook.url("http")), success=nowhere)}
    assert await pinged(only, 0) == ["ping success: no connection"]
    assert len(hook.hits) == 2
    hook.status, hook.meanwhile = 301, lambda: None
    moved = {"nightly": Pings(failure=Address(url=hook.url("http")), start=Address(variable="X"))}
    assert await pinged(moved, 1) == [
        "ping start: the environment variable X is not set",
        "ping failure: it answered HTTP 301: the URL must be the final one",
    ]
