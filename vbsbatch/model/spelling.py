"""What somebody may have meant who wrote a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LISTED = 10
"""So many known words are named where one was not found."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'fail'?`, or nothing where no known word is near."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near!r}?"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like `word`, whatever its case; None where none is near."""
    folded: dict[str, str] = {}
    for each in known:
        folded.setdefault(each.casefold(), each)
    close = get_close_matches(word.casefold(), folded, n=1)
    return folded[close[0]] if close else None


def some_of(known: Iterable[str]) -> str:
    """The known words in their order, the first `LISTED` of them."""
    words = sorted(known)
    more = f" and {len(words) - LISTED} more" if len(words) > LISTED else ""
    return ", ".join(words[:LISTED]) + more
