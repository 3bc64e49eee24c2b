"""What the engine needs of the cloud, of the store and of the clock. It imports none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    a loop."""

    def elapsed(self) -> Elapsed:
        """The clock that nobody sets and that goes on while the machine sleeps: for every wait."""
        ...

    def wall(self) -> Wall:
        """The clock that people read: for records and for the plan's window. It may jump."""
        ...


class BackupService(Protocol):
    """One backup service of one cloud: VBS or Cinder.

    Reads raise `CloudUnavailable` (ask again later) or `CloudRefused` (asking again will not help)
    and sign in again by themselves on a 401, once.
    """

    @property
    def create_calls(self) -> int:
        """Create requests that left this process, token renewals not counted."""
        ...

    @property
    def read_calls(self) -> int:
        """Every other request that left this process, sign-in included."""
        ...

    @property
    def clock_ahead(self) -> float:
        """Server clock minus `Clock.elapsed` in seconds, from `Date` headers; 0 until one was
        seen."""
        ...

    async def ready(self) -> None:
        """Make sure that a create can leave at once: that there is a token, not about to expire.

        Waiting for a token with a permit in hand would let several creates go in one burst.
        Raises `SignInError` or `CloudUnavailable`.
        """
        ...

    async def create(self, job: Job, worker: int) -> Answer:
        """Send one create request, once, on the connection of `worker`; never raises for the cloud.

        No answer at all is an `Answer` whose `status` is None and whose `message` says why.
        """
        ...

    async def renew_token(self, used_since: Elapsed) -> None:
        """Get a new token unless one was got since `used_since`; one request serves all.

        Raises `SignInError` when the credentials are refused, `CloudUnavailable` on an outage.
        """
        ...

    async def backups(self, page: str | None = None) -> BackupPage:
        """One page of all backups of the project, newest first where the cloud sorts them."""
        ...

    async def initial_scan(self, page: str | None = None) -> BackupPage:
        """The same before anything is sent, for whatever an engine may have asked for that the
        store knows nothing of: of a run that restores, also how far its waiting jobs are."""
        ...

    async def backup(self, backup_id: str) -> Backup | None:
        """One backup, or None when the cloud does not know it."""
        ...

    async def cloud_job(self, cloud_job_id: str) -> CloudJob | None:
        """One cloud job, or None when the cloud does not know it (404 `common.0011`)."""
        ...

    async def delete_backup(self, backup_id: str) -> None:
        """Ask for the deletion of a backup; one that is gone already is no error."""
        ...


class Journal(Protocol):
    """One run in the store, as its engine writes it. All writes are in the order of the calls."""

    async def begin(self, run: Run, now: Elapsed, at: Wall) -> None:
        """An engine begins to drive `run`, as the one before left it; durable when it returns.

        What was asked of earlier engines and not taken by one is withdrawn. The waits of jobs,
        which are times of an earlier engine's clock, become times of this one's: none ends later
        than what was left of it at the last heartbeat; `unknown_at` begins anew.
        """
        ...

    async def claim(
        self, now: Elapsed, limit: int, *, cloud_now: Cloud, least_tried: bool = False
    ) -> list[Job]:
        """Move up to `limit` waiting jobs that are due to `submitting` (attempts + 1,
        intent_at = now, intent_cloud_at = cloud_now).

        Only of waves up to the last that was opened, by wave, rank, priority and place in the
        plan; with `least_tried`, of each wave those with the fewest attempts first. Passed over
        are volumes with an open job in another run of the same store, and jobs whose group or zone
        has as many open jobs as `limits.per_group` or `limits.per_az` allow.
        Durable when it returns: promise 1 rests on this.
        """
        ...

    def record(self, event: JobMoved | RunNoted) -> None:
        """Write a move or a note behind: durable soon, and before anything recorded later."""
        ...

    def touch(self, job: Job) -> None:
        """Write a job's changed fields behind, its state unchanged (progress, backup id, due)."""
        ...

    async def flush(self) -> None:
        """Return once everything recorded so far is durable; raises `StoreFailed`."""
        ...

    async def failed(self) -> None:
        """Wait for the journal to fail and raise `StoreFailed`; never returns otherwise."""
        ...

    async def next_due(self) -> Elapsed | None:
        """The earliest `due_at` of a waiting job that a claim would not pass over, None
        without one."""
        ...

    async def blocked(self, now: Elapsed) -> list[tuple[Job, BlockingRun]]:
        """Waiting jobs that are due while another run has an open job for their volume,
        with that run."""
        ...

    async def jobs_in(self, states: Sequence[JobState], *, limit: int | None = None) -> list[Job]:
        """Jobs of this run in any of `states`, in plan order."""
        ...

    async def select(self, argument: Mapping[str, object]) -> list[Job]:
        """Jobs that a command's argument names (`volumes`, `status`, `codes`, `states`, `all`)."""
        ...

    async def named(self, names: Sequence[str]) -> list[Job]:
        """Waiting jobs whose backups bear one of these names, in plan order."""
        ...

    async def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in each state; states without a job may be absent."""
        ...

    async def wave_counts(self) -> Mapping[int, Mapping[JobState, int]]:
        """How many jobs of each wave, by its index, are in each state."""
        ...

    async def open_wave(self, wave: int) -> None:
        """Let jobs be claimed up to this wave, for this and all later engines; durable when
        it returns."""
        ...

    async def retrying(self) -> int:
        """How many waiting jobs have been tried before."""
        ...

    async def commands(self, at: Wall) -> list[Command]:
        """Take the commands that nobody has taken or withdrawn yet, oldest first.

        From then on they cannot be withdrawn any more; durable when it returns.
        """
        ...

    def acknowledge(self, command: Command, at: Wall, result: str) -> None:
        """Record what became of a command (written behind)."""
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
    ) -> None:
        """Record that the engine lives, by how much the wall clock was set since it began, at which
        rate it sends, what it has called so far, and how many backups it took over."""
        ...

    async def deadline(self, at: Wall) -> None:
        """Record that no create is to be sent after `at`; durable when it returns."""
        ...

    async def run_state(self, state: RunState, at: Wall, reason: str | None = None) -> None:
        """Record the run's state; durable when it returns."""
        ...
