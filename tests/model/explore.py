"""Plays all schedules up to a depth, level by level, and checks the promises at the end of each."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from tests.model.cloud import Asked
from tests.model.harness import Clocks, Kept, MemoryKept, SqliteKept
from tests.model.night import Night
from tests.model.promises import broken
from tests.model.state import State, state_of

TOGETHER = 32
"""The continuations of this many schedules are one worker's task, which merges equal states among
them."""

Schedule = tuple[str, ...]
Make = Callable[[Clocks], Kept]


def in_memory(clocks: Clocks) -> Kept:
    """A store of one night."""
    return MemoryKept()


@dataclass(frozen=True, kw_only=True)
class Played:
    """One schedule and its result."""

    schedule: Schedule
    options: Schedule = ()
    """The possible next steps."""
    state: State | None = None
    """The state its steps led to; None if nothing was left to decide."""
    merged: bool = False
    """That state was reached before, so the rest is known."""
    broken: tuple[str, ...] = ()
    """The promises that it broke, in words."""


@dataclass(kw_only=True)
class Explored:
    """All schedules of one opening up to a depth."""

    opening: str
    depth: int
    schedules: int = 0
    merged: int = 0
    """How many of them led to a state that was reached before."""
    violations: list[Played] = field(default_factory=list)


@dataclass(kw_only=True)
class Seen:
    """The states reached so far, each with the least time left in it."""

    slack: dict[bytes, float] = field(default_factory=dict)

    def known(self, state: bytes, slack: float) -> bool:
        """Whether a state was reached before with no more time left; otherwise record it."""
        if self.slack.get(state, float("inf")) <= slack + 0.1:
            return True
        self.slack[state] = slack
        return False


@dataclass(kw_only=True)
class _Level:
    """What the workers that play one level know; inherited when they are forked."""

    opening: str
    make: Make
    without: frozenset[str]
    seen: Seen | None
    """None if equal states are played again."""


_level: list[_Level] = []


def play(opening: str, schedule: Schedule, make: Make, seen: Iterable[Seen] = ()) -> Played:
    """Play one schedule to its end, unless it leads to a known state."""
    states: list[State] = []

    def probe(night: Night, asked: Asked) -> None:
        states.append(state_of(night, asked))
        state = states[0]
        night.merged = any(each.known(state.bare, state.slack) for each in seen)

    night = Night(opening=opening, schedule=schedule, kept=make, probe=probe)
    words: list[str]
    try:
        night.play()
        words = [] if night.merged else broken(night)
    except Exception as error:
        words = [f"the engine raised {innermost(error)!r}"]
    return Played(
        schedule=schedule,
        options=night.options,
        state=states[0] if states else None,
        merged=night.merged,
        broken=tuple(words),
    )


def innermost(error: BaseException) -> BaseException:
    """Return the error inside nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def explore(
    opening: str,
    depth: int,
    *,
    make: Make = in_memory,
    merge: bool = True,
    workers: int = 1,
    without: Iterable[str] = (),
) -> Explored:
    """Play every schedule of an opening with up to `depth` steps.

    Without `merge`, equal states are played again; states can be compared on the in-memory store
    only. Continuations of a schedule that breaks a promise are not explored: the shortest
    violations are reported.
    """
    found = Explored(opening=opening, depth=depth)
    level = _Level(
        opening=opening, make=make, without=frozenset(without), seen=Seen() if merge else None
    )
    whole = Seen()
    parents = [Played(schedule=(), options=())]
    for _ in range(depth + 1):
        tasks = [
            [(each.schedule, each.options) for each in parents[at : at + TOGETHER]]
            for at in range(0, len(parents), TOGETHER)
        ]
        parents = []
        for played in chain.from_iterable(_played(level, tasks, workers)):
            found.schedules += 1
            if played.broken:
                found.violations.append(played)
            elif (state := played.state) is not None:
                again = level.seen is not None and whole.known(state.whole, state.slack)
                found.merged += again or played.merged
                if level.seen is not None:
                    level.seen.known(state.bare, state.slack)
                if not again:
                    parents.append(played)
    return found


def _played(
    level: _Level, tasks: list[list[tuple[Schedule, Schedule]]], workers: int
) -> Iterator[list[Played]]:
    with _known(level):
        if workers == 1 or len(tasks) < workers:
            yield from map(_children, tasks)
            return
        # Forked for each level, so that every worker knows the states of all earlier levels, and
        # merging does not depend on which worker is faster.
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            yield from pool.imap(_children, tasks)


@contextmanager
def _known(level: _Level) -> Iterator[None]:
    _level.append(level)
    try:
        yield
    finally:
        _level.pop()


def _children(parents: list[tuple[Schedule, Schedule]]) -> list[Played]:
    """Play the continuations of schedules by one step; without any known, the schedule itself."""
    level = _level[-1]
    seen = () if level.seen is None else (_Frozen(slack=level.seen.slack), Seen())
    played: list[Played] = []
    for schedule, options in parents:
        longer = [(*schedule, step) for step in options if step not in level.without]
        played += [play(level.opening, each, level.make, seen) for each in longer or [schedule]]
    return played


class _Frozen(Seen):
    """Answers queries but does not record states."""

    def known(self, state: bytes, slack: float) -> bool:
        return self.slack.get(state, float("inf")) <= slack + 0.1


@contextmanager
def on_sqlite() -> Iterator[Make]:
    """Stores in real files, a folder for each process."""
    with tempfile.TemporaryDirectory(prefix="vbsbatch-model-", dir=_fast()) as folder:

        def make(clocks: Clocks) -> Kept:
            own = Path(folder, str(os.getpid()))
            own.mkdir(exist_ok=True)
            return SqliteKept(own, clocks)

        yield make


def _fast() -> str | None:
    """A folder in memory if possible: nothing has to survive a power loss here."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
