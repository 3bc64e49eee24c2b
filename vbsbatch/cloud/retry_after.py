"""How long a refusal asks to wait: in headers, in the body, in words. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from vbsbatch.cloud.response_values import SECONDS, http_date, iso_time, whole

RETRY_AFTER_MAX = 3600.0
"""Seconds; a longer `Retry-After` counts as this."""

_ABSURD = 366 * 86400.0  # a `Retry-After` beyond a year is a fault of the server, not a wish
_WAIT_KEYS = ("retryafter", "retryin", "retryafterseconds", "retryafterms", "retryafterinseconds")
"""Keys of a body that name a time to wait, without case and separators."""
_WAIT_WORDS = re.compile(
    r"(?:retry|try again|wait|available)\b[^0-9]{0,24}([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*"
    r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?)\b",
    re.I | re.ASCII,
)


def wait_of(
    headers: Mapping[str, str], document: dict[str, Any] | None, now: float
) -> float | None:
    """Seconds to wait, from header or body; None if neither names any.

    The header wins, unless it says 0.
    """
    date = headers.get("date")
    told = [retry_after(headers.get(name), date, now) for name in ("retry-after", "x-retry-after")]
    told += _told_waits(document, now) if document else []
    known = [wait for wait in told if wait is not None]
    return next((wait for wait in known if wait > 0), known[0] if known else None)


def reset_of(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the gateway counts anew; headers give seconds or a time."""
    at = whole(headers.get("ratelimit-reset") or headers.get("x-ratelimit-reset"))
    if at is None:
        return None
    return retry_after(f"{at - now if at > _ABSURD else at:.3f}", None, now)


def _told_waits(document: dict[str, Any], now: float, depth: int = 0) -> list[float | None]:
    """The times to wait that a body names, at its top level or in its envelopes."""
    found: list[float | None] = []
    for key, value in document.items():
        plain = re.sub(r"[^a-z]", "", key.lower())
        if plain in _WAIT_KEYS:
            found.append(_body_wait(value, now, 0.001 if plain.endswith("ms") else 1.0))
        elif isinstance(value, dict) and depth < 2:
            found += _told_waits(value, now, depth + 1)
    return found


def _body_wait(value: object, now: float, unit: float) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return retry_after(f"{value * unit:.6f}", None, now) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    if SECONDS.fullmatch(value.strip()):
        return retry_after(f"{float(value) * unit:.6f}", None, now)
    if (until := iso_time(value)) is not None:
        return retry_after(f"{until - now:.6f}", None, now)
    spoken = worded_wait(f"retry {value}")
    return retry_after(value, None, now) if spoken is None else spoken


def worded_wait(message: str | None) -> float | None:
    """Seconds that a text names: "try again in 5 seconds"."""
    found = _WAIT_WORDS.search(message) if message else None
    if found is None:
        return None
    unit = found[2].lower()
    scale = 0.001 if unit in ("ms",) or unit.startswith("milli") else 60.0 if unit[0] == "m" else 1
    return min(float(found[1]) * scale, RETRY_AFTER_MAX)


def retry_after(value: str | None, date: str | None, now: float) -> float | None:
    """Resolve `Retry-After` to seconds from now, 0 to `RETRY_AFTER_MAX`; None if it makes no sense.

    The date form is taken relative to the answer's own `Date`, where that can be read: the server's
    clock need not be ours (RFC 9110, 10.2.3).
    """
    if value is None:
        return None
    value = value.strip()
    if SECONDS.fullmatch(value):
        seconds = float(value)
    else:
        until = http_date(value)
        if until is None:
            return None
        since = http_date(date)
        seconds = until - (now if since is None else since)
    if seconds > _ABSURD:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX)
