"""Decides when two schedules have led to the same state: everything that determines the rest of the
night.

Times are relative to the clock they belong to; what no longer matters is left out. So is chance: a
backoff may differ by some seconds between two states that count as one. Local variables of a
coroutine are not seen: every time that matters must also be an attribute.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from aiolimiter import AsyncLimiter

from tests.model.cloud import Asked
from tests.model.harness import TIMERS, Clocks
from tests.model.night import PER, Night
from vbsbatch.simulator.virtual import START

NIGHTLONG = 1e5
"""A number within this many seconds of a clock counts as a time of that clock."""

FORGOTTEN = frozenset(
    {"events", "attempts", "store", "told", "read_calls", "_reads", "commits", "_event_loop"}
    | {"rate_used", "totals", "_sent_lately"}
) | {"settings", "_settings", "tuning", "_tuning", "_clock", "_inventory", "inventory", "changes"}
"""Attributes that record the past, never change, or lead out of the engine."""


@dataclass(frozen=True, kw_only=True)
class State:
    """A point where a decision is due."""

    bare: bytes
    """What determines the rest of a night without further faults."""
    whole: bytes
    """The same, plus what further steps may go back to: the copies of the store."""
    slack: float
    """Time left; the more there is, the less can become late."""


def state_of(night: Night, asked: Asked) -> State:
    """Return the state of a night that waits for the answer to a request."""
    clocks = night.clocks
    told = _Told(clocks)
    told.add(round(float(clocks.elapsed()) - float(clocks.wall()), 1))
    told.add((asked, night.under_way and [(at - clocks.timers(), s) for at, s in night.under_way]))
    told.add(sorted(night.earned.items()))
    told.add((len(night.stops), night.store.unanswered()))
    told.add(night.store.jobs())
    _add_cloud(told, night)
    told.add(night.journal)
    told.add(night.engine)
    told.add(sorted(_timers()))
    bare = told.digest()
    for copy in (night.last_copy, night.recent_copy):
        told.add(copy)
    return State(bare=bare, whole=told.digest(), slack=night.slack)


def _add_cloud(told: _Told, night: Night) -> None:
    cloud, clocks = night.cloud, night.clocks
    true, shift = clocks.true(), clocks.cloud_set
    told.add((shift - clocks.wall_set, f"token-{cloud.tokens}" in cloud.refused))
    told.add([at - true for at, _ in cloud.creates if at > true - PER])
    told.add([(at - true, late) for at, late in cloud.late])
    for made in cloud.backups:
        told.add((made.id, made.volume, made.outcome, made.created - true))
        told.add((made.status(true), made.ends_at - true, made.deleted_at - true))
        told.add((made.updated(true) - true, made.restoring[1] - true))
    for disk in cloud.disks.values():
        told.add((disk.updated - true, len(disk.restored), disk.restoring_until - true))
    told.add([(name, ends - true) for name, (_, ends, _) in cloud.jobs.items()])


def _timers() -> Iterator[float]:
    loop: Any = asyncio.get_running_loop()
    now = loop.time()
    return (round(each.when() - now, 1) for each in loop._scheduled if not each.cancelled())


class _Told:
    """Values as text, equal for equal values."""

    def __init__(self, clocks: Clocks) -> None:
        self._zeros = (
            (START, float(clocks.wall())),
            (TIMERS, clocks.timers() + TIMERS),
        )
        self._words: list[str] = []
        self._met: dict[int, int] = {}

    def digest(self) -> bytes:
        return blake2b("\n".join(self._words).encode(), digest_size=16).digest()

    def add(self, value: Any) -> None:
        match value:
            case bool() | int() | str() | bytes() | None:
                self._words.append(repr(value))
            case float():
                self._words.append(self._time(value))
            case Mapping():
                for key in sorted(value, key=repr):
                    self.add(key)
                    self.add(value[key])
            case Set():
                simple = [each for each in value if isinstance(each, (int, str))]
                self.add((len(value), sorted(simple)))
            case tuple() | list() | deque():
                self._words.append(str(len(value)))
                for each in value:
                    self.add(each)
            case _:
                self._add_object(value)

    def _time(self, value: float) -> str:
        for start, now in self._zeros:
            if abs(value - start) < NIGHTLONG:
                return f"{value - now:.1f}"
        return f"{value:.1f}"

    def _add_object(self, value: Any) -> None:
        room = type(value).__module__
        ours = room.startswith(("vbsbatch.", "tests.model.cloud")) or isinstance(
            value, AsyncLimiter
        )
        if not ours or id(value) in self._met:
            return
        self._met[id(value)] = 1
        self._words.append(type(value).__name__)
        for name in _attributes(value):
            if name not in FORGOTTEN:
                self._words.append(name)
                self.add(getattr(value, name, None))


def _attributes(value: Any) -> list[str]:
    found = list(getattr(value, "__dict__", ()))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        found += [slots] if isinstance(slots, str) else slots
    return sorted(found)
