"""Which run and which jobs a person means, and what new runs are called."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from vbsbatch.errors import UsageError
from vbsbatch.model import Job, JobState, Wall, plain_id

KEYS = ("states", "status", "codes", "volumes", "all")
"""What the argument of a selection may hold."""


MANY = 256
"""More volumes than this are compared in Python, not by SQLite."""


class SelectionError(UsageError, ValueError):
    """A selection that makes no sense; also a `ValueError`, for engines that read commands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSelection:
    """Jobs that fit every criterion that is set; a job fits one by any of its values."""

    states: frozenset[JobState] | None = None
    status: frozenset[int] | None = None
    """HTTP statuses; 0 stands for "no answer"."""
    codes: frozenset[str] | None = None
    """Codes of the service; the empty text stands for "none"."""
    volumes: frozenset[str] | None = None
    """Volume ids in any spelling, or volume names."""

    @classmethod
    def fitting(
        cls,
        states: Iterable[JobState],
        statuses: Iterable[int],
        codes: Iterable[str],
        volumes: Iterable[str],
    ) -> JobSelection:
        """The jobs that fit each criterion that is not empty."""
        return cls(
            states=frozenset(states) or None,
            status=frozenset(statuses) or None,
            codes=frozenset(codes) or None,
            volumes=frozenset(volumes) or None,
        )

    @classmethod
    def of(cls, argument: Mapping[str, Any]) -> JobSelection:
        """Read a command's argument; `SelectionError` for a key or a value that makes no sense.

        Criteria of different keys must all fit. An argument without any criterion selects nothing,
        unless it is ``{"all": true}``, so that a mistake never affects a whole run.
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

    def narrowed(self, *states: JobState) -> JobSelection:
        """The same jobs, of these states alone."""
        allowed = frozenset(states)
        return replace(self, states=allowed if self.states is None else allowed & self.states)

    @property
    def volume_spellings(self) -> frozenset[str] | None:
        """`volumes` in the spelling in which volume ids are compared."""
        return None if self.volumes is None else frozenset(map(plain_id, self.volumes))

    def by_pages(self) -> tuple[JobSelection, Callable[[Job], bool]]:
        """The selection to query page by page, and the check that each found job must pass.

        SQLite would parse thousands of volumes again for each page: 100,000 took it minutes.
        """
        if self.volumes is None or len(self.volumes) <= MANY:
            return self, lambda job: True
        names, ids = self.volumes, self.volume_spellings or frozenset()

        def named(job: Job) -> bool:
            return job.volume_name in names or plain_id(job.volume_id) in ids

        return replace(self, volumes=None), named

    def fits(self, job: Job) -> bool:
        """Whether the job fits every criterion."""
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
        raise SelectionError(f"selection {key!r}: {values!r} is not valid") from None


_LISTED = 5
"""So many run ids are named where one was not found."""

_RANDOM = string.ascii_lowercase + string.digits


def new_run_id(now: Wall, taken: Collection[str]) -> str:
    """An id like `20261123-0715-k3f9` (UTC) that is not taken."""
    minute = datetime.fromtimestamp(float(now), UTC).strftime("%Y%m%d-%H%M")
    while True:
        run_id = f"{minute}-{''.join(secrets.choice(_RANDOM) for _ in range(4))}"
        if run_id not in taken:
            return run_id


def resolved(ref: str, ids: Sequence[str], store: str, latest: Callable[[], str | None]) -> str:
    """The one of the ids, newest first, that `ref` names; `UsageError` where none or several."""
    if not ids:
        raise UsageError(f"there is no run in {store} yet")
    if ref == "latest":
        return latest() or ids[0]
    fits = [run_id for run_id in ids if run_id.startswith(ref)] if ref else []
    if ref in fits or len(fits) == 1:
        return ref if ref in fits else fits[0]
    if fits:
        more = f" and {len(fits) - _LISTED} more" if len(fits) > _LISTED else ""
        raise UsageError(f"{ref!r} matches several runs: {', '.join(fits[:_LISTED])}{more}")
    close = get_close_matches(ref, ids, n=1, cutoff=0.7)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(ids[:_LISTED])}"
    more = " ..." if not close and len(ids) > _LISTED else ""
    raise UsageError(f"there is no run {ref!r}: {hint}{more}")
