"""The process that sends, against receivers that misbehave."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.observers.looks import a_channel
from vbsbatch.model import Address, Channel
from vbsbatch.observers.apprise_process import reason
from vbsbatch.observers.delivery import Delivery
from vbsbatch.observers.pinger import ping

SECRET = "T0KEN-that-nobody-may-see"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def channel_at(listener: socket.socket, scheme: str) -> Channel:
    url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/{SECRET}"
    return a_channel(address=Address(url=url), kind=scheme)


def test_a_receiver_that_never_answers_is_given_up(listener: socket.socket) -> None:
    delivery = Delivery(channel_at(listener, "json"), "title", "body", limit=2.0)
    assert delivery.wait() == "no answer in 2 s"
    assert ping(f"http://127.0.0.1:{listener.getsockname()[1]}/{SECRET}", limit=0.2) == (
        "no answer in 0.2 s"
    )


def test_a_certificate_that_is_not_trusted_is_refused(
    listener: socket.socket, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def serve() -> None:
        for _ in range(2):
            connection, _address = listener.accept()
            try:
                context.wrap_socket(connection, server_side=True)
            except OSError:  # the client leaves
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    words = Delivery(channel_at(listener, "jsons"), "title", "body").wait()
    pinged = ping(f"https://127.0.0.1:{listener.getsockname()[1]}/{SECRET}")
    thread.join()
    assert words == "its TLS certificate is not trusted"
    assert pinged == "no connection"


def test_why_a_message_was_not_sent_is_told_in_our_words() -> None:
    for lines, words in (
        (["Failed to send Slack notification: x, error=404."], "it answered HTTP 404"),
        (["Socket Exception: (535, b'5.7.8 no')"], "the mail server answered 535"),
        (["Socket Exception: [Errno 111] Connection refused"], "connection refused"),
        (["NameResolutionError([Errno -2] Name or service not known)"], "its host name is not kn"),
        ([f"https://x/{SECRET} is odd"], "it cannot be reached, or refuses the message"),
        ([], "it cannot be reached, or refuses the message"),
    ):
        assert reason(lines).startswith(words)
        assert SECRET not in reason(lines)
