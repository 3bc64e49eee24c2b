"""Commands about the store itself: store compact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import can_ask, mention, remark, say
from vbsbatch.cli.options import db_option, open_store
from vbsbatch.errors import UsageError, VbsbatchError
from vbsbatch.model import Wall

if TYPE_CHECKING:
    from vbsbatch.model import Compaction, Run
    from vbsbatch.store import RunStore


SHOWN = 20
"""How many runs are listed before the question."""


class AgeType(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """`90d`, `2w`, `36h`."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse the text to seconds, or fail with an example."""
        from vbsbatch.plan.units import parse_age

        if isinstance(value, float):
            return value
        try:
            return parse_age(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(
    epilog="""\b
Examples:
  vbsbatch store compact --dry-run
  vbsbatch store compact --older-than 30d
"""
)
def store() -> None:
    """Look after the store itself."""


@store.command(
    epilog="""\
The log files of those runs are removed too. Runs that an engine drives are left alone. The file
becomes smaller unless an engine is at work; then the room inside it is used by the next runs.

\b
Examples:
  vbsbatch store compact --dry-run
  vbsbatch store compact --older-than 30d --yes
"""
)
@click.option(
    "--older-than",
    type=AgeType(),
    default="90d",
    show_default=True,
    metavar="AGE",
    help="Only runs that ended longer ago: 90d, 2w, 36h.",
)
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@db_option
def compact(older_than: float, dry_run: bool, yes: bool, db: Path | None) -> None:
    """Remove events, attempts and answered commands of old runs.

    Runs and their jobs stay, so reports, restore, verify and prune work as before.
    """
    from vbsbatch.model.clocks import wall

    before = Wall(float(wall()) - older_than)
    with open_store(db, readonly=dry_run) as opened:
        found = opened.compactable(before)
        if not found.runs and not found.starts:
            say(f"nothing to remove: no run with a history ended before {_moment(before)}")
            return
        if not dry_run and not yes and not can_ask():
            why = "store compact removes history: confirm it on a terminal, or use --yes"
            raise UsageError(why)
        for run in map(opened.run, found.runs[:SHOWN]):
            say(f"run {run.id} of plan {run.plan}, ended {_ended(run)}")
        if len(found.runs) > SHOWN:
            say(f"... and {len(found.runs) - SHOWN} more")
        if dry_run:
            say(f"{_rows(found)} would be removed")
            mention("to remove them: leave out --dry-run")
            return
        if not yes and not click.confirm(f"Remove {_rows(found)}?", err=True):
            raise UsageError("not confirmed: nothing was done")
        say(compacted(opened, before))


def compacted(store: RunStore, before: Wall) -> str:
    """Compact the store and remove the logs of those runs; what was removed, in one line."""
    from vbsbatch.cli.engine_log import remove_logs

    found = store.compact(before)
    return _told(found, sum(remove_logs(store, run_id) for run_id in found.runs))


def compact_as_configured(store: RunStore, style: str) -> None:
    """Compact the store at the end of a run if the config file says so; a failure is only told."""
    from vbsbatch.config import load_config
    from vbsbatch.model.clocks import wall

    try:
        older_than = load_config().compact
        if older_than is None:
            return
        before = Wall(float(wall()) - older_than)
        if store.compactable(before).runs:
            remark(f"store: {compacted(store, before)}", style)
    except VbsbatchError as error:
        remark(f"store: it was not compacted: {error}", style, "warning")


def _told(found: Compaction, logs: int) -> str:
    from vbsbatch.report.sizes import in_bytes

    freed = found.size_before - found.size_after
    room = f"the store has {in_bytes(found.size_after)}"
    if freed > 0:
        room += f", {in_bytes(freed)} less than before"
    if found.unused:
        room += f", of which {in_bytes(found.unused)} are unused"
    if found.kept_because:
        room += f" (the file keeps its size: {found.kept_because})"
    gone = f"{_rows(found)}, {in_bytes(logs)} of logs" if logs else _rows(found)
    return f"removed {gone}; {room}"


def _rows(found: Compaction) -> str:
    from vbsbatch.inventory.plan_writer import counted

    rows = [counted(found.events, "event"), counted(found.attempts, "attempt")]
    if found.commands:
        rows.append(counted(found.commands, "command"))
    text = f"{', '.join(rows)} of {counted(len(found.runs), 'run')}"
    return f"{text}, {counted(found.starts, 'missed start')}" if found.starts else text


def _ended(run: Run) -> str:
    return "at an unknown time" if run.ended_at is None else _moment(run.ended_at)


def _moment(at: Wall) -> str:
    from vbsbatch.report.text import moment

    return moment(at)
