"""Volumes that other runs of the store hold: told before a run is driven, and taken over."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vbsbatch.cli import fit, remark, say
from vbsbatch.cli.options import db_option, open_store
from vbsbatch.cli.screen_launcher import is_terminal
from vbsbatch.cli.steering_commands import asked_by
from vbsbatch.errors import UsageError
from vbsbatch.model import BlockingRun, RunState, holders

if TYPE_CHECKING:
    from vbsbatch.store import Store


@click.command(
    "take-over",
    epilog="""\b
Examples:
  vbsbatch take-over latest
""",
)
@click.argument("run")
@db_option
def take_over(run: str, db: Path | None) -> None:
    """Have runs without an engine give up, for good, the volumes that RUN waits for.

    Their jobs fail as released; the backups that the cloud is making of them stay there.
    """
    with open_store(db) as store:
        found = store.run(run)
        held = store.holders(found.id)
        if held and all(holder.driven for holder in held):
            raise UsageError(
                f"nothing can be taken over by run {found.id}: {holders.who_holds(held)}; "
                f"an engine follows them: wait, or stop it first"
            )
        if not held:
            say(f"run {found.id}: {_nothing(found.state)}")
        for line in _taken(store, found.id):
            say(line)


def look_for_holders(store: Store, run_id: str, style: str, *, yes: bool, wanted: bool) -> None:
    """Tell which runs hold volumes of a run that is about to be driven, and take over what runs
    without an engine hold, when that is wanted: by an option, or by the answer of a person."""
    held = store.holders(run_id)
    if not held:
        return
    idle = [holder for holder in held if not holder.driven]
    remark(f"note: {holders.waits_for(run_id, held)}", style)
    if not idle:
        return
    if not wanted and not yes and is_terminal(sys.stdin) and is_terminal(sys.stderr):
        wanted = click.confirm(fit(_question(idle)), err=True)
    for line in _taken(store, run_id) if wanted else ():
        remark(line, style)


def _question(idle: list[BlockingRun]) -> str:
    volumes = sum(holder.volumes for holder in idle)
    what = "this volume" if volumes == 1 else f"these {volumes} volumes"
    runs = "run gives its job" if len(idle) == 1 else "runs give their jobs"
    return f"Take over {what}? The other {runs} up for good"


def _taken(store: Store, run_id: str) -> list[str]:
    """Take over what can be; a line for each run that gave something up."""
    return [
        f"run {each.run_id} gave up {each.volumes} of its volumes to run {run_id}; "
        "what the cloud makes of their backups stays there"
        for each in store.take_over(run_id, asked_by())
    ]


def _nothing(state: RunState) -> str:
    over = ", it has ended" if state is RunState.ENDED else ""
    return f"no other run holds a volume of it{over}"
