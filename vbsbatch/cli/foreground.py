"""An engine in the foreground of its command: progress lines, and signals that stop it."""

from __future__ import annotations

import shlex
import signal
from functools import partial
from typing import TYPE_CHECKING

from vbsbatch.api.driving import drive, outcome
from vbsbatch.cli import INTERRUPTED, STOPPED
from vbsbatch.cli.exit_status import next_command
from vbsbatch.cli.stop_signals import StopSignals
from vbsbatch.model import RunState
from vbsbatch.observers import RunEvent, RunStarted
from vbsbatch.observers.progress_printer import ProgressPrinter

if TYPE_CHECKING:
    from vbsbatch.cli.options import DrivingOptions
    from vbsbatch.cloud import CloudService
    from vbsbatch.engine import EngineResult
    from vbsbatch.model import Run
    from vbsbatch.store import RunStore


async def drive_here(
    store: RunStore,
    run: Run,
    service: CloudService,
    how: DrivingOptions,
    style: str,
    *,
    resumed: bool,
) -> int:
    """Drive the run until it ends or is stopped, and print what happens; the exit code."""
    printer = ProgressPrinter(style=style, verbose=how.verbose, ends=False)
    # The terminal may go, the run goes on.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            result = await drive(
                store,
                run,
                service,
                observers=[printer, partial(_stoppable, signals)],
                resumed=resumed,
            )
            interrupted = await signals.settled()
            return _print_end(store, run.id, result, printer, how, interrupted=interrupted)
    finally:
        signal.signal(signal.SIGHUP, before)


def _stoppable(signals: StopSignals, event: RunEvent) -> None:
    if isinstance(event, RunStarted):
        signals.listen(event.live.stop)


def _print_end(
    store: RunStore,
    run_id: str,
    result: EngineResult,
    printer: ProgressPrinter,
    how: DrivingOptions,
    *,
    interrupted: bool,
) -> int:
    """Print how the run ended; the exit code."""
    run = store.run(run_id)
    code = exit_code(result, interrupted=interrupted)
    command = next_command(store, run)
    if command is not None and how.addresses():
        command += f" {shlex.join(how.addresses())}"
    printer.end(run, result.counts, code, command if code else None)
    return code


def exit_code(result: EngineResult, *, interrupted: bool) -> int:
    """What the way a run was left means to whoever started it."""
    if interrupted:
        return INTERRUPTED
    if result.state is RunState.STOPPED:
        return STOPPED
    return outcome(result.counts)
