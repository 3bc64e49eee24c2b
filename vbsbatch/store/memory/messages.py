"""Messages in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vbsbatch.model import JobState, Message, Pace, RunNoted, Wall
from vbsbatch.store.memory.runs import Held
from vbsbatch.store.message_ports import MessageStore


class MemoryMessages:
    """See `MessageStore`."""

    def __init__(self, held: Held) -> None:
        self._held = held

    def of_run(self, run_id: str) -> list[Message]:
        """See `MessageStore.of_run`."""
        self._held.run(run_id)
        return [each for each in self._all() if each.run_id == run_id]

    def unsent(self) -> list[Message]:
        """See `MessageStore.unsent`."""
        return [each for each in self._all() if each.sent_at is None]

    def _all(self) -> list[Message]:
        runs = list(self._held.runs)

        def place(message: Message) -> tuple[float, int, str, str]:
            return float(message.first_at), runs.index(message.run_id), *message.key[1:]

        return sorted(self._held.messages.values(), key=place)

    def post(self, message: Message) -> bool:
        """See `MessageStore.post`."""
        self._held.run(message.run_id)
        return self._held.messages.setdefault(message.key, message) is message

    def claim(self, message: Message, until: Wall) -> bool:
        """See `MessageStore.claim`."""
        kept = self._held.messages[message.key]
        if kept.sent_at is not None or kept.tries != message.tries:
            return False
        self._held.messages[message.key] = replace(
            kept, tries=kept.tries + 1, due_at=until, error=None
        )
        return True

    def sent(self, message: Message, at: Wall) -> None:
        """See `MessageStore.sent`."""
        kept = self._held.messages[message.key]
        self._held.messages[message.key] = replace(kept, sent_at=at, error=None)

    def failed(self, message: Message, error: str, due_at: Wall) -> None:
        """See `MessageStore.failed`."""
        kept = self._held.messages[message.key]
        if kept.sent_at is None:
            self._held.messages[message.key] = replace(kept, error=error, due_at=due_at)

    def pace(self, run_id: str) -> Pace:
        """See `MessageStore.pace`."""
        jobs = self._held.run(run_id).jobs.values()
        took = [
            job.ended_at - job.first_sent_at
            for job in jobs
            if job.state is JobState.SUCCEEDED and job.ended_at and job.first_sent_at
        ]
        ends = (job.ended_at for job in jobs if job.ended_at is not None)
        return Pace(last_end=max(ends, default=None), longest=max(took, default=None))

    def last_note(self, run_id: str, kinds: Iterable[str]) -> Wall | None:
        """See `MessageStore.last_note`."""
        wanted = frozenset(kinds)
        for event in reversed(self._held.run(run_id).events.values()):
            if isinstance(event, RunNoted) and event.kind in wanted:
                return event.at
        return None

    def note(self, run_id: str, event: RunNoted) -> None:
        """See `MessageStore.note`."""
        self._held.run(run_id).note(event)


_: type[MessageStore] = MemoryMessages  # mypy compares the two
