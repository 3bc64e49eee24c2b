"""Are the values of a row what the journal writes? SQLite takes any value in any column.

A store that was edited, damaged or forged must end a command with one line, and must not put into
an engine what it never wrote. Rows whose types have been seen to be right cost a look into a set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from vbsbatch.errors import StoreUnusable
from vbsbatch.store.foreign_schema import columns
from vbsbatch.store.opening import MIGRATIONS

_LAST = 253_402_300_799_999
"""The last millisecond of the year 9999, after which no time can be shown."""
_LARGE = 2**53
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_TYPES: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "TEXT": (str,), "": (str,)}


class Row:
    """Some columns of one table, as they come out of a query; ids as text, as queries give them."""

    def __init__(self, table: str, names: Sequence[str], **instead: tuple[type, ...]) -> None:
        """`instead` gives the types of columns that are otherwise than the schema says."""
        self._table = table
        self._names = tuple(names)
        self._instead = instead
        self._seen: set[tuple[type, ...]] = set()

    def check(self, row: Sequence[Any]) -> None:
        """Raise `StoreUnusable` for a row with a value that is none of ours."""
        types = tuple(map(type, row))
        if types not in self._seen:
            self._check_types(types)
        for at, most in self._numbers:
            value = row[at]
            if value is not None and not -most <= value <= most:
                raise damaged(f"a row of {self._table}")

    def checked(self, rows: Iterable[Any]) -> Iterator[Any]:
        """The rows, each of them checked."""
        for row in rows:
            self.check(row)
            yield row

    def _check_types(self, types: tuple[type, ...]) -> None:
        if len(types) != len(self._types):
            raise damaged(f"a row of {self._table}")
        for name, found, right in zip(self._names, types, self._types, strict=True):
            if found not in right:
                raise damaged(f"a {name} of {self._table}")
        self._seen.add(types)

    @cached_property
    def _types(self) -> tuple[tuple[type, ...], ...]:
        known = columns(self._table, MIGRATIONS)
        return tuple(
            self._instead.get(name) or _allowed(*known.get(name, ("INTEGER", False)))
            for name in self._names
        )

    @cached_property
    def _numbers(self) -> tuple[tuple[int, int], ...]:
        return tuple(
            (at, _LAST if name.endswith(("_at", "_since")) or name == "at" else _LARGE)
            for at, (name, types) in enumerate(zip(self._names, self._types, strict=True))
            if int in types and str not in types
        )


def _allowed(kind: str, never_null: bool) -> tuple[type, ...]:
    types = _TYPES.get(kind, (str, int, float))
    return types if never_null else (*types, type(None))


def check_run_id(run_id: object) -> None:
    """Refuse what no run is called: ids stand in commands that people are told to type."""
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise damaged("an id of a run")


def json_object(text: str) -> dict[str, Any]:
    """What a command's argument is; raises `StoreUnusable`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged("an argument of a command") from error
    if not isinstance(found, dict):
        raise damaged("an argument of a command")
    return found


def one_of(words: Sequence[Any], number: object, what: str) -> Any:
    """The word that a number stands for; raises `StoreUnusable` where it stands for none."""
    if type(number) is not int or not 0 <= number < len(words):
        raise damaged(what)
    return words[number]


def rows_of(text: str) -> Any:
    """The rows that SQLite grouped as JSON; raises `StoreUnusable` for a value JSON cannot hold, as
    it writes `Inf` for a number beyond all others."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise damaged("a value") from error


def damaged(what: str) -> StoreUnusable:
    """The error for a store in which something is not as it was written."""
    return StoreUnusable(
        f"the store holds {what} that no vbsbatch wrote: put back a backup of it, or name another"
        " with --db"
    )
