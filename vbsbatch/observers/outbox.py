"""Posts messages about facts, and sends what is posted: one at a time for each channel.

Several processes may do this on one store at once. A message is claimed before it is sent; a claim
of a process that was killed ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from vbsbatch.model import Channel, Message, RunNoted, Wall
from vbsbatch.model.clocks import wall
from vbsbatch.observers.delivery import LIMIT, Delivery
from vbsbatch.observers.facts import RunLook, facts
from vbsbatch.observers.message_text import compose
from vbsbatch.report import ReportData

CLAIMED = LIMIT + 15.0
"""Seconds after which a message that was claimed, and neither sent nor failed, is tried again."""

FIRST_BACKOFF, LONGEST_BACKOFF = 5.0, 900.0
"""Seconds between two tries; each wait is twice as long as the one before."""

GIVE_UP = 3 * 86400.0
"""Seconds after which a message is no news any more."""

CLOCK_WAS_SET = 3600.0
"""A message that is due later than this was posted before the machine's clock was set back."""


class Messages(Protocol):
    """The messages of a store; `vbsbatch/store/message_ports.py` says what each does."""

    def of_run(self, run_id: str) -> list[Message]:
        """All messages about the run."""
        ...

    def unsent(self) -> list[Message]:
        """Those about all runs that have not been sent, oldest first."""
        ...

    def post(self, message: Message) -> bool:
        """Keep a message to be sent."""
        ...

    def claim(self, message: Message, until: Wall) -> bool:
        """Begin a try."""
        ...

    def sent(self, message: Message, at: Wall) -> None:
        """Record that it was sent."""
        ...

    def failed(self, message: Message, error: str, due_at: Wall) -> None:
        """Record that a try failed."""
        ...

    def note(self, run_id: str, event: RunNoted) -> None:
        """Put an event into the run's history."""
        ...


Told = Callable[[str, RunNoted], object]
"""Receives what happens to messages, with the run's id."""


def backoff(tries: int) -> float:
    """Seconds until the next try, after so many."""
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(tries - 1, 20))


def post(
    messages: Messages, look: RunLook, channels: Iterable[Channel], report: Callable[[], ReportData]
) -> int:
    """Post a message for each new fact of a run to each channel that wants it; how many."""
    known = messages.of_run(look.run.id)
    posted = 0
    for channel in channels:
        told = [each for each in known if each.channel == channel.name]
        for fact in facts(look, channel, told):
            title, body = compose(fact, report(), look.now)
            posted += messages.post(
                Message(
                    run_id=look.run.id,
                    fact=fact.name,
                    channel=channel.name,
                    first_at=look.now,
                    title=title,
                    body=body,
                    due_at=look.now,
                )
            )
    return posted


class Outbox:
    """Sends the unsent messages of a store to these channels; `step` never waits for a receiver."""

    def __init__(
        self,
        messages: Messages,
        channels: Sequence[Channel],
        *,
        told: Told = lambda _run, _event: None,
        clock: Callable[[], Wall] = wall,
        deliver: Callable[[Channel, str, str], Delivery] = Delivery,
    ) -> None:
        self._messages = messages
        self._channels = {each.name: each for each in channels}
        self._told = told
        self._clock = clock
        self._deliver = deliver
        self._sending: dict[str, tuple[Message, Delivery]] = {}
        """By the name of the channel."""
        self._results: list[tuple[Message, str | None]] = []
        """What has not been recorded yet."""
        self._tried: set[tuple[str, str, str]] = set()
        """The keys of the messages that this outbox has begun to send."""

    @property
    def busy(self) -> bool:
        """Whether a message is on its way."""
        return bool(self._sending or self._results)

    def unsent(self) -> list[Message]:
        """The messages to these channels that are still to be sent, oldest first."""
        now = self._clock()
        return [
            each
            for each in self._messages.unsent()
            if each.channel in self._channels and now - each.first_at <= GIVE_UP
        ]

    def waits_for(self, run_id: str) -> bool:
        """Whether a message about the run may still be sent by this process: one to a channel whose
        URL it does not know may not."""
        return self.busy or any(
            each.run_id == run_id and self._channels[each.channel].address.url is not None
            for each in self.unsent()
        )

    def untried(self) -> bool:
        """Whether some message is unsent that this outbox has not begun to send."""
        return any(each.key not in self._tried for each in self.unsent())

    def step(self, *, eager: bool = False) -> None:
        """Record what has arrived or failed, then begin to send what is due.

        `eager` tries each message once at once, however long it would have to wait after a failure.
        """
        self._collect()
        now = self._clock()
        for message in self.unsent():
            again = eager and message.error is not None and message.key not in self._tried
            if not (again or self._is_due(message, now)) or message.channel in self._sending:
                continue
            if self._messages.claim(message, now + CLAIMED):
                self._tried.add(message.key)
                channel = self._channels[message.channel]
                delivery = self._deliver(channel, message.title, message.body)
                self._sending[channel.name] = message, delivery

    def _collect(self) -> None:
        """Record what has arrived or failed; what cannot be recorded now is kept for later."""
        for name, (message, delivery) in tuple(self._sending.items()):
            over, error = delivery.poll()
            if over:
                del self._sending[name]
                self._results.append((message, error))
        while self._results:
            self._record(*self._results[0])
            del self._results[0]

    def close(self) -> None:
        """Give up what is on its way: another process may send it at once."""
        self._collect()
        for message, delivery in self._sending.values():
            delivery.end()
            self._messages.failed(message, "the process that sent it ended", self._clock())
        self._sending.clear()

    def _is_due(self, message: Message, now: Wall) -> bool:
        wait = message.due_at - now
        return wait <= 0 or wait > CLOCK_WAS_SET

    def _record(self, message: Message, error: str | None) -> None:
        """Record how a try ended; the history of the run tells of the first failure and the end."""
        now, tries = self._clock(), message.tries + 1
        what = f"{message.fact.partition(':')[0]}: "
        if error is None:
            self._messages.sent(message, now)
            often = "" if tries == 1 else f" at try {tries}"
            self._note(message, now, f"{what}sent to {message.channel}{often}")
            return
        self._messages.failed(message, error, now + backoff(tries))
        if tries == 1:
            words = f"{what}not sent to {message.channel}: {error}; it will be tried again"
            self._note(message, now, words)

    def _note(self, message: Message, now: Wall, text: str) -> None:
        event = RunNoted(at=now, kind="notify", text=text)
        self._messages.note(message.run_id, event)
        self._told(message.run_id, event)
