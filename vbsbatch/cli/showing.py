"""Puts the screen on a terminal, and says how to come back when it is left."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

import click

from vbsbatch.cli import USAGE
from vbsbatch.cli.options import open_store
from vbsbatch.errors import UsageError

if TYPE_CHECKING:
    from vbsbatch.store import Store


def chosen_style(progress: str) -> str:
    """What `--progress` means here: `auto` is the screen on a terminal that can show one."""
    if progress == "auto":
        return "tui" if _screen_fits() else "plain"
    if progress == "tui" and not (_is_terminal(sys.stdin) and _is_terminal(sys.stdout)):
        raise UsageError("the screen needs a terminal: use --progress plain, json or quiet")
    return progress


def show_run(store: Store, run_id: str | None, *, read_only: bool) -> int:
    """Show a run (or the list of runs) until the person leaves; the exit code."""
    from vbsbatch.cli.attaching import exit_code_of
    from vbsbatch.cli.detaching import start_engine
    from vbsbatch.cli.steering import asked_by
    from vbsbatch.policy import documented
    from vbsbatch.tui.app import show
    from vbsbatch.tui.source import StoreSource

    source = StoreSource(
        store,
        read_only=read_only,
        meaning=documented,
        starter=lambda run: start_engine(store, run),
        asked_by=asked_by(),
    )
    ending = show(source, run_id=run_id)
    if ending.return_code:
        return ending.return_code
    if ending.run_id is None:
        return 0
    run = store.run(ending.run_id)
    if store.is_live(run.id) is not None:
        print(f"run {run.id} goes on; come back with: vbsbatch attach {run.id}", file=sys.stderr)
        return 0
    return exit_code_of(store, run)


def show_runs_or_help(ctx: click.Context) -> int:
    """What the program does when it is called without a command."""
    from vbsbatch.store import default_path

    if not (_screen_fits() and default_path().exists()):
        click.echo(ctx.get_help())
        return 0 if _screen_fits() else USAGE
    with open_store(None) as store:
        return show_run(store, None, read_only=False)


def _screen_fits() -> bool:
    """A terminal on all sides that is no CI log and can move its cursor."""
    terminal = all(map(_is_terminal, (sys.stdin, sys.stdout, sys.stderr)))
    dumb = os.environ.get("TERM", "") in ("", "dumb")
    return terminal and not dumb and not os.environ.get("CI")


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()
