"""Commands that watch a run which goes on by itself: attach."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vbsbatch.cli.exit_status import tell_end
from vbsbatch.cli.options import PROGRESS, db_option, open_store
from vbsbatch.errors import UsageError
from vbsbatch.model import JobMoved, RunNoted, RunState, Wall

if TYPE_CHECKING:
    from vbsbatch.model import Run
    from vbsbatch.store import Event, Store

GLANCE = 0.5
"""Seconds between two looks at the store."""

UNDER_WAY = (RunState.RUNNING, RunState.PAUSED)
"""What a run says that goes on, where nothing else tells."""


@click.command(
    epilog="""\b
Examples:
  vbsbatch attach
  vbsbatch attach 20261123-0715 --read-only
  vbsbatch attach latest --progress plain
  vbsbatch attach latest --web
"""
)
@click.argument("run", required=False, default="latest")
@db_option
@click.option("--read-only", is_flag=True, help="Watch only: nothing can be asked of the engine.")
@click.option("--progress", type=click.Choice(PROGRESS), default="auto", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="Tell every change of every job.")
@click.option(
    "--web", is_flag=True, help="Serve the screen, read-only, to this machine's browsers."
)
@click.option("--port", type=click.IntRange(0, 65535), help="For --web; 0, the default, is any.")
def attach(
    run: str,
    db: Path | None,
    read_only: bool,
    progress: str,
    verbose: bool,
    web: bool,
    port: int | None,
) -> int:
    """Watch RUN from any terminal; leaving it does not stop it."""
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


def follow(store: Store, run: Run, style: str, *, verbose: bool) -> int:
    """Tell what happens to the run from now on, until it ends; its exit code."""
    from vbsbatch.cli.progress import ProgressPrinter

    voice = ProgressPrinter(style=style, verbose=verbose, run=run)
    seen = store.mark().event
    while True:
        holder = store.is_live(run.id)
        for event in store.events(run.id, after=seen):
            seen = event.id
            voice.hear(as_told(store, run.id, event))
        run = store.run(run.id)
        if holder is None or not (holder.live or run.state in UNDER_WAY):
            break
        time.sleep(GLANCE)
    return tell_end(store, run, voice)


def _browse(store: Store, run: Run, port: int) -> int:
    from vbsbatch.cli.screen_config import screen_file

    screen_file()  # what is wrong with it is told here, not in a browser
    try:
        from vbsbatch.cli.web_server import serve
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--web needs a package that is not here ({error.name}): pip install textual-serve"
        ) from error
    return serve(store, run.id, port)


def as_told(store: Store, run_id: str, event: Event) -> JobMoved | RunNoted:
    """The event as the engine told it, with the job as it was then: it may have gone on since."""
    from vbsbatch.cli.job_replay import as_it_was, as_moved, is_as_then

    if event.no is None or event.to is None:
        return RunNoted(at=Wall(event.at), kind=event.kind, text=event.text or "")
    job, attempts = store.job(run_id, event.no), store.attempts(run_id, event.no)
    if not is_as_then(job, event.at, event.to):
        job = as_it_was(job, attempts, store.events(run_id, no=event.no), event)
    return as_moved(job, attempts, event)
