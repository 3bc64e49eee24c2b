"""Where the store lies, and how a command line names it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def default_path() -> Path:
    """Where the store is without `--db`: `$VBSBATCH_DB`, or in the user's state folder."""
    if named := os.environ.get("VBSBATCH_DB"):
        return Path(named).expanduser()
    from platformdirs import user_state_path

    return user_state_path("vbsbatch", appauthor=False) / "vbsbatch.db"


def db_option(path: Path) -> str:
    """What a command must say, with a blank before it, to mean this store; often nothing."""
    usual = path.absolute() == default_path().absolute()
    return "" if usual else f" --db {shlex.quote(str(path.absolute()))}"
