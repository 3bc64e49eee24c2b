"""Screens driven by keys, over a scripted source, without a terminal."""

from __future__ import annotations

import builtins
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from textual import events
from textual.pilot import Pilot
from textual.screen import Screen

from tests.tui.scripted import RUN, ScriptedSource
from vbsbatch.tui.app import MonitorApp
from vbsbatch.tui.job_table import JobTable
from vbsbatch.tui.view_models import View

PATIENCE = 60.0
"""Seconds; threads may have to wait for a busy machine."""

Found = TypeVar("Found", bound=Screen[Any])


class Monitor(MonitorApp):
    """The application, with what it tells kept, and looking only when a test says so."""

    def __init__(self, source: ScriptedSource, **options: Any) -> None:
        super().__init__(source, clock=lambda: source.now, look_every=3600, **options)
        self.said: list[str] = []
        self.sent: list[str] = []

    def say(self, text: str, *, error: bool = False) -> None:
        self.said.append(text)

    def to_terminal(self, sequence: str) -> None:
        self.sent.append(sequence)


@dataclass
class Stage:
    """What a test holds in its hands."""

    app: Monitor
    source: ScriptedSource
    pilot: Pilot[None] = field(repr=False)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()
        await prepared(self.pilot)

    async def type(self, text: str) -> None:
        await self.press(*("slash" if c == "/" else "space" if c == " " else c for c in text))

    async def call(self, name: str) -> None:
        """Call an action by its name in the palette, once the palette has found it."""
        await self.press("colon")
        await self.type(name)
        await self.until(lambda: any(line.strip().startswith(f"{name}: ") for line in self.lines))
        await self.press("enter")

    async def burst(self, *keys: str) -> None:
        """Press keys faster than any of them is seen to."""
        for name in keys:
            character = name if len(name) == 1 else {"slash": "/", "space": " "}.get(name)
            key = events.Key(name, character)
            key.set_sender(self.app)
            self.app.post_message(key)
        await self.pilot.pause()

    async def in_plan_order(self) -> None:
        """Show all jobs in the order of the plan, the cursor on the first."""
        self.table.show(View())
        await self.pilot.pause()

    async def look(self, times: int = 4) -> None:
        """A second of looks."""
        for _ in range(times):
            self.app.look()
        await self.pilot.pause()

    def screen(self, kind: builtins.type[Found]) -> Found:
        found: Screen[Any] = self.app.screen
        assert isinstance(found, kind), found
        return found

    @property
    def table(self) -> JobTable:
        stack: list[Screen[Any]] = self.app.screen_stack
        top = next(screen for screen in reversed(stack) if screen.query(JobTable))
        table: JobTable = top.query_one(JobTable)
        return table

    @property
    def lines(self) -> list[str]:
        """What the topmost screen shows."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def until(self, true: Callable[[], bool]) -> None:
        """Let the screen work until something holds."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if true():
                return
            await self.pilot.pause(0.01)
        raise AssertionError(self.text)


@asynccontextmanager
async def opened(
    source: ScriptedSource | None = None,
    *,
    size: tuple[int, int] = (80, 24),
    run_id: str | None = RUN,
    **options: Any,
) -> AsyncIterator[Stage]:
    """The application on its first screen, everything painted."""
    source = source or ScriptedSource()
    app = Monitor(source, run_id=run_id, **options)
    async with app.run_test(size=size) as pilot:
        stage = Stage(app, source, pilot)
        await prepared(pilot)
        await stage.look()
        yield stage


async def prepared(pilot: Pilot[None]) -> None:
    """Wait until the screen has found out what takes long once."""
    await pilot.pause()
    deadline = time.monotonic() + PATIENCE
    while not getattr(pilot.app.screen, "ready", True):
        assert time.monotonic() < deadline
        await pilot.pause(0.01)
    await pilot.pause()
