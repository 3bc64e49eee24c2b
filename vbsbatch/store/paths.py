"""Where the store lies, and how a command line names it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from vbsbatch.errors import StoreUnusable

_HOMELESS = "no home folder is known (HOME), so there is no usual store: name one with --db"


def default_path() -> Path:
    """Where the store is without `--db`: `$VBSBATCH_DB`, or in the user's state folder.

    Raises `StoreUnusable` for a user without a home folder.
    """
    try:
        if named := os.environ.get("VBSBATCH_DB"):
            return Path(named).expanduser()
        from platformdirs import user_state_path

        usual = user_state_path("vbsbatch", appauthor=False) / "vbsbatch.db"
    except RuntimeError:
        raise StoreUnusable(_HOMELESS) from None
    if not usual.is_absolute():  # `~` that nobody could resolve
        raise StoreUnusable(_HOMELESS)
    return usual


def db_option(path: Path) -> str:
    """What a command must say, with a blank before it, to mean this store; often nothing."""
    try:
        usual = path.absolute() == default_path().absolute()
    except StoreUnusable:
        usual = False
    return "" if usual else f" --db {shlex.quote(str(path.absolute()))}"
