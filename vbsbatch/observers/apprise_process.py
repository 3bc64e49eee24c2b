"""The process that sends one message by apprise: `python -m vbsbatch.observers.apprise_process`.

It reads one JSON object from standard input (`url`, `title`, `body`, `limit` in seconds), and
writes one line: nothing if the message was sent, else why not. That line never holds any part of
the URL or of what the receiver said: it is put together from known words and numbers. A process of
its own can be ended when a receiver hangs, and apprise costs nothing until there is a message.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import warnings

_HTTP = re.compile(r"error=([1-5]\d\d)\b")
_SMTP = re.compile(r"\(([45]\d\d), b['\"]")
_WORDS = (
    ("CERTIFICATE_VERIFY_FAILED", "its TLS certificate is not trusted"),
    ("certificate verify failed", "its TLS certificate is not trusted"),
    ("Connection refused", "connection refused"),
    ("Name or service not known", "its host name is not known"),
    ("name resolution", "its host name cannot be looked up"),
    ("Network is unreachable", "the network is unreachable"),
    ("No route to host", "no route to the host"),
    ("timed out", "no answer in time"),
    ("Connection reset", "the connection was reset"),
    ("unexpectedly closed", "the connection was closed"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
    ("STARTTLS extension not supported", "it does not speak TLS"),
)
"""What logs say, and what we say."""


class Records(logging.Handler):
    """Keeps what apprise logs, to find out why it failed; nothing of it is shown."""

    def __init__(self) -> None:
        super().__init__(level=1)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())


def reason(lines: list[str]) -> str:
    """Why a message was not sent, from what was logged."""
    text = "\n".join(lines)
    if found := _HTTP.search(text):
        return f"it answered HTTP {found[1]}"
    if found := _SMTP.search(text):
        return f"the mail server answered {found[1]}"
    for sign, words in _WORDS:
        if sign in text:
            return words
    return "it cannot be reached, or refuses the message"


def send(url: str, title: str, body: str) -> str | None:
    """Send the message; None, or why not."""
    import apprise

    records = Records()
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [records], False
    logger.setLevel(logging.DEBUG)
    asset = apprise.AppriseAsset(
        app_id="vbsbatch",
        app_desc="vbsbatch",
        async_mode=False,
        http_redirects=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY,  # no file may hold anything of it
    )
    channel = apprise.Apprise(asset=asset)
    if not channel.add(url):
        return "apprise does not understand its URL"
    if not all(service.verify_certificate for service in channel):
        return "its URL says verify=no: TLS certificates are always verified"
    if channel.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
        return None
    return reason(records.lines)


def main() -> None:
    """Send what standard input says, and end at once."""
    warnings.simplefilter("ignore")
    told = json.load(sys.stdin)
    signal.alarm(int(told["limit"]))  # also if whoever started us is gone
    try:
        why = send(told["url"], told["title"], told["body"])
    except Exception as error:  # its message may hold the URL
        why = f"apprise failed ({type(error).__name__})"
    sys.stdout.write(why or "")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
