"""Opening the store that a caller names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from vbsbatch.store import Store

StoreName: TypeAlias = "str | os.PathLike[str] | Store | None"
"""A path, an open store, or None for the usual one."""


@contextmanager
def opened_store(
    store: StoreName, *, create: bool = False, readonly: bool = False
) -> Iterator[Store]:
    """The store, closed at the end unless it was open before. Raises `StoreUnusable`."""
    if isinstance(store, Store):
        yield store
        return
    with Store.open(store, create=create, readonly=readonly) as opened:
        yield opened
