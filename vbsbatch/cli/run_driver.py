"""Signs in, prepares a run and drives it.

On a terminal the engine becomes a process of its own and the screen is shown; elsewhere, or as
`--progress` says, it runs in the foreground: progress lines, and signals that stop it.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

import anyio

from vbsbatch.api.driving import drive
from vbsbatch.api.results import exit_code
from vbsbatch.api.sessions import check_project, signed_in
from vbsbatch.cli import INTERRUPTED
from vbsbatch.cli.cloud_line import say_place, warn
from vbsbatch.cli.compaction import compact_as_configured
from vbsbatch.cli.detached_engine import start_engine
from vbsbatch.cli.engine_log import log_path, rotated_while_open
from vbsbatch.cli.exit_status import next_command
from vbsbatch.cli.run_notices import Telling, tellers
from vbsbatch.cli.screen_launcher import show_run
from vbsbatch.cli.steering_commands import asked_by, look_for_holders
from vbsbatch.cli.stop_signals import StopSignals
from vbsbatch.model import RunState
from vbsbatch.observers import RunEvent, RunStarted
from vbsbatch.observers.progress_printer import ProgressPrinter

if TYPE_CHECKING:
    from vbsbatch.cli.options import DrivingOptions
    from vbsbatch.cloud import CloudChoice, CloudService
    from vbsbatch.engine import EngineResult
    from vbsbatch.model import Run, Settings
    from vbsbatch.store import RunStore

    Prepare = Callable[[CloudService], Awaitable[Run | int]]


def carry_out(
    store: RunStore,
    choice: CloudChoice,
    settings: Settings,
    prepare: Prepare,
    how: DrivingOptions,
    style: str,
    *,
    belongs_to: Run | None = None,
    fresh: bool = False,
    take_over: bool = False,
    replaced: Collection[str] = (),
) -> int:
    """Sign in, prepare the run, and drive it: here, or in a separate process behind the screen.

    `belongs_to` is the run whose project the sign-in must lead to. `fresh`: this command creates
    the run, so no other engine has driven it. `take_over` takes volumes from runs without an
    engine; without it, the user is asked. `replaced` has the runs that `prepare` stopped: their
    volumes are taken over in any case.
    """

    async def sign_in_and_drive() -> Run | int:
        async with signed_in(choice, settings) as service:
            warn(service, style)
            if belongs_to is not None:
                check_project(belongs_to, service)
            prepared = await prepare(service)
            if isinstance(prepared, int):
                return prepared
            say_place(service, style)
            if replaced:
                store.take_over(prepared.id, asked_by(), only=replaced)
            look_for_holders(store, prepared.id, style, yes=how.yes, wanted=take_over)
            if style == "tui":
                return prepared
            return await _drive_here(store, prepared, service, how, style, resumed=not fresh)

    result = anyio.run(sign_in_and_drive)
    if isinstance(result, int):
        return result
    start_engine(store, result.id, [*how.words(), *(["--first-engine"] if fresh else [])])
    return show_run(store, result.id, read_only=False, options=how.words())


async def _drive_here(
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
    telling = tellers(run, style, printer)
    # The run continues when the terminal is closed.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with rotated_while_open(log_path(store, run.id)), StopSignals() as signals:
            result = await drive(
                store,
                run,
                service,
                observers=[printer, partial(_stoppable, signals, telling), *telling],
                aside=[partial(_stoppable, signals, telling)],
                resumed=resumed,
            )
            interrupted = await signals.settled()
            if result.state is RunState.ENDED:
                compact_as_configured(store, style)
            return _print_end(store, run.id, result, printer, how, interrupted=interrupted)
    finally:
        signal.signal(signal.SIGHUP, before)


async def bring_to_its_end(
    store: RunStore, run: Run, service: CloudService, how: DrivingOptions, style: str
) -> RunState:
    """Drive an earlier run before another one begins; how it was left. Signals stop it."""
    shown = "plain" if style == "tui" else style
    printer = ProgressPrinter(style=shown, verbose=how.verbose, ends=False)
    with StopSignals() as signals:
        result = await drive(
            store, run, service, observers=[printer, partial(_stoppable, signals, ())]
        )
    code = exit_code(result.state, result.counts)
    printer.end(store.run(run.id), result.counts, code, None)
    return result.state


def _stoppable(signals: StopSignals, telling: Sequence[Telling], event: RunEvent) -> None:
    """Let signals stop the run; the second one does not wait for receivers of messages either."""
    if not isinstance(event, RunStarted):
        return
    live = event.live

    def stop(reason: str, *, now: bool = False) -> None:
        live.stop(reason, now=now)
        for each in telling if now else ():
            each.hurry()

    signals.listen(stop)


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
    code = INTERRUPTED if interrupted else exit_code(result.state, result.counts)
    command = next_command(store, run)
    if command is not None and how.addresses():
        command += f" {shlex.join(how.addresses())}"
    printer.end(run, result.counts, code, command if code else None)
    return code
