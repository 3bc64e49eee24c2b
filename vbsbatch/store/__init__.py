"""The only room that touches SQLite: schema, journal (writes), queries (reads).

`Store.open(path)` gives the file, `Store.journal(run)` what an engine needs of it. The twin for
tests and simulation, `MemoryStore`, is in `vbsbatch.store.memory`.
"""

from vbsbatch.store.place import db_option, default_path
from vbsbatch.store.reading import Event, Mark, Reader
from vbsbatch.store.selection import Selection, SelectionError
from vbsbatch.store.store import Store

__all__ = [
    "Event",
    "Mark",
    "Reader",
    "Selection",
    "SelectionError",
    "Store",
    "db_option",
    "default_path",
]
