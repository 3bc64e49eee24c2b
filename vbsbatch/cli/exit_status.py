"""Prints how a run ended, and gives the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbsbatch.cli.parent_death import is_tied

if TYPE_CHECKING:
    from vbsbatch.model import Run
    from vbsbatch.observers.progress_printer import ProgressPrinter
    from vbsbatch.report import ReportData
    from vbsbatch.store import RunStore


def exit_code_of(store: RunStore, run: Run) -> int:
    """The exit code of a command that watched the run."""
    from vbsbatch.api.results import exit_code

    return exit_code(run.state, store.counts(run.id))


def tell_end(store: RunStore, run: Run, printer: ProgressPrinter | None = None) -> int:
    """Print how a run ended, as plain lines unless `printer` has another style."""
    from vbsbatch.observers.progress_printer import ProgressPrinter

    code = exit_code_of(store, run)
    command = next_command(store, run) if code else None
    (printer or ProgressPrinter()).end(run, store.counts(run.id), code, command)
    return code


def next_command(store: RunStore, run: Run) -> str | None:
    """The command to run next, if there is anything to do."""
    from vbsbatch.report.data import next_commands

    return next(iter(next_commands(report_data(store, run))), None)


def report_data(store: RunStore, run: Run) -> ReportData:
    """Read the run's data for reports."""
    from vbsbatch.api import reading

    return reading.report_data(store, run, temporary=is_tied())
