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
from vbsbatch.engine.deletable import objection
from vbsbatch.engine.outages import ReadOutages
from vbsbatch.engine.outcome import Outcome, of_absence, of_refusal
from vbsbatch.engine.pages import Pages
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
from vbsbatch.engine.survey import UNCERTAIN, Survey
from vbsbatch.errors import CloudRefused, CloudUnavailable, SignInError
from vbsbatch.model import (
    AT_ONCE,
    Backup,
    CloudJob,
    CloudJobStatus,
    Elapsed,
    Job,
    JobState,
    Operation,
    Verdict,
    on_cloud_clock,
    plain_id,
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
        self._wake = work.wake
        self._run = work.run
        self._resumed = work.resumed
        self._cadence = Cadence(work.tuning, in_flight=work.settings.limits.in_flight)
        self._reads = AsyncLimiter(1, 1 / work.tuning.reads_per_second)
        self._last = self._began_at = work.clock.elapsed()
        self._looked = False
        self._outages = ReadOutages(
            work.tuning,
            settle=work.settings.retry.settle,
            now=work.clock.elapsed,
            note=work.ledger.note,
        )
        self._pages = Pages(
            work, reads=self._reads, outages=self._outages, asked=self._cadence.swept
        )
        self._ask_at: dict[int, Elapsed] = {}
        self._misses: dict[int, int] = {}
        self._refused_at: dict[int, Elapsed] = {}
        """When a query about a job alone last found the cloud unavailable."""
        self._leftovers: set[str] = set()
        """What attempts left behind in error: no later attempt made them."""

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
            sent=[self._since(j) for j in jobs if j.state is JobState.RUNNING],
            settle=[settled_at(at, readable, settle) for at in unsure],
        )
        return max(due, self._outages.not_before)

    def _since(self, job: Job) -> Elapsed:
        """Since when this engine has waited for the job's backup: by no clock can be told for how
        long another engine had."""
        return max(job.intent_at or AT_ONCE, self._began_at)

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
        await self._judge_all(jobs, seen, complete)
        if not self._ledger.surveyed and seen.sight.conclusive:
            self._begin_to_send()

    async def _judge_all(self, jobs: list[Job], seen: Sightings, complete: bool) -> None:
        refused = 0
        # A query that fails must not hold up the others: whose failed last comes last, and what
        # the list alone tells comes first.
        turn = self._refused_at
        in_turn = sorted(
            jobs, key=lambda job: (turn.get(job.no, AT_ONCE), job.no not in seen.found)
        )
        for job in in_turn:
            if self._ledger.open.get(job.no) is not job or self._too_early(job, seen):
                continue
            try:
                await self._settle(job, seen, complete)
            except CloudUnavailable:
                refused += 1
                self._refused_at[job.no] = self._clock.elapsed()
                if refused == self._tuning.alone_at_most:
                    raise

    def _too_early(self, job: Job, seen: Sightings) -> bool:
        """As long as another engine's creates may come to light, only good news are believed: a
        backup that failed may have been made anew since the store was copied."""
        good = (Finding.AVAILABLE, Finding.WORKING)
        return not seen.sight.conclusive and seen.of(job, complete=False) not in good

    async def _look(self, jobs: list[Job]) -> tuple[Sightings, bool]:
        """Read pages, newest first, until nothing further can matter: one, that shows that the list
        can be read, where no engine has driven the run before."""
        started_at = self._clock.elapsed()
        self._outages.look()
        listed = await self._pages.read(None)
        # Only now: the first answer's `Date` may be the first to tell the server's clock.
        sight = self._sight(started_at)
        seen, survey = Sightings(index=Index(jobs), sight=sight), Survey(self._journal, sight)
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

    async def _take_over(self, survey: Survey) -> None:
        """What the cloud has of jobs that the store takes for waiting becomes theirs."""
        self._leftovers |= survey.left
        adopted, uncertain = await survey.take_over(self._ledger, self._clock.elapsed())
        if adopted:
            self._ledger.adopted += len(adopted)
            many = "1 backup" if len(adopted) == 1 else f"{len(adopted)} backups"
            words = f"took over {many} of this run that the store did not know of"
            self._ledger.note("run", f"{words}: it is an old copy, or was made anew")
        for each in uncertain:
            self._fail(each.job, "uncertain", each.backup.fail_reason or UNCERTAIN)
        for job, backup in adopted:
            await self._seen(job, backup, status(backup))

    def _begin_to_send(self) -> None:
        self._ledger.surveyed = True
        self._wake()

    def _sight(self, started_at: Elapsed) -> Sight:
        ahead, run = self._service.clock_ahead, self._run
        return Sight(
            started_at=started_at,
            clock_ahead=ahead,
            names_unique=self._settings.names_unique,
            settle=self._settings.retry.settle,
            readable_since=self._outages.readable_since,
            began_at=self._began_at,
            resumed=self._resumed,
            surveying=not self._ledger.surveyed,
            run_since=on_cloud_clock(run.created_cloud_at, Elapsed(float(run.created_at)), ahead),
            leftovers=self._leftovers,
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
        self._mind_the_time(job.no, seen.sight.started_at)

    def _mind_the_time(self, no: int, looked_at: Elapsed) -> None:
        """A backup that takes longer than the plan gives it is left as it is: neither deleted nor
        made anew, a person has to look. What counts is how long it took when the look began: the
        machine may have slept since, or while the create was under way."""
        job = self._ledger.open.get(no)
        if job is None or job.state is not JobState.RUNNING:
            return
        since = self._ledger.running_since.get(no, self._began_at)
        if looked_at - since > self._settings.timeouts.backup:
            self._fail(job, "stuck", "the cloud still works on it, longer than timeouts.backup")

    async def _seen(self, job: Job, backup: Backup, finding: Finding) -> None:
        if job.backup_id is not None and plain_id(job.backup_id) != plain_id(backup.id):
            # Made by a later attempt than the newest that the store knows of.
            job = self._ledger.touch(job, backup_id=backup.id, cloud_job_id=None)
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
                self._fail(job, "uncertain", UNCERTAIN)
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
                unknown_at=self._clock.elapsed(),
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
            self._leftovers.add(backup_id)
            job = self._ledger.touch(job, backup_id=backup_id, errored_backup_id=backup_id, **seen)
            if self._settings.delete_errored:
                await self._journal.flush()
                await self._delete(job, backup_id)
        seen |= {"backup_id": None, "cloud_job_id": None, "progress": None}
        self._apply(job, of_refusal(job, judgement, self._rules(), seen))

    def _judge(self, code: str | None) -> Judgement:
        return judge_end(code, self._settings.retry.rules, self._settings.operation)

    async def _delete(self, job: Job, backup_id: str) -> None:
        """Delete the job's errored backup, if it is one: the store may be wrong, or forged."""
        await self._reads.acquire()
        try:
            backup = await self._service.backup(backup_id)
            if backup is None or backup.status in ("deleting", "deleted"):
                return
            why = objection(job, backup, self._service.clock_ahead)
            if why is None:
                await self._reads.acquire()
                await self._service.delete_backup(backup_id)
        except CloudRefused as error:
            why = str(error)
        if why is not None:
            self._ledger.note("run", f"job {job.no}: errored backup {backup_id} stays: {why}")

    async def _cloud_job(
        self, job: Job, cloud_job_id: str, *, seldom: float | None = None
    ) -> CloudJob | None:
        """Ask for one cloud job; the older it is, the later it may be asked for again, but at
        least every `seldom` seconds."""
        await self._reads.acquire()
        now, often = self._clock.elapsed(), self._unseen_for()
        age = now - self._since(job)
        self._ask_at[job.no] = now + min(max(age / 2, often), seldom or 10 * often)
        try:
            return await self._service.cloud_job(cloud_job_id)
        except CloudRefused as error:
            self._ledger.note("run", f"job {job.no}: its cloud job cannot be read: {error}")
            return CloudJob(id=cloud_job_id, status=None)

    def _may_ask(self, job: Job, after: float) -> bool:
        return self._clock.elapsed() >= self._ask_at.get(job.no, self._since(job) + after)

    def _unseen_for(self) -> float:
        return max(self._tuning.unseen_for, self._settings.retry.settle)

    def _missed(self, job: Job) -> None:
        misses = self._misses[job.no] = self._misses.get(job.no, 0) + 1
        self._ask_at[job.no] = self._clock.elapsed() + self._tuning.fresh
        if misses >= self._tuning.lost_after:
            self._ledger.move(
                job,
                JobState.UNKNOWN,
                note="the cloud no longer knows its cloud job",
                unknown_at=self._clock.elapsed(),
            )

    def _succeed(self, job: Job, backup_id: str | None) -> None:
        if job.intent_at is not None and job.intent_at > self._began_at:
            self._cadence.ended(self._clock.elapsed() - job.intent_at)
        made: dict[str, Any] = {
            "backup_id": backup_id or job.backup_id,
            "ended_at": self._clock.wall(),
        }
        over: dict[str, Any] = dict.fromkeys(("progress", "later_since", "code", "message"))
        self._ledger.move(job, JobState.SUCCEEDED, **made, **over)
        self._forget(job)

    def _fail(self, job: Job, code: str | None, message: str) -> None:
        self._ledger.move(
            job,
            JobState.FAILED,
            ended_at=self._clock.wall(),
            code=code,
            message=message,
            unknown_at=None,
        )
        self._forget(job)

    def _apply(self, job: Job, outcome: Outcome) -> None:
        self._ledger.move(job, outcome.to, note=outcome.note, **outcome.changes)
        self._forget(job)
        # What an earlier engine sent failed for a reason that may be gone since: whoever resumed
        # says so, and if it is not, the next create stops the run.
        if outcome.stop is not None and (job.intent_at or AT_ONCE) > self._began_at:
            self._stop(outcome.stop)

    def _forget(self, job: Job) -> None:
        for known in (self._ask_at, self._misses, self._refused_at):
            known.pop(job.no, None)
