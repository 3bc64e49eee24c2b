"""The errors a user can meet. Each prints as one line that says what to do.

::

    VbsbatchError
     +-- UsageError            bad arguments, no such run ...                    exit 2
     +-- PlanError             a plan file with problems, all of them            exit 2
     +-- StoreError            the store cannot be opened, read or written
     |    +-- StoreUnusable    not ours, corrupt, from a newer version           exit 2
     |    +-- StoreFailed      disk full, locked, read-only in mid-run           exit 3
     |    +-- RunIsLive        another engine drives this run                    exit 2
     +-- CloudError            the cloud, in the words of the request
          +-- SignInError      credentials, catalog, project                     exit 2
          +-- CloudRefused     an answer that will not change by asking again
          +-- CloudUnavailable no answer, 408, 429, 5xx, unreadable: ask again later
               +-- ListChanged a page of a list that changed since: begin again
               +-- ListIncomplete  a list that goes no further, and is not at its end

Foreign exceptions are translated once, where the foreign library is called, `from` the original.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class VbsbatchError(Exception):
    """Root of every error that vbsbatch raises on purpose."""

    exit_code = 2


class UsageError(VbsbatchError):
    """What was asked makes no sense as asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong in a file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    text: str
    """What is wrong, and what would be right."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class PlanError(VbsbatchError):
    """A plan (or a list of volumes) that cannot be run; `problems` holds every reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class StoreError(VbsbatchError):
    """The store cannot do what it must."""


class StoreUnusable(StoreError):
    """The file is not a store this version can work with."""


class StoreFailed(StoreError):
    """A write to the store failed in mid-run; nothing that was promised is lost."""

    exit_code = 3


class RunIsLive(StoreError):
    """Another engine holds the run."""


class CloudError(VbsbatchError):
    """The cloud did not do what was asked."""


class SignInError(CloudError):
    """No way in: credentials, identity service, catalog or project.

    `passing` when the identity service said itself that it is busy or down, for `retry_after`
    seconds where it says that too.
    """

    def __init__(
        self, message: str, *, passing: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.passing = passing
        self.retry_after = retry_after


class CloudRefused(CloudError):
    """An answer that will not change by asking again; `status` and `code` are the service's."""

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class CloudUnavailable(CloudError):
    """No usable answer this time; proves nothing. `retry_after` is in seconds."""

    exit_code = 3

    def __init__(
        self, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ListChanged(CloudUnavailable):
    """The entry that marks where a page of a list begins is gone: only the first page has none."""


class ListIncomplete(CloudUnavailable):
    """A list that goes no further whatever is asked for, and does not say that it is whole."""
