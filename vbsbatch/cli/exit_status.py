"""How a run stands and how it ended: what is told of it, and the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbsbatch.cli import STOPPED
from vbsbatch.cli.parent_death import is_tied
from vbsbatch.model import RunState

if TYPE_CHECKING:
    from vbsbatch.model import Run
    from vbsbatch.observers.progress_printer import ProgressPrinter
    from vbsbatch.report import ReportData
    from vbsbatch.store import RunStore


def exit_code_of(store: RunStore, run: Run) -> int:
    """What the run's state means to whoever watched it."""
    from vbsbatch.api.driving import outcome

    return outcome(store.counts(run.id)) if run.state is RunState.ENDED else STOPPED


def tell_end(store: RunStore, run: Run, printer: ProgressPrinter | None = None) -> int:
    """Print how a run ended, in lines for people unless `printer` has another style."""
    from vbsbatch.observers.progress_printer import ProgressPrinter

    code = exit_code_of(store, run)
    command = next_command(store, run) if code else None
    (printer or ProgressPrinter()).end(run, store.counts(run.id), code, command)
    return code


def next_command(store: RunStore, run: Run) -> str | None:
    """What to type next, if there is anything to do."""
    from vbsbatch.report.data import next_commands

    return next(iter(next_commands(report_data(store, run))), None)


def report_data(store: RunStore, run: Run) -> ReportData:
    """What the store knows of a run, as the reports want it."""
    from vbsbatch.api import reading

    return reading.report_data(store, run, temporary=is_tied())
