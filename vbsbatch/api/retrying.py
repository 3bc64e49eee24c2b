"""Repeats reads from the cloud: a read that failed once proves nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from vbsbatch.cloud.pagination import Page, Pages
from vbsbatch.errors import CloudUnavailable, ListChanged, ListIncomplete

Said = TypeVar("Said")

CHANGES = 3
"""How often a list is read again because it changed meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tries:
    """How often a read is repeated and how long it may take, in seconds."""

    pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """The read is repeated after each of these."""
    longest: float = 60.0
    """The longest `Retry-After` that is obeyed."""
    patience: float | None = None
    """How long one answer may take; None for the plan's timeouts."""


USUAL = Tries()
"""For answers that are required."""

BRIEF = Tries(pauses=(0.5, 1.0), longest=5.0, patience=30.0)
"""For answers that are only useful."""


async def ask_again(question: Callable[[], Awaitable[Said]], tries: Tries = USUAL) -> Said:
    """Repeat a read after each pause until it succeeds; raises the last error."""
    import anyio

    for pause in tries.pauses:
        try:
            return await _ask(question, tries.patience)
        except (ListChanged, ListIncomplete):
            raise
        except CloudUnavailable as error:
            await anyio.sleep(max(pause, min(error.retry_after or 0.0, tries.longest)))
    return await _ask(question, tries.patience)


def patient_pages(
    read: Callable[[str | None], Awaitable[Page]], of: str, tries: Tries = USUAL
) -> Pages[Page]:
    """The pages of a list, each asked for until there is an answer; see `Pages`."""
    return Pages(lambda page: ask_again(partial(read, page), tries), of)


async def whole(read: Callable[[], Awaitable[Said]]) -> Said:
    """Read all pages of a list, again from the start if it changed; raises the last error."""
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
