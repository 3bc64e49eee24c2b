"""Single values of a cloud's answers, made safe: times, ids, numbers, text. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from vbsbatch.masking import masked_start
from vbsbatch.model import Cloud

TEXT_MAX = 1000
"""Characters kept of any text of the server."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
SECONDS = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?", re.ASCII)


def http_date(value: str | None) -> float | None:
    """Read an HTTP date as epoch seconds; None if it is none."""
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value[:64])
        return _epoch(moment)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def iso_time(value: object) -> Cloud | None:
    """Read an ISO 8601 time of the cloud; a time without a zone is UTC. None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        return Cloud(_epoch(datetime.fromisoformat(value.strip()[:64])))
    except (ValueError, OverflowError):
        return None


def _epoch(moment: datetime) -> float:
    """Raises `OverflowError` for what is in no year that can be shown in UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).timestamp()


def usable_id(value: object) -> str | None:
    """Return an id of the cloud that is safe in a URL, a file and on a screen, or None."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def whole(value: object) -> int | None:
    """Return a number, or text that is one, as an integer; None for anything else."""
    if isinstance(value, str) and SECONDS.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and abs(value) < 2**53 else None


def clean(value: object, most: int = TEXT_MAX) -> str | None:
    """Return the server's text made harmless, at most `most` characters; None without any.

    Control, C1, bidirectional, surrogate and other unprintable characters become U+FFFD, any white
    space a blank: nothing in it can move a cursor, colour a screen or turn a line around.
    """
    if not isinstance(value, str):
        return None
    text = masked_start(value, most + 1)
    if not text.isprintable():
        text = "".join(map(_harmless, text))
    text = text.strip()
    if len(text) > most:
        text = text[: most - 1] + "…"
    return text or None


def _harmless(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "\ufffd"
