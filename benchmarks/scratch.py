"""Where measured stores lie: on a real disk, since `/tmp` may be memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DISK = Path("/var/tmp")


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for the length of the block."""
    where = DISK if DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="vbsbatch-bench-", dir=where) as name:
        yield Path(name)
