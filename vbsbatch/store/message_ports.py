"""What the other rooms ask of a store about messages; see `vbsbatch/store/ports.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from vbsbatch.model import Message, Pace, RunNoted, Wall


class MessageStore(Protocol):
    """The messages about the runs of a store. Every write is durable when it returns.

    Any number of processes may use it at once: each fact is posted once for each channel, and each
    message is claimed by one of them before it is sent.
    """

    def of_run(self, run_id: str) -> list[Message]:
        """All messages about the run, oldest first."""
        ...

    def unsent(self) -> list[Message]:
        """The messages about all runs that have not been sent, oldest first."""
        ...

    def post(self, message: Message) -> bool:
        """Keep a message to be sent; False, and nothing is changed, if its fact is known."""
        ...

    def claim(self, message: Message, until: Wall) -> bool:
        """Begin a try to send the message as it was read: `tries` grows, `due_at` becomes `until`,
        and there is no `error` until it has failed.

        False if another process has begun one since, or has sent it.
        """
        ...

    def sent(self, message: Message, at: Wall) -> None:
        """Record that the message was sent."""
        ...

    def failed(self, message: Message, error: str, due_at: Wall) -> None:
        """Record that a try failed, and when the next may begin."""
        ...

    def pace(self, run_id: str) -> Pace:
        """When the run's newest job ended, and how long its longest one took."""
        ...

    def last_note(self, run_id: str, kinds: Iterable[str]) -> Wall | None:
        """When the run as a whole last had an event of one of these kinds; None: never."""
        ...

    def note(self, run_id: str, event: RunNoted) -> None:
        """Put something that happened to its messages into the history of the run."""
        ...
