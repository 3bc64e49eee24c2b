"""Masks the secrets of this process, so that no text shows one, whoever wrote it.

A server may send back a token that it received, even in pieces: `masked` also finds a token with
blanks, commas or quotes between its letters.
"""

from __future__ import annotations

import re
import threading

HIDDEN = "***"
_LEAST = 6
"""Characters; anything shorter would match everywhere."""
_MOST = 32
"""How many secrets are remembered."""
_LOOKED_AT = 65536
"""Characters that are checked of a text of any length, far more than are ever shown."""

_BETWEEN = re.compile(r"[\W_]+")
_known: tuple[tuple[str, str], ...] = ()
"""Each secret and its letters and digits alone, oldest first. Replaced, never changed: one thread
may sign in while another masks."""
_changing = threading.Lock()


def keep_secret(value: str | None) -> None:
    """Mask this value in all texts from now on; the newest few dozen are remembered."""
    global _known
    if value is None or len(value) < _LEAST:
        return
    secret = (value, _BETWEEN.sub("", value))
    with _changing:
        if secret not in _known:
            _known = (*_known, secret)[-_MOST:]


def masked(text: str) -> str:
    """Return the text with `***` in place of every secret."""
    known = _known
    if not known or len(text) < _LEAST:
        return text
    for secret, _ in known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    together = text if text.isalnum() else _BETWEEN.sub("", text)
    for _, bare in known:
        if len(bare) >= _LEAST and bare in together:
            text = re.sub(r"[\W_]*".join(map(re.escape, bare)), HIDDEN, text)
    return text


def masked_start(text: str, most: int) -> str:
    """Return the first `most` characters of the masked text.

    Cutting before masking could leave half a secret at the end. If a text too long to check
    contains a secret, nothing of it is shown.
    """
    start = masked(text[:_LOOKED_AT])
    if len(text) > _LOOKED_AT and start != text[:_LOOKED_AT]:
        return HIDDEN[:most]
    return start[:most]
