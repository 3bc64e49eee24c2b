"""What a run tells while it goes on: whole lines on stderr, as text or JSON."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TextIO

import anyio

from vbsbatch.cli.nonblocking_writer import NonblockingWriter
from vbsbatch.engine import Engine
from vbsbatch.model import ENDED_STATES, JobMoved, JobState, Run, RunNoted, RunState
from vbsbatch.model.clocks import elapsed_seconds, wall
from vbsbatch.report import End, Progress, Sample, eta, jsonlines, plain, wanted

SOON, EVERY = 5.0, 60.0
"""Seconds between progress lines: soon at first, so that a person sees it work; then seldom."""

SAMPLES = 5.0
"""Seconds between two samples for the estimate of the end."""


class ProgressPrinter:
    """Prints events, progress and the end; a closed stderr silences it and harms nobody."""

    def __init__(
        self, *, style: str, verbose: bool, run: Run, stream: TextIO | None = None
    ) -> None:
        self._form: ModuleType | None = {"json": jsonlines, "quiet": None}.get(style, plain)
        self._verbose = verbose or style == "json"
        self._attempts = run.settings.retry.attempts
        self._scribe = NonblockingWriter(stream or sys.stderr)
        self._samples: deque[Sample] = deque(maxlen=512)
        self._sent: deque[float] = deque(maxlen=1024)

    def hear(self, event: JobMoved | RunNoted) -> None:
        """An event of the engine."""
        if isinstance(event, JobMoved) and event.attempt is not None:
            self._sent.append(elapsed_seconds())
        if self._form is not None and wanted(event, verbose=self._verbose):
            self._scribe.write(self._form.line(event, attempts=self._attempts))

    async def tell(self, engine: Engine, clock: Callable[[], float] = elapsed_seconds) -> None:
        """Tell how far the run is, for ever, until cancelled."""
        wait, next_at = SOON, clock() + SOON
        while True:
            self.sample(engine, clock())
            await anyio.sleep(SAMPLES)
            if clock() >= next_at:
                self.progress(engine, clock())
                wait = min(2 * wait, EVERY)
                next_at = clock() + wait

    def sample(self, engine: Engine, now: float) -> None:
        """Remember how far the run is, for the estimate of its end."""
        worked = _number(engine, JobState.SUCCEEDED, JobState.FAILED)
        self._samples.append(Sample(at=now, ended=worked, paused=engine.paused))

    def progress(self, engine: Engine, now: float) -> None:
        """One line on how far the run is."""
        if self._form is None:
            return
        counts = engine.ledger.tally()
        left = sum(counts.values()) - _number(engine, *ENDED_STATES)
        state = Progress(
            at=float(wall()),
            counts=counts,
            retry=engine.ledger.retrying,
            rate=self._rate(now),
            eta=None if engine.waits_for is not None else eta(self._samples, left),
            waits_for=engine.waits_for,
        )
        self._scribe.write(self._form.progress(state))

    def end(
        self, run: Run, counts: Mapping[JobState, int], exit_code: int, command: str | None
    ) -> None:
        """The last lines: what was called, and how it ended, with the time of that."""
        if self._form is not None:
            at = _left_at(run) or float(wall())
            how = End(at=at, run=run, counts=counts, exit_code=exit_code, next=command)
            self._scribe.write(self._form.calls(at, run, counts))
            self._scribe.write(self._form.end(how))
        self._scribe.close()

    def _rate(self, now: float) -> float:
        recent = [at for at in self._sent if at > now - EVERY]
        if len(recent) < 2:
            return 0.0
        return len(recent) / max(now - recent[0], 1.0)


def _number(engine: Engine, *states: JobState) -> int:
    return sum(engine.ledger.counts[state] for state in states)


def _left_at(run: Run) -> float | None:
    """When the run's last engine left it, which may be long ago: its last beat is its farewell.
    None where it left no word of that."""
    left_at = run.heartbeat_at if run.state is RunState.STOPPED else run.ended_at
    return None if left_at is None else float(left_at)
