"""Shows the screen on a terminal, and prints how to come back to it."""

from __future__ import annotations

import os
import sys
from shlex import quote
from typing import TYPE_CHECKING

import click

from vbsbatch.cli import USAGE, can_ask, is_terminal, mention, say
from vbsbatch.cli.exit_status import exit_code_of, tell_end
from vbsbatch.cli.options import ascii_wanted, open_store
from vbsbatch.cli.parent_death import is_tied
from vbsbatch.errors import UsageError
from vbsbatch.model import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vbsbatch.model import Job, Run
    from vbsbatch.store import RunStore
    from vbsbatch.tui.store_source import StoreSource
    from vbsbatch.tui.view_models import Sent

_SMALL_INITS = ("tini", "docker-init", "dumb-init", "catatonit", "podman-init")
_DRIVEN = (RunState.RUNNING, RunState.PAUSED)


def chosen_style(progress: str) -> str:
    """Resolve `--progress`: `auto` is the screen on a terminal that can show one.

    Raises `UsageError` if the screen cannot be shown, or if the config file is wrong.
    """
    if progress == "auto":
        progress = "tui" if _screen_fits() and not os.environ.get("CI") else "plain"
    elif progress == "tui" and not _screen_fits():
        raise UsageError(
            "the screen needs a terminal on standard input and standard error, and a TERM that "
            "can move the cursor: use --progress plain, json or quiet"
        )
    if progress == "tui":
        from vbsbatch.cli.screen_config import screen_settings

        screen_settings()  # report its errors before anything starts
    return progress


def show_run(
    store: RunStore, run_id: str | None, *, read_only: bool, options: Sequence[str] = ()
) -> int:
    """Show a run (or the list of runs) until the user leaves; return the exit code.

    0 while the run continues, then the run's own; the list alone is always 0. `options` are further
    arguments for an engine that is started for this run.
    """
    from vbsbatch.cli.detached_engine import start_engine
    from vbsbatch.cli.screen_config import screen_settings
    from vbsbatch.tui.app import show

    wanted = screen_settings()
    source = source_of(
        store,
        read_only=read_only,
        starter=lambda run: start_engine(store, run, options if run == run_id else ()),
    )
    ending = show(
        source,
        run_id=run_id,
        theme=wanted.theme,
        mouse=wanted.mouse,
        ascii_only=ascii_wanted() or wanted.ascii,
        keymap=wanted.keys,
        ends_engines=_first_of_container(),
    )
    for seen in dict.fromkeys((run_id, ending.run_id)):
        if seen is not None:
            _say_how_it_stands(store, store.run(seen), asked_for=seen == run_id)
    if ending.return_code or run_id is None:
        return ending.return_code
    run = store.run(run_id)
    return 0 if _goes_on(store, run) else exit_code_of(store, run)


def source_of(store: RunStore, *, read_only: bool, starter: Callable[[str], object]) -> StoreSource:
    """The source of the screens' data; `starter` starts an engine."""
    from vbsbatch.cli.steering_commands import asked_by
    from vbsbatch.policy import documented
    from vbsbatch.tui.store_source import StoreSource

    return StoreSource(
        store,
        read_only=read_only,
        meaning=documented,
        request=_request,
        starter=starter,
        asked_by=asked_by(),
    )


def _request(run: Run, job: Job) -> Sent:
    from vbsbatch.api.reading import job_request
    from vbsbatch.tui.view_models import Sent

    line, body = job_request(run, job)
    return Sent(line=line, body=body)


def show_runs_or_help(ctx: click.Context, db: Path | None) -> int:
    """Run the program without a command: show the runs on a terminal, else the help."""
    from vbsbatch.store import default_path

    fits = chosen_style("auto") == "tui" and is_terminal(sys.stdout)
    if not fits or (db is None and not default_path().exists()):
        say(ctx.get_help())
        return 0 if fits else USAGE
    with open_store(db) as store:
        return show_run(store, None, read_only=False)


def _goes_on(store: RunStore, run: Run) -> bool:
    return run.state in _DRIVEN and store.is_live(run.id) is not None


def _say_how_it_stands(store: RunStore, run: Run, *, asked_for: bool) -> None:
    """Print how to come back to a run, or how it ended if the user asked for it."""
    from vbsbatch.store import db_option

    which = f"{quote(run.id)}{db_option(store.path)}"
    if run.state in _DRIVEN and is_tied():
        return  # the parent prints how the run ended
    if _goes_on(store, run) and _first_of_container():
        mention(f"the engine of run {run.id} ends with this container; vbsbatch resume {which}")
    elif _goes_on(store, run):
        mention(f"run {run.id} goes on; come back with: vbsbatch attach {which}")
    elif run.state in _DRIVEN:
        mention(f"run {run.id} has no engine; go on with: vbsbatch resume {which}")
    elif asked_for:
        tell_end(store, run)


def _first_of_container() -> bool:
    """Whether all other processes end with this one, because it is the first of a container, or the
    child of a small init (`docker run --init`)."""
    return os.getpid() == 1 or (os.getppid() == 1 and _name_of_first() in _SMALL_INITS)


def _name_of_first() -> str:
    """The name of process 1, if it can be read."""
    try:
        with open("/proc/1/comm", encoding="ascii", errors="replace") as name:
            return name.read().strip()
    except OSError:
        return ""


def _screen_fits() -> bool:
    """Whether the terminal can show the screen, which is drawn on standard error."""
    return can_ask() and os.environ.get("TERM", "") not in ("", "dumb")
