from __future__ import annotations

from vbsbatch.tui import event_words


def test_a_change_of_the_rate_is_told_in_words() -> None:
    note = "6/s->5/s reason=429 retry_after=30s"
    assert event_words.of_limiter(note) == "rate 6/s \u2192 5/s: the gateway said 429, wait 30s"
    assert event_words.of_limiter(note, short=True) == "6/s \u2192 5/s: 429, wait 30s"
    assert event_words.of_limiter("6/s->5/s reason=503 retry_after=-").endswith("said 503")
    assert event_words.of_limiter("5/s->5.5/s") == "5/s \u2192 5.5/s"


def test_an_answer_does_not_repeat_the_verb() -> None:
    note = "in the name of op@pts/3: pause: paused: no new creates; jobs under way continue"
    told = event_words.of_command(note)
    assert told == "op@pts/3 asked: pause: no new creates; jobs under way continue"
    assert event_words.of_command("anything else") == "anything else"
