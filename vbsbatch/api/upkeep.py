"""Upkeep of the store: starts that made no run, and compaction."""

from __future__ import annotations

from vbsbatch.api.stores import StoreName, opened_store
from vbsbatch.model import Compaction, MissedStart, Wall
from vbsbatch.model.clocks import wall

USUAL_AGE = 90 * 86_400.0
"""Seconds after its end for which a run keeps its history."""


async def missed_starts(*, store: StoreName = None) -> list[MissedStart]:
    """List the starts of plans that made no run, or made it late; newest first."""
    with opened_store(store, readonly=True) as opened:
        return opened.missed_starts()


async def compact(
    *, older_than: float = USUAL_AGE, store: StoreName = None, dry_run: bool = False
) -> Compaction:
    """Remove events, attempts and answered commands of runs that ended `older_than` seconds ago.

    Runs and jobs stay. `dry_run` only counts. Returns what was removed, or would be.
    """
    before = Wall(float(wall()) - older_than)
    with opened_store(store, readonly=dry_run) as opened:
        return opened.compactable(before) if dry_run else opened.compact(before)
