"""Questions to the cloud that may be repeated: a read that failed once proves nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from vbsbatch.errors import CloudUnavailable, ListChanged, ListIncomplete

Said = TypeVar("Said")

CHANGES = 3
"""So often at most a list that changed while it was read is begun again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tries:
    """How often and how patiently a question is asked; all in seconds."""

    pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """After each of them it is asked once more."""
    longest: float = 60.0
    """A `Retry-After` is heeded up to this."""
    patience: float | None = None
    """How long one answer may take, where the plan's timeouts are too long for what it is worth."""


USUAL = Tries()
"""For what cannot be done without an answer."""

BRIEF = Tries(pauses=(0.5, 1.0), longest=5.0, patience=30.0)
"""For what is good to know."""


async def ask_again(question: Callable[[], Awaitable[Said]], tries: Tries = USUAL) -> Said:
    """Ask until there is an answer, once more after each pause; raises the last error."""
    import anyio

    for pause in tries.pauses:
        try:
            return await _ask(question, tries.patience)
        except (ListChanged, ListIncomplete):
            raise
        except CloudUnavailable as error:
            await anyio.sleep(max(pause, min(error.retry_after or 0.0, tries.longest)))
    return await _ask(question, tries.patience)


async def whole(read: Callable[[], Awaitable[Said]]) -> Said:
    """Read a list of pages, from its beginning again where it changed; raises the last error."""
    for _ in range(CHANGES):
        with suppress(ListChanged):
            return await read()
    return await read()


async def _ask(question: Callable[[], Awaitable[Said]], patience: float | None) -> Said:
    import anyio

    try:
        with anyio.fail_after(patience):
            return await question()
    except TimeoutError as error:
        raise CloudUnavailable(f"no answer within {patience:g} s") from error
