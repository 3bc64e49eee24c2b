"""The command attach: watches a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vbsbatch.cli.exit_status import tell_end
from vbsbatch.cli.options import PROGRESS, ascii_option, db_option, open_store, run_argument
from vbsbatch.errors import UsageError

if TYPE_CHECKING:
    from vbsbatch.model import Run
    from vbsbatch.store import RunStore

GLANCE = 0.5
"""Seconds between two looks at the store."""


@click.command(
    epilog="""\b
Examples:
  vbsbatch attach
  vbsbatch attach 20261123-0715 --read-only
  vbsbatch attach latest --progress plain
  vbsbatch attach latest --web
"""
)
@run_argument
@db_option
@click.option("--read-only", is_flag=True, help="Watch only: no action can change the run.")
@click.option("--progress", type=click.Choice(PROGRESS), default="auto", show_default=True)
@ascii_option
@click.option("-v", "--verbose", is_flag=True, help="Print every change of every job.")
@click.option(
    "--web", is_flag=True, help="Serve the screen, read-only, to this machine's browsers."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port of --web; 0, the default, is any free one.",
)
def attach(
    run: str,
    db: Path | None,
    read_only: bool,
    progress: str,
    verbose: bool,
    web: bool,
    port: int | None,
) -> int:
    """Watch RUN from any terminal. Leaving the screen does not stop the run."""
    from vbsbatch.cli.screen_launcher import chosen_style, show_run

    if port is not None and not web:
        raise click.UsageError("--port is for --web")
    with open_store(db, readonly=read_only or web) as store:
        found = store.run(run)
        if web:
            return _browse(store, found, port or 0)
        style = chosen_style(progress)
        if style == "tui":
            return show_run(store, found.id, read_only=read_only)
        return follow(store, found, style, verbose=verbose)


def follow(store: RunStore, run: Run, style: str, *, verbose: bool) -> int:
    """Print the run's events from now on, until it ends; return its exit code."""
    from vbsbatch.api.reading import new_events
    from vbsbatch.api.steering import is_under_way
    from vbsbatch.observers.progress_printer import ProgressPrinter

    printer = ProgressPrinter(style=style, verbose=verbose)
    printer.begin(run)
    seen = store.mark().event
    goes_on = True
    while goes_on:
        goes_on = is_under_way(store, run)
        for number, event in new_events(store, run.id, seen):
            seen = number
            printer(event)
        run = store.run(run.id)
        if goes_on:
            time.sleep(GLANCE)
    return tell_end(store, run, printer)


def _browse(store: RunStore, run: Run, port: int) -> int:
    from vbsbatch.cli.screen_config import screen_settings

    screen_settings()  # report its errors here, not in a browser
    try:
        from vbsbatch.cli.web_server import serve
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--web needs a package that is not here ({error.name}): pip install textual-serve"
        ) from error
    return serve(store, run.id, port)
