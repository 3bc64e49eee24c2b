"""Puts the screen on a terminal, and says how to come back when it is left."""

from __future__ import annotations

import os
import sys
from shlex import quote
from typing import TYPE_CHECKING, TextIO

import click

from vbsbatch.cli import USAGE, mention, say
from vbsbatch.cli.exit_status import exit_code_of, tell_end
from vbsbatch.cli.options import open_store
from vbsbatch.cli.parent_death import is_tied
from vbsbatch.errors import UsageError
from vbsbatch.model import Operation, RunState, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vbsbatch.model import Job, Run
    from vbsbatch.store import Store
    from vbsbatch.tui.store_source import StoreSource
    from vbsbatch.tui.view_models import Sent

_SMALL_INITS = ("tini", "docker-init", "dumb-init", "catatonit", "podman-init")
_DRIVEN = (RunState.RUNNING, RunState.PAUSED)


def chosen_style(progress: str) -> str:
    """What `--progress` means here: `auto` is the screen on a terminal that can show one.

    Raises `UsageError` for a screen that cannot be shown, or not as its user's file wants it.
    """
    if progress == "auto":
        progress = "tui" if _screen_fits() and not os.environ.get("CI") else "plain"
    elif progress == "tui" and not _screen_fits():
        raise UsageError(
            "the screen needs a terminal on standard input and standard error, and a TERM that "
            "can move the cursor: use --progress plain, json or quiet"
        )
    if progress == "tui":
        from vbsbatch.cli.screen_config import screen_file

        screen_file()  # before anything is begun that the screen is for
    return progress


def show_run(
    store: Store, run_id: str | None, *, read_only: bool, options: Sequence[str] = ()
) -> int:
    """Show a run (or the list of runs) until the person leaves; the exit code.

    0 while the run goes on, then the run's own; the list alone is always 0. `options` are more
    words for an engine that is started for this very run.
    """
    from vbsbatch.cli.detached_engine import start_engine
    from vbsbatch.cli.screen_config import screen_file
    from vbsbatch.tui.app import show

    wanted = screen_file()
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


def source_of(store: Store, *, read_only: bool, starter: Callable[[str], object]) -> StoreSource:
    """What the screens of this store read, and how they start an engine."""
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
    """What a job of this run sends, as its service documents it."""
    from vbsbatch.tui.view_models import Sent

    cinder = run.settings.service is Service.CINDER
    backups = "/backups" if cinder else "/cloudbackups"
    match run.settings.operation:
        case Operation.RESTORE:
            line = f"POST {backups}/{job.settings.source_backup_id}/restore"
            return Sent(line=line, body={"restore": {"volume_id": job.volume_id}})
        case Operation.PRUNE:
            return Sent(line=f"DELETE /backups/{job.settings.source_backup_id}")
    from vbsbatch.cloud import cinder as plain  # slow to import, and few look so closely
    from vbsbatch.cloud import vbs

    body = (plain if cinder else vbs).create_body(job)
    return Sent(line=f"POST {backups}", body={"backup": body})


def show_runs_or_help(ctx: click.Context, db: Path | None) -> int:
    """What the program does when it is called without a command."""
    from vbsbatch.store import default_path

    fits = chosen_style("auto") == "tui" and is_terminal(sys.stdout)
    if not fits or (db is None and not default_path().exists()):
        say(ctx.get_help())
        return 0 if fits else USAGE
    with open_store(db) as store:
        return show_run(store, None, read_only=False)


def _goes_on(store: Store, run: Run) -> bool:
    return run.state in _DRIVEN and store.is_live(run.id) is not None


def _say_how_it_stands(store: Store, run: Run, *, asked_for: bool) -> None:
    """How to come back to a run, or how it ended for whoever asked for it."""
    from vbsbatch.store import db_option

    which = f"{quote(run.id)}{db_option(store.path)}"
    if run.state in _DRIVEN and is_tied():
        return  # whoever this process works for tells what becomes of the run
    if _goes_on(store, run) and _first_of_container():
        mention(f"the engine of run {run.id} ends with this container; vbsbatch resume {which}")
    elif _goes_on(store, run):
        mention(f"run {run.id} goes on; come back with: vbsbatch attach {which}")
    elif run.state in _DRIVEN:
        mention(f"run {run.id} has no engine; go on with: vbsbatch resume {which}")
    elif asked_for:
        tell_end(store, run)


def _first_of_container() -> bool:
    """Whether all other processes end with this one: the first of a container, or the only child
    of a small init that stands for it (`docker run --init`)."""
    return os.getpid() == 1 or (os.getppid() == 1 and _name_of_first() in _SMALL_INITS)


def _name_of_first() -> str:
    """What the first process there is is called, as far as that can be read."""
    try:
        with open("/proc/1/comm", encoding="ascii", errors="replace") as name:
            return name.read().strip()
    except OSError:
        return ""


def _screen_fits() -> bool:
    """Keys come from standard input, the screen goes to standard error."""
    terminal = is_terminal(sys.stdin) and is_terminal(sys.stderr)
    return terminal and os.environ.get("TERM", "") not in ("", "dumb")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person may be at the other end."""
    return stream is not None and not stream.closed and stream.isatty()
