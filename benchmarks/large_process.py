"""One step of `benchmarks.large` as a process: `python -m benchmarks.large_process STEP WORD...`.

Prints what it found out as JSON. Imports only what the step needs: its memory is measured.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

IN_FLIGHT = 2000
SOME = 50
"""Creates after which an engine may stop whose start alone is of interest."""


def check(plan: str) -> dict[str, Any]:
    """Load and check a plan, as `vbsbatch check` does."""
    from vbsbatch.plan import load

    began = time.monotonic()
    load(Path(plan))
    return {"took": time.monotonic() - began}


def start(plan: str, path: str, url: str) -> dict[str, Any]:
    """Freeze a checked plan into a new store and start the engine."""
    from dataclasses import replace

    from benchmarks.driving import new_run
    from vbsbatch.plan import load
    from vbsbatch.store.sqlite.store import SqliteStore

    loaded = load(Path(plan))
    limits = replace(loaded.settings.limits, in_flight=IN_FLIGHT)
    began = time.monotonic()
    with SqliteStore.open(path, create=True) as store:
        run = new_run(store, loaded.jobs, limits)
        _drive(store, run, url, SOME)
    return {"began": began}


def resume(path: str, url: str) -> dict[str, Any]:
    """Go on with the store's run, for a moment."""
    from vbsbatch.store.sqlite.store import SqliteStore

    with SqliteStore.open(path) as store:
        _drive(store, store.run("latest"), url, SOME)
    return {}


def freeze(path: str, jobs: str) -> dict[str, Any]:
    """Make a new store with a run of so many jobs."""
    from benchmarks.driving import NO_LIMIT, new_run
    from benchmarks.fleet import fleet
    from vbsbatch.model import Limits
    from vbsbatch.store.sqlite.store import SqliteStore

    limits = Limits(rate=NO_LIMIT, in_flight=IN_FLIGHT)
    with SqliteStore.open(path, create=True) as store:
        new_run(store, fleet(int(jobs)), limits)
    return {}


def drive(path: str, url: str) -> dict[str, Any]:
    """Drive the store's run to its end."""
    from vbsbatch.model import RunState
    from vbsbatch.store.sqlite.store import SqliteStore

    began = time.monotonic()
    with SqliteStore.open(path) as store:
        assert _drive(store, store.run("latest"), url, None) is RunState.ENDED
    return {"took": time.monotonic() - began, "bytes": Path(path).stat().st_size}


def _drive(store: Any, run: Any, url: str, stop_after: int | None) -> Any:
    import anyio

    import benchmarks.driving

    async def go() -> Any:
        driven = await benchmarks.driving.drive(store, run, url, stop_after=stop_after)
        return driven.ending.state

    return anyio.run(go)


def _memory() -> float:
    """Peak memory of this process in MB (`ru_maxrss` would tell the parent's, too)."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


STEPS = {step.__name__: step for step in (check, start, resume, freeze, drive)}

if __name__ == "__main__":
    found = STEPS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(found | {"memory": _memory()}))
