"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vbsbatch.model import MOST_IN_FLIGHT, Rate, Service

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudChoice
    from vbsbatch.store import Store

Command = TypeVar("Command", bound=Callable[..., Any])

PROGRESS = ("auto", "tui", "plain", "json", "quiet")


class RateType(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
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


class AddressType(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """A URL; a user and password in it are dropped, which no service is sent."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take the URL as it may be shown, and told to the engine's own process."""
        from vbsbatch.cloud.endpoints import without_user

        return without_user(str(value))


db_option = click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The store; by default vbsbatch.db in your state folder, or $VBSBATCH_DB.",
)
service_option = click.option(
    "--service",
    type=click.Choice(("auto", *map(str, Service))),
    help="The backup service; wins over the plan. auto takes what the cloud offers.",
)
run_argument = click.argument("run", required=False, default="latest")
cloud_options = (
    click.option("--cloud", help="An entry of clouds.yaml; wins over the plan and OS_CLOUD."),
    click.option(
        "--vbs-endpoint",
        type=AddressType(),
        metavar="URL",
        help="Where VBS is, if not where the catalog says.",
    ),
    click.option(
        "--block-storage-endpoint",
        type=AddressType(),
        metavar="URL",
        help="Where block storage is, likewise.",
    ),
)
engine_options = (
    click.option("--rate", type=RateType(), metavar="R", help="Creates, such as 5/s or 100/min."),
    click.option(
        "--in-flight",
        type=click.IntRange(1, MOST_IN_FLIGHT),
        metavar="N",
        help="Most backups running at once.",
    ),
    click.option(
        "--progress",
        type=click.Choice(PROGRESS),
        default="auto",
        show_default=True,
        help="How to show what happens; auto is the screen on a terminal, else plain.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Tell every change of every job."),
    click.option("-y", "--yes", is_flag=True, help="Answer every question with yes."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Driving:
    """What every command that drives an engine is told."""

    cloud: str | None
    vbs_endpoint: str | None
    block_storage_endpoint: str | None
    db: Path | None
    rate: Rate | None
    in_flight: int | None
    progress: str
    verbose: bool
    yes: bool

    def choice(self, cloud: str | None, service: Service | None) -> CloudChoice:
        """The cloud and its service to sign in to, with the endpoints that were named."""
        from vbsbatch.cloud import CloudChoice

        return CloudChoice(
            cloud=cloud,
            service=service,
            vbs_endpoint=self.vbs_endpoint,
            block_storage_endpoint=self.block_storage_endpoint,
        )

    def words(self) -> list[str]:
        """What an engine process of its own must be told beside the run."""
        cloud = ["--cloud", self.cloud] if self.cloud else []
        return [*cloud, *self.addresses()]

    def addresses(self) -> list[str]:
        """What was said of the cloud's addresses; the run does not remember it."""
        named = {
            "--vbs-endpoint": self.vbs_endpoint,
            "--block-storage-endpoint": self.block_storage_endpoint,
        }
        return [word for option, value in named.items() if value for word in (option, value)]


def driving(command: Command) -> Command:
    """Give a command the options of `Driving`, handed over as one argument `how`."""

    @wraps(command)
    def folded(**given: Any) -> Any:
        how = Driving(**{field.name: given.pop(field.name) for field in fields(Driving)})
        return command(how=how, **given)

    return with_options(*cloud_options, db_option, *engine_options)(folded)  # type: ignore[return-value]


def with_options(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Put a group of options on a command, in their order."""

    def put(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return put


def open_store(db: Path | None, *, create: bool = False, readonly: bool = False) -> Store:
    """Open the store that `--db` names; `StoreUnusable` says why it cannot be."""
    from vbsbatch.cli import mention
    from vbsbatch.store import Store
    from vbsbatch.store.strangers import doubt

    store = Store.open(db, create=create, readonly=readonly)
    if readonly and (why := doubt(store.path)):
        mention(f"warning: {why}: what the store says may be forged")
    return store


def check_volumes(store: Store, run_id: str, volumes: Iterable[str]) -> None:
    """Refuse names and ids that no job of the run has: a slip of the pen is not `nothing to do`."""
    from vbsbatch.errors import UsageError
    from vbsbatch.model import plain_id

    wanted = tuple(volumes)
    jobs = store.jobs(run_id, volumes=wanted) if wanted else ()
    found = {known for job in jobs for known in (job.volume_name, plain_id(job.volume_id))}
    for name in wanted:
        if not found.intersection((name, plain_id(name))):
            raise UsageError(f"run {run_id} has no volume {name!r}")
