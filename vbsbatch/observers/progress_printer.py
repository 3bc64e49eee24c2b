"""Prints the progress of a run, as lines of text or JSON."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TextIO

import anyio

from vbsbatch.model import JobMoved, JobState, Run, RunNoted, RunState
from vbsbatch.model.clocks import elapsed_seconds, wall
from vbsbatch.observers import LiveRun, RunEnded, RunEvent, RunStarted
from vbsbatch.observers.nonblocking_writer import NonblockingWriter
from vbsbatch.report import End, Progress, jsonlines, plain, wanted
from vbsbatch.report.sizes import SizeSum, sizes_after

SOON, EVERY = 5.0, 60.0
"""Seconds between progress lines: short at first, so that a person sees it work; then longer."""

SAMPLES = 5.0
"""Seconds between two samples for the estimate of the end."""


class ProgressPrinter:
    """Prints events, progress and the end to `stream` (stderr); a closed stream silences it.

    `style` is `plain`, `json` or `quiet`; `verbose` prints every change of every job.
    `next_command` gives the command to run next. Without `ends` the caller prints the last lines
    by calling `end`.
    """

    def __init__(
        self,
        *,
        style: str = "plain",
        verbose: bool = False,
        stream: TextIO | None = None,
        next_command: Callable[[Run], str | None] = lambda _: None,
        ends: bool = True,
        clock: Callable[[], float] = elapsed_seconds,
    ) -> None:
        self._form: ModuleType | None = {"json": jsonlines, "quiet": None}.get(style, plain)
        self._verbose = verbose or style == "json"
        self._attempts = 0
        self._writer = NonblockingWriter(stream or sys.stderr)
        self._sent: deque[float] = deque(maxlen=1024)
        self._next_command = next_command
        self._ends = ends
        self._clock = clock
        self._live: LiveRun | None = None
        self._sizes: Callable[[], Mapping[JobState, SizeSum]] = dict
        self._started_at = wall()

    def __call__(self, event: RunEvent) -> None:
        """Print one event."""
        match event:
            case RunStarted():
                self.begin(event.run, event.live, event.sizes)
            case RunEnded():
                if self._ends:
                    command = self._next_command(event.run) if event.exit_code else None
                    self.end(event.run, event.counts, event.exit_code, command)
            case JobMoved() | RunNoted():
                self._print(event)

    def begin(
        self,
        run: Run,
        live: LiveRun | None = None,
        sizes: Callable[[], Mapping[JobState, SizeSum]] = dict,
    ) -> None:
        """Remember the run; without a live engine there are no progress lines.

        `sizes` reads GB, and how many jobs have no size, by state.
        """
        self._attempts = run.settings.retry.attempts
        self._live = live
        self._sizes = sizes
        self._started_at = run.started_at or wall()

    def _print(self, event: JobMoved | RunNoted) -> None:
        if isinstance(event, JobMoved) and event.attempt is not None:
            self._sent.append(self._clock())
        if self._form is not None and wanted(event, verbose=self._verbose):
            self._writer.write(self._form.line(event, attempts=self._attempts))

    async def background(self) -> None:
        """Print the progress until cancelled."""
        assert self._live is not None, "no run has started"
        wait, next_at = SOON, self._clock() + SOON
        while True:
            await anyio.sleep(SAMPLES)
            if self._clock() >= next_at:
                self.progress(self._live, self._clock())
                wait = min(2 * wait, EVERY)
                next_at = self._clock() + wait

    def progress(self, live: LiveRun, now: float) -> None:
        """Print one progress line."""
        if self._form is None:
            return
        at = wall()
        state = Progress(
            at=float(at),
            counts=live.counts,
            retry=live.retrying,
            rate=self._rate(now),
            eta=live.ends_in,
            sizes=sizes_after(self._sizes(), at - self._started_at),
            waits_for=live.waits_for,
        )
        self._writer.write(self._form.progress(state))

    def end(
        self, run: Run, counts: Mapping[JobState, int], exit_code: int, command: str | None
    ) -> None:
        """Print the last lines: the calls, and how and when the run ended."""
        if self._form is not None:
            at = _left_at(run) or float(wall())
            how = End(at=at, run=run, counts=counts, exit_code=exit_code, next=command)
            self._writer.write(self._form.calls(at, run, counts))
            self._writer.write(self._form.end(how))
        self._writer.close()

    def _rate(self, now: float) -> float:
        recent = [at for at in self._sent if at > now - EVERY]
        if len(recent) < 2:
            return 0.0
        return len(recent) / max(now - recent[0], 1.0)


def _left_at(run: Run) -> float | None:
    """When the run's last engine left it; None if it left no heartbeat."""
    left_at = run.heartbeat_at if run.state is RunState.STOPPED else run.ended_at
    return None if left_at is None else float(left_at)
