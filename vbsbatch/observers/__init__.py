"""Observers are called with each event of a run, for progress lines, logs or metrics.

An observer is any callable that takes one `RunEvent`. It is called on the event loop, in the order
of the events, and must return at once: slow work belongs in its own thread or queue, as in
`progress_printer`. An observer that raises is not called again, and never stops a run.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from vbsbatch.model import JobMoved, JobState, Run, RunNoted
from vbsbatch.report.sizes import SizeSum

if TYPE_CHECKING:
    from vbsbatch.observers.desk import OpenDesk

_log = logging.getLogger("vbsbatch.observers")


class LiveRun(Protocol):
    """The engine of a run as observers see it: current figures, and a way to stop it."""

    @property
    def counts(self) -> Mapping[JobState, int]:
        """Jobs by state."""
        ...

    @property
    def retrying(self) -> int:
        """Waiting jobs that have been sent before."""
        ...

    @property
    def paused(self) -> bool:
        """Whether the run sends no new create for now."""
        ...

    @property
    def waits_for(self) -> str | None:
        """What the next create waits for, in words; None if nothing."""
        ...

    @property
    def next_look_in(self) -> float | None:
        """Seconds until the cloud's list is read next; None while it can show nothing."""
        ...

    @property
    def ends_in(self) -> float | None:
        """Seconds until the run is expected to end; None while too little is known, or it waits."""
        ...

    def stop(self, reason: str, *, now: bool = False) -> None:
        """Send nothing new, wait for pending answers (unless `now`), and leave a resumable run."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted:
    """An engine starts to drive the run."""

    run: Run
    live: LiveRun
    sizes: Callable[[], Mapping[JobState, SizeSum]] = dict
    """Reads from the store how large the volumes of the jobs in each state are: GB, and how many
    have no size."""
    desk: OpenDesk | None = None
    """Opens the run's store once more, in any thread, to look at the run and to keep messages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnded:
    """The engine has finished: the run ended, or it stopped and can be resumed."""

    run: Run
    counts: Mapping[JobState, int]
    exit_code: int
    """0 all succeeded or skipped, 1 some failed, 3 stopped."""


RunEvent: TypeAlias = RunStarted | JobMoved | RunNoted | RunEnded
Observer: TypeAlias = Callable[[RunEvent], object]


@runtime_checkable
class BackgroundObserver(Protocol):
    """An observer with a task that runs beside the engine and is cancelled when the engine ends."""

    def __call__(self, event: RunEvent, /) -> object:
        """Take one event."""
        ...

    def background(self) -> Awaitable[None]:
        """Run for as long as the engine does."""
        ...


@runtime_checkable
class LastingObserver(Protocol):
    """An observer that has something to finish when the engine has left the run."""

    def __call__(self, event: RunEvent, /) -> object:
        """Take one event."""
        ...

    async def finish(self) -> None:
        """Finish, in bounded time; called once, after `RunEnded`."""
        ...


class Observers:
    """Several observers as one; one that fails is dropped."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)

    def __call__(self, event: RunEvent) -> None:
        """Pass the event to each of them."""
        for observer in tuple(self._observers):
            try:
                observer(event)
            except Exception as error:  # not our code: a failure must not cost a backup
                self._observers.remove(observer)
                _log.warning("an observer raised %s and is dropped", type(error).__name__)

    @property
    def background(self) -> list[Callable[[], Awaitable[None]]]:
        """The background tasks of the observers that have one."""
        return [each.background for each in self._observers if isinstance(each, BackgroundObserver)]

    @property
    def finishing(self) -> list[Callable[[], Awaitable[None]]]:
        """What the observers that last have to finish."""
        return [each.finish for each in self._observers if isinstance(each, LastingObserver)]


__all__ = [
    "BackgroundObserver",
    "JobMoved",
    "LastingObserver",
    "LiveRun",
    "Observer",
    "Observers",
    "RunEnded",
    "RunEvent",
    "RunNoted",
    "RunStarted",
]
