"""What `attach` tells of a run in plain and JSON lines: each event as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.store.fixtures import NOW, a_job, a_run, an_attempt
from vbsbatch.cli.attach_command import as_told
from vbsbatch.model import (
    Answer,
    BackupSettings,
    Job,
    JobMoved,
    JobState,
    RunNoted,
    Verdict,
    renewed,
)
from vbsbatch.report import plain
from vbsbatch.store import Store

RUN = "20261118-1200-aaaa"


class Life:
    """One job's life, recorded in a real store as an engine does."""

    def __init__(self, store: Store, journal: Any) -> None:
        self.store, self.journal, self.at = store, journal, NOW

    async def claim(self) -> Job:
        self.at += 10
        (job,) = await self.journal.claim(self.at, 1, cloud_now=self.at)
        return job

    async def answer(self, verdict: Verdict, status: int, code: str | None, **changes: Any) -> Job:
        """Claim the job, and record what its create was answered."""
        job = await self.claim()
        changes.setdefault("state", JobState.WAITING)
        changes |= {"http_status": status, "code": code, "message": code}
        answer = Answer(status=status, code=code, message=code)
        attempt = an_attempt(job.attempts, sent_at=self.at, verdict=verdict, answer=answer)
        return await self.move(job, 0.125, attempt=attempt, **changes)

    async def move(self, job: Job, after: float = 1.0, **changes: Any) -> Job:
        self.at += after
        event = {key: changes.pop(key) for key in ("attempt", "note") if key in changes}
        moved = replace(job, **changes)
        self.journal.record(JobMoved(job=moved, came_from=job.state, at=self.at, **event))
        await self.journal.flush()
        return moved

    def told(self) -> list[JobMoved]:
        """The job's moves as `attach` tells them by now."""
        events = [as_told(self.store, RUN, event) for event in self.store.events(RUN)]
        return [event for event in events if isinstance(event, JobMoved)]


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    with Store.open(tmp_path / "vbsbatch.db", create=True) as store:
        store.create_run(a_run(RUN), [a_job(1)], BackupSettings())
        async with store.journal(RUN) as journal:
            yield Life(store, journal)


def seen(event: JobMoved) -> Sequence[Any]:
    job = event.job
    return (str(event.came_from), str(job.state), job.http_status, job.code, job.charged)


@pytest.mark.anyio
async def test_a_failure_that_was_retried_since_is_told_as_the_failure_it_was(life: Life) -> None:
    busy = {"uncharged": 1, "due_at": life.at}
    await life.answer(Verdict.LATER, 400, "VolumeBackup.0012", **busy)
    failed = {"state": JobState.FAILED, "ended_at": life.at + 10.1}
    job = await life.answer(Verdict.FAIL, 400, "VolumeBackup.0040", **failed)
    newest = life.told()[-1]
    assert newest.job == life.store.job(RUN, 1), "as it is while nothing has happened since"
    job = await life.move(job, state=JobState.WAITING, note="retry asked for", **renewed(job))
    await life.answer(Verdict.RETRY, 500, "x", due_at=life.at)
    await life.answer(Verdict.ACCEPTED, 200, None, state=JobState.RUNNING)
    assert [seen(event) for event in life.told()] == [
        ("submitting", "waiting", 400, "VolumeBackup.0012", 0),
        ("submitting", "failed", 400, "VolumeBackup.0040", 1),
        ("failed", "waiting", 400, "VolumeBackup.0040", 0),
        ("submitting", "waiting", 500, "x", 1),
    ]
    failure = life.told()[1]
    assert failure == newest or failure.job.message == newest.job.message
    assert failure.attempt is not None
    assert (failure.attempt.number, failure.attempt.verdict) == (2, Verdict.FAIL)
    assert (failure.job.attempts, failure.job.ended_at) == (2, failure.at)
    words = plain.line(failure, attempts=5)
    assert " fail     job=00001 attempt=1/5 http=400 code=VolumeBackup.0040 " in words


@pytest.mark.anyio
async def test_what_was_given_back_unsent_is_no_attempt(life: Life) -> None:
    job = await life.claim()
    await life.move(job, state=JobState.WAITING, attempts=0, note="not sent")
    await life.answer(Verdict.ACCEPTED, 200, None, state=JobState.RUNNING)
    (event,) = life.told()
    assert seen(event) == ("submitting", "waiting", None, None, 0)
    assert event.attempt is None


@pytest.mark.anyio
async def test_what_an_outage_did_not_cost_is_not_told_as_an_attempt(life: Life) -> None:
    unknown = {"state": JobState.UNKNOWN, "uncharged": 1}
    job = await life.answer(Verdict.UNKNOWN, 503, None, **unknown)
    job = await life.move(job, state=JobState.WAITING)
    await life.answer(Verdict.RETRY, 500, None, uncharged=1)
    await life.answer(Verdict.ACCEPTED, 200, None, uncharged=1, state=JobState.RUNNING)
    assert [seen(event)[-1] for event in life.told()] == [0, 0, 1]


@pytest.mark.anyio
async def test_notes_about_the_run_are_told_as_they_are(life: Life) -> None:
    life.journal.record(RunNoted(at=NOW, kind="run", text="stopped: by hand"))
    await life.journal.flush()
    (event,) = life.store.events(RUN)
    assert as_told(life.store, RUN, event) == RunNoted(at=NOW, kind="run", text="stopped: by hand")
