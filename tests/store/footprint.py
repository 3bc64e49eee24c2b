"""How many bytes of the store file a finished job takes, measured on a realistic run."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from vbsbatch.model import (
    Answer,
    Attempt,
    BackupSettings,
    Cloud,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Run,
    RunState,
    Settings,
    Verdict,
    Wall,
)
from vbsbatch.store.sqlite.journal import SqliteJournal
from vbsbatch.store.sqlite.store import SqliteStore

START = 1_795_000_000.0
"""When the measured run begins: late 2026."""

BETWEEN = 0.2
"""Seconds from one create to the next."""


IN_FLIGHT = 500
"""Backups under way at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """What a run took."""

    jobs: int
    per_job: float
    """Bytes of the file, attempts and events included."""
    split: Mapping[str, float]
    """The same by table and index."""
    commits_per_job: float


async def measure(path: Path, *, jobs: int = 100_000, retried: float = 0.02) -> Footprint:
    """Write a run of so many jobs to a new store; the share `retried` needs two attempts."""
    chance = random.Random(jobs)
    with SqliteStore.open(path, create=True) as store:
        run_id = store.new_run_id(Wall(START))
        store.create_run(_run(run_id), _jobs(jobs, run_id, chance), BackupSettings())
        async with store.journal(run_id, inline=True) as journal:
            await _drive(journal, chance, retried)
    return Footprint(
        jobs=jobs,
        per_job=path.stat().st_size / jobs,
        split={name: size / jobs for name, size in _sizes(path)},
        commits_per_job=journal.commits / jobs,
    )


def _sizes(path: Path) -> list[tuple[str, int]]:
    """Bytes of the file by table and index; none where SQLite was built without `dbstat`."""
    with closing(sqlite3.connect(path)) as db, suppress(sqlite3.OperationalError):
        return list(db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
    return []


async def _drive(journal: SqliteJournal, chance: random.Random, retried: float) -> None:
    """Claim, answer and finish every job, with some hundred backups under way at any time."""
    under_way: list[Job] = []
    now = START
    while claimed := await journal.claim(Elapsed(now), 50, cloud_now=Cloud(now)):
        for job in claimed:
            now += BETWEEN
            move = _answered(job, now, chance, retry=chance.random() < retried)
            journal.record(move)
            if move.job.state is JobState.RUNNING:
                under_way.append(move.job)
        for _ in range(len(under_way) - IN_FLIGHT):
            journal.record(_finished(_any(under_way, chance), now, chance))
    while under_way:
        journal.record(_finished(_any(under_way, chance), now, chance))


def _run(run_id: str) -> Run:
    return Run(
        id=run_id,
        plan="nightly",
        cloud="otc",
        state=RunState.RUNNING,
        settings=Settings(),
        created_at=Wall(START),
    )


def _id(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128))


def _jobs(count: int, run_id: str, chance: random.Random) -> Iterator[Job]:
    for no in range(1, count + 1):
        name = f"db01-data-{no:05d}"
        yield Job(
            no=no,
            volume_id=str(_id(chance)),
            volume_name=name,
            backup_name=f"full-{name}-{run_id}"[:40],
        )


def _answered(job: Job, at: float, chance: random.Random, *, retry: bool) -> JobMoved:
    """What the engine records when the create is answered."""
    answer = Answer(status=200, request_id=f"req-{_id(chance)}", cloud_job_id=_id(chance).hex)
    if retry:
        answer = Answer(
            status=400,
            code="VolumeBackup.0022",
            message="failed to create the temporary disk",
            request_id=f"req-{_id(chance)}",
        )
    after = replace(
        job,
        state=JobState.WAITING if retry else JobState.RUNNING,
        first_sent_at=job.first_sent_at or Wall(at),
        http_status=answer.status,
        code=answer.code,
        message=answer.message,
        cloud_job_id=answer.cloud_job_id,
    )
    attempt = Attempt(
        number=job.attempts,
        sent_at=Wall(at),
        took=0.1 + chance.random() / 5,
        verdict=Verdict.RETRY if retry else Verdict.ACCEPTED,
        answer=answer,
    )
    return JobMoved(job=after, came_from=job.state, at=Wall(at), attempt=attempt)


def _any(jobs: list[Job], chance: random.Random) -> Job:
    """Backups end in no particular order."""
    at = chance.randrange(len(jobs))
    jobs[at], jobs[-1] = jobs[-1], jobs[at]
    return jobs.pop()


def _finished(job: Job, at: float, chance: random.Random) -> JobMoved:
    after = replace(
        job, state=JobState.SUCCEEDED, ended_at=Wall(at), backup_id=str(_id(chance)), progress=100
    )
    return JobMoved(job=after, came_from=job.state, at=Wall(at))
