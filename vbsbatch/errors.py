"""The errors a user can see. Each prints as one line that says what to do.

::

    VbsbatchError
     +-- UsageError            bad arguments, no such run ...                    exit 2
     +-- FileError             a file with problems, all of them                 exit 2
     |    +-- PlanError        a plan, or a list of volumes
     |    +-- ConfigError      the user's config file
     +-- StoreError            the store cannot be opened, read or written
     |    +-- StoreUnusable    not ours, corrupt, from a newer version           exit 2
     |    +-- StoreFailed      disk full, locked, read-only in mid-run           exit 3
     |    +-- RunIsLive        another engine drives this run                    exit 2
     +-- CloudError            the cloud refused the request or failed
          +-- SignInError      credentials, catalog, project                     exit 2
          +-- CloudRefused     an answer that will not change if asked again
          +-- CloudUnavailable no answer, 408, 429, 5xx, unreadable: try again later
               +-- ListChanged a page of a list that has changed: start again
               +-- ListIncomplete  a list that stops before its end

Foreign exceptions are translated once, where the foreign library is called, `from` the original.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class VbsbatchError(Exception):
    """Root of every error that vbsbatch raises on purpose."""

    exit_code = 2


class UsageError(VbsbatchError):
    """The request makes no sense as given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One problem in a file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    text: str
    """What is wrong, and what would be right."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class FileError(VbsbatchError):
    """A file that cannot be used; `problems` holds every reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class PlanError(FileError):
    """A plan (or a list of volumes) that cannot be run."""


class ConfigError(FileError):
    """The user's config file is wrong."""


class StoreError(VbsbatchError):
    """The store cannot do its work."""


class StoreUnusable(StoreError):
    """The file is not a store this version can work with."""


class StoreFailed(StoreError):
    """A write to the store failed during a run; nothing that was promised is lost."""

    exit_code = 3


class RunIsLive(StoreError):
    """Another engine drives the run."""


class CloudError(VbsbatchError):
    """The cloud did not do what was asked."""


class SignInError(CloudError):
    """Sign-in failed: credentials, identity service, catalog or project.

    `passing` if the identity service itself said that it is busy or down, with `retry_after` in
    seconds if it gave a time.
    """

    def __init__(
        self, message: str, *, passing: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.passing = passing
        self.retry_after = retry_after


class CloudRefused(CloudError):
    """An answer that will not change if asked again; `status` and `code` are the service's."""

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class CloudUnavailable(CloudError):
    """No usable answer this time; it proves nothing. `retry_after` is in seconds."""

    exit_code = 3

    def __init__(
        self, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ListChanged(CloudUnavailable):
    """The entry at which a page of a list begins is gone; the first page has no such entry."""


class ListIncomplete(CloudUnavailable):
    """A list that goes no further whatever is requested, and does not say that it is complete."""
