"""What observers that send messages need of a run's store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from vbsbatch.observers.facts import RunLook
from vbsbatch.observers.outbox import Messages
from vbsbatch.report import ReportData


class NoticeDesk(Protocol):
    """What a notifier needs of a run's store, in its own thread."""

    @property
    def messages(self) -> Messages:
        """The messages of the store."""
        ...

    def look(self) -> RunLook:
        """The run as it is now."""
        ...

    def report(self) -> ReportData:
        """The same with everything that messages say."""
        ...


OpenDesk: TypeAlias = Callable[[], AbstractContextManager[NoticeDesk]]
