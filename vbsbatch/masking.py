"""Secrets of this process, so that no text shows one, whoever wrote it.

A server that was sent a token may send it back, in pieces too: blanks, commas or quotes between its
letters do not hide it from `masked`.
"""

from __future__ import annotations

import re
from collections import deque

HIDDEN = "***"
_LEAST = 6
"""Characters; what is shorter would be found in everything."""

_known: deque[str] = deque(maxlen=32)
_BETWEEN = re.compile(r"[\W_]+")
_bare: dict[str, str] = {}


def keep_secret(value: str | None) -> None:
    """From now on no text shows this value; the newest few dozen are remembered."""
    if value is None or len(value) < _LEAST or value in _known:
        return
    if len(_known) == _known.maxlen:
        _bare.pop(_known[0], None)
    _known.append(value)
    _bare[value] = _BETWEEN.sub("", value)


def masked(text: str) -> str:
    """The text with `***` in the place of every secret."""
    if len(text) < _LEAST or not _known:
        return text
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    together = text if text.isalnum() else _BETWEEN.sub("", text)
    for secret in _known:
        bare = _bare[secret]
        if len(bare) >= _LEAST and bare in together:
            text = re.sub(r"[\W_]*".join(map(re.escape, bare)), HIDDEN, text)
    return text
