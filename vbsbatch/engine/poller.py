"""Sweeps the cloud's list: when to sweep, how far to read, and whether creates may begin.

The list shows the state of up to 1000 backups per call. What it means for each job is in
`vbsbatch/engine/job_updates.py`.
"""

from __future__ import annotations

import anyio
from aiolimiter import AsyncLimiter

from vbsbatch.engine.dispatcher import Dispatcher
from vbsbatch.engine.initial_scan import UNCERTAIN, InitialScan
from vbsbatch.engine.job_updates import JobUpdater
from vbsbatch.engine.outlook import Outlook
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
from vbsbatch.errors import CloudRefused, CloudUnavailable, ListChanged, SignInError
from vbsbatch.model import (
    AT_ONCE,
    LONG_AGO,
    NEVER,
    Backup,
    BackupPage,
    Elapsed,
    Job,
    JobState,
    on_cloud_clock,
)


class Poller:
    """One task that keeps the state of every open job as fresh as the call budget allows."""

    def __init__(self, work: RunContext, dispatcher: Dispatcher) -> None:
        """The dispatcher has the cap and the rate in force."""
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
        self._schedule = PollSchedule(work.tuning, work.settings.polling)
        self._reads = AsyncLimiter(1, 1 / work.tuning.reads_per_second)
        self._last = self._began_at = work.clock.elapsed()
        self._read_once = False
        self._backoff = ReadBackoff(
            work.tuning,
            settle=work.settings.retry.settle,
            now=work.clock.elapsed,
            note=work.ledger.note,
        )
        self._outlook = Outlook(
            work.ledger,
            work.settings,
            self._schedule.durations,
            in_flight=lambda: dispatcher.claimer.in_flight,
            per_second=lambda: dispatcher.limiter.rate.per_second,
            began_at=self._began_at,
        )
        self._updater = JobUpdater(
            work, reads=self._reads, outlook=self._outlook, began_at=self._began_at
        )
        self._ends: tuple[Elapsed, Elapsed | None] = LONG_AGO, None
        """When the end of the run was worked out, and what came of it."""
        self._planned: tuple[int, Elapsed] | None = None
        """For how many running backups the next look was planned, and when it is due."""
        self._planned_at = LONG_AGO

    @property
    def next_in(self) -> float | None:
        """Seconds until the list is read next; None while it can show nothing."""
        if self._ledger.scanned and not self._ledger.open:
            return None
        return max(0.0, self._due() - self._clock.elapsed())

    @property
    def ends_in(self) -> float | None:
        """Seconds until the run has ended, as far as its backups so far tell; None: unknown."""
        now, (worked_out_at, ends_at) = self._clock.elapsed(), self._ends
        if now - worked_out_at >= 1.0 + len(self._ledger.open) / 1000:
            found = self._outlook.ends_in(now, self._schedule.curves)
            ends_at = None if found is None else now + found
            self._ends = now, ends_at
        return None if ends_at is None else max(ends_at - now, 0.0)

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self._until_due()
            try:
                await self._sweep()
            except CloudUnavailable as error:
                self._backoff.back_off(error)
            except (CloudRefused, SignInError) as error:
                self._stop(f"cannot read the backups: {error}")
                await anyio.sleep_forever()
            else:
                self._backoff.recovered()

    async def _until_due(self) -> None:
        while (wait := self._due() - self._clock.elapsed()) > 0:
            await self._ledger.poll_soon.wait(wait)

    def _due(self) -> Elapsed:
        if not self._read_once:  # nothing is sent before the first sweep
            return max(self._began_at, self._backoff.not_before)
        jobs = self._ledger.open.values()
        unsure = [j.unknown_at or AT_ONCE for j in jobs if j.state is JobState.UNKNOWN]
        if not self._ledger.scanned:
            unsure.append(self._began_at)
        readable, settle = self._backoff.readable_since, self._settings.retry.settle
        wanted = [settled_at(at, readable, settle) for at in unsure]
        soonest = self._last + self._tuning.freshest
        due = max(min([self._look_at(), self._times_out_at(), *wanted]), soonest)
        return max(due, self._backoff.not_before)

    def _times_out_at(self) -> Elapsed:
        """When the first running backup has taken longer than the plan allows."""
        first = min(self._ledger.running_since.values(), default=NEVER)
        return first + self._settings.timeouts.backup

    def _look_at(self) -> Elapsed:
        """When a look is worth its call, for what the running backups are expected to do."""
        count, now = self._ledger.counts[JobState.RUNNING], self._clock.elapsed()
        if self._planned is not None:
            planned_for, due = self._planned
            # Many may be sent in a second, and each plan goes through all that run.
            again = self._planned_at + self._tuning.freshest + count / 1000
            if abs(count - planned_for) <= count / 10:
                return due
            if now < again:
                return min(due, again)
        after = self._schedule.next(
            self._outlook.running(self._last),
            self._outlook.demand(self._last, now),
            creates=self._ledger.sent,
        )
        self._planned, self._planned_at = (count, self._last + after), now
        return self._planned[1]

    async def _sweep(self) -> None:
        """Sweep the list once, and update every job that was open when the sweep began."""
        self._last = self._clock.elapsed()
        self._planned = None
        jobs = [
            job
            for job in self._ledger.open.values()
            if job.state in (JobState.RUNNING, JobState.UNKNOWN)
        ]
        if self._ledger.ended:
            await anyio.sleep_forever()
        if self._ledger.scanned and not jobs:
            return
        observations, complete = await self._read_list(jobs)
        self._backoff.sweep_finished()
        self._schedule.looked()
        await self._updater.update(jobs, observations, complete)
        self._planned = None
        if not self._ledger.scanned and observations.snapshot.conclusive:
            self._allow_creates()

    async def _read_list(self, jobs: list[Job]) -> tuple[Observations, bool]:
        """Read pages, newest first, until the rest cannot matter.

        If no engine has driven the run before, one page is enough: it shows that the list can be
        read.
        """
        started_at = self._clock.elapsed()
        self._backoff.sweep_started()
        listed = await self._read_page(None)
        # Not earlier: the `Date` of the first answer may be the first sign of the server's clock.
        snapshot = self._snapshot(started_at)
        observations = Observations(index=Index(jobs), snapshot=snapshot)
        scan = InitialScan(self._journal, snapshot)
        since = needed_since(jobs, snapshot)
        shown: list[Backup] = []
        for _ in range(self._tuning.pages_at_most):
            observations.add(listed.backups)
            shown += listed.backups
            if snapshot.scanning:
                await scan.add(listed.backups)
                self._schedule.durations.told_before(listed.backups)
            if listed.next is None or snapshot.first_engine or reaches_back(shown, since):
                self._read_once = True
                if snapshot.scanning:
                    await self._adopt(scan)
                return observations, True
            if not snapshot.scanning and self._few_unseen(jobs, observations):
                return observations, False
            listed = await self._read_page(listed.next)
        raise CloudUnavailable(f"the list has more than {self._tuning.pages_at_most} pages")

    async def _adopt(self, scan: InitialScan) -> None:
        """Take over what the cloud has of jobs that are waiting in the store."""
        self._updater.leftovers |= scan.leftovers
        adopted, uncertain = await scan.take_over(self._ledger, self._clock.elapsed())
        if adopted:
            self._ledger.adopted += len(adopted)
            many = "1 backup" if len(adopted) == 1 else f"{len(adopted)} backups"
            words = f"took over {many} of this run that the store did not know of"
            self._ledger.note("run", f"{words}: the store is an old copy, or was created again")
        for each in uncertain:
            self._updater.fail(each.job, "uncertain", each.backup.fail_reason or UNCERTAIN)
        for job, backup in adopted:
            await self._updater.found(job, backup, status(backup))

    def _allow_creates(self) -> None:
        self._ledger.scanned = True
        self._wake()

    def _snapshot(self, started_at: Elapsed) -> Snapshot:
        ahead, run = self._service.clock_ahead, self._run
        return Snapshot(
            started_at=started_at,
            clock_ahead=ahead,
            names_unique=self._settings.names_unique,
            settle=self._settings.retry.settle,
            readable_since=self._backoff.readable_since,
            began_at=self._began_at,
            resumed=self._resumed,
            scanning=not self._ledger.scanned,
            run_since=on_cloud_clock(run.created_cloud_at, Elapsed(float(run.created_at)), ahead),
            leftovers=self._updater.leftovers,
        )

    def _few_unseen(self, jobs: list[Job], observations: Observations) -> bool:
        unseen = [job for job in jobs if job.no not in observations.found]
        return len(unseen) <= self._tuning.alone_at_most and all(
            job.state is JobState.RUNNING and job.backup_id for job in unseen
        )

    async def _read_page(self, page: str | None) -> BackupPage:
        """Read one page.

        A page in the middle of a list is retried before the sweep fails: of many pages, one would
        fail almost every time.
        """
        tries = 1 if page is None else self._tuning.page_tries
        read = self._service.backups if self._ledger.scanned else self._service.initial_scan
        while True:
            await self._reads.acquire()
            before = self._service.read_calls
            try:
                return await read(page)
            except ListChanged:
                raise
            except CloudUnavailable as error:
                self._backoff.page_failed()
                tries -= 1
                if not tries or error.retry_after:
                    raise
            finally:
                # A look of a restore or a prune takes more than one request.
                self._schedule.page_read(max(1, self._service.read_calls - before))
            await anyio.sleep(self._tuning.read_retry_first)
