"""Follows what the cloud works on: sweeps its list, settles unknown jobs, ends running ones.

The list tells the state of up to 1000 backups a call. One job is asked for alone only where the
list cannot tell: why it failed, or why no list shows it.
"""

from __future__ import annotations

from math import inf
from typing import Any

import anyio
from aiolimiter import AsyncLimiter

from vbsbatch.engine.assignment import Assignment
from vbsbatch.engine.cadence import Cadence
from vbsbatch.engine.outages import ReadOutages
from vbsbatch.engine.outcome import Outcome, of_absence, of_refusal
from vbsbatch.engine.reconcile import (
    Finding,
    Index,
    Sight,
    Sightings,
    already_errored,
    needed_since,
    reaches_back,
    settled_at,
    status,
)
from vbsbatch.errors import CloudRefused, CloudUnavailable, ListChanged, SignInError
from vbsbatch.model import (
    Backup,
    BackupPage,
    CloudJob,
    CloudJobStatus,
    Job,
    JobState,
    Operation,
    Verdict,
)
from vbsbatch.policy import OURS, Judgement, failure_code, judge_end


class Tracker:
    """One task that keeps every open job's state as fresh as the call budget allows."""

    def __init__(self, work: Assignment) -> None:
        self._ledger = work.ledger
        self._journal = work.journal
        self._service = work.service
        self._clock = work.clock
        self._settings = work.settings
        self._tuning = work.tuning
        self._rules = work.rules
        self._stop = work.stop
        self._cadence = Cadence(work.tuning, in_flight=work.settings.limits.in_flight)
        self._reads = AsyncLimiter(1, 1 / work.tuning.reads_per_second)
        self._last = self._began_at = work.clock.now()
        self._outages = ReadOutages(
            work.tuning,
            settle=work.settings.retry.settle,
            now=work.clock.now,
            note=work.ledger.note,
        )
        self._ask_at: dict[int, float] = {}
        self._misses: dict[int, int] = {}
        self._refused_at: dict[int, float] = {}
        """When a query about a job alone last found the cloud unavailable."""

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
        while (wait := self._due() - self._clock.now()) > 0:
            await self._ledger.tracked.wait(wait)

    def _due(self) -> float:
        jobs = self._ledger.open.values()
        due = self._cadence.next(
            last=self._last,
            creates=self._service.create_calls,
            sent=[j.intent_at or 0.0 for j in jobs if j.state is JobState.RUNNING],
            settle=[
                settled_at(
                    j.unknown_at or 0.0, self._outages.readable_since, self._settings.retry.settle
                )
                for j in jobs
                if j.state is JobState.UNKNOWN
            ],
        )
        return max(due, self._outages.not_before)

    async def _sweep(self) -> None:
        """One look at the list, and what it says of every job that was open when it began."""
        self._last = self._clock.now()
        jobs = [
            job
            for job in self._ledger.open.values()
            if job.state in (JobState.RUNNING, JobState.UNKNOWN)
        ]
        if not jobs:
            return
        seen, complete = await self._look(jobs)
        self._outages.looked()
        refused = 0
        # A query that fails must not hold up the others: whose failed last comes last, and what
        # the list alone tells comes first.
        turn = self._refused_at
        for job in sorted(jobs, key=lambda job: (turn.get(job.no, 0.0), job.no not in seen.found)):
            if self._ledger.open.get(job.no) is not job:
                continue
            try:
                await self._settle(job, seen, complete)
            except CloudUnavailable:
                refused += 1
                self._refused_at[job.no] = self._clock.now()
                if refused == self._tuning.alone_at_most:
                    raise

    async def _look(self, jobs: list[Job]) -> tuple[Sightings, bool]:
        """Read pages, newest first, until nothing further can matter."""
        started_at = self._clock.now()
        self._outages.look()
        listed = await self._page(None)
        # Only now: the first answer's `Date` may be the first to tell the server's clock.
        seen = Sightings(index=Index(jobs), sight=self._sight(started_at))
        since = needed_since(jobs, self._service.clock_ahead, started_at)
        shown: list[Backup] = []
        for _ in range(self._tuning.pages_at_most):
            seen.add(listed.backups)
            shown += listed.backups
            if listed.next is None or reaches_back(shown, since):
                return seen, True
            if self._rest_alone(jobs, seen):
                return seen, False
            listed = await self._page(listed.next)
        raise CloudUnavailable(f"the list does not end within {self._tuning.pages_at_most} pages")

    async def _page(self, page: str | None) -> BackupPage:
        """One page. In the midst of a list it is asked for again before the look is given up: of
        many pages one would fail almost every time."""
        tries = 1 if page is None else self._tuning.page_tries
        while True:
            await self._reads.acquire()
            self._cadence.swept()
            try:
                return await self._service.backups(page)
            except ListChanged:
                raise
            except CloudUnavailable as error:
                self._outages.page_failed()
                tries -= 1
                if not tries or error.retry_after:
                    raise
            await anyio.sleep(self._tuning.read_retry_first)

    def _sight(self, started_at: float) -> Sight:
        return Sight(
            started_at=started_at,
            clock_ahead=self._service.clock_ahead,
            names_unique=self._settings.names_unique,
            settle=self._settings.retry.settle,
            readable_since=self._outages.readable_since,
        )

    def _rest_alone(self, jobs: list[Job], seen: Sightings) -> bool:
        unseen = [job for job in jobs if job.no not in seen.found]
        return len(unseen) <= self._tuning.alone_at_most and all(
            job.state is JobState.RUNNING and job.backup_id for job in unseen
        )

    async def _settle(self, job: Job, seen: Sightings, complete: bool) -> None:
        """What the look says about one job becomes its next state."""
        finding = seen.of(job, complete=complete)
        if job.state is JobState.RUNNING and already_errored(job):
            await self._end_errored(job, job.backup_id, job.code, job.message)
        elif finding in (Finding.ABSENT, Finding.UNSEEN, Finding.UNCERTAIN):
            await self._not_seen(job, finding)
        else:
            await self._seen(job, seen.found[job.no], finding)
        self._mind_the_time(job.no)

    def _mind_the_time(self, no: int) -> None:
        """A backup that takes longer than the plan gives it is left as it is: neither deleted nor
        made anew, a person has to look."""
        job = self._ledger.open.get(no)
        if job is None or job.state is not JobState.RUNNING:
            return
        if self._clock.now() - (job.intent_at or 0.0) > self._settings.timeouts.backup:
            self._fail(job, "stuck", "the cloud still works on it, longer than timeouts.backup")

    async def _seen(self, job: Job, backup: Backup, finding: Finding) -> None:
        if job.state is JobState.UNKNOWN and backup.code == "uncertain":
            self._fail(job, backup.code, backup.fail_reason or "")
            return
        if job.state is JobState.UNKNOWN:
            job = self._ledger.move(
                job,
                JobState.RUNNING,
                note="found in the cloud",
                backup_id=backup.id,
                unknown_at=None,
                later_since=None,
            )
        match finding:
            case Finding.AVAILABLE:
                self._succeed(job, backup.id)
            case Finding.ERRORED:
                await self._errored(job, backup)
            case Finding.DELETED:
                self._fail(job, "deleted", OURS["deleted"])
            case _:
                await self._working(job, backup)

    async def _not_seen(self, job: Job, finding: Finding) -> None:
        if job.state is JobState.UNKNOWN:
            if finding is Finding.ABSENT:
                self._apply(job, of_absence(job, self._rules()))
            elif finding is Finding.UNCERTAIN:
                words = "a backup of this name exists, but the cloud does not tell its age"
                self._fail(job, "uncertain", words)
        elif job.backup_id is not None:
            await self._ask_backup(job, job.backup_id)
        elif job.cloud_job_id is not None and self._may_ask(job, self._unseen_for()):
            await self._ask_cloud_job(job, job.cloud_job_id)

    async def _working(self, job: Job, backup: Backup) -> None:
        if (job.backup_id, job.progress) != (backup.id, backup.progress):
            job = self._ledger.touch(job, backup_id=backup.id, progress=backup.progress)
        # Where the list's word is none that we know, the cloud job's has to do.
        known = backup.status == "creating"
        after, seldom = (self._tuning.stuck_after, inf) if known else (self._unseen_for(), None)
        if job.cloud_job_id is not None and self._may_ask(job, after):
            answer = await self._cloud_job(job, job.cloud_job_id, seldom=seldom)
            if answer is not None and answer.status is CloudJobStatus.FAIL:
                # Never deleted nor made anew while it says `creating`: a person has to look.
                words = f"its cloud job failed, and it stays in {backup.status or 'no status'!r}"
                self._fail(job, answer.code, words)
            elif answer is not None and answer.status is CloudJobStatus.SUCCESS and not known:
                self._succeed(job, backup.id)

    async def _ask_backup(self, job: Job, backup_id: str) -> None:
        """A backup that we know of and that no page showed."""
        await self._reads.acquire()
        backup = await self._service.backup(backup_id)
        if backup is not None:
            await self._seen(job, backup, status(backup))
        elif job.cloud_job_id is None:
            if self._may_ask(job, self._settings.retry.settle):  # until then it may yet appear
                self._fail(job, "deleted", "the backup vanished before it was available")
        elif self._may_ask(job, 0.0):
            await self._ask_vanished(job, job.cloud_job_id)

    async def _ask_vanished(self, job: Job, cloud_job_id: str) -> None:
        """No backup under an id that was told: while its cloud job works it may yet appear."""
        answer = await self._cloud_job(job, cloud_job_id)
        if answer is None or answer.status is CloudJobStatus.SUCCESS:
            self._fail(job, "deleted", "the backup vanished before it was available")
        elif answer.status is CloudJobStatus.FAIL:
            await self._cloud_job_failed(job, answer)

    async def _ask_cloud_job(self, job: Job, cloud_job_id: str) -> None:
        """An accepted create whose backup no list shows."""
        answer = await self._cloud_job(job, cloud_job_id)
        if answer is None:
            self._missed(job)
        elif answer.status is CloudJobStatus.SUCCESS:
            self._succeed(job, answer.backup_id)
        elif answer.status is CloudJobStatus.FAIL:
            await self._cloud_job_failed(job, answer)
        elif answer.backup_id is not None:
            self._ledger.touch(job, backup_id=answer.backup_id)

    async def _cloud_job_failed(self, job: Job, answer: CloudJob) -> None:
        if answer.backup_id is not None:
            job = self._ledger.touch(job, backup_id=answer.backup_id)
            await self._reads.acquire()
            backup = await self._service.backup(answer.backup_id)
            if backup is not None and status(backup) is not Finding.ERRORED:
                await self._seen(job, backup, status(backup))
                return
        elif self._judge(answer.code).verdict is Verdict.UNKNOWN:
            self._ledger.move(
                job,
                JobState.UNKNOWN,
                note="its cloud job failed in a way that may have left a backup",
                unknown_at=self._clock.now(),
                cloud_job_id=None,
                code=answer.code,
                message=answer.message,
            )
            return
        await self._end_errored(job, answer.backup_id, answer.code, answer.message)

    async def _errored(self, job: Job, backup: Backup) -> None:
        """A backup in `error`: its cloud job tells why, or else its own words."""
        code, message = backup.code, backup.fail_reason
        if job.cloud_job_id is not None:
            answer = await self._cloud_job(job, job.cloud_job_id)
            if answer is not None:
                code, message = answer.code or code, answer.message or message
        if code is None and self._settings.operation is Operation.BACKUP:
            code = failure_code(message)
        await self._end_errored(job, backup.id, code, message)

    async def _end_errored(
        self, job: Job, backup_id: str | None, code: str | None, message: str | None
    ) -> None:
        """Delete what failed, then retry or give up. The deletion is on record before it is
        asked for."""
        judgement = self._judge(code)
        seen: dict[str, Any] = {"code": code, "message": message or judgement.meaning}
        if backup_id is not None and self._settings.operation is Operation.BACKUP:
            job = self._ledger.touch(job, backup_id=backup_id, errored_backup_id=backup_id, **seen)
            if self._settings.delete_errored:
                await self._journal.flush()
                await self._delete(job, backup_id)
        seen |= {"backup_id": None, "cloud_job_id": None, "progress": None}
        self._apply(job, of_refusal(job, judgement, self._rules(), seen))

    def _judge(self, code: str | None) -> Judgement:
        return judge_end(code, self._settings.retry.rules, self._settings.operation)

    async def _delete(self, job: Job, backup_id: str) -> None:
        await self._reads.acquire()
        try:
            await self._service.delete_backup(backup_id)
        except CloudRefused as error:
            self._ledger.note("run", f"job {job.no}: errored backup {backup_id} stays: {error}")

    async def _cloud_job(
        self, job: Job, cloud_job_id: str, *, seldom: float | None = None
    ) -> CloudJob | None:
        """Ask for one cloud job; the older it is, the later it may be asked for again, but at
        least every `seldom` seconds."""
        await self._reads.acquire()
        now, often = self._clock.now(), self._unseen_for()
        age = now - (job.intent_at or now)
        self._ask_at[job.no] = now + min(max(age / 2, often), seldom or 10 * often)
        try:
            return await self._service.cloud_job(cloud_job_id)
        except CloudRefused as error:
            self._ledger.note("run", f"job {job.no}: its cloud job cannot be read: {error}")
            return CloudJob(id=cloud_job_id, status=None)

    def _may_ask(self, job: Job, after: float) -> bool:
        return self._clock.now() >= self._ask_at.get(job.no, (job.intent_at or 0.0) + after)

    def _unseen_for(self) -> float:
        return max(self._tuning.unseen_for, self._settings.retry.settle)

    def _missed(self, job: Job) -> None:
        misses = self._misses[job.no] = self._misses.get(job.no, 0) + 1
        self._ask_at[job.no] = self._clock.now() + self._tuning.fresh
        if misses >= self._tuning.lost_after:
            self._ledger.move(
                job,
                JobState.UNKNOWN,
                note="the cloud no longer knows its cloud job",
                unknown_at=self._clock.now(),
            )

    def _succeed(self, job: Job, backup_id: str | None) -> None:
        now = self._clock.now()
        self._cadence.ended(now - (job.intent_at or now))
        made: dict[str, Any] = {"backup_id": backup_id or job.backup_id, "ended_at": now}
        over: dict[str, Any] = dict.fromkeys(("progress", "later_since", "code", "message"))
        self._ledger.move(job, JobState.SUCCEEDED, **made, **over)
        self._forget(job)

    def _fail(self, job: Job, code: str | None, message: str) -> None:
        now = self._clock.now()
        self._ledger.move(
            job, JobState.FAILED, ended_at=now, code=code, message=message, unknown_at=None
        )
        self._forget(job)

    def _apply(self, job: Job, outcome: Outcome) -> None:
        self._ledger.move(job, outcome.to, note=outcome.note, **outcome.changes)
        self._forget(job)
        # What an earlier engine sent failed for a reason that may be gone since: whoever resumed
        # says so, and if it is not, the next create stops the run.
        if outcome.stop is not None and (job.intent_at or 0.0) >= self._began_at:
            self._stop(outcome.stop)

    def _forget(self, job: Job) -> None:
        for known in (self._ask_at, self._misses, self._refused_at):
            known.pop(job.no, None)
