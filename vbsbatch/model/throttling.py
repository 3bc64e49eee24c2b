"""How clouds report that requests come too fast, or that a quota is used up. Pure."""

from __future__ import annotations

import re

TOO_FAST = frozenset({420, 429, 498})
"""Statuses that mean too many requests by themselves; 498 comes from OpenStack's rate limit
middleware."""

BLOCKED = 497
"""The same middleware's status for clients that went on too fast for too long."""

WORDED = frozenset({403, 413, BLOCKED, 503, *TOO_FAST})
"""Statuses whose words may mean it; others repeat the request's words, even a name of ours."""

_FAST = re.compile(
    r"rate.?limit|throttl|too.?many.?(?:api.?)?(?:requests|calls)|request.?rate|requests? limit"
    r"|requests? per (?:second|minute|hour|day)|requests?(?:\(s\))? can be made"
    r"|requests? (?:are |is )?(?:too (?:fast|frequent|often))|slow.?down|flow.?control",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"quota|maximum number of|exceeds? (?:the )?(?:allowed|available)|used up"
    r"|(?<!rate)(?<!rate.)(?<!request)(?<!request.)limit ?exceeded",
    re.IGNORECASE,
)


def names_rate(*texts: str | None) -> bool:
    """Whether a code or message is about requests that come too fast."""
    return any(_FAST.search(text) for text in texts if text)


def names_quota(*texts: str | None) -> bool:
    """Whether a code or message is about a quota that is used up."""
    return any(_FULL.search(text) for text in texts if text)


def is_too_fast(status: int | None, code: str | None, message: str | None) -> bool:
    """Whether the status or the words of a refusal mean that requests come too fast."""
    if status is None or status < 400:
        return False
    return status in TOO_FAST or names_rate(code) or (status in WORDED and names_rate(message))
