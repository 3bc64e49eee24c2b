"""Turns what a sweep of the cloud's list shows into the next state of each open job.

A single job is queried only where the list is not enough: why it failed, or why no list shows it.
"""

from __future__ import annotations

from math import inf
from typing import Any

from aiolimiter import AsyncLimiter

from vbsbatch.engine.initial_scan import UNCERTAIN
from vbsbatch.engine.outcome import Outcome, of_absence, of_refusal
from vbsbatch.engine.outlook import Outlook
from vbsbatch.engine.reconcile import (
    CLOCKS_DIFFER,
    IN_ERROR,
    Observations,
    Observed,
    already_errored,
    status,
)
from vbsbatch.engine.run_context import RunContext
from vbsbatch.errors import CloudRefused, CloudUnavailable
from vbsbatch.model import (
    AT_ONCE,
    Backup,
    Cloud,
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


class JobUpdater:
    """Derives each job's next state from the poller's sweeps, and moves the job.

    `reads` is the limiter of all reads, `outlook` learns how long backups take, `began_at` is when
    the engine began.
    """

    def __init__(
        self, work: RunContext, *, reads: AsyncLimiter, outlook: Outlook, began_at: Elapsed
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
        self._outlook = outlook
        self._last = began_at
        self._began_at = began_at
        self.leftovers: set[str] = set()
        """Backups in error that attempts left behind, by id: no later attempt made them."""
        self._ask_at: dict[int, Elapsed] = {}
        self._misses: dict[int, int] = {}
        self._refused_at: dict[int, Elapsed] = {}
        """When a query for this single job last found the cloud unavailable."""

    async def update(self, jobs: list[Job], observations: Observations, complete: bool) -> None:
        """Update every job that was open when the sweep began.

        `complete`: the sweep read everything that was made since the jobs' intents. Raises
        `CloudUnavailable` when too many queries for single jobs find the cloud unavailable.
        """
        refused = 0
        # A failing query must not hold up the others: the job that failed last comes last. Jobs
        # that the list alone decides come first.
        turn = self._refused_at
        in_turn = sorted(
            jobs, key=lambda job: (turn.get(job.no, AT_ONCE), job.no not in observations.found)
        )
        for job in in_turn:
            if self._ledger.open.get(job.no) is not job or self._too_early(job, observations):
                continue
            try:
                await self._update_one(job, observations, complete)
            except CloudUnavailable:
                refused += 1
                self._refused_at[job.no] = self._clock.elapsed()
                if refused == self._tuning.alone_at_most:
                    raise
        self._last = observations.snapshot.started_at

    def _too_early(self, job: Job, observations: Observations) -> bool:
        """Whether it is too early to believe bad news about the job.

        As long as another engine's creates may still appear, only good news counts: a backup that
        failed may have been made again since the store was copied.
        """
        good = (Observed.AVAILABLE, Observed.WORKING)
        return (
            not observations.snapshot.conclusive
            and observations.of(job, complete=False) not in good
        )

    async def _update_one(self, job: Job, observations: Observations, complete: bool) -> None:
        """Turn what the sweep shows about one job into its next state."""
        finding = observations.of(job, complete=complete)
        if job.state is JobState.RUNNING and already_errored(job):
            await self._end_errored(job, job.backup_id, job.code, job.message)
        elif finding in (Observed.ABSENT, Observed.UNSEEN, Observed.UNCERTAIN):
            await self._not_seen(job, finding)
        else:
            await self.found(job, observations.found[job.no], finding)
        self._check_timeout(job.no, observations.snapshot.started_at)

    def _check_timeout(self, no: int, looked_at: Elapsed) -> None:
        """Fail a job whose backup takes longer than the plan allows.

        The backup stays as it is, neither deleted nor made again: a person has to check. The time
        counts up to the start of the sweep, because the machine may have slept since then or while
        the create was under way.
        """
        job = self._ledger.open.get(no)
        if job is None or job.state is not JobState.RUNNING:
            return
        since = self._ledger.running_since.get(no, self._began_at)
        if looked_at - since > self._settings.timeouts.backup:
            self.fail(job, "stuck", "the cloud has worked on it for longer than timeouts.backup")

    async def found(self, job: Job, backup: Backup, finding: Observed) -> None:
        """Update a job whose backup the cloud has, by the backup's status."""
        if job.backup_id is not None and plain_id(job.backup_id) != plain_id(backup.id):
            # A later attempt made it than the newest that the store knows.
            job = self._ledger.touch(job, backup_id=backup.id, cloud_job_id=None)
        if job.size is None and backup.size is not None:
            job = self._ledger.touch(job, size=backup.size)
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
        if finding is not Observed.WORKING:
            now = self._clock.elapsed()
            self._outlook.ended(job, backup, last=self._last, now=now)
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
        self._outlook.told(job, backup.progress, self._clock.elapsed())
        # A look that tells no percentage leaves the last one.
        progress = job.progress if backup.progress is None else backup.progress
        if (job.backup_id, job.progress) != (backup.id, progress):
            job = self._ledger.touch(job, backup_id=backup.id, progress=progress)
        # If the list shows an unknown status, the cloud job's status must do.
        known = backup.status == "creating"
        after, seldom = (self._tuning.stuck_after, inf) if known else (self._unseen_for(), None)
        if job.cloud_job_id is not None and self._may_ask(job, after):
            answer = await self._cloud_job(job, job.cloud_job_id, seldom=seldom)
            if answer is not None and answer.status is CloudJobStatus.FAIL:
                # Neither deleted nor made again while it says `creating`: a person has to check.
                words = f"its cloud job failed, and it stays in {backup.status or 'no status'!r}"
                self.fail(job, answer.code, words)
            elif answer is not None and answer.status is CloudJobStatus.SUCCESS and not known:
                self._succeed(job, backup.id)

    async def _ask_backup(self, job: Job, backup_id: str) -> None:
        """Query a known backup that no page showed."""
        await self._reads.acquire()
        backup = await self._service.backup(backup_id)
        if backup is not None:
            await self.found(job, backup, status(backup))
        elif job.cloud_job_id is None:
            if self._may_ask(job, self._settings.retry.settle):  # until then it may still appear
                self.fail(job, "deleted", "the backup vanished before it was available")
        elif self._may_ask(job, 0.0):
            await self._ask_vanished(job, job.cloud_job_id)

    async def _ask_vanished(self, job: Job, cloud_job_id: str) -> None:
        """Query the cloud job of a backup that is not there: while it works, the backup may still
        appear."""
        answer = await self._cloud_job(job, cloud_job_id)
        if answer is None or answer.status is CloudJobStatus.SUCCESS:
            self.fail(job, "deleted", "the backup vanished before it was available")
        elif answer.status is CloudJobStatus.FAIL:
            await self._cloud_job_failed(job, answer)

    async def _ask_cloud_job(self, job: Job, cloud_job_id: str) -> None:
        """Query the cloud job of an accepted create whose backup no list shows."""
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
        """Find out why a backup is in `error`, from its cloud job or else from the backup
        itself."""
        code, message = backup.code, backup.fail_reason
        told = code is not None and self._settings.operation is Operation.BACKUP
        if job.cloud_job_id is not None and not told:
            answer = await self._cloud_job(job, job.cloud_job_id)
            if answer is not None:
                code, message = answer.code or code, answer.message or message
        if code is None and self._settings.operation is Operation.BACKUP:
            code = failure_code(message)
        await self._end_errored(job, backup.id, code, message)

    async def _end_errored(
        self, job: Job, backup_id: str | None, code: str | None, message: str | None
    ) -> None:
        """Delete the failed backup, then retry or give up. The intent to delete is durable before
        the request."""
        judgement = self._judge(code)
        facts: dict[str, Any] = {"code": code, "message": message or judgement.meaning}
        if backup_id is not None and self._settings.operation is Operation.BACKUP:
            self.leftovers.add(backup_id)
            job = self._ledger.touch(job, backup_id=backup_id, errored_backup_id=backup_id, **facts)
            if self._settings.delete_errored:
                await self._journal.flush()
                await self._delete(job, backup_id)
        facts |= {"backup_id": None, "cloud_job_id": None, "progress": None}
        self._apply(job, of_refusal(job, judgement, self._rules(), facts))

    def _judge(self, code: str | None) -> Judgement:
        return judge_end(code, self._settings.retry.rules, self._settings.operation)

    async def _delete(self, job: Job, backup_id: str) -> None:
        """Delete the job's errored backup after checking that it is one: the store may be wrong, or
        forged."""
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
        """Query one cloud job. The older the job, the longer the pause until the next query, but at
        most `seldom` seconds."""
        await self._reads.acquire()
        now, often = self._clock.elapsed(), self._unseen_for()
        age = now - self._outlook.since(job)
        self._ask_at[job.no] = now + min(max(age / 2, often), seldom or 10 * often)
        try:
            return await self._service.cloud_job(cloud_job_id)
        except CloudRefused as error:
            self._ledger.note("run", f"job {job.no}: its cloud job cannot be read: {error}")
            return CloudJob(id=cloud_job_id, status=None)

    def _may_ask(self, job: Job, after: float) -> bool:
        return self._clock.elapsed() >= self._ask_at.get(job.no, self._outlook.since(job) + after)

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
        made: dict[str, Any] = {
            "backup_id": backup_id or job.backup_id,
            "ended_at": self._clock.wall(),
        }
        over: dict[str, Any] = dict.fromkeys(("progress", "later_since", "code", "message"))
        self._ledger.move(job, JobState.SUCCEEDED, **made, **over)
        self._forget(job)

    def fail(self, job: Job, code: str | None, message: str) -> None:
        """Fail the job with this code and message."""
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
        # If an earlier engine sent this create, the reason may be gone: the operator who resumed
        # the run says so. If it is not, the next create stops the run.
        if outcome.stop is not None and (job.intent_at or AT_ONCE) > self._began_at:
            self._stop(outcome.stop)

    def _forget(self, job: Job) -> None:
        self._outlook.forget(job.no)
        for known in (self._ask_at, self._misses, self._refused_at):
            known.pop(job.no, None)


def objection(job: Job, backup: Backup, clock_ahead: float) -> str | None:
    """Return why this backup must not be deleted; None if it is what the job left behind in error.

    Only the cloud knows whether a backup failed. Missing fields are no objection, as long as the
    name or the volume is there.
    """
    if backup.status not in IN_ERROR:
        return f"its status is {backup.status or 'unknown'}, not error"
    volume = None if backup.volume_id is None else plain_id(backup.volume_id)
    if volume not in (None, plain_id(job.volume_id)):
        return f"it is of volume {backup.volume_id}, not of {job.volume_id}"
    if backup.name is not None and backup.name.strip() != job.backup_name.strip():
        return f"its name is {backup.name!r}, not {job.backup_name!r}"
    if volume is None and backup.name is None:
        return "the cloud reports neither its name nor its volume"
    since = _first_create(job, clock_ahead)
    if since is None:
        return "nothing was sent for this job"
    if backup.created_at is not None and backup.created_at < since - CLOCKS_DIFFER:
        return "it is older than the run"
    return None


def _first_create(job: Job, clock_ahead: float) -> Cloud | None:
    """The earliest time that the cloud's clock can have shown at the job's first create."""
    sent = None if job.first_sent_at is None else Elapsed(float(job.first_sent_at))
    spans = (
        on_cloud_clock(job.first_cloud_at, sent, clock_ahead),
        on_cloud_clock(job.intent_cloud_at, job.intent_at, clock_ahead),
    )
    return min((span[0] for span in spans if span is not None), default=None)
