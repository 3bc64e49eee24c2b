"""A process beside the screens: `python -m benchmarks.screen_process STEP WORD...`.

====== ===================================================================================
churn  changes the jobs of a store's run, so many a second, through the real journal
drive  drives a store's run against a server until so many creates were answered
table  shows a store's run in a `DataTable`, the widget that Textual brings for such a thing
====== ===================================================================================
"""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from vbsbatch.model import Cloud, Elapsed, Wall
from vbsbatch.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from vbsbatch.model import Job
    from vbsbatch.store.sqlite.journal import SqliteJournal

EVERY = 0.05
"""Seconds between two handfuls of changes."""

RUNNING = 200
"""Jobs that run at a time."""

LOOK_EVERY = 0.25
"""Seconds between two looks of the table at the store, as the screen's."""


def churn(path: str, a_second: str) -> None:
    """Claim, start and finish jobs at this rate until the process is killed."""
    import anyio

    from vbsbatch.model import Rate, RunState

    async def go(store: SqliteStore) -> None:
        run = store.run("latest")
        with store.lock(run.id):
            async with store.journal(run.id) as journal:
                await journal.run_state(RunState.RUNNING, Wall(time.time()))
                jobs = _Churn(journal)
                began = beat = time.monotonic()
                while True:
                    await jobs.change(int((time.monotonic() - began) * int(a_second)))
                    if time.monotonic() > beat:
                        beat += 1
                        await journal.heartbeat(
                            Wall(time.time()),
                            clock_step=0.0,
                            adopted=0,
                            rate=Rate(count=500),
                            create_calls=0,
                            read_calls=0,
                            next_look_at=None,
                            ends_at=None,
                            rate_used=0.5,
                            circuit_open=False,
                        )
                    await anyio.sleep(EVERY)

    with SqliteStore.open(path) as store:
        anyio.run(go, store)


class _Churn:
    """Jobs on their way; each move is one change."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self._changes = 0
        self._running: deque[Job] = deque()

    async def change(self, until: int) -> None:
        """Change jobs until there were so many changes, a third of them claims."""
        claimed = await self._journal.claim(
            Elapsed(time.time()), (until - self._changes) // 3, cloud_now=Cloud(time.time())
        )
        self._changes += 3 * len(claimed)
        for job in claimed:
            self._accept(job)
        for _ in range(len(self._running) - RUNNING):
            self._end(self._running.popleft())
        await self._journal.flush()

    def _accept(self, job: Job) -> None:
        from vbsbatch.model import Answer, Attempt, JobMoved, JobState, Verdict

        now = time.time()
        running = replace(job, state=JobState.RUNNING, cloud_job_id=f"{job.no:032x}")
        attempt = Attempt(
            number=job.attempts,
            sent_at=Wall(now),
            took=0.04,
            verdict=Verdict.ACCEPTED,
            answer=Answer(status=200, cloud_job_id=running.cloud_job_id),
        )
        self._journal.record(
            JobMoved(job=running, came_from=JobState.SUBMITTING, at=Wall(now), attempt=attempt)
        )
        self._running.append(running)

    def _end(self, job: Job) -> None:
        """Every tenth job fails."""
        from vbsbatch.model import JobMoved, JobState

        now = time.time()
        ended = replace(job, state=JobState.SUCCEEDED, ended_at=Wall(now))
        if job.no % 10 == 0:
            ended = replace(
                ended, state=JobState.FAILED, http_status=500, code=f"VolumeBackup.{job.no % 70:04}"
            )
        self._journal.record(JobMoved(job=ended, came_from=JobState.RUNNING, at=Wall(now)))


def drive(path: str, url: str, creates: str) -> None:
    """Drive the run for so many creates."""
    import anyio

    import benchmarks.driving

    async def go(store: SqliteStore) -> None:
        run = store.run("latest")
        with store.lock(run.id):
            await benchmarks.driving.drive(store, run, url, stop_after=int(creates))

    with SqliteStore.open(path) as store:
        anyio.run(go, store)


def table(path: str) -> None:
    """Every job a row of a `DataTable`, kept up to date; a line below says where the cursor is."""
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable, Static

    store = SqliteStore.open(path)
    run = store.run("latest")

    class Table(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable(cursor_type="row")
            yield Static(id="place", markup=False)

        def on_mount(self) -> None:
            rows = self.query_one(DataTable)
            rows.styles.height = "1fr"
            self._columns = rows.add_columns("ST", "#", "VOLUME", "HTTP", "ERR", "ATT")
            for job in store.jobs(run.id):
                rows.add_row(*_cells(job), key=str(job.no))
            rows.focus()
            self._mark = store.mark()
            self.set_interval(LOOK_EVERY, self._look)

        def _look(self) -> None:
            """Only the cells that change."""
            rows = self.query_one(DataTable)
            self._mark, changed = store.changed(run.id, self._mark)
            for job in changed:
                for column, cell in zip(self._columns, _cells(job), strict=True):
                    if rows.get_cell(str(job.no), column) != cell:
                        rows.update_cell(str(job.no), column, cell)

        def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
            total = event.data_table.row_count
            self.query_one("#place", Static).update(f"row {event.cursor_row + 1:,} of {total:,}")

    Table().run()


def _cells(job: Job) -> tuple[str, ...]:
    return (
        str(job.state),
        f"{job.no:05d}",
        job.volume_name or "",
        str(job.http_status or "-"),
        job.code or "-",
        str(job.attempts),
    )


STEPS = {step.__name__: step for step in (churn, drive, table)}

if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
