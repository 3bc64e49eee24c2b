"""The store in memory, for tests and simulated nights: what `sqlite` does, without a file.

What is recorded is written behind here too: it waits in `MemoryJournal` until an operation that
waits, `flush`, or `WRITE_BEHIND` entries; `MemoryJournal.crash` loses it, as a killed engine does.
"""

from vbsbatch.store.memory.journal import MemoryJournal
from vbsbatch.store.memory.runs import MemoryRun
from vbsbatch.store.memory.store import MemoryStore

__all__ = ["MemoryJournal", "MemoryRun", "MemoryStore"]
