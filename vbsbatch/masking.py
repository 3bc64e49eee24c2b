"""Secrets of this process, so that no text shows one, whoever wrote it.

A server that was sent a token may send it back, in pieces too: blanks, commas or quotes between its
letters do not hide it from `masked`.
"""

from __future__ import annotations

import re
import threading

HIDDEN = "***"
_LEAST = 6
"""Characters; what is shorter would be found in everything."""
_MOST = 32
"""So many secrets are remembered."""
_LOOKED_AT = 65536
"""Characters of a text of any length that are looked at, far more than are ever shown of one."""

_BETWEEN = re.compile(r"[\W_]+")
_known: tuple[tuple[str, str], ...] = ()
"""Each secret and its letters and digits alone, oldest first. Replaced, never changed: one thread
signs in while another masks."""
_changing = threading.Lock()


def keep_secret(value: str | None) -> None:
    """From now on no text shows this value; the newest few dozen are remembered."""
    global _known
    if value is None or len(value) < _LEAST:
        return
    secret = (value, _BETWEEN.sub("", value))
    with _changing:
        if secret not in _known:
            _known = (*_known, secret)[-_MOST:]


def masked(text: str) -> str:
    """The text with `***` in the place of every secret."""
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
    """The first `most` characters of the masked text: what is cut before it is masked may end in
    half a secret. Of a text too long to be looked at whole nothing is shown if it holds one."""
    start = masked(text[:_LOOKED_AT])
    if len(text) > _LOOKED_AT and start != text[:_LOOKED_AT]:
        return HIDDEN[:most]
    return start[:most]
