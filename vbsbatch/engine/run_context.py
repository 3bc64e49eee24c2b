"""What every part of the engine works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vbsbatch.engine.ledger import Ledger
from vbsbatch.engine.outcome import Rules
from vbsbatch.engine.ports import BackupService, Clock, Journal
from vbsbatch.engine.tuning import Tuning
from vbsbatch.model import Run, Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContext:
    """The run being driven: its ledger and journal, the cloud, the clock and the rules."""

    run: Run
    ledger: Ledger
    journal: Journal
    service: BackupService
    clock: Clock
    tuning: Tuning
    rules: Callable[[], Rules]
    """Returns the rules as they are now."""
    stop: Callable[..., None]
    """Stops the run, resumable; the text says why."""
    wake: Callable[[], None]
    """Wakes everything that waits: the time has changed, or creates may begin."""
    resumed: bool
    """Another engine may have driven the run before, from this store or from a copy of it."""

    @property
    def settings(self) -> Settings:
        """What the run was frozen with."""
        return self.run.settings
