"""Rates, durations and ids as people write them: `5/s`, `100/min`, `200ms`, `30s`, `5m`, `2h`.

The texts of a ValueError continue a sentence that begins with the key: "rate: must be ...".
"""

from __future__ import annotations

import re
from typing import Any

from vbsbatch.model import Rate

RATE_PATTERN = r"^\d{1,9}(\.\d{1,9})?/(\d{1,9}(\.\d{1,9})?)?(s|min|h)$"
DURATION_PATTERN = r"^\d{1,9}(\.\d{1,9})?(ms|s|m|h)$"

_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)/(\d{1,9}(?:\.\d{1,9})?)?([a-z]+)", re.ASCII)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([a-zµ]*)", re.ASCII)
_AGE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)([a-z]*)", re.ASCII)
_AGE_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
AGE_PATTERN = r"^(0|\d{1,6}(\.\d{1,6})?[smhdw])$"
_RATE_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FASTEST = 10_000.0
_SLOWEST = 1 / 86_400

UUID_PATTERN = r"^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$"
_PLAIN_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
"""What spreadsheets leave around a text beside blanks."""
_HEX = re.compile(r"[0-9a-f]{32}")
_ID_LIKE = re.compile(
    r"[0-9a-fA-F-]{28,36}|[0-9a-zA-Z]{6,9}(-[0-9a-zA-Z]{3,5}){3}-[0-9a-zA-Z]{9,14}"
)
_UUID = re.compile(UUID_PATTERN.strip("^$"))


def parse_rate(text: str) -> Rate:
    """Creates per unit of time: `5/s`, `100/min`, `1000/h`, `5/10s`, and whatever `Rate` prints.

    Fewer than one per unit becomes one per longer unit (`0.5/s` is `1/2s`), which says the same
    and can be counted. From one a day to 10,000 a second; ValueError says what is right.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text.strip(), re.ASCII):
            number = text.strip()
            raise ValueError(f"must say per what: {number}/s or {number}/min, not {number} alone")
        raise ValueError(f"must be a rate such as 5/s, 100/min or 1000/h, not {quoted(text)}")
    count, every, unit = match.groups()
    if unit not in _RATE_UNITS:
        raise ValueError(f"must be per s, min or h, not per {quoted(unit)}")
    return _rate(float(count), float(every or 1) * _RATE_UNITS[unit])


def _rate(count: float, per: float) -> Rate:
    if count <= 0 or per <= 0:
        raise ValueError("must be more than 0")
    if count / per > _FASTEST:
        raise ValueError(f"must be at most {_FASTEST:.0f}/s")
    if count / per < _SLOWEST:
        raise ValueError("must be at least 1/24h")
    if count < 1:
        count, per = 1.0, per / count
    return Rate(count=count, per=per)


def parse_duration(text: str) -> float:
    """Seconds from `200ms`, `30s`, `5m`, `2h` or `0`; ValueError says what is right."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"must be a duration such as 200ms, 30s, 5m or 2h, not {quoted(text)}")
    number, unit = match.groups()
    if not unit and float(number) == 0:
        return 0.0
    if not unit:
        raise ValueError(f"must have a unit: {number}s, {number}m or {number}h, not {number} alone")
    if unit not in _DURATION_UNITS:
        raise ValueError(f"must be in ms, s, m or h, not in {quoted(unit)}")
    return round(float(number) * _DURATION_UNITS[unit], 9)


def parse_age(text: str) -> float:
    """Seconds from `90d`, `2w`, `36h` or `0`; ValueError says what is right."""
    match = _AGE.fullmatch(text.strip())
    number, unit = match.groups() if match else ("", "")
    if number and not unit and float(number) == 0:
        return 0.0
    if number and not unit:
        raise ValueError(f"must have a unit: {number}d, {number}w or {number}h, not {number} alone")
    if unit not in _AGE_UNITS:
        raise ValueError(f"must be an age such as 90d, 2w or 36h, not {quoted(text)}")
    return float(number) * _AGE_UNITS[unit]


def quoted(text: str, limit: int = 60) -> str:
    """`text` in quotes, cut to `limit` characters, without characters that drive a terminal."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut) + '"'


def kind_of(value: Any) -> str:
    """The kind of a value, for messages about what may be a secret."""
    if isinstance(value, str):
        return "text"
    return "a number" if type(value) in (int, float) else described(value)


def _not_an_id(text: str) -> str:
    """Quote what should be an id only if it looks like one.

    The file may hold passwords instead of ids, and messages end in logs.
    """
    return f"not {quoted(text)}" if _ID_LIKE.fullmatch(text) else "which this is not"


def described(value: Any) -> str:
    """A value for a message."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "nothing" if value is None else str(value)


def volume_uuid(value: Any) -> str:
    """The one spelling of a UUID (lower case, hyphens) from any; ValueError when it is none."""
    text = text_of(value).strip().strip(_INVISIBLE).strip()
    if _PLAIN_UUID.fullmatch(text):
        return text
    plain = text.replace("-", "").lower()
    if not _HEX.fullmatch(plain) or not _UUID.fullmatch(text):
        raise ValueError(
            "must be a UUID such as 6ba7b810-9dad-11d1-80b4-00c04fd430c8 "
            f"(hyphens may be missing), {_not_an_id(text)}"
        )
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))


def text_of(value: Any) -> str:
    """The text that was written, a whole number as text; ValueError for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bool):
        word = described(value)
        raise ValueError(f'must be text: write "{word}" in quotes if you mean the word')  # noqa: TRY004
    raise ValueError(f"must be text, not {described(value)}")
