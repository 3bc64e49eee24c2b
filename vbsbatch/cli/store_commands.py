"""Commands about the store itself: store compact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import can_ask, say
from vbsbatch.cli.options import db_option, open_store
from vbsbatch.errors import UsageError
from vbsbatch.model import Wall

if TYPE_CHECKING:
    from vbsbatch.model import Run


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
    from vbsbatch.cli.compaction import compacted, removed_rows
    from vbsbatch.cli.confirmation import confirm, print_only
    from vbsbatch.model.clocks import wall
    from vbsbatch.report.text import clean

    before = Wall(float(wall()) - older_than)
    with open_store(db, readonly=dry_run) as opened:
        found = opened.compactable(before)
        if not found.runs and not found.starts:
            say(f"nothing to remove: no run with a history ended before {_moment(before)}")
            return
        if not dry_run and not yes and not can_ask():
            why = "store compact removes history: confirm it on a terminal, or use --yes"
            raise UsageError(why)
        runs = map(opened.run, found.runs)
        lines = [f"  run {run.id} of plan {clean(run.plan)}, ended {_ended(run)}" for run in runs]
        if dry_run:
            print_only(
                lines, f"{removed_rows(found)} would be removed", "to do it: leave out --dry-run"
            )
            return
        confirm(f"{removed_rows(found)} will be removed:", lines, "remove", "plain", yes=yes)
        say(compacted(opened, before))


def _ended(run: Run) -> str:
    return "at an unknown time" if run.ended_at is None else _moment(run.ended_at)


def _moment(at: Wall) -> str:
    from vbsbatch.report.text import moment

    return moment(at)
