"""Opens the store that a caller names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from vbsbatch.store import RunStore, open_store

StoreName: TypeAlias = "str | os.PathLike[str] | RunStore | None"
"""A path, an open store, or None for the default store."""


@contextmanager
def opened_store(
    store: StoreName, *, create: bool = False, readonly: bool = False
) -> Iterator[RunStore]:
    """Open the store, and close it unless it was open before. Raises `StoreUnusable`."""
    if store is None or isinstance(store, str | os.PathLike):
        with open_store(store, create=create, readonly=readonly) as opened:
            yield opened
    else:
        yield store
