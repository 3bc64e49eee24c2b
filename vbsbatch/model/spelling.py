"""Suggests what an unknown word may have meant."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

LISTED = 10
"""How many known words a message lists."""


_LOOKED_THROUGH = 10_000


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'fail'?`, or nothing if no known word is similar."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near!r}?"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most similar to `word`, ignoring case; None if none is similar."""
    folded: dict[str, str] = {}
    for each in known:
        folded.setdefault(each.casefold(), each)
    close = get_close_matches(word.casefold(), folded, n=1)
    return folded[close[0]] if close else None


def near_path(path: str | Path) -> str:
    """Return `; did you mean plans/nightly.yaml?` for a file that does not exist, or nothing.

    If its folder does not exist either, the first missing part of the path is used.
    """
    wanted = Path(path)
    for folder in wanted.parents:
        if folder.is_dir():
            break
    else:
        return ""
    rest = wanted.relative_to(folder).parts
    if not rest:
        return ""
    try:
        with os.scandir(folder) as entries:
            names = [each.name for each in islice(entries, _LOOKED_THROUGH)]
    except OSError:
        return ""
    near = nearest(rest[0], names)
    return "" if near is None or near == rest[0] else f"; did you mean {folder / near}?"


def some_of(known: Iterable[str]) -> str:
    """Return the first `LISTED` of the known words, in order."""
    words = sorted(known)
    more = f" and {len(words) - LISTED} more" if len(words) > LISTED else ""
    return ", ".join(words[:LISTED]) + more
