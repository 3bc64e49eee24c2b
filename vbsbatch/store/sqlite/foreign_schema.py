"""Is the schema ours, to the word? A view in place of a table, or a trigger, acts when it is read.

Only `sqlite_schema` is read here, which no view can stand for, and nothing in it is evaluated.
Views and tables of other names are nobody's business: we never ask them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from vbsbatch.errors import StoreUnusable

_MANY = 1000
"""More entries than this has no store that anybody works with."""

Entries = frozenset[tuple[str, str, str]]
"""Kind, name and normalized SQL."""
Migrations = Sequence[Callable[[Any], None]]


def check_schema(db: sqlite3.Connection, path: Path, migrations: Migrations) -> None:
    """Refuse a store whose tables are not what `migrations` make; raises `StoreUnusable`."""
    rows = db.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema LIMIT ?", (_MANY,)
    ).fetchall()
    ours = _made_by(tuple(migrations))
    tables = {name for kind, name, _ in ours if kind == "table"}
    found = set()
    for kind, name, table, sql in rows:
        if kind == "trigger":
            raise _foreign(path, f"it has a trigger ({str(name)[:64]!r})")
        about = name if kind in ("table", "view") else table
        if str(about).lower() in tables and sql is not None:
            found.add((kind, name, _normal(sql)))
    if len(rows) == _MANY:
        raise _foreign(path, f"it has {_MANY} tables and views or more")
    if found != ours:
        odd = sorted({name for _, name, _ in found ^ ours})
        raise _foreign(path, f"{', '.join(odd)[:200]} not as this version makes it")


@cache
def _made_by(migrations: tuple[Callable[[Any], None], ...]) -> Entries:
    with closing(_fresh(migrations)) as db:
        rows = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql NOT NULL")
        return frozenset((kind, name, _normal(sql)) for kind, name, sql in rows)


def columns(table: str, migrations: Migrations) -> dict[str, tuple[str, bool]]:
    """The columns that a table of ours has: declared type, and whether it is never null."""
    with closing(_fresh(migrations)) as db:
        rows = db.execute('SELECT name, type, "notnull" FROM pragma_table_info(?)', (table,))
        return {name: (kind, bool(never_null)) for name, kind, never_null in rows}


def _fresh(migrations: Migrations) -> sqlite3.Connection:
    """A new store in memory, without its views."""
    db = sqlite3.connect(":memory:")
    for step in migrations:
        step(db)  # of the database they only execute statements
    return db


def _normal(sql: object) -> str:
    return " ".join(str(sql).split())


def _foreign(path: Path, why: str) -> StoreUnusable:
    return StoreUnusable(f"the tables of {path} are not ours: {why}: name another with --db")
