"""Sweeps the cloud's list: when to look, how far to read, and whether creates may begin.

The list tells the state of up to 1000 backups a call. What it says about each job is in
`vbsbatch/engine/job_updates.py`.
"""

from __future__ import annotations

import anyio
from aiolimiter import AsyncLimiter

from vbsbatch.engine.initial_scan import UNCERTAIN, InitialScan
from vbsbatch.engine.job_updates import JobUpdater
from vbsbatch.engine.page_reader import PageReader
from vbsbatch.engine.poll_schedule import PollSchedule
from vbsbatch.engine.read_backoff import ReadBackoff
from vbsbatch.engine.reconcile import (
    Index,
    Observations,
    Snapshot,
    needed_since,
    reaches_back,
    settled_at,
    status,
)
from vbsbatch.engine.run_context import RunContext
from vbsbatch.errors import CloudRefused, CloudUnavailable, SignInError
from vbsbatch.model import AT_ONCE, Backup, Elapsed, Job, JobState, on_cloud_clock


class Poller:
    """One task that keeps every open job's state as fresh as the call budget allows."""

    def __init__(self, work: RunContext) -> None:
        self._ledger = work.ledger
        self._journal = work.journal
        self._service = work.service
        self._clock = work.clock
        self._settings = work.settings
        self._tuning = work.tuning
        self._stop = work.stop
        self._wake = work.wake
        self._run = work.run
        self._resumed = work.resumed
        self._cadence = PollSchedule(work.tuning, in_flight=work.settings.limits.in_flight)
        self._reads = AsyncLimiter(1, 1 / work.tuning.reads_per_second)
        self._last = self._began_at = work.clock.elapsed()
        self._looked = False
        self._outages = ReadBackoff(
            work.tuning,
            settle=work.settings.retry.settle,
            now=work.clock.elapsed,
            note=work.ledger.note,
        )
        self._pages = PageReader(
            work, reads=self._reads, outages=self._outages, asked=self._cadence.swept
        )
        self._conclusions = JobUpdater(
            work, reads=self._reads, cadence=self._cadence, began_at=self._began_at
        )

    async def run(self) -> None:
        """Sweep for ever; ends by cancellation."""
        while True:
            await self._until_due()
            try:
                await self._sweep()
            except CloudUnavailable as error:
                self._outages.rest(error)
            except (CloudRefused, SignInError) as error:
                self._stop(f"cannot read the backups: {error}")
                await anyio.sleep_forever()
            else:
                self._outages.recovered()

    async def _until_due(self) -> None:
        while (wait := self._due() - self._clock.elapsed()) > 0:
            await self._ledger.tracked.wait(wait)

    def _due(self) -> Elapsed:
        if not self._looked:  # nothing is sent before
            return max(self._began_at, self._outages.not_before)
        jobs = self._ledger.open.values()
        unsure = [j.unknown_at or AT_ONCE for j in jobs if j.state is JobState.UNKNOWN]
        if not self._ledger.surveyed:
            unsure.append(self._began_at)
        readable, settle = self._outages.readable_since, self._settings.retry.settle
        due = self._cadence.next(
            last=self._last,
            creates=self._service.create_calls,
            sent=[self._conclusions.since(j) for j in jobs if j.state is JobState.RUNNING],
            settle=[settled_at(at, readable, settle) for at in unsure],
        )
        return max(due, self._outages.not_before)

    async def _sweep(self) -> None:
        """One look at the list, and what it says of every job that was open when it began."""
        self._last = self._clock.elapsed()
        jobs = [
            job
            for job in self._ledger.open.values()
            if job.state in (JobState.RUNNING, JobState.UNKNOWN)
        ]
        if self._ledger.ended:
            await anyio.sleep_forever()
        if self._ledger.surveyed and not jobs:
            return
        seen, complete = await self._look(jobs)
        self._outages.looked()
        await self._conclusions.draw(jobs, seen, complete)
        if not self._ledger.surveyed and seen.sight.conclusive:
            self._begin_to_send()

    async def _look(self, jobs: list[Job]) -> tuple[Observations, bool]:
        """Read pages, newest first, until nothing further can matter: one, that shows that the list
        can be read, where no engine has driven the run before."""
        started_at = self._clock.elapsed()
        self._outages.look()
        listed = await self._pages.read(None)
        # Only now: the first answer's `Date` may be the first to tell the server's clock.
        sight = self._sight(started_at)
        seen, survey = (
            Observations(index=Index(jobs), sight=sight),
            InitialScan(self._journal, sight),
        )
        since = needed_since(jobs, sight)
        shown: list[Backup] = []
        for _ in range(self._tuning.pages_at_most):
            seen.add(listed.backups)
            shown += listed.backups
            if sight.surveying:
                await survey.add(listed.backups)
            if listed.next is None or sight.first_of_all or reaches_back(shown, since):
                self._looked = True
                if sight.surveying:
                    await self._take_over(survey)
                return seen, True
            if not sight.surveying and self._rest_alone(jobs, seen):
                return seen, False
            listed = await self._pages.read(listed.next)
        raise CloudUnavailable(f"the list does not end within {self._tuning.pages_at_most} pages")

    async def _take_over(self, survey: InitialScan) -> None:
        """What the cloud has of jobs that the store takes for waiting becomes theirs."""
        self._conclusions.leftovers |= survey.left
        adopted, uncertain = await survey.take_over(self._ledger, self._clock.elapsed())
        if adopted:
            self._ledger.adopted += len(adopted)
            many = "1 backup" if len(adopted) == 1 else f"{len(adopted)} backups"
            words = f"took over {many} of this run that the store did not know of"
            self._ledger.note("run", f"{words}: it is an old copy, or was made anew")
        for each in uncertain:
            self._conclusions.fail(each.job, "uncertain", each.backup.fail_reason or UNCERTAIN)
        for job, backup in adopted:
            await self._conclusions.found(job, backup, status(backup))

    def _begin_to_send(self) -> None:
        self._ledger.surveyed = True
        self._wake()

    def _sight(self, started_at: Elapsed) -> Snapshot:
        ahead, run = self._service.clock_ahead, self._run
        return Snapshot(
            started_at=started_at,
            clock_ahead=ahead,
            names_unique=self._settings.names_unique,
            settle=self._settings.retry.settle,
            readable_since=self._outages.readable_since,
            began_at=self._began_at,
            resumed=self._resumed,
            surveying=not self._ledger.surveyed,
            run_since=on_cloud_clock(run.created_cloud_at, Elapsed(float(run.created_at)), ahead),
            leftovers=self._conclusions.leftovers,
        )

    def _rest_alone(self, jobs: list[Job], seen: Observations) -> bool:
        unseen = [job for job in jobs if job.no not in seen.found]
        return len(unseen) <= self._tuning.alone_at_most and all(
            job.state is JobState.RUNNING and job.backup_id for job in unseen
        )
