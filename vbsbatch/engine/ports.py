"""What the engine needs of the cloud, of the store and of the clock. It imports none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from vbsbatch.model import (
    Answer,
    Backup,
    BackupPage,
    BlockingRun,
    CloudJob,
    Command,
    Job,
    JobMoved,
    JobState,
    Rate,
    RunNoted,
    RunState,
)


class Clock(Protocol):
    """The wall clock. Sleeping goes through anyio, so virtual time needs only this and a loop."""

    def now(self) -> float:
        """Seconds since the Unix epoch (UTC)."""
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
        """Server clock minus ours in seconds, from `Date` headers; 0 until one was seen."""
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

    async def renew_token(self, used_since: float) -> None:
        """Get a new token unless one was got since `used_since` (epoch seconds); one
        request serves all.

        Raises `SignInError` when the credentials are refused, `CloudUnavailable` on an outage.
        """
        ...

    async def backups(self, page: str | None = None) -> BackupPage:
        """One page of all backups of the project, newest first where the cloud sorts them."""
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

    async def claim(self, now: float, limit: int, *, least_tried: bool = False) -> list[Job]:
        """Move up to `limit` waiting jobs that are due to `submitting` (attempts + 1,
        intent_at = now).

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

    async def next_due(self) -> float | None:
        """The earliest `due_at` of a waiting job that a claim would not pass over, None
        without one."""
        ...

    async def blocked(self, now: float) -> list[tuple[Job, BlockingRun]]:
        """Waiting jobs that are due while another run has an open job for their volume,
        with that run."""
        ...

    async def jobs_in(self, states: Sequence[JobState], *, limit: int | None = None) -> list[Job]:
        """Jobs of this run in any of `states`, in plan order."""
        ...

    async def select(self, argument: Mapping[str, object]) -> list[Job]:
        """Jobs that a command's argument names (`volumes`, `status`, `codes`, `states`, `all`)."""
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

    async def commands(self) -> list[Command]:
        """Commands that nobody has acknowledged yet, oldest first."""
        ...

    def acknowledge(self, command: Command, at: float, result: str) -> None:
        """Record what became of a command (written behind)."""
        ...

    async def heartbeat(self, at: float, *, rate: Rate, create_calls: int, read_calls: int) -> None:
        """Record that the engine lives, at which rate it sends, and what it has called so far."""
        ...

    async def deadline(self, at: float) -> None:
        """Record that no create is to be sent after `at`; durable when it returns."""
        ...

    async def run_state(self, state: RunState, at: float, reason: str | None = None) -> None:
        """Record the run's state; durable when it returns."""
        ...
