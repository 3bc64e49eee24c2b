"""Runs, jobs, attempts and events, kept: what others may ask is in `ports`, one package a store.

`open_store` opens one by its name, `RunStore.journal` gives what an engine writes with. The store
in memory, for tests and simulated nights, is `vbsbatch.store.memory`.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Protocol

from vbsbatch.store.paths import db_option, default_path
from vbsbatch.store.ports import (
    Criteria,
    Event,
    ReadPosition,
    RunReader,
    RunStore,
    ScreenReader,
)
from vbsbatch.store.selection import JobSelection, SelectionError

__all__ = [
    "Criteria",
    "Event",
    "JobSelection",
    "ReadPosition",
    "RunReader",
    "RunStore",
    "ScreenReader",
    "SelectionError",
    "db_option",
    "default_path",
    "open_store",
]


class _Opener(Protocol):
    def __call__(self, name: str, *, create: bool, readonly: bool) -> RunStore: ...


def _sqlite(name: str, *, create: bool, readonly: bool) -> RunStore:
    from vbsbatch.store.sqlite.store import SqliteStore

    return SqliteStore.open(name.removeprefix("sqlite://"), create=create, readonly=readonly)


_OPENERS: Mapping[str, _Opener] = {"sqlite": _sqlite}
"""What opens a store, by the scheme of its URL; a name without one of these is a SQLite file."""


def open_store(
    name_or_url: str | PathLike[str] | None = None, *, create: bool = False, readonly: bool = False
) -> RunStore:
    """Open the store of this name, by default `default_path()`; `StoreUnusable` says why not.

    `create` makes one where there is none; `readonly` is content with a store that cannot be
    written, if it is of this version. A store that is refused stays as it is.
    """
    name = fspath(default_path() if name_or_url is None else name_or_url)
    scheme = name.partition("://")[0] if "://" in name else ""
    opener = _OPENERS.get(scheme, _sqlite)
    return opener(name, create=create, readonly=readonly)
