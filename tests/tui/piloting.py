"""Screens driven by keys, over a scripted source, without a terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from textual.pilot import Pilot
from textual.screen import Screen

from tests.tui.scripted import RUN, ScriptedSource
from vbsbatch.tui.app import MonitorApp
from vbsbatch.tui.job_table import JobTable

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

    async def type(self, text: str) -> None:
        await self.press(*("slash" if c == "/" else "space" if c == " " else c for c in text))

    async def look(self, times: int = 4) -> None:
        """A second of looks."""
        for _ in range(times):
            self.app.look()
        await self.pilot.pause()

    def screen(self, kind: type[Found]) -> Found:
        found = self.app.screen
        assert isinstance(found, kind), found
        return found

    @property
    def table(self) -> JobTable:
        return next(s for s in reversed(self.app.screen_stack) if s.query(JobTable)).query_one(
            JobTable
        )

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
        for _ in range(200):
            if true():
                return
            await self.pilot.pause()
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
        await pilot.pause()
        await stage.look()
        yield stage


async def settled(pilot: Pilot[None]) -> None:
    """Look once, let everything be painted; for snapshots."""
    app = pilot.app
    assert isinstance(app, MonitorApp)
    await pilot.pause()
    app.look()
    await pilot.pause()


Before = Callable[[Pilot[None]], Awaitable[None]]
