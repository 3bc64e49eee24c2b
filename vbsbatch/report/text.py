"""Untrusted text made harmless, and times and durations for people and programs."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TypeAlias

from vbsbatch.masking import masked
from vbsbatch.model import Cloud, Wall

REPLACEMENT = "\ufffd"
"""Replaces a character that must not be shown."""

# The last two of each plane are no characters: XML forbids them, HTML has no reference for them.
_NO_CHARACTERS = "".join(
    chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
)
# C0, DEL and C1 drive terminals; others reorder or break lines; surrogates cannot be encoded.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    rf"\ufdd0-\ufdef{_NO_CHARACTERS}]"
)
_BARE = re.compile(r"[A-Za-z0-9_.:/+-]{1,64}")


def clean(text: str) -> str:
    """`text` without control characters (`harmless`), and `***` for each secret of this process.

    Call it with the whole text, before it is cut, escaped or put into JSON: a secret in two pieces
    is not found, and masking a whole document may remove a quotation mark.
    """
    return masked(harmless(text))


def harmless(text: str) -> str:
    """`text` with every control, bidi, line-breaking and unencodable character as U+FFFD.

    The result is one line to be shown literally; the length in characters is kept.
    """
    # `isprintable` is False for all of the above, and costs a tenth of the substitution.
    return text if text.isprintable() else _UNSAFE.sub(REPLACEMENT, text)


def cleaned(text: str | None) -> str | None:
    """`clean` for a text that may be absent."""
    return None if text is None else clean(text)


def cut(text: str, length: int) -> str:
    """`text` in at most `length` characters (3 or more), `...` where something was left out."""
    return text if len(text) <= length else text[: length - 3] + "..."


def quoted(text: str) -> str:
    r"""`text` cleaned, in double quotes, with `"` and `\` escaped as in JSON."""
    return json.dumps(clean(text), ensure_ascii=False)


def word(text: str | None) -> str:
    """The value of a `key=value` pair: bare if it cannot be misread, else quoted; None is `-`."""
    if text is None:
        return "-"
    shown = clean(text)
    return shown if _BARE.fullmatch(shown) and shown != "-" else quoted(shown)


Moment: TypeAlias = float | Wall | Cloud
"""Times that can be shown: epoch seconds."""


def utc(at: Moment) -> str:
    """Epoch seconds as ISO 8601 in UTC, to the millisecond: `2026-11-23T07:27:39.120Z`."""
    moment = datetime.fromtimestamp(float(at), UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def time_or_none(at: Moment | None) -> str | None:
    """`utc` for a time that may not have come yet."""
    return None if at is None else utc(at)


def moment(at: Moment) -> str:
    """Epoch seconds for a person, UTC: `2026-11-23 07:27:39Z`."""
    return datetime.fromtimestamp(float(at), UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def moment_or_none(at: Moment | None) -> str | None:
    """`moment` for a time that may not have come yet."""
    return None if at is None else moment(at)


def clock(at: Moment) -> str:
    """The UTC time of day of epoch seconds: `07:27:39Z`."""
    return datetime.fromtimestamp(float(at), UTC).strftime("%H:%M:%SZ")


def span(seconds: float) -> str:
    """A duration in two units at most: `31s`, `2m11s`, `16m`, `1h12m`, `2d03h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def in_words(seconds: float) -> str:
    """A duration with its units spelt apart: `12 s`, `3 min`, `1 h 12 min`, `2 d 3 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
