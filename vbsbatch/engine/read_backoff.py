"""Reads that fail: when to ask again, and since when the lists can be believed."""

from __future__ import annotations

from collections.abc import Callable

from vbsbatch.engine.tuning import Tuning
from vbsbatch.errors import CloudUnavailable
from vbsbatch.model import AT_ONCE, Elapsed

LASTING = 4
"""So many failed reads in a row are told to whoever watches."""


class ReadBackoff:
    """What the tracker knows of its reads that found the cloud unavailable.

    `settle` is the plan's, in seconds; `now` is our clock, `note` tells an outage and its end: a
    kind of note, and the words.
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
        """No read before this."""
        self.readable_since = AT_ONCE
        """A list proves no absence before the settle time has passed since this."""
        self._tuning = tuning
        self._settle = settle
        self._now = now
        self._note = note
        self._failures = 0
        self._unreadable_since: Elapsed | None = None

    def look(self) -> None:
        """A look at the list begins.

        An outage that left less than half of the settle time takes it anew; a shorter one, or a
        list that fails every now and then, must not put off what there is to prove.
        """
        since, now = self._unreadable_since, self._now()
        if since is not None and now - since >= self._settle / 2:
            self.readable_since = now

    def page_failed(self) -> None:
        """A page of the list did not come."""
        self._unreadable_since = self._unreadable_since or self._now()

    def looked(self) -> None:
        """The list was read to where it had to be."""
        self._unreadable_since = None

    def rest(self, error: CloudUnavailable) -> None:
        """The cloud did not answer a read: that proves nothing; ask again, ever more seldom."""
        self._failures += 1
        pause = self._tuning.read_retry_first * 2.0 ** min(self._failures - 1, 10)
        pause = max(min(pause, self._tuning.read_retry_longest), error.retry_after or 0.0)
        self.not_before = self._now() + pause
        if self._failures == 1:
            self._note("sweep", f"cannot read the backups now: {error}; will ask again")
        elif self._failures == LASTING:
            self._note("run", f"still cannot read the backups: {error}")

    def recovered(self) -> None:
        """Every read of a sweep was answered."""
        if self._failures:
            kind = "run" if self._failures >= LASTING else "sweep"
            tries = "1 try" if self._failures == 1 else f"{self._failures} tries"
            self._note(kind, f"backups readable again after {tries}")
        self._failures = 0
        self.not_before = AT_ONCE
