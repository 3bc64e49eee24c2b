"""What the other rooms ask of a store, whichever it is; `vbsbatch.store.open_store` opens one.

Every call raises `StoreFailed` where the store cannot be read or written, `StoreUnusable` where it
holds what no vbsbatch wrote, and `UsageError` for a run or a job that it does not have. Runs are
named by their full ids, except in `RunReader.run`. Times are those of `vbsbatch/model/clocks.py`.
What an engine asks of a store is `Journal` in `vbsbatch/engine/ports.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

from vbsbatch.model import (
    Attempt,
    BackupSettings,
    BlockingRun,
    Holder,
    Job,
    JobState,
    Pin,
    PlanTotals,
    Rate,
    Run,
    RunNoted,
    VerifySummary,
    Wall,
)
from vbsbatch.store.message_ports import MessageStore
from vbsbatch.store.upkeep import Upkeep

if TYPE_CHECKING:
    from vbsbatch.engine.ports import Journal

CodeCount: TypeAlias = tuple[int | None, str | None, int]
"""HTTP status (None: no answer), code of the service, and how many had both."""

Glance: TypeAlias = tuple[int, int, int, int | None, str | None, int | None, int | None, int | None]
"""A job in short: number, state as a place in `records.STATES`, attempts, HTTP status and code if
it failed, intent and end in milliseconds, GB of its volume."""

SizeSum: TypeAlias = tuple[int, int]
"""GB of some jobs together, and how many of them have no size."""

NO_CODE = "-"
"""In `Criteria.codes`: the job was tried and has no code."""

FIXED_SORTS = frozenset({"number", "volume", "group"})
"""Sort keys whose order never changes while a run goes on."""

NO_DEFAULTS = BackupSettings()


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One line of a run's history."""

    id: int
    at: float
    no: int | None
    """The job that it is about, None for the run as a whole."""
    kind: str
    """`move`, or the kind of a `RunNoted`."""
    came_from: JobState | None = None
    to: JobState | None = None
    text: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadPosition:
    """How far a follower has read; whatever changes later is new to it."""

    rev: int = 0
    event: int = 0


class Criteria(Protocol):
    """Which jobs a view has: every criterion that is set must fit, its values are alternatives."""

    @property
    def words(self) -> Sequence[str]:
        """Each must occur, whatever the case, in volume name or id, backup name, code, message
        or group."""

    @property
    def any_words(self) -> Sequence[str]:
        """One of them must occur in the same texts."""

    @property
    def states(self) -> Collection[JobState]:
        """States of the model."""

    @property
    def retrying(self) -> bool:
        """Also a state: waiting, and tried before."""

    @property
    def statuses(self) -> Collection[int]:
        """HTTP statuses; 0 is a job that was tried and got no answer."""

    @property
    def codes(self) -> Sequence[str]:
        """Beginnings of codes, whatever the case; `NO_CODE`: the job was tried and has none."""

    @property
    def groups(self) -> Collection[str]:
        """Groups, compared exactly."""


class Follower(Protocol):
    """Takes in the jobs of a run as they change; `RunStats` does."""

    def see(self, glances: Iterable[Glance], /) -> None:
        """Take in how these jobs are now; the first time they are all there, in plan order."""


class RunReader(Protocol):
    """Runs, jobs and their history, for commands and reports; reading never delays an engine."""

    @property
    def name(self) -> str:
        """What `open_store` and `--db` take to open this store."""
        ...

    def close(self) -> None:
        """Let the store go; calling it again does nothing."""
        ...

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        ...

    def newest_runs(self, *, unfinished: int, ended: int, plans: int = 0) -> list[Run]:
        """So many of the newest runs that have not ended, and of those that have, newest first;
        and the newest backup run of so many plans."""
        ...

    def totals(self) -> list[PlanTotals]:
        """What the runs of each plan did so far; it only grows, whatever is forgotten of runs."""
        ...

    def run(self, ref: str) -> Run:
        """The run that `ref` names: an id, the beginning of exactly one id, or `latest`.

        `latest` is the newest one that a person began, not a deletion that retention asked for.
        `UsageError` otherwise, with the ids that may have been meant.
        """
        ...

    def newest_unfinished(self) -> Run | None:
        """The newest run that has not ended, if there is one."""
        ...

    def sending_rate(self, run_id: str) -> Rate | None:
        """The rate that the engine reported with its last heartbeat; None before the first."""
        ...

    def counts(self, run_id: str) -> Mapping[JobState, int]:
        """How many jobs of the run are in each state; states without a job are absent."""
        ...

    def sizes(self, run_id: str) -> Mapping[JobState, SizeSum]:
        """How large the volumes of the jobs in each state are; states without a job are absent."""
        ...

    def wave_counts(self, run_id: str) -> Mapping[int, Mapping[JobState, int]]:
        """The counts for each wave, by its index."""
        ...

    def jobs(
        self,
        run_id: str,
        *,
        states: Iterable[JobState] = (),
        statuses: Iterable[int] = (),
        codes: Iterable[str] = (),
        volumes: Iterable[str] = (),
        after: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """Jobs that fit every criterion that is not empty, in plan order; see `JobSelection`.

        Only those with a number above `after`, and `limit` at most. The caller may take its time
        between two jobs: each is read as it is at that moment, and nothing stays locked meanwhile.
        """
        ...

    def job(self, run_id: str, no: int) -> Job:
        """One job of the run."""
        ...

    def failures(self, run_id: str) -> list[CodeCount]:
        """What the failed jobs failed with, the most frequent first."""
        ...

    def answers(self, run_id: str) -> list[CodeCount]:
        """All answers to creates, the most frequent first."""
        ...

    def retrying(self, run_id: str) -> int:
        """How many waiting jobs have been tried before."""
        ...

    def attempts(self, run_id: str, no: int) -> list[Attempt]:
        """The recorded attempts of one job, in the order of their numbers."""
        ...

    def attempt_total(self, run_id: str) -> int:
        """Create requests of the whole run."""
        ...

    def events(
        self, run_id: str, *, after: int = 0, limit: int | None = None, no: int | None = None
    ) -> Iterator[Event]:
        """The run's history (or that of its job `no`) after the event `after`, oldest first."""
        ...

    def mark(self) -> ReadPosition:
        """The present position: whatever is written later is new."""
        ...

    def changed(self, run_id: str, since: ReadPosition) -> tuple[ReadPosition, list[Job]]:
        """The jobs that changed since then, in plan order, and the position to ask with next."""
        ...

    def data_version(self) -> int:
        """A number that changes when somebody else has written to the store; costs microseconds.

        Raises `StoreFailed` when the store was moved or deleted.
        """
        ...

    def command_result(self, command_id: int) -> str | None:
        """What the engine answered to a command, None while it has not answered."""
        ...

    def pins(self) -> list[Pin]:
        """Every pin, the oldest first, also those that have ended."""
        ...

    def made(
        self,
        backup_ids: Collection[str] = (),
        *,
        names: Collection[str] = (),
        volumes: Collection[str] = (),
    ) -> list[tuple[str, Job]]:
        """The jobs that made one of these backups, by id, by name or by volume, each with the id of
        its run; in the order of runs and jobs. Ids as the store has them."""
        ...


class RunStore(RunReader, Upkeep, Protocol):
    """A store as commands use it: they read, create runs, and ask engines by writing commands."""

    @property
    def path(self) -> Path:
        """The file that the store is; files that belong to it, such as logs, lie beside it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def untrusted(self) -> str | None:
        """Why other users may have forged what the store holds, in words; None if they cannot."""
        ...

    def again(self) -> RunStore:
        """The same store opened once more, for another thread; the caller closes it."""
        ...

    @property
    def messages(self) -> MessageStore:
        """The messages about the store's runs."""
        ...

    def screen(self) -> ScreenReader:
        """Another reader of the same store, for screens; the caller closes it."""
        ...

    # Runs

    def new_run_id(self, now: Wall) -> str:
        """An id like `20261123-0715-k3f9` (UTC) that no run of this store has."""
        ...

    def create_run(
        self,
        run: Run,
        jobs: Iterable[Job],
        defaults: BackupSettings = NO_DEFAULTS,
        *,
        instead_of: Collection[str] | None = None,
    ) -> None:
        """Store a run with its jobs, all or nothing; the jobs are never in memory all at once.

        `defaults` are the settings that most jobs have. A job that is skipped from the start has
        that in its history. Raises `StoreUnusable` when there is no room for the run, `UsageError`
        when there is one with this id. With `instead_of` (ids of runs) it raises `RunIsLive`
        when any other run that makes the same backups (`Run.backs_up`) has not ended.
        """
        ...

    def set_limits(
        self, run_id: str, *, rate: Rate | None = None, in_flight: int | None = None
    ) -> None:
        """Remember what an operator set, for this run's next engine; None changes nothing."""
        ...

    def set_verified(self, run_id: str, found: VerifySummary) -> None:
        """Remember what a comparison of the run with the cloud found, and that it was made now.

        Raises `StoreUnusable` for a store that can only be read.
        """
        ...

    def set_retained(self, run_id: str) -> None:
        """Remember that the rules of the run's plan were applied now."""
        ...

    def note(self, run_id: str, noted: RunNoted) -> None:
        """Put a note into the history of a run, whether an engine drives it or not."""
        ...

    def pin(self, pin: Pin) -> None:
        """Store a pin in place of the one that the same run or backup has; those that have ended
        are forgotten."""
        ...

    def release(self, run_id: str, backup_id: str | None) -> bool:
        """Forget the pin of this backup, or (None) of the run as a whole; whether there was one."""
        ...

    # Engines

    def lock(self, run_id: str) -> AbstractContextManager[None]:
        """Drive the run: nobody else can until the context or the process ends.

        Raises `RunIsLive`, naming the process that drives it.
        """
        ...

    def is_live(self, run_id: str) -> Holder | None:
        """Which process drives the run, None when certainly none does."""
        ...

    def journal(self, run_id: str) -> AbstractAsyncContextManager[Journal]:
        """What the run's engine writes with, while its `lock` is held."""
        ...

    def ask(self, run_id: str, verb: str, argument: Mapping[str, Any], asked_by: str) -> int:
        """Ask the run's engine for something; `command_result` of the id has its answer."""
        ...

    def withdraw(self, command_id: int) -> bool:
        """Take a command back: true when no engine took it, and none will."""
        ...

    # What an operator does to a run without an engine

    def requeue(self, run_id: str, selection: Mapping[str, Any]) -> int:
        """Failed and cancelled jobs of the selection wait again, with no attempt counted.

        Returns how many. The run's deadline starts again; a run that had ended becomes `stopped`,
        to be resumed. Raises `RunIsLive` while another process drives the run, `SelectionError` for
        a selection that makes no sense.
        """
        ...

    def cancel(self, run_id: str, selection: Mapping[str, Any]) -> int:
        """Waiting jobs of the selection are cancelled; returns and raises as `requeue` does."""
        ...

    def holders(self, run_id: str) -> list[BlockingRun]:
        """The other runs that have open jobs for volumes that wait in this run, oldest first."""
        ...

    def take_over(
        self, run_id: str, asked_by: str, only: Collection[str] | None = None
    ) -> list[BlockingRun]:
        """Runs that no engine drives give up for good what they hold of this run's volumes.

        `only` has the ids of the runs that it concerns, by default all.

        Their jobs fail as `released`; what the cloud makes of them stays in the cloud. Returns
        which gave up how many. Raises `RunIsLive` when one of them gets an engine at that moment.
        """
        ...


class ScreenReader(RunReader, Protocol):
    """Views of very many jobs by their numbers, many times a second; not for two threads at once.

    Only the order of a view and the first read of a run touch every job.
    """

    def rev(self, run_id: str) -> int:
        """A number that grows with every change of the run or its jobs."""
        ...

    def has_groups(self, run_id: str) -> bool:
        """Whether any job of the run has a group."""
        ...

    def all_numbers(self, run_id: str) -> Sequence[int]:
        """The numbers of all jobs in plan order."""
        ...

    def numbers(
        self, run_id: str, criteria: Criteria, *, sorts: Iterable[tuple[str, bool]] = ()
    ) -> Sequence[int]:
        """The numbers of the jobs that fit, sorted by the first of `sorts`, ties by the next.

        Each is a key and whether it descends. The keys: `number`, `state`, `volume`, `http`,
        `code`, `attempts`, `age`, `due`, `group`, `size`. A job that has no such thing comes last
        either way; plan order breaks the last ties.
        """
        ...

    def jobs_at(self, run_id: str, numbers: Iterable[int]) -> list[Job]:
        """The jobs with these numbers, in the order of the numbers; missing ones are left out."""
        ...

    def follow(self, run_id: str, stats: Follower, since: ReadPosition | None) -> ReadPosition:
        """Show `stats` all jobs of the run (None), or those that changed since then.

        Returns the position to ask with next.
        """
        ...

    def newest_events(self, run_id: str, *, limit: int) -> list[Event]:
        """The newest events of the run, oldest first."""
        ...

    def loud_events(
        self, run_id: str, kinds: Iterable[str], *, after: int, until: int, limit: int
    ) -> list[Event]:
        """Notes of these kinds about the run as a whole, and moves of jobs to `failed`.

        Of the events behind `after`, up to `until`, the newest `limit`, oldest first.
        """
        ...

    def took(self, run_id: str, numbers: Iterable[int], *, limit: int) -> list[float]:
        """Seconds that the newest answered creates of these jobs took, newest first."""
        ...

    def slowest(self, run_id: str, *, limit: int) -> list[Job]:
        """The running jobs whose newest create is oldest."""
        ...
