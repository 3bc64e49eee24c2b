"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vbsbatch.model import Rate

if TYPE_CHECKING:
    from vbsbatch.store import Store

Command = TypeVar("Command", bound=Callable[..., Any])

PROGRESS = ("auto", "tui", "plain", "json", "quiet")


class RateType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """`5/s`, `100/min`, `1000/h`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        """Read the text, or say what would be right."""
        from vbsbatch.plan import parse_rate

        if isinstance(value, Rate):
            return value
        try:
            return parse_rate(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


db_option = click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The store; by default vbsbatch.db in your state folder, or $VBSBATCH_DB.",
)
run_argument = click.argument("run", required=False, default="latest")
cloud_options = (
    click.option("--cloud", help="An entry of clouds.yaml; wins over the plan and OS_CLOUD."),
    click.option(
        "--vbs-endpoint", metavar="URL", help="Where VBS is, if not where the catalog says."
    ),
    click.option(
        "--block-storage-endpoint", metavar="URL", help="Where block storage is, likewise."
    ),
)
engine_options = (
    click.option("--rate", type=RateType(), metavar="R", help="Creates, such as 5/s or 100/min."),
    click.option(
        "--in-flight", type=click.IntRange(1), metavar="N", help="Most backups running at once."
    ),
    click.option(
        "--progress",
        type=click.Choice(PROGRESS),
        default="auto",
        show_default=True,
        help="How to show what happens; auto is plain, on stderr.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Tell every change of every job."),
    click.option("-y", "--yes", is_flag=True, help="Answer every question with yes."),
)


def with_options(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Put a group of options on a command, in their order."""

    def put(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return put


def open_store(db: Path | None, *, create: bool = False, readonly: bool = False) -> Store:
    """Open the store that `--db` names; `StoreUnusable` says why it cannot be."""
    from vbsbatch.store import Store

    return Store.open(db, create=create, readonly=readonly)
