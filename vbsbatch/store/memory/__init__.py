"""The store in memory, for tests and simulated nights: what `sqlite` does, without a file."""

from vbsbatch.store.memory.store import MemoryJournal, MemoryRun, MemoryStore

__all__ = ["MemoryJournal", "MemoryRun", "MemoryStore"]
