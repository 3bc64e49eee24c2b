"""What a look at the cloud says about each open job becomes its next state.

One job is asked for alone only where the list cannot tell: why it failed, or why no list shows it.
"""

from __future__ import annotations

from math import inf
from typing import Any

from aiolimiter import AsyncLimiter

from vbsbatch.engine.deletion_checks import objection
from vbsbatch.engine.initial_scan import UNCERTAIN
from vbsbatch.engine.outcome import Outcome, of_absence, of_refusal
from vbsbatch.engine.poll_schedule import PollSchedule
from vbsbatch.engine.reconcile import Observations, Observed, already_errored, status
from vbsbatch.engine.run_context import RunContext
from vbsbatch.errors import CloudRefused, CloudUnavailable
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
    plain_id,
)
from vbsbatch.policy import OURS, Judgement, failure_code, judge_end


class JobUpdater:
    """What the tracker's looks mean for each job, and the moves that follow.

    `reads` is the limiter of all reads, `cadence` is told how long backups take, `began_at` is when
    the engine began.
    """

    def __init__(
        self, work: RunContext, *, reads: AsyncLimiter, cadence: PollSchedule, began_at: Elapsed
    ) -> None:
        self._ledger = work.ledger
        self._journal = work.journal
        self._service = work.service
        self._clock = work.clock
        self._settings = work.settings
        self._tuning = work.tuning
        self._rules = work.rules
        self._stop = work.stop
        self._reads = reads
        self._cadence = cadence
        self._began_at = began_at
        self.leftovers: set[str] = set()
        """What attempts left behind in error: no later attempt made them."""
        self._ask_at: dict[int, Elapsed] = {}
        self._misses: dict[int, int] = {}
        self._refused_at: dict[int, Elapsed] = {}
        """When a query about a job alone last found the cloud unavailable."""

    def since(self, job: Job) -> Elapsed:
        """Since when this engine has waited for the job's backup: by no clock can be told for how
        long another engine had."""
        return max(job.intent_at or AT_ONCE, self._began_at)

    async def draw(self, jobs: list[Job], seen: Observations, complete: bool) -> None:
        """What one look says of every job that was open when it began; `complete`: all that was
        made since their intents was read.

        Raises `CloudUnavailable` when too many queries about single jobs find the cloud so.
        """
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

    def _too_early(self, job: Job, seen: Observations) -> bool:
        """As long as another engine's creates may come to light, only good news are believed: a
        backup that failed may have been made anew since the store was copied."""
        good = (Observed.AVAILABLE, Observed.WORKING)
        return not seen.sight.conclusive and seen.of(job, complete=False) not in good

    async def _settle(self, job: Job, seen: Observations, complete: bool) -> None:
        """What the look says about one job becomes its next state."""
        finding = seen.of(job, complete=complete)
        if job.state is JobState.RUNNING and already_errored(job):
            await self._end_errored(job, job.backup_id, job.code, job.message)
        elif finding in (Observed.ABSENT, Observed.UNSEEN, Observed.UNCERTAIN):
            await self._not_seen(job, finding)
        else:
            await self.found(job, seen.found[job.no], finding)
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
            self.fail(job, "stuck", "the cloud still works on it, longer than timeouts.backup")

    async def found(self, job: Job, backup: Backup, finding: Observed) -> None:
        """The cloud has the job's backup: what that means for the job, by the backup's status."""
        if job.backup_id is not None and plain_id(job.backup_id) != plain_id(backup.id):
            # Made by a later attempt than the newest that the store knows of.
            job = self._ledger.touch(job, backup_id=backup.id, cloud_job_id=None)
        if job.state is JobState.UNKNOWN and backup.code == "uncertain":
            self.fail(job, backup.code, backup.fail_reason or "")
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
            case Observed.AVAILABLE:
                self._succeed(job, backup.id)
            case Observed.ERRORED:
                await self._errored(job, backup)
            case Observed.DELETED:
                self.fail(job, "deleted", OURS["deleted"])
            case _:
                await self._working(job, backup)

    async def _not_seen(self, job: Job, finding: Observed) -> None:
        if job.state is JobState.UNKNOWN:
            if finding is Observed.ABSENT:
                self._apply(job, of_absence(job, self._rules()))
            elif finding is Observed.UNCERTAIN:
                self.fail(job, "uncertain", UNCERTAIN)
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
                self.fail(job, answer.code, words)
            elif answer is not None and answer.status is CloudJobStatus.SUCCESS and not known:
                self._succeed(job, backup.id)

    async def _ask_backup(self, job: Job, backup_id: str) -> None:
        """A backup that we know of and that no page showed."""
        await self._reads.acquire()
        backup = await self._service.backup(backup_id)
        if backup is not None:
            await self.found(job, backup, status(backup))
        elif job.cloud_job_id is None:
            if self._may_ask(job, self._settings.retry.settle):  # until then it may yet appear
                self.fail(job, "deleted", "the backup vanished before it was available")
        elif self._may_ask(job, 0.0):
            await self._ask_vanished(job, job.cloud_job_id)

    async def _ask_vanished(self, job: Job, cloud_job_id: str) -> None:
        """No backup under an id that was told: while its cloud job works it may yet appear."""
        answer = await self._cloud_job(job, cloud_job_id)
        if answer is None or answer.status is CloudJobStatus.SUCCESS:
            self.fail(job, "deleted", "the backup vanished before it was available")
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
            if backup is not None and status(backup) is not Observed.ERRORED:
                await self.found(job, backup, status(backup))
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
            self.leftovers.add(backup_id)
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
        age = now - self.since(job)
        self._ask_at[job.no] = now + min(max(age / 2, often), seldom or 10 * often)
        try:
            return await self._service.cloud_job(cloud_job_id)
        except CloudRefused as error:
            self._ledger.note("run", f"job {job.no}: its cloud job cannot be read: {error}")
            return CloudJob(id=cloud_job_id, status=None)

    def _may_ask(self, job: Job, after: float) -> bool:
        return self._clock.elapsed() >= self._ask_at.get(job.no, self.since(job) + after)

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

    def fail(self, job: Job, code: str | None, message: str) -> None:
        """End the job without a backup, for this reason."""
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
