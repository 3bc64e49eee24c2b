"""Commands to a run's engine: pause, unpause, stop, cancel, rate, in-flight."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import click

from vbsbatch.cli import say
from vbsbatch.cli.options import RateType, db_option, open_store
from vbsbatch.model import MOST_IN_FLIGHT, Rate


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
    from vbsbatch.api import steering

    _do(steering.pause, db, run)


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
    from vbsbatch.api import steering

    _do(steering.unpause, db, run)


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
    from vbsbatch.api import steering

    _do(steering.stop, db, run, now=now)


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
    from vbsbatch.api import steering

    _do(steering.cancel, db, run, volumes=volumes)


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
    from vbsbatch.api import steering

    _do(steering.set_rate, db, run, rate=rate)


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
    from vbsbatch.api import steering

    _do(steering.set_in_flight, db, run, count=count)


def _do(command: Callable[..., Awaitable[str]], db: Path | None, run: str, **how: object) -> None:
    """Have the run steered, and print what came of it."""
    import anyio

    with open_store(db) as store:
        say(anyio.run(partial(command, run, store=store, asked_by=asked_by(), **how)))


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
