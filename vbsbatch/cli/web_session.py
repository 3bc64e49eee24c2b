"""One browser's screen process: bounded in size, and ended with its socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from textual_serve.app_service import AppService

WIDEST, HIGHEST = 500, 200
"""Cells of a window; a screen of 20000 x 20000 would take gigabytes."""

_PATIENCE = 3.0
"""Seconds that a screen may take to leave."""


class Malformed(Exception):
    """A message that no page of ours sends."""


def size_of(query: Mapping[str, str]) -> tuple[int, int]:
    """Width and height that a browser asks for, within bounds."""
    return _within(query.get("width", "80"), WIDEST), _within(query.get("height", "24"), HIGHEST)


def _within(value: object, most: int) -> int:
    try:
        return min(max(int(str(value)[:10]), 1), most)
    except ValueError:
        raise Malformed from None


class BrowserSession(AppService):
    """textual-serve's service of one browser."""

    async def take(self, text: str, answer: Callable[[Any], Awaitable[None]]) -> None:
        """Do what a message of the browser says; raises `Malformed`."""
        try:
            kind, *rest = json.loads(text)
            match kind:
                case "stdin":
                    await self.send_bytes(rest[0].encode("utf-8", "replace"))
                case "resize":
                    size = rest[0]
                    await self.set_terminal_size(
                        _within(size["width"], WIDEST), _within(size["height"], HIGHEST)
                    )
                case "ping":
                    await answer(["pong", str(rest[0])[:64]])
                case "blur":
                    await self.blur()
                case "focus":
                    await self.focus()
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            raise Malformed from None

    async def end(self) -> None:
        """End the screen: it is asked to leave, and then made to."""
        with suppress(TimeoutError, ConnectionError):
            await asyncio.wait_for(self.stop(), _PATIENCE)
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
