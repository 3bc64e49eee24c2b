"""Commands that steer a run: pause, unpause, stop, cancel, rate, in-flight, take-over."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vbsbatch.cli import can_ask, fit, remark, say
from vbsbatch.cli.options import RateType, db_option, named_run, open_store, volume_option
from vbsbatch.model import MOST_IN_FLIGHT, BlockingRun, Rate, RunState, holders

if TYPE_CHECKING:
    from vbsbatch.store import RunStore


@click.command(
    epilog="""\b
Examples:
  vbsbatch pause latest
"""
)
@named_run
@db_option
def pause(run: str, db: Path | None) -> None:
    """Pause RUN: send no new creates. Running backups are still followed."""
    from vbsbatch.api import steering

    _do(steering.pause, db, run)


@click.command(
    epilog="""\b
Examples:
  vbsbatch unpause latest
"""
)
@named_run
@db_option
def unpause(run: str, db: Path | None) -> None:
    """Continue RUN after a pause, or open a gate that failures keep closed."""
    from vbsbatch.api import steering

    _do(steering.unpause, db, run)


@click.command(
    epilog="""\b
Examples:
  vbsbatch stop latest
  vbsbatch stop 20261123-0715 --now
"""
)
@named_run
@db_option
@click.option("--now", is_flag=True, help="Do not wait for pending answers.")
def stop(run: str, db: Path | None, now: bool) -> None:
    """Stop RUN; it can be resumed later. Running backups continue in the cloud."""
    from vbsbatch.api import steering

    _do(steering.stop, db, run, now=now)


@click.command(
    epilog="""\b
Examples:
  vbsbatch cancel latest --volume db01-data --volume db01-log
  vbsbatch cancel latest
"""
)
@named_run
@db_option
@volume_option
def cancel(run: str, db: Path | None, volumes: tuple[str, ...]) -> None:
    """Cancel jobs of RUN that have not been sent: all, or those of the given volumes."""
    from vbsbatch.api import steering

    _do(steering.cancel, db, run, volumes=volumes)


@click.command(
    epilog="""\b
Examples:
  vbsbatch rate latest 2/s
  vbsbatch rate latest 30/min
"""
)
@named_run
@click.argument("rate", type=RateType())
@db_option
def rate(run: str, rate: Rate, db: Path | None) -> None:
    """Change how fast RUN sends creates, such as 2/s or 30/min."""
    from vbsbatch.api import steering

    _do(steering.set_rate, db, run, rate=rate)


@click.command(
    "in-flight",
    epilog="""\b
Examples:
  vbsbatch in-flight latest 20
""",
)
@named_run
@click.argument("count", type=click.IntRange(1, MOST_IN_FLIGHT))
@db_option
def in_flight(run: str, count: int, db: Path | None) -> None:
    """Change how many backups of RUN may run at once."""
    from vbsbatch.api import steering

    _do(steering.set_in_flight, db, run, count=count)


@click.command(
    "take-over",
    epilog="""\b
Examples:
  vbsbatch take-over latest
""",
)
@named_run
@db_option
def take_over(run: str, db: Path | None) -> None:
    """Take the volumes that RUN waits for from runs without an engine, for good.

    Their jobs fail as `released`; the backups that the cloud is making of them stay there.
    """
    from vbsbatch.api.steering import takeable

    with open_store(db) as store:
        found = store.run(run)
        if not takeable(store, found.id):
            say(f"run {found.id}: {_nothing(found.state)}")
        for line in _taken(store, found.id):
            say(line)


def _do(command: Callable[..., Awaitable[str]], db: Path | None, run: str, **how: object) -> None:
    """Call the API, and print its answer."""
    import anyio

    with open_store(db) as store:
        say(anyio.run(partial(command, run, store=store, asked_by=asked_by(), **how)))


def asked_by() -> str:
    """The user, and the terminal if there is one, for the run's history."""
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


def look_for_holders(store: RunStore, run_id: str, style: str, *, yes: bool, wanted: bool) -> None:
    """Print which other runs hold volumes of a run that is about to start, and take over those of
    runs without an engine if an option or the user's answer says so."""
    from vbsbatch.api.plan_runs import automatic_prunes

    finished = {run.id for run in automatic_prunes(store, store.run(run_id))}
    # Deletions of the plan's retention that were interrupted are finished before the run begins.
    held = [each for each in store.holders(run_id) if each.driven or each.run_id not in finished]
    if not held:
        return
    idle = [holder for holder in held if not holder.driven]
    remark(f"note: {holders.waits_for(run_id, held)}", style)
    if not idle:
        return
    if not wanted and not yes and can_ask():
        wanted = click.confirm(fit(_question(idle)), err=True)
    for line in _taken(store, run_id) if wanted else ():
        remark(line, style)


def _question(idle: list[BlockingRun]) -> str:
    volumes = sum(holder.volumes for holder in idle)
    what = "this volume" if volumes == 1 else f"these {volumes} volumes"
    runs = "run gives its job" if len(idle) == 1 else "runs give their jobs"
    return f"Take over {what}? The other {runs} up for good"


def _taken(store: RunStore, run_id: str) -> list[str]:
    """Take over volumes; a line for each run that gave some up."""
    return [
        f"run {each.run_id} gave up {each.volumes} of its volumes to run {run_id}; "
        "their backups stay in the cloud"
        for each in store.take_over(run_id, asked_by())
    ]


def _nothing(state: RunState) -> str:
    over = ", it has ended" if state is RunState.ENDED else ""
    return f"no other run holds a volume of it{over}"
