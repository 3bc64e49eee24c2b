"""What was asked of an engine and not answered yet; answers are told together, never one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vbsbatch.tui.view_models import Asked, Source


@dataclass(kw_only=True, slots=True, eq=False)
class Request:
    """A command on its way, and how the screen names it."""

    verb: str
    argument: Mapping[str, Any]
    what: str
    """Such as `retry 12 jobs`."""
    asked: Asked | None = None
    """None until it is in the store."""


class Requests:
    """The requests to one run, of all its screens."""

    def __init__(self, source: Source, run_id: str) -> None:
        self._source = source
        self._run_id = run_id
        self._open: list[Request] = []
        self._turn = asyncio.Lock()

    def begin(self, verb: str, argument: Mapping[str, Any], what: str) -> Request:
        """A request that is to be sent: from now on it is waiting."""
        request = Request(verb=verb, argument=argument, what=what)
        self._open.append(request)
        return request

    async def send(self, request: Request) -> str | None:
        """Ask the engine; its word, when it is there at once.

        The store may be busy, and a new engine takes seconds: a thread waits for them. Requests
        arrive in the order in which they were sent.
        """
        try:
            async with self._turn:
                request.asked = await asyncio.to_thread(
                    self._source.ask, self._run_id, request.verb, request.argument
                )
        finally:
            if request.asked is None or request.asked.result is not None:
                self._open.remove(request)
        return request.asked.result

    def answered(self) -> list[tuple[str, str]]:
        """What was asked and the engine's word, for all that were answered since the last look."""
        found: list[tuple[str, str]] = []
        for request in list(self._open):
            result = None if request.asked is None else self._source.asked(request.asked).result
            if result is not None:
                self._open.remove(request)
                found.append((request.what, result))
        return found

    def newest(self, verb: str) -> Request | None:
        """The newest unanswered request of this verb."""
        return next((r for r in reversed(self._open) if r.verb == verb), None)

    @property
    def waiting(self) -> str:
        """The unanswered requests in words: `retry 12 jobs requested`; empty without any."""
        if not self._open:
            return ""
        more = f" and {len(self._open) - 1} more" if len(self._open) > 1 else ""
        return f"{self._open[-1].what}{more} requested"
