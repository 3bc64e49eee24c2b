"""Which jobs a person means: the selection that commands, `jobs`, `retry` and `cancel` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vbsbatch.errors import UsageError
from vbsbatch.model import Job, JobState, plain_id

KEYS = ("states", "status", "codes", "volumes", "all")
"""What the argument of a selection may hold."""


MANY = 256
"""More volumes than this are compared here, not by SQLite."""


class SelectionError(UsageError, ValueError):
    """A selection that makes no sense. To an engine, which reads it from a command, a bad value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSelection:
    """Jobs that fit every criterion that is set; a criterion holds the values that fit it."""

    states: frozenset[JobState] | None = None
    status: frozenset[int] | None = None
    """HTTP statuses; 0 stands for "no answer"."""
    codes: frozenset[str] | None = None
    """Codes of the service; the empty text stands for "none"."""
    volumes: frozenset[str] | None = None
    """Volume ids in any spelling, or volume names."""

    @classmethod
    def of(cls, argument: Mapping[str, Any]) -> JobSelection:
        """Read a command's argument; `SelectionError` for a key or a value that makes no sense.

        Criteria of different keys must all fit. An argument without any criterion selects nothing,
        unless it says ``{"all": true}``: a slip must never touch a whole run.
        """
        if unknown := sorted(set(argument) - set(KEYS)):
            raise SelectionError(f"unknown selection {unknown[0]!r}: use {', '.join(KEYS)}")
        criteria = {key: _values(key, argument.get(key)) for key in KEYS if key != "all"}
        if argument.get("all") is not True and all(v is None for v in criteria.values()):
            return cls(states=frozenset())
        return cls(
            states=_mapped("states", criteria["states"], JobState),
            status=_mapped("status", criteria["status"], lambda value: int(value or 0)),
            codes=_mapped("codes", criteria["codes"], lambda value: str(value or "")),
            volumes=_mapped("volumes", criteria["volumes"], str),
        )

    @property
    def volume_spellings(self) -> frozenset[str] | None:
        """`volumes` in the one spelling that volume ids are compared in."""
        return None if self.volumes is None else frozenset(map(plain_id, self.volumes))

    def by_pages(self) -> tuple[JobSelection, Callable[[Job], bool]]:
        """What to ask SQLite page by page, and what to hold each job it finds against.

        SQLite would read thousands of volumes anew for each page: 100,000 took it minutes.
        """
        if self.volumes is None or len(self.volumes) <= MANY:
            return self, lambda job: True
        names, ids = self.volumes, self.volume_spellings or frozenset()

        def named(job: Job) -> bool:
            return job.volume_name in names or plain_id(job.volume_id) in ids

        return replace(self, volumes=None), named

    def fits(self, job: Job) -> bool:
        """Whether this job is meant."""
        if self.states is not None and job.state not in self.states:
            return False
        if self.status is not None and (job.http_status or 0) not in self.status:
            return False
        if self.codes is not None and (job.code or "") not in self.codes:
            return False
        if self.volumes is None:
            return True
        return job.volume_name in self.volumes or plain_id(job.volume_id) in map(
            plain_id, self.volumes
        )


def _values(key: str, value: Any) -> tuple[Any, ...] | None:
    if value is None:
        return None
    if isinstance(value, str | int):
        return (value,)
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise SelectionError(f"selection {key!r}: give a list")
    return tuple(value)


def _mapped(key: str, values: tuple[Any, ...] | None, word: Any) -> frozenset[Any] | None:
    if values is None:
        return None
    try:
        return frozenset(map(word, values))
    except (TypeError, ValueError):
        raise SelectionError(f"selection {key!r}: {values!r} makes no sense") from None
