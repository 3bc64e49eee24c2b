"""What is posted is sent once, by whichever process comes first; the receivers are scripted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from tests.observers.looks import a_channel
from tests.store.fixtures import NOW, a_job, a_run
from vbsbatch.model import BackupSettings, Channel, Message, Wall
from vbsbatch.observers.delivery import Delivery
from vbsbatch.observers.outbox import CLAIMED, GIVE_UP, LONGEST_BACKOFF, Outbox, backoff
from vbsbatch.store.memory import MemoryStore

RUN = "20261118-1200-aaaa"


class Scripted(Delivery):
    """A delivery that ends as a script says; None while it is on its way."""

    def __init__(self, results: Iterable[tuple[bool, str | None]]) -> None:
        self._results = deque(results)
        self.ended = False

    def poll(self) -> tuple[bool, str | None]:
        return self._results.popleft() if len(self._results) > 1 else self._results[0]

    def end(self) -> None:
        self.ended = True


@dataclass
class Night:
    """A store in memory, a clock that is set by hand, and channels that answer as told."""

    store: MemoryStore = field(default_factory=MemoryStore)
    now: float = NOW
    answers: dict[str, str | None] = field(default_factory=dict)
    """Why a channel does not take messages; None: it hangs."""
    sent: list[tuple[str, str]] = field(default_factory=list)
    begun: list[Scripted] = field(default_factory=list)

    def outbox(self, *names: str) -> Outbox:
        def deliver(channel: Channel, title: str, _body: str) -> Delivery:
            answer = self.answers.get(channel.name, "")
            made = Scripted([(answer is not None, answer or None)])
            if answer == "":
                self.sent.append((channel.name, title))
            self.begun.append(made)
            return made

        channels = [a_channel(name=name) for name in names]
        return Outbox(self.store.messages, channels, clock=lambda: Wall(self.now), deliver=deliver)

    def post(self, fact: str, channel: str = "ops") -> None:
        message = Message(
            run_id=RUN,
            fact=fact,
            channel=channel,
            first_at=Wall(self.now),
            title=fact,
            body="",
            due_at=Wall(self.now),
        )
        assert self.store.messages.post(message)

    def notes(self) -> list[str]:
        return [str(each.text) for each in self.store.events(RUN) if each.kind == "notify"]


@pytest.fixture
def night() -> Night:
    made = Night()
    made.store.create_run(a_run(RUN), [a_job(1)], BackupSettings())
    return made


def test_each_message_is_sent_once_in_turn_and_noted(night: Night) -> None:
    night.post("failures:1.1")
    night.post("end:1")
    night.post("end:1", "mail")
    outbox = night.outbox("ops", "mail")
    for _ in range(4):
        outbox.step()
    assert night.sent == [("mail", "end:1"), ("ops", "end:1"), ("ops", "failures:1.1")]
    assert not outbox.busy
    assert outbox.unsent() == []
    assert night.notes() == ["end: sent to mail", "end: sent to ops", "failures: sent to ops"]


def test_a_channel_that_is_down_is_tried_again_and_holds_up_no_other(night: Night) -> None:
    night.answers = {"ops": "connection refused"}
    night.post("end:1")
    night.post("end:1", "mail")
    outbox = night.outbox("ops", "mail")
    outbox.step()
    outbox.step()
    assert night.sent == [("mail", "end:1")]
    waits = []
    for _ in range(3):
        (message,) = outbox.unsent()
        waits.append(float(message.due_at) - night.now)
        outbox.step()
        assert not outbox.busy, "too early"
        night.now = float(message.due_at)
        outbox.step()
        outbox.step()
    assert waits == [5.0, 10.0, 20.0]
    night.answers = {}
    night.now += 40.0
    outbox.step()
    outbox.step()
    assert night.sent[1:] == [("ops", "end:1")]
    assert night.notes()[1:] == [
        "end: not sent to ops: connection refused; it will be tried again",
        "end: sent to ops at try 5",
    ]


def test_a_receiver_that_hangs_holds_up_no_other(night: Night) -> None:
    night.answers = {"ops": None}
    night.post("end:1")
    night.post("end:1", "mail")
    outbox = night.outbox("ops", "mail")
    outbox.step()
    outbox.step()
    assert (night.sent, outbox.busy) == ([("mail", "end:1")], True)


def test_what_a_killed_process_had_begun_is_sent_by_the_next(night: Night) -> None:
    night.answers = {"ops": None}
    night.post("end:1")
    night.outbox("ops").step()  # it is killed now
    night.answers = {}
    other = night.outbox("ops")
    other.step()
    assert not other.busy, "the first may still send it"
    night.now += CLAIMED
    other.step()
    other.step()
    assert night.sent == [("ops", "end:1")]


def test_what_a_process_gives_up_at_its_end_is_sent_at_once_by_the_next(night: Night) -> None:
    night.answers = {"ops": None}
    night.post("end:1")
    first = night.outbox("ops")
    first.step()
    first.close()
    assert night.begun[0].ended
    night.answers = {}
    other = night.outbox("ops")
    other.step()
    other.step()
    assert night.sent == [("ops", "end:1")]


def test_an_eager_outbox_tries_each_message_once_without_its_wait(night: Night) -> None:
    night.answers = {"ops": "connection refused"}
    for fact in ("end:1", "end:2"):
        night.post(fact)
    first = night.outbox("ops")
    for _ in range(3):
        first.step()
    assert [each.tries for each in first.unsent()] == [1, 1]
    eager = night.outbox("ops")
    assert eager.untried()
    for _ in range(9):
        eager.step(eager=True)
    assert [each.tries for each in eager.unsent()] == [2, 2]
    assert not eager.untried()


def test_an_eager_outbox_leaves_what_another_process_is_sending(night: Night) -> None:
    night.answers = {"ops": None}
    night.post("end:1")
    first, eager = night.outbox("ops"), night.outbox("ops")
    first.step()
    eager.step(eager=True)
    assert not eager.busy
    assert eager.untried()


def test_old_news_and_channels_that_are_not_there_are_left(night: Night) -> None:
    night.post("end:1", "gone")
    night.post("end:2")
    night.now += GIVE_UP + 1
    outbox = night.outbox("ops")
    outbox.step()
    assert (outbox.busy, outbox.unsent(), night.sent) == (False, [], [])


def test_a_clock_that_was_set_back_holds_up_nothing(night: Night) -> None:
    night.post("end:1")
    night.now -= 86400.0
    outbox = night.outbox("ops")
    outbox.step()
    outbox.step()
    assert night.sent == [("ops", "end:1")]


def test_waits_grow_to_a_quarter_of_an_hour() -> None:
    assert [backoff(tries) for tries in (1, 2, 8, 9, 500)] == [5.0, 10.0, 640.0, 900.0, 900.0]
    assert LONGEST_BACKOFF == 900.0
