"""Who is told of a run, and of what: the channels and pings of the config file.

Their URLs are secrets. No `repr` shows one, and nothing but the process that sends may read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Notice(StrEnum):
    """What a channel can be told."""

    END = "end"  # the run has ended
    FAILURES = "failures"  # more jobs have failed than a number
    STOPPED = "stopped"  # the run stopped before its end, and can be resumed
    GATE = "gate"  # the next wave waits for somebody to decide
    STUCK = "stuck"  # a backup takes far longer than expected, or is unknown for too long
    SILENT = "silent"  # nothing has ended for a while
    ENGINE_GONE = "engine_gone"  # the run has not ended, and nothing drives it


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A URL, or the environment variable that holds it."""

    url: str | None = field(default=None, repr=False)
    """None if the variable is not set."""
    variable: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One receiver of messages; durations are seconds."""

    name: str
    """As in the config file; `ops/2` is the second URL of the channel `ops`."""
    address: Address
    kind: str
    """The scheme of its URL, which says what it is; `-` if the URL is not known."""
    notices: frozenset[Notice] = frozenset(Notice)
    failures_over: int = 0
    stuck_after: float | None = None
    """None: three times as long as the longest backup of the run so far, at least an hour."""
    silent_after: float | None = None
    """None: an hour; while backups run, twice the longest one so far, or three hours before that.
    """
    gone_after: float = 120.0
    default: bool = True
    """Whether it is for runs whose plan names no channels."""

    @property
    def group(self) -> str:
        """The name that plans use."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pings:
    """The addresses that are asked for when a run of a plan starts, succeeds or fails."""

    start: Address | None = None
    success: Address | None = None
    failure: Address | None = None


def chosen(channels: Iterable[Channel], names: tuple[str, ...] | None) -> tuple[Channel, ...]:
    """The channels for a run whose plan names these; None if it names none."""
    if names is None:
        return tuple(each for each in channels if each.default)
    return tuple(each for each in channels if each.group in names)
