"""Virtual time: an asyncio loop whose clock jumps to the next timer when nothing else can happen.

Hours pass in milliseconds, and the same seed gives the same interleaving every time. Code that
sleeps needs no change: the loop's `time()` is virtual, and so is everything that uses it.
The wall clock of the code under test is the `VirtualClock`.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, TypeVarTuple, Unpack

import anyio

from vbsbatch.model import Elapsed, Wall

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

START = 1_790_000_000.0
"""The usual start of virtual wall clocks: epoch seconds, in September 2026."""

TICK = 1e-6
"""The cost of every turn of the loop: without it, rounding may make a timer due for ever."""


class StandstillError(RuntimeError):
    """Every task waits and nothing can wake one: a fault of the code under test."""


class VirtualClock:
    """The clocks of virtual time; they outlive a loop, so that several runs follow on one.

    `now` is the true time, which the simulated cloud uses. The machine's own clocks, as the
    engine sees them, are `elapsed`, which counts on from what `wall` showed when the process began,
    and `wall`, which may be set; the timers of the loop stop while the machine sleeps.

    `patience` is in real seconds: how long the loop waits for a thread or a socket before it
    calls a standstill a deadlock (twelve times as long while something is held).
    """

    def __init__(self, start: float = START, *, patience: float = 5.0) -> None:
        self.start = start
        self.passed = 0.0
        """Seconds on the loop's timers."""
        self.slept = 0.0
        """Seconds that the machine slept."""
        self.patience = patience
        self._held = 0
        self._step = 0.0
        self._anchor = start

    def now(self) -> float:
        """The true time: seconds since the Unix epoch (UTC)."""
        return self.start + self.passed + self.slept

    def wall(self) -> Wall:
        """What the machine's clock shows."""
        return Wall(self.now() + self._step)

    def elapsed(self) -> Elapsed:
        """The clock that is never set and goes on while the machine sleeps."""
        return Elapsed(self._anchor + self.passed + self.slept)

    def set_wall(self, by: float) -> None:
        """Set the machine's clock forward, or back by a negative number of seconds."""
        self._step += by

    def sleep_machine(self, seconds: float) -> None:
        """Suspend the machine: time goes on, the timers of the loop do not."""
        self.slept += seconds

    def new_process(self) -> None:
        """A process begins: its elapsed clock counts on from what the machine's clock shows."""
        self._anchor = float(self.wall()) - self.passed - self.slept

    @property
    def held(self) -> bool:
        """True while time may not jump."""
        return self._held > 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep time from jumping during real work; call it on the loop's thread.

        For example ``with clock.hold(): await anyio.to_thread.run_sync(commit)``: without it, a
        timer elsewhere would fire before the thread has run.
        """
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """Turns the loop's wait for its next timer into a jump of the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.waiting: Callable[[], list[str]] = list

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.clock.passed += TICK
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None or self.clock.held:
            return self._wait_for_real_work()
        events = super().select(0)
        if not events:
            self.clock.passed += timeout
        return events

    def _wait_for_real_work(self) -> list[tuple[selectors.SelectorKey, int]]:
        patience = self.clock.patience * (12 if self.clock.held else 1)
        events = super().select(patience)
        if not events:
            why = "the clock is held" if self.clock.held else "no timer is set"
            raise StandstillError(
                f"nothing happened for {patience:g} real seconds and {why};"
                f" waiting: {', '.join(self.waiting()) or 'no task'}"
            )
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a `VirtualClock`."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        selector = _JumpingSelector(clock)
        super().__init__(selector)
        selector.waiting = lambda: sorted(task.get_name() for task in asyncio.all_tasks(self))

    def time(self) -> float:
        """Virtual seconds since the clock's start."""
        return self.clock.passed


def run(
    async_fn: Callable[[Unpack[Arguments]], Awaitable[Result]],
    *args: *Arguments,
    clock: VirtualClock | None = None,
    start: float = START,
) -> Result:
    """Run a coroutine function under anyio in virtual time and return its result.

    A new clock starts at `start` (epoch seconds) unless `clock` is given, which then goes on from
    where it is.
    """
    ours = clock or VirtualClock(start)
    options = {"loop_factory": lambda: VirtualLoop(ours)}
    return anyio.run(async_fn, *args, backend="asyncio", backend_options=options)
