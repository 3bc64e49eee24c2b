"""What the other rooms ask of a store beside its runs: missed starts, and compaction."""

from __future__ import annotations

from typing import Protocol

from vbsbatch.model import Compaction, MissedStart, Wall


class Upkeep(Protocol):
    """A part of `ports.RunStore`; errors as there."""

    def missed_starts(self) -> list[MissedStart]:
        """Starts of plans that made no run, or made it late; newest first."""
        ...

    def record_missed_start(self, missed: MissedStart) -> None:
        """Remember a start that made no run, or made it late."""
        ...

    def compactable(self, before: Wall) -> Compaction:
        """What `compact` would remove now."""
        ...

    def compact(self, before: Wall) -> Compaction:
        """Remove events, attempts and answered commands of the runs that ended before this time.

        Runs and their jobs stay, and a note takes the place of the events; missed starts before
        that time go too. Runs that an engine drives are left alone, and no engine waits for longer
        than one short transaction. Interrupted at any moment, the store is whole, and the next
        compaction removes the rest.
        """
        ...
