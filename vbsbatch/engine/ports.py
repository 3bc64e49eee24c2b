"""Protocols for what the engine needs of the cloud, the store and the clock. It imports none of
them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from vbsbatch.model import (
    Answer,
    Backup,
    BackupPage,
    BlockingRun,
    Cloud,
    CloudJob,
    Command,
    Elapsed,
    Job,
    JobMoved,
    JobState,
    Rate,
    Run,
    RunNoted,
    RunState,
    Wall,
)


class Clock(Protocol):
    """This machine's two clocks. Sleeping goes through anyio, so virtual time needs only this and
    an event loop."""

    def elapsed(self) -> Elapsed:
        """The clock for every wait: it cannot be set, and it goes on while the machine sleeps."""
        ...

    def wall(self) -> Wall:
        """The clock for records and for the plan's window. It may jump."""
        ...


class BackupService(Protocol):
    """One backup service of one cloud: VBS or Cinder.

    Reads raise `CloudUnavailable` (try again later) or `CloudRefused` (trying again will not help).
    On a 401 they sign in again by themselves, once.
    """

    @property
    def create_calls(self) -> int:
        """Create requests that left this process, without token renewals."""
        ...

    @property
    def read_calls(self) -> int:
        """Every other request that left this process, including sign-in."""
        ...

    @property
    def clock_ahead(self) -> float:
        """Server clock minus `Clock.elapsed` in seconds, from `Date` headers; 0 until the first
        one."""
        ...

    async def ready(self) -> None:
        """Make sure that a create can be sent at once: that there is a token that does not expire
        soon.

        If a worker waited for a token while it holds a permit, several creates could go in one
        burst. Raises `SignInError` or `CloudUnavailable`.
        """
        ...

    async def create_all(self, jobs: Sequence[Job], worker: int) -> Sequence[Answer]:
        """Send one create request for these jobs, once, on the connection of `worker`; never raises
        for the cloud.

        Returns an answer for each job, in their order; all are alike unless the request succeeded.
        If no answer came, each `Answer` has `status` None, and `message` says why. Jobs of one
        request have the same settings and name, and are at most `limits.per_checkpoint`.
        """
        ...

    async def renew_token(self, used_since: Elapsed) -> None:
        """Get a new token, unless one was issued since `used_since`; one request serves all
        callers.

        Raises `SignInError` when the credentials are refused, `CloudUnavailable` on an outage.
        """
        ...

    async def backups(self, page: str | None = None) -> BackupPage:
        """Return one page of all backups of the project, newest first where the cloud sorts
        them."""
        ...

    async def initial_scan(self, page: str | None = None) -> BackupPage:
        """Return the same page for the scan before anything is sent.

        It also covers what an earlier engine may have requested without the store knowing: for a
        run that restores, the progress of its waiting jobs.
        """
        ...

    async def backup(self, backup_id: str) -> Backup | None:
        """Return one backup, or None when the cloud does not know it."""
        ...

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """Return one cloud job, or None when the cloud does not know it (404 `common.0011`)."""
        ...

    async def delete_backup(self, backup_id: str) -> None:
        """Request the deletion of a backup; no error if it is already gone."""
        ...


class Journal(Protocol):
    """One run in the store, as its engine writes it. Writes happen in the order of the calls."""

    async def begin(self, run: Run, now: Elapsed, at: Wall) -> None:
        """Start driving `run` from where the previous engine left it; durable when it returns.

        Commands for earlier engines that no engine has taken are withdrawn. The waits of jobs,
        which are times of an earlier engine's clock, are converted to this engine's clock: none
        ends later than what was left of it at the last heartbeat; `unknown_at` starts again.
        """
        ...

    async def claim(
        self,
        now: Elapsed,
        limit: int,
        *,
        cloud_now: Cloud,
        least_tried: bool = False,
        busy_vaults: Collection[str] = (),
    ) -> list[Job]:
        """Move up to `limit` waiting jobs that are due to `submitting` (attempts + 1, intent_at =
        now, intent_cloud_at = cloud_now).

        Takes jobs of the waves opened so far, by wave, rank, priority and place in the plan; with
        `least_tried`, those with the fewest attempts of each wave first. Passes over volumes with
        an open job in another run of the same store, jobs whose group or zone has as many open
        jobs as `limits.per_group` or `limits.per_az` allow, and jobs of `busy_vaults`. Durable when
        it returns: promise 1 depends on this.
        """
        ...

    def record(self, event: JobMoved | RunNoted) -> None:
        """Queue a move or a note for writing: durable soon, and before anything recorded later."""
        ...

    def touch(self, job: Job) -> None:
        """Queue a job's changed fields for writing, its state unchanged (progress, backup id,
        due)."""
        ...

    async def flush(self) -> None:
        """Wait until everything recorded so far is durable; raises `StoreFailed`."""
        ...

    async def failed(self) -> None:
        """Wait for the journal to fail, then raise `StoreFailed`; never returns otherwise."""
        ...

    async def next_due(self, *, busy_vaults: Collection[str] = ()) -> Elapsed | None:
        """Return the earliest `due_at` of the waiting jobs that a claim would take; None without
        any."""
        ...

    async def blocked(self, now: Elapsed) -> list[tuple[Job, BlockingRun]]:
        """Return due waiting jobs whose volume has an open job in another run, each with that
        run."""
        ...

    async def jobs_in(self, states: Sequence[JobState], *, limit: int | None = None) -> list[Job]:
        """Return the jobs of this run in any of `states`, in plan order."""
        ...

    async def select(self, argument: Mapping[str, object]) -> list[Job]:
        """Return the jobs that a command's argument selects (`volumes`, `status`, `codes`,
        `states`, `all`)."""
        ...

    async def named(self, names: Sequence[str]) -> list[Job]:
        """Return the waiting jobs whose backup name is one of these, in plan order."""
        ...

    async def counts(self) -> Mapping[JobState, int]:
        """Return the number of jobs in each state; states without jobs may be absent."""
        ...

    async def wave_counts(self) -> Mapping[int, Mapping[JobState, int]]:
        """Return the number of jobs in each state, for each wave by its index."""
        ...

    async def open_wave(self, wave: int) -> None:
        """Allow claims up to this wave, for this and all later engines; durable when it returns."""
        ...

    async def retrying(self) -> int:
        """Return how many waiting jobs have been tried before."""
        ...

    async def commands(self, at: Wall) -> list[Command]:
        """Take the commands that have been neither taken nor withdrawn, oldest first.

        After that they can no longer be withdrawn; durable when it returns.
        """
        ...

    def acknowledge(self, command: Command, at: Wall, result: str) -> None:
        """Queue the result of a command for writing."""
        ...

    async def heartbeat(
        self,
        at: Wall,
        *,
        clock_step: float,
        rate: Rate,
        create_calls: int,
        read_calls: int,
        adopted: int,
        next_look_at: Wall | None,
        ends_at: Wall | None,
        rate_used: float,
        circuit_open: bool,
    ) -> None:
        """Record that the engine is alive, with the seconds by which the wall clock was set since
        it began, the rate in force, the requests so far, the number of backups that were taken
        over, when the list is read next, when the run is expected to end, the creates a second that
        were sent lately, and whether it waits for a service that is down."""
        ...

    async def deadline(self, at: Wall) -> None:
        """Record that no create may be sent after `at`; durable when it returns."""
        ...

    async def run_state(self, state: RunState, at: Wall, reason: str | None = None) -> None:
        """Record the run's state; durable when it returns."""
        ...
