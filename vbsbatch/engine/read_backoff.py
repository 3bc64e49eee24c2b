"""Backs off when reads fail, and tracks since when the lists can be trusted."""

from __future__ import annotations

from collections.abc import Callable

from vbsbatch.engine.tuning import Tuning
from vbsbatch.errors import CloudUnavailable
from vbsbatch.model import AT_ONCE, Elapsed

LASTING = 4
"""After this many failed reads in a row, observers are notified."""


class ReadBackoff:
    """Tracks the poller's reads that found the cloud unavailable.

    `settle` is the plan's, in seconds. `now` is our clock. `note` reports an outage and its end; it
    takes the kind of note and its text.
    """

    def __init__(
        self,
        tuning: Tuning,
        *,
        settle: float,
        now: Callable[[], Elapsed],
        note: Callable[[str, str], None],
    ) -> None:
        self.not_before = AT_ONCE
        """No read starts before this."""
        self.readable_since = AT_ONCE
        """A list proves absence only after the settle time has passed since this."""
        self._tuning = tuning
        self._settle = settle
        self._now = now
        self._note = note
        self._failures = 0
        self._unreadable_since: Elapsed | None = None

    def sweep_started(self) -> None:
        """Record that a sweep starts.

        An outage of at least half the settle time starts the settle time again. A shorter one, or a
        list that fails now and then, must not delay the proof of absence.
        """
        since, now = self._unreadable_since, self._now()
        if since is not None and now - since >= self._settle / 2:
            self.readable_since = now

    def page_failed(self) -> None:
        """Record that a page of the list could not be read."""
        self._unreadable_since = self._unreadable_since or self._now()

    def sweep_finished(self) -> None:
        """Record that the list was read as far as necessary."""
        self._unreadable_since = None

    def back_off(self, error: CloudUnavailable) -> None:
        """Back off after a failed read, for longer each time. A failed read proves nothing."""
        self._failures += 1
        pause = self._tuning.read_retry_first * 2.0 ** min(self._failures - 1, 10)
        pause = max(min(pause, self._tuning.read_retry_longest), error.retry_after or 0.0)
        self.not_before = self._now() + pause
        if self._failures == 1:
            self._note("sweep", f"cannot read the backups now: {error}; will ask again")
        elif self._failures == LASTING:
            self._note("run", f"still cannot read the backups: {error}")

    def recovered(self) -> None:
        """Record that every read of a sweep was answered."""
        if self._failures:
            kind = "run" if self._failures >= LASTING else "sweep"
            tries = "1 try" if self._failures == 1 else f"{self._failures} tries"
            self._note(kind, f"backups readable again after {tries}")
        self._failures = 0
        self.not_before = AT_ONCE
