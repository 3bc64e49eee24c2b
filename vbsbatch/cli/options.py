"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from vbsbatch.cli import completion_values
from vbsbatch.model import MOST_IN_FLIGHT, Job, JobState, Rate, Service

if TYPE_CHECKING:
    from vbsbatch.store import RunStore

Command = TypeVar("Command", bound=Callable[..., Any])

PROGRESS = ("auto", "tui", "plain", "json", "quiet")


class RateType(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """`5/s`, `100/min`, `1000/h`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        """Parse the text, or fail with an example."""
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
        """Parse the states, or suggest the nearest one."""
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
    """The value of `--state`."""

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
    """A URL; a user and password in it are dropped."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Remove user and password, so that the URL may be shown and passed to the engine."""
        from vbsbatch.cloud.endpoints import without_user

        return without_user(str(value))


db_option = click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The store; else that of $VBSBATCH_DB, of the config file, or of your state folder.",
)
_ASCII = "vbsbatch.ascii"


def _want_ascii(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[_ASCII] = value


def ascii_wanted() -> bool:
    """Whether `--ascii` was given to the command that runs."""
    return bool(click.get_current_context().meta.get(_ASCII))


ascii_option = click.option(
    "--ascii",
    is_flag=True,
    expose_value=False,
    callback=_want_ascii,
    help="Draw the screen in ASCII, whatever the locale and the terminal can show.",
)
service_option = click.option(
    "--service",
    type=click.Choice(("auto", *map(str, Service))),
    help="The backup service; wins over the plan. auto takes what the cloud offers.",
)
run_argument = click.argument(
    "run", required=False, default="latest", shell_complete=completion_values.run_ids
)
named_run = click.argument("run", shell_complete=completion_values.run_ids)
status_option = click.option(
    "--status",
    "statuses",
    multiple=True,
    type=int,
    shell_complete=completion_values.run_statuses,
    help="HTTP status; 0 for no answer.",
)
code_option = click.option(
    "--code",
    "codes",
    multiple=True,
    shell_complete=completion_values.run_codes,
    help="The service's code.",
)
volume_option = click.option(
    "--volume",
    "volumes",
    multiple=True,
    shell_complete=completion_values.run_volumes,
    help="Only this volume, by id or name; repeatable.",
)
take_over_option = click.option(
    "--take-over",
    is_flag=True,
    help="Take the volumes of this run from runs without an engine, for good.",
)
cloud_option = click.option(
    "--cloud",
    shell_complete=completion_values.cloud_names,
    help="An entry of clouds.yaml; wins over the plan and OS_CLOUD.",
)
vbs_option = click.option(
    "--vbs-endpoint",
    type=AddressType(),
    metavar="URL",
    help="Where VBS is, if not where the catalog says.",
)
cbr_option = click.option(
    "--cbr-endpoint",
    type=AddressType(),
    metavar="URL",
    help="Where CBR is, if not where the catalog says.",
)
block_storage_option = click.option(
    "--block-storage-endpoint",
    type=AddressType(),
    metavar="URL",
    help="Where block storage is, if not where the catalog says.",
)
cloud_options = (cloud_option, vbs_option, cbr_option, block_storage_option)
engine_options = (
    click.option("--rate", type=RateType(), metavar="R", help="Creates, such as 5/s or 100/min."),
    click.option(
        "--in-flight",
        type=click.IntRange(1, MOST_IN_FLIGHT),
        metavar="N",
        help="The most backups that run at once.",
    ),
    click.option(
        "--progress",
        type=click.Choice(PROGRESS),
        default="auto",
        show_default=True,
        help="How to show what happens; auto is the screen on a terminal, else plain.",
    ),
    ascii_option,
    click.option("-v", "--verbose", is_flag=True, help="Print every change of every job."),
    click.option("-y", "--yes", is_flag=True, help="Answer every question with yes."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DrivingOptions:
    """The options of every command that drives an engine."""

    cloud: str | None
    vbs_endpoint: str | None
    cbr_endpoint: str | None
    block_storage_endpoint: str | None
    db: Path | None
    rate: Rate | None
    in_flight: int | None
    progress: str
    verbose: bool
    yes: bool

    @property
    def place(self) -> tuple[str | None, str | None, str | None, str | None]:
        """Cloud and endpoints, as `choice_for_run` and `choice_for_plan` of the API take them."""
        return self.cloud, self.vbs_endpoint, self.cbr_endpoint, self.block_storage_endpoint

    def words(self) -> list[str]:
        """The further arguments of an engine process."""
        cloud = ["--cloud", self.cloud] if self.cloud else []
        return [*cloud, *self.addresses()]

    def addresses(self) -> list[str]:
        """The arguments that name endpoints; the run does not store them."""
        named = {
            "--vbs-endpoint": self.vbs_endpoint,
            "--cbr-endpoint": self.cbr_endpoint,
            "--block-storage-endpoint": self.block_storage_endpoint,
        }
        return [word for option, value in named.items() if value for word in (option, value)]


def driving(command: Command) -> Command:
    """Give a command the options of `DrivingOptions`, as one argument `how`."""

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


def open_store(db: Path | None, *, create: bool = False, readonly: bool = False) -> RunStore:
    """Open the store that `--db` names; raises `StoreUnusable`."""
    from vbsbatch import store as stores
    from vbsbatch.cli import mention

    store = stores.open_store(db, create=create, readonly=readonly)
    if readonly and (why := store.untrusted()):
        mention(f"warning: {why}: what the store says may be forged")
    return store


def mention_unknown_codes(store: RunStore, run_id: str, codes: Iterable[str]) -> None:
    """Print each code that no answer of the run had, and the nearest that one had."""
    from vbsbatch.api.reading import unknown_codes
    from vbsbatch.cli import mention

    for code, near in unknown_codes(store, run_id, codes):
        mention(f"note: no answer of run {run_id} had the code {code!r}{near}")
