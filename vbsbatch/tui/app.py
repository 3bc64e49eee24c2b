"""The screen as an application: an attached client of the store, which any number may be.

It reads, and asks by writing requests; it never drives a run. Closing, killing or crashing it does
not affect the run.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.filter import LineFilter, NoColor
from textual.screen import Screen
from textual.worker import WorkerFailed

from vbsbatch.errors import VbsbatchError
from vbsbatch.model import JobState, Run, RunState
from vbsbatch.report.data import ended
from vbsbatch.report.text import clean
from vbsbatch.tui import bindings, exporting, header, help, sanitize, themes
from vbsbatch.tui.alphabet import AsciiFilter, needs_ascii
from vbsbatch.tui.bindings import Keymap
from vbsbatch.tui.dialogs import LeaveContainer, driven_runs
from vbsbatch.tui.help import Actions
from vbsbatch.tui.overview import OverviewScreen
from vbsbatch.tui.runs import RunsScreen
from vbsbatch.tui.sanitize import LiteralFilter
from vbsbatch.tui.screen_protocols import LiveScreen, Requests, TypedAhead, reading
from vbsbatch.tui.view_models import Overview, Source

LOOK_EVERY = 0.25
"""Seconds between two reads of the store."""

_SECOND = 4
"""Reads in a second."""

_SHARE = 0.25
"""Share of the time that reading may take: a slow store is read less often, keys stay fast."""

_LAST_RESORT = 3.0
"""Seconds after which a screen whose terminal is gone exits without cleaning up."""

_LONGEST = 400
"""Characters of a short message."""

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenResult:
    """How the screen was left."""

    return_code: int
    """0 when the user left; 1 after a crash; 128 and more after a signal."""
    run_id: str | None
    """The run that was shown last."""


class MonitorApp(App[None]):
    """The screens of one store."""

    TITLE = "vbsbatch"
    COMMANDS = {Actions}  # noqa: RUF012 (Textual's own type)
    ALLOW_SELECT = False
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 (Textual's own type)
        *((0, "-bare"), (bindings.FRAMED_FROM, "-framed")),
    ]
    BINDINGS = [  # noqa: RUF012 (Textual's own type)
        *bindings.of("everywhere"),
        Binding("ctrl+c", "detach", "Leave", show=False, priority=True),
    ]
    CSS = """
    CommandPalette SearchIcon { display: none; }
    CommandPalette.-bare > Vertical { margin-top: 0; }
    CommandPalette.-bare #--input, CommandPalette.-bare CommandList { border: none; }
    CommandPalette.-bare CommandInput { border: none; height: 1; }
    CommandPalette.-bare CommandInput:focus { border: none; }
    /* Above the line that says what is requested, or takes a filter. */
    ToastRack { margin-bottom: 2; scrollbar-size: 0 0; }
    Toast { background: $panel; padding: 0 1; max-width: 100%; }
    """

    def __init__(
        self,
        source: Source,
        *,
        run_id: str | None = None,
        plain_colours: bool = False,
        ascii_only: bool = False,
        keymap: Keymap | None = None,
        theme: str | None = None,
        clock: Callable[[], float] = time.time,
        look_every: float = LOOK_EVERY,
        ends_engines: bool = False,
    ) -> None:
        plain = plain_colours or "NO_COLOR" in os.environ
        super().__init__(ansi_color=True if plain else None)
        self.no_color = plain
        self.source = source
        self.clock = clock
        self._ends_engines = ends_engines
        """Whether engines end with this process, which is the first of a container."""
        self.keymap = bindings.checked(keymap or {})
        self.last_run = run_id
        self.typed_ahead = TypedAhead(self)
        self.starting: set[str] = set()
        """Runs for which an engine is being started."""
        self.started: dict[str, float] = {}
        """When an engine was started for a run that had none."""
        self.seen: dict[str, Overview] = {}
        """The runs as they were seen last."""
        self._requests: dict[str, Requests] = {}
        self.animation_level = "none"
        self._walls: list[LineFilter] = [NoColor()] if plain else []
        self._walls.append(LiteralFilter())
        if ascii_only:
            self._walls.append(AsciiFilter())
        self._look_every = look_every
        self._looks = 0
        self._rest_until = 0.0
        self._failed = False
        self._title = ""
        self._on_terminal = _on_terminal()
        for look in themes.THEMES.values():
            self.register_theme(look)
        usual = "contrast" if plain else next(iter(themes.THEMES))
        self.theme = theme if theme and theme in themes.THEMES else usual
        self.set_keymap(self.keymap)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters, then ours: no control character reaches the terminal."""
        return [*super().get_line_filters(), *self._walls]

    async def on_event(self, event: events.Event) -> None:
        """Handle events as Textual does, except keys that are typed ahead."""
        if not self.typed_ahead.takes(event):
            await super().on_event(event)

    def on_mount(self) -> None:
        """Open the requested run or the list, start to read, and handle signals."""
        self.push_screen(RunsScreen() if self.last_run is None else OverviewScreen(self.last_run))
        self.set_interval(self._look_every, self._look_if_rested)
        loop = asyncio.get_running_loop()
        with suppress(ValueError, RuntimeError, NotImplementedError):  # not in the main thread
            for number in _SIGNALS:
                loop.add_signal_handler(number, self._signalled, number)
        self.to_terminal(sanitize.PUSH_TITLE)

    def on_unmount(self) -> None:
        """Remove the signal handlers."""
        loop = asyncio.get_running_loop()
        with suppress(ValueError, RuntimeError, NotImplementedError):
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _signalled(self, number: int) -> None:
        # Writing to a terminal that is gone can block for ever.
        last_resort = threading.Timer(_LAST_RESORT, os._exit, (128 + number,))
        last_resort.daemon = True
        last_resort.start()
        self.exit(return_code=128 + number)

    # Reading the store

    @property
    def even(self) -> bool:
        """True at every second read."""
        return self._looks % 2 == 0

    def _look_if_rested(self) -> None:
        if self._on_terminal and not _on_terminal():
            # It went without a signal, as under setsid: Textual would read end of file for ever.
            self._signalled(signal.SIGHUP)
        if time.monotonic() >= self._rest_until:
            self.look()

    def look(self) -> None:
        """Let every open screen show what is new."""
        began = time.monotonic()
        self._looks += 1
        failed_before, self._failed = self._failed, False
        screens = [screen for screen in self.screen_stack if isinstance(screen, LiveScreen)]
        changed = False
        with reading(self):
            changed = self.source.changed()
        for screen in screens:
            if screen.is_mounted and not self._failed:
                screen.look(changed or failed_before, self._looks % _SECOND == 0)
        if failed_before and not self._failed:
            for screen in screens:
                screen.banner("")
        ended = time.monotonic()
        self._rest_until = ended + (ended - began) * (1 / _SHARE - 1)

    def store_failed(self, text: str) -> None:
        """Show that the store could not be read, and go on reading."""
        self._failed = True
        for screen in self.screen_stack:
            if isinstance(screen, LiveScreen) and screen.is_mounted:
                screen.banner(f"{text}; trying again")

    def follow_run(self, seen: Overview, before: Run | None) -> None:
        """Show the run's state in the terminal's title; notify when it has ended or stopped."""
        run = seen.run
        state = header.state_word(seen, self.clock()).lower()
        share = 100 * ended(seen.counts) // seen.total if seen.total else 0
        self._set_title(f"vbsbatch {run.id} {share}% {state}")
        over = (RunState.ENDED, RunState.STOPPED)
        if before is not None and before.state not in over and run.state in over:
            failed = seen.counts.get(JobState.FAILED, 0)
            text = f"run {run.id} {run.state}: {ended(seen.counts)}/{seen.total}, {failed} failed"
            self.to_terminal(sanitize.notice(text))
            self.say(text, error=bool(failed))

    def _set_title(self, text: str) -> None:
        if text != self._title:
            self._title = text
            self.to_terminal(sanitize.title(text))

    def to_terminal(self, sequence: str) -> None:
        """Send a control sequence to a real terminal; a browser and a test have none."""
        if self._driver is not None and not self.is_headless and not self.is_web:
            self._driver.write(sequence)

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a short message, literally."""
        self.notify(
            clean(text)[:_LONGEST], severity="error" if error else "information", markup=False
        )

    # Requests

    def requests(self, run_id: str) -> Requests:
        """The requests to the run's engine, from all screens."""
        return self._requests.setdefault(run_id, Requests(self.source, run_id))

    def start_engine(self, run_id: str) -> None:
        """Start an engine for a run without one, which takes seconds; say so when it is there."""
        if run_id not in self.starting:
            self.starting.add(run_id)
            self.run_worker(self._start_engine(run_id), name="engine", group="engines")

    async def _start_engine(self, run_id: str) -> None:
        try:
            await asyncio.to_thread(self.source.resume, run_id)
        except VbsbatchError as error:
            self.say(str(error), error=True)
        else:
            self.started[run_id] = self.clock()
            self.say(f"engine started for run {run_id}")
        finally:
            self.starting.discard(run_id)

    # Navigation

    def show_run(self, run_id: str) -> None:
        """Open a run instead of the list."""
        self.last_run = run_id
        self.switch_screen(OverviewScreen(run_id))

    def show_runs(self, run_id: str) -> None:
        """Open the list instead of a run, the cursor on it."""
        self.switch_screen(RunsScreen(run_id))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action of this screen and of everywhere."""
        yield from help.commands(screen, self.keymap)
        for name in themes.THEMES:
            look = partial(self._look_like, name)
            yield SystemCommand(f"theme-{name}", "Change the colours", look)

    # Actions of every screen

    def action_command_palette(self) -> None:
        """Every action, by its name."""
        self.typed_ahead.hold()
        super().action_command_palette()
        self.screen.call_after_refresh(self.typed_ahead.release)

    def action_help(self) -> None:
        """Show the keys."""
        screen = self.screen
        where = screen.WHERE if isinstance(screen, LiveScreen) else "everywhere"
        found = help.lines(where, self.keymap, read_only=self.source.read_only)
        self.push_screen(help.HelpScreen(found, self.keymap))

    def action_theme(self) -> None:
        """The next theme."""
        self._look_like(themes.after(self.theme))

    def _look_like(self, name: str) -> None:
        self.theme = name
        self.refresh(layout=False)

    def action_picture(self) -> None:
        """Write a picture of the screen."""
        if isinstance(self.screen, LiveScreen):
            name = self.last_run or "runs"
            self.screen.begin(exporting.export_picture(self.screen, name))

    def action_detach(self) -> None:
        """Leave; the run goes on. Where its engine would end with this process, ask first."""
        live = driven_runs(self.source) if self._ends_engines else []
        if not live:
            self.exit()
        elif not isinstance(self.screen, LeaveContainer):
            self.push_screen(LeaveContainer(live), self._leave)

    def _leave(self, agreed: bool | None) -> None:
        if agreed:
            self.exit()

    async def action_quit(self) -> None:
        """Textual's name for it."""
        self.action_detach()

    def action_help_quit(self) -> None:
        """Textual's own binding of ctrl+c."""
        self.action_detach()

    # A crash

    def _fatal_error(self) -> None:
        # Textual would print a traceback with the values of all locals, including tokens.
        self.bell()
        self._close_messages_no_wait()

    def panic(self, *renderables: object) -> None:
        """Leave with an error, without printing what was given."""
        self._return_code = 1
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        self._exit_renderables.clear()

    @property
    def crash(self) -> str | None:
        """Why the screen crashed, without any value in it; None when it did not."""
        if not self.return_code or self.return_code > 128:
            return None
        return "the screen failed" + (f" ({_place_of(self._exception)})" if self._exception else "")


def _on_terminal() -> bool:
    """Whether standard input is a terminal that is still there."""
    return sys.__stdin__ is not None and sys.__stdin__.isatty()


def _place_of(error: BaseException) -> str:
    """The type of an error and where in this package it was raised; never its text."""
    if isinstance(error, WorkerFailed):
        error = error.error
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "vbsbatch" in frame.filename] or list(frames)
    place = f" at {os.path.basename(ours[-1].filename)}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{place}"


def show(
    source: Source,
    *,
    run_id: str | None,
    keymap: Keymap | None = None,
    theme: str | None = None,
    mouse: bool = True,
    ascii_only: bool | None = None,
    ends_engines: bool = False,
) -> ScreenResult:
    """Show a run (the list of runs when None) until the user leaves; the terminal is as before.

    `ascii_only` None asks the environment whether the terminal can show Unicode. With
    `ends_engines` every engine ends with this process: leaving asks while there is one.

    A crash is one line on standard error and a return code of 1. Raises `UsageError` for a bad
    `keymap`.
    """
    app = MonitorApp(
        source,
        run_id=run_id,
        keymap=keymap,
        theme=theme,
        ascii_only=needs_ascii(os.environ) if ascii_only is None else ascii_only,
        ends_engines=ends_engines,
    )
    app.run(mouse=mouse)
    if sys.__stderr__ is not None and sys.__stderr__.isatty():
        sys.__stderr__.write(sanitize.POP_TITLE)
    if app.crash is not None:
        print(clean(f"{app.crash}; the run is not affected"), file=sys.stderr)
    return ScreenResult(return_code=app.return_code or 0, run_id=app.last_run)
