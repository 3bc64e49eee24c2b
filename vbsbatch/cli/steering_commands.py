"""Commands to a live engine: pause, unpause, stop, cancel, rate.

They write a row into the store's commands table and wait for the engine's word on it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import say
from vbsbatch.cli.options import RateType, check_volumes, db_option, open_store
from vbsbatch.errors import StoreError, UsageError
from vbsbatch.model import MOST_IN_FLIGHT, WITHDRAWN, Rate, RunState

if TYPE_CHECKING:
    from vbsbatch.model import Run
    from vbsbatch.store import Store

PATIENCE = 30.0
"""Seconds to wait for the engine's word: it looks twice a second unless it is very busy."""


@click.command(
    epilog="""\b
Examples:
  vbsbatch pause latest
"""
)
@click.argument("run")
@db_option
def pause(run: str, db: Path | None) -> None:
    """Send no new create of RUN for now; what runs in the cloud is still followed."""
    _tell_live(db, run, "pause")


@click.command(
    epilog="""\b
Examples:
  vbsbatch unpause latest
"""
)
@click.argument("run")
@db_option
def unpause(run: str, db: Path | None) -> None:
    """Go on sending the creates of RUN after a pause, or through a gate that failures keep shut."""
    _tell_live(db, run, "unpause")


@click.command(
    epilog="""\b
Examples:
  vbsbatch stop latest
  vbsbatch stop 20261123-0715 --now
"""
)
@click.argument("run")
@db_option
@click.option("--now", is_flag=True, help="Do not await the answers that are under way.")
def stop(run: str, db: Path | None, now: bool) -> None:
    """Stop RUN before its end, to be resumed later; backups that run go on in the cloud."""
    _tell_live(db, run, "stop-now" if now else "stop")


@click.command(
    epilog="""\b
Examples:
  vbsbatch cancel latest --volume db01-data --volume db01-log
  vbsbatch cancel latest
"""
)
@click.argument("run")
@db_option
@click.option("--volume", "volumes", multiple=True, help="Only this volume, by id or name.")
def cancel(run: str, db: Path | None, volumes: tuple[str, ...]) -> None:
    """Take back jobs of RUN that were not sent yet: all, or those of the volumes named."""
    argument: dict[str, Any] = {"volumes": list(volumes)} if volumes else {"all": True}
    with open_store(db) as store:
        found = store.run(run)
        check_volumes(store, found.id, volumes)
        if store.is_live(found.id) is not None:
            say(ask(store, found.id, "cancel", argument))
        else:
            say(f"cancelled {store.cancel(found.id, argument)}")


@click.command(
    epilog="""\b
Examples:
  vbsbatch rate latest 2/s
  vbsbatch rate latest 30/min
"""
)
@click.argument("run")
@click.argument("rate", type=RateType())
@db_option
def rate(run: str, rate: Rate, db: Path | None) -> None:
    """Change how fast RUN sends creates, such as 2/s or 30/min."""
    with open_store(db) as store:
        found = store.run(run)
        store.set_limits(found.id, rate=rate)
        if store.is_live(found.id) is None:
            say(f"rate is {rate} when run {found.id} is resumed")
        else:
            say(ask(store, found.id, "rate", {"count": rate.count, "per": rate.per}))


@click.command(
    "in-flight",
    epilog="""\b
Examples:
  vbsbatch in-flight latest 20
""",
)
@click.argument("run")
@click.argument("count", type=click.IntRange(1, MOST_IN_FLIGHT))
@db_option
def in_flight(run: str, count: int, db: Path | None) -> None:
    """Change how many backups of RUN may be under way at once."""
    with open_store(db) as store:
        found = store.run(run)
        store.set_limits(found.id, in_flight=count)
        if store.is_live(found.id) is None:
            say(f"at most {count} in flight when run {found.id} is resumed")
        else:
            say(ask(store, found.id, "in-flight", {"count": count}))


def ask(store: Store, run_id: str, verb: str, argument: Mapping[str, Any]) -> str:
    """Ask the run's engine, and wait for its word, to be shown as it is.

    `UsageError` when none comes: then the command is withdrawn, and will never be carried out.
    """
    command = store.ask(run_id, verb, argument, asked_by())
    try:
        return _answer(store, run_id, command)
    except BaseException:  # Ctrl-C too: whoever gave up must not be obeyed later
        with suppress(StoreError):
            store.withdraw(command)
        raise


def _answer(store: Store, run_id: str, command: int) -> str:
    from vbsbatch.report import clean

    deadline = time.monotonic() + PATIENCE
    gone = False
    while time.monotonic() < deadline and not gone:
        gone = store.is_live(run_id) is None
        result = store.command_result(command)
        if result == WITHDRAWN:
            raise UsageError(f"the engine of run {run_id} ended before it took the command")
        if result is not None:
            return clean(result)  # it may name a wave of the plan
        time.sleep(0.1)
    withdrawn = store.withdraw(command)
    if not withdrawn and (result := store.command_result(command)) not in (None, WITHDRAWN):
        return clean(str(result))
    raise UsageError(_no_answer(run_id, withdrawn=withdrawn, gone=gone))


def _no_answer(run_id: str, *, withdrawn: bool, gone: bool) -> str:
    why = "ended before it answered" if gone else f"has not answered within {PATIENCE:g} s"
    if withdrawn:
        return f"the engine of run {run_id} {why}: the command is withdrawn, nothing was done"
    return (
        f"the engine of run {run_id} took the command and {why}: it may have been carried out, "
        f"look at `vbsbatch status {run_id}`"
    )


def asked_by() -> str:
    """Who asks, for the run's history: user, and the terminal if there is one."""
    import getpass

    try:
        who = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        who = f"uid {os.getuid()}"
    try:
        terminal = os.ttyname(0).removeprefix("/dev/")
    except OSError:
        return who
    return f"{who}@{terminal}"


def _not_live(store: Store, run: Run) -> str:
    from vbsbatch.store import db_option

    if run.state is RunState.ENDED:
        return f"run {run.id} has ended: there is nothing to steer"
    command = f"vbsbatch resume {quote(run.id)}{db_option(store.path)}"
    return f"no engine drives run {run.id} ({run.state}): {command}"


def _tell_live(db: Path | None, run: str, verb: str) -> None:
    with open_store(db) as store:
        found = store.run(run)
        if store.is_live(found.id) is None:
            raise UsageError(_not_live(store, found))
        say(ask(store, found.id, verb, {}))
