"""What was asked of an engine and not answered yet; answers are told together, never one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vbsbatch.tui.values import Asked, Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A command on its way, and how the screen names it."""

    asked: Asked
    what: str
    """Such as `retry 12 jobs`."""


class Requests:
    """The requests of one screen to one run."""

    def __init__(self, source: Source, run_id: str) -> None:
        self._source = source
        self._run_id = run_id
        self._open: list[Request] = []

    def ask(self, verb: str, argument: Mapping[str, Any], what: str) -> str | None:
        """Ask the engine; its word, when it is there at once."""
        asked = self._source.ask(self._run_id, verb, argument)
        if asked.result is not None:
            return asked.result
        self._open.append(Request(asked=asked, what=what))
        return None

    def answered(self) -> list[tuple[str, str]]:
        """What was asked and the engine's word, for all that were answered since the last look."""
        found: list[tuple[str, str]] = []
        still: list[Request] = []
        for request in self._open:
            result = self._source.asked(request.asked).result
            if result is None:
                still.append(request)
            else:
                found.append((request.what, result))
        self._open = still
        return found

    def newest(self, verb: str) -> Asked | None:
        """The newest unanswered request of this verb."""
        return next((r.asked for r in reversed(self._open) if r.asked.verb == verb), None)

    @property
    def waiting(self) -> str:
        """The unanswered requests in words: `retry 12 jobs requested`; empty without any."""
        if not self._open:
            return ""
        more = f" and {len(self._open) - 1} more" if len(self._open) > 1 else ""
        return f"{self._open[-1].what}{more} requested"
