"""The only room that touches SQLite: schema, journal (writes), queries (reads).

`Store.open(path)` gives the file, `Store.journal(run)` what an engine needs of it. The twin for
tests and simulation, `MemoryStore`, is in `vbsbatch.store.memory`.
"""

from vbsbatch.store.paths import db_option, default_path
from vbsbatch.store.reading import Event, Reader, ReadPosition
from vbsbatch.store.selection import JobSelection, SelectionError
from vbsbatch.store.store import Store

__all__ = [
    "Event",
    "JobSelection",
    "ReadPosition",
    "Reader",
    "SelectionError",
    "Store",
    "db_option",
    "default_path",
]
