"""Learns whether the service takes one create for each vault at a time.

Some clouds refuse a whole create for a vault until the backups of the one before have ended. From
then on no job of a vault is claimed while another is open.
"""

from __future__ import annotations

from collections.abc import Sequence

from vbsbatch.engine.ledger import Ledger
from vbsbatch.model import Job, JobState

CERTAIN = 3
"""So many volumes must have been refused: a single one may have been busy itself."""


class BusyVaults:
    """Counts the volumes that were refused while others of their vault were being backed up."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._refused: set[int] = set()

    def refused(self, jobs: Sequence[Job]) -> bool:
        """Take the jobs of a whole create that was refused because something is being backed up.

        Returns whether that is known to be another create of this run for the same vault, so that
        the jobs need only wait until it has ended.
        """
        vault, numbers = jobs[0].settings.vault, {job.no for job in jobs}
        ours = vault is not None and any(
            other.settings.vault == vault
            for no, other in self._ledger.open.items()
            if no not in numbers and other.state is not JobState.SUBMITTING
        )
        if ours:
            self._refused |= numbers
            if len(self._refused) >= CERTAIN:
                self._ledger.one_create_each = True
        return ours and self._ledger.one_create_each
