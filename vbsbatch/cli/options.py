"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from vbsbatch.model import MOST_IN_FLIGHT, Job, JobState, Rate, Service

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


class States(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """States of jobs as the screen's filter takes them: `failed`, `fail`, `retry`, `fail|retry`."""

    name = "state"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ChosenStates:
        """Read the words, or name the nearest that there is."""
        from vbsbatch.model import did_you_mean
        from vbsbatch.tui.filter_syntax import RETRY_WORDS, STATE_WORDS

        states: set[JobState] = set()
        retrying = False
        for word in re.split(r"[,|]", value):
            if word.strip().lower() in RETRY_WORDS:
                retrying = True
            elif (known := STATE_WORDS.get(word.strip().lower())) is None:
                words = (*(state.value for state in JobState), "retry", "active")
                near = did_you_mean(word, (*STATE_WORDS, *RETRY_WORDS))
                self.fail(f"{word!r} is not one of {', '.join(words)}{near}", param, ctx)
            else:
                states |= known
        return ChosenStates(states=frozenset(states), retrying=retrying)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The states' own names, and `retry`."""
        words = (*(state.value for state in JobState), "retry")
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenStates:
    """What `--state` says."""

    states: frozenset[JobState]
    retrying: bool
    """Also jobs that wait for another attempt."""

    def takes(self, job: Job) -> bool:
        """Whether the job is in one of the states."""
        waits_again = self.retrying and job.state is JobState.WAITING and job.attempts > 0
        return job.state in self.states or waits_again

    def read(self) -> frozenset[JobState]:
        """The states to read from the store."""
        return self.states | ({JobState.WAITING} if self.retrying else frozenset())


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
take_over_option = click.option(
    "--take-over",
    is_flag=True,
    help="Have runs without an engine give up the volumes of this run, for good.",
)
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
class DrivingOptions:
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
    """Give a command the options of `DrivingOptions`, handed over as one argument `how`."""

    @wraps(command)
    def folded(**given: Any) -> Any:
        how = DrivingOptions(
            **{field.name: given.pop(field.name) for field in fields(DrivingOptions)}
        )
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
    from vbsbatch.store.file_owner import doubt

    store = Store.open(db, create=create, readonly=readonly)
    if readonly and (why := doubt(store.path)):
        mention(f"warning: {why}: what the store says may be forged")
    return store


def check_volumes(store: Store, run_id: str, volumes: Iterable[str]) -> None:
    """Refuse names and ids that no job of the run has: a slip of the pen is not `nothing to do`."""
    from vbsbatch.errors import UsageError
    from vbsbatch.model import did_you_mean, plain_id

    wanted = tuple(volumes)
    jobs = store.jobs(run_id, volumes=wanted) if wanted else ()
    found = {known for job in jobs for known in (job.volume_name, plain_id(job.volume_id))}
    for name in wanted:
        if not found.intersection((name, plain_id(name))):
            known = (
                each for job in store.jobs(run_id) for each in (job.volume_name, job.volume_id)
            )
            near = did_you_mean(name, known)
            raise UsageError(f"run {run_id} has no volume {name!r}{near}")


def mention_unknown_codes(store: Store, run_id: str, codes: Iterable[str]) -> None:
    """Say of each code that no answer of the run had, and which is the nearest that one had."""
    from vbsbatch.cli import mention
    from vbsbatch.model import did_you_mean
    from vbsbatch.report import clean

    wanted = tuple(codes)
    if not wanted:
        return
    rows = (*store.failures(run_id), *store.answers(run_id))
    had = {code for _, code, _ in rows if code is not None}
    for code in wanted:
        if code not in had:
            near = did_you_mean(code, had)
            mention(clean(f"note: no answer of run {run_id} had the code {code!r}{near}"))
