"""Questions to the cloud that may be repeated: a read that failed once proves nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from vbsbatch.errors import CloudUnavailable

Said = TypeVar("Said")

AGAIN = (0.5, 1.0, 2.0, 4.0)
"""Seconds before a question that was not answered is asked again."""

LONGEST = 60.0
"""Seconds that a `Retry-After` is heeded here at most."""


async def ask_again(
    question: Callable[[], Awaitable[Said]],
    pauses: Sequence[float] = AGAIN,
    longest: float = LONGEST,
) -> Said:
    """Ask until there is an answer, once more after each pause; raises the last error."""
    import anyio

    for pause in pauses:
        try:
            return await question()
        except CloudUnavailable as error:
            await anyio.sleep(max(pause, min(error.retry_after or 0.0, longest)))
    return await question()
