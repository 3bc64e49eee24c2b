"""One interface for both stores, so that the same tests run on each, and sample values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vbsbatch.model import (
    Answer,
    Attempt,
    BackupSettings,
    Job,
    JobMoved,
    JobState,
    Run,
    RunState,
    Settings,
    Verdict,
    Wall,
)
from vbsbatch.store.memory import MemoryStore
from vbsbatch.store.ports import NO_DEFAULTS
from vbsbatch.store.sqlite.store import SqliteStore

NOW = 1_795_000_000.0


def a_run(run_id: str = "20261118-1200-aaaa", **fields: Any) -> Run:
    given: dict[str, Any] = {
        "id": run_id,
        "plan": "nightly",
        "cloud": "otc",
        "state": RunState.RUNNING,
        "settings": Settings(),
        "created_at": NOW,
    }
    return Run(**(given | fields))


def volume(number: int) -> str:
    return f"6ba7b810-9dad-11d1-80b4-{number:012x}"


def a_job(no: int, **fields: Any) -> Job:
    given: dict[str, Any] = {
        "no": no,
        "volume_id": volume(no),
        "volume_name": f"db-{no:03}",
        "backup_name": f"nightly-db-{no:03}",
    }
    return Job(**(given | fields))


def an_attempt(number: int = 1, **fields: Any) -> Attempt:
    given: dict[str, Any] = {
        "number": number,
        "sent_at": NOW,
        "took": 0.125,
        "verdict": Verdict.ACCEPTED,
        "answer": Answer(status=200, cloud_job_id="00" * 16),
    }
    return Attempt(**(given | fields))


def moved(job: Job, to: JobState, at: float = NOW, **fields: Any) -> JobMoved:
    event = {key: fields.pop(key) for key in ("attempt", "note") if key in fields}
    return JobMoved(job=replace(job, state=to, **fields), came_from=job.state, at=Wall(at), **event)


@dataclass
class StoreFixture:
    store: Any
    inline: bool | None

    def create_run(
        self, run: Run, jobs: Iterable[Job], defaults: BackupSettings = NO_DEFAULTS
    ) -> None:
        self.store.create_run(run, jobs, defaults)

    def journal(self, run_id: str) -> Any:
        if self.inline is None:
            return self.store.journal(run_id)
        return self.store.journal(run_id, inline=self.inline)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


@contextmanager
def in_memory(path: Path) -> Iterator[StoreFixture]:
    yield StoreFixture(MemoryStore(), None)


@contextmanager
def on_disk(path: Path) -> Iterator[StoreFixture]:
    with SqliteStore.open(path, create=True) as store:
        yield StoreFixture(store, False)


@contextmanager
def on_disk_inline(path: Path) -> Iterator[StoreFixture]:
    with SqliteStore.open(path, create=True) as store:
        yield StoreFixture(store, True)
