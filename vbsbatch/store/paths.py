"""Where the default store is, and the option that names another."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from vbsbatch.errors import StoreUnusable

_HOMELESS = "no home folder is known (HOME), so there is no usual store: name one with --db"


def default_path() -> Path:
    """The store without `--db`: `$VBSBATCH_DB`, or a file in the user's state folder.

    Raises `StoreUnusable` for a user without a home folder.
    """
    try:
        if named := os.environ.get("VBSBATCH_DB"):
            return Path(named).expanduser()
        from platformdirs import user_state_path

        usual = user_state_path("vbsbatch", appauthor=False) / "vbsbatch.db"
    except RuntimeError:
        raise StoreUnusable(_HOMELESS) from None
    if not usual.is_absolute():  # a `~` that was not resolved
        raise StoreUnusable(_HOMELESS)
    return usual


def db_option(store: str | Path) -> str:
    """The option, with a blank before it, by which a command finds this store; often nothing."""
    if "://" in str(store):
        return f" --db {shlex.quote(str(store))}"
    path = Path(store).absolute()
    try:
        usual = path == default_path().absolute()
    except StoreUnusable:
        usual = False
    return "" if usual else f" --db {shlex.quote(str(path))}"
