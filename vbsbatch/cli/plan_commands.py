"""Commands that write a plan of a cloud's volumes, and compare one with it: plan new, plan diff."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import FAILED, mention
from vbsbatch.cli.options import cloud_options, with_options
from vbsbatch.errors import UsageError

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudChoice
    from vbsbatch.inventory.plan_diff import PlanDifference
    from vbsbatch.plan import Plan, VolumeSelection

EXAMPLES = ("minimal", "from-list", "pre-migration", "overnight", "in-waves")
"""Names of the plans in `vbsbatch/plan/examples`."""

_WORD_MOST = 255
_SIZE = click.IntRange(0, 1_000_000_000)


class Word(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """A word that a plan can contain."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the word."""
        word = str(value)
        if not 1 <= len(word) <= _WORD_MOST or not word.isprintable():
            self.fail(f"{word!r} is no word of 1 to {_WORD_MOST} visible characters", param, ctx)
        return word


class KeyValue(Word):
    """`KEY=VALUE`."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the pair."""
        word = super().convert(value, param, ctx)
        if not word.partition("=")[0] or "=" not in word:
            self.fail(f"{word!r} is not KEY=VALUE", param, ctx)
        return word


@click.group(
    epilog="""\b
Examples:
  vbsbatch plan new --cloud otc -o fleet.yaml
  vbsbatch plan diff fleet.yaml
  vbsbatch plan example minimal > nightly.yaml
"""
)
def plan() -> None:
    """Write a plan of a cloud's volumes, compare a plan with the cloud, or show an example."""


@plan.command(
    short_help="Print an example of a plan.",
    epilog="""\b
Examples:
  vbsbatch plan example
  vbsbatch plan example minimal > nightly.yaml
""",
)
@click.argument("name", required=False, type=click.Choice(EXAMPLES))
def example(name: str | None) -> None:
    """Print the example NAME, or list the examples."""
    from vbsbatch.cli import say
    from vbsbatch.plan.schema import editor_line

    folder = Path(__file__).parents[1] / "plan" / "examples"
    if name is None:
        for each in EXAMPLES:
            first_line = (folder / f"{each}.yaml").read_text("utf-8").splitlines()[0]
            say(f"{each:<14} {first_line.strip('#: ')}")
        return
    say(editor_line())
    say((folder / f"{name}.yaml").read_text("utf-8").rstrip())


def _several(name: str, metavar: str, text: str, kind: Any = None) -> Any:
    return click.option(name, multiple=True, type=kind or Word(), metavar=metavar, help=text)


volume_filters = (
    _several("--name", "GLOB", "Volumes of this name; * and ? as in a shell."),
    _several("--metadata", "K=V", "Volumes with this metadata.", KeyValue()),
    _several("--status", "S", "Volumes in this state: in-use, ..."),
    _several("--az", "AZ", "Volumes in this availability zone."),
    _several("--server", "NAME|ID", "Volumes of this server."),
    _several("--type", "T", "Volumes of this type."),
    click.option("--min-size", type=_SIZE, metavar="GB", help="Volumes of at least this size."),
    click.option("--max-size", type=_SIZE, metavar="GB", help="Volumes of at most this size."),
    _several("--exclude", "GLOB|ID", "Not this volume, or those of this name."),
)


@plan.command(
    short_help="Write a plan of the volumes that a cloud has.",
    epilog="""\
An option given several times matches any of its values (--metadata: one for each key).
Different options must all match. Without --status, volumes in a state that cannot be backed
up are left out and listed in a comment.

\b
Examples:
  vbsbatch plan new --cloud otc -o fleet.yaml
  vbsbatch plan new --cloud otc --name 'db*' --exclude '*-swap' --min-size 10 -o db.yaml
  vbsbatch plan new --cloud otc --server web01 --server web02 > web.yaml
""",
)
@with_options(*cloud_options, *volume_filters)
@click.option(
    "-o", "--output", metavar="FILE", help="Write here; else, and for -, to standard output."
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def new(
    cloud: str | None,
    vbs_endpoint: str | None,
    cbr_endpoint: str | None,
    block_storage_endpoint: str | None,
    output: str | None,
    force: bool,
    **words: Any,
) -> None:
    """Write a plan of the cloud's volumes: all of them, or those that match the options."""
    import anyio

    from vbsbatch.cloud import CloudChoice
    from vbsbatch.report import opened

    selection = selection_of(words)
    to_file = output not in (None, "-")
    if to_file and os.path.lexists(str(output)) and not force:
        raise UsageError(f"{output} exists already: --force replaces it")
    choice = CloudChoice(
        cloud=cloud or os.environ.get("OS_CLOUD"),
        vbs_endpoint=vbs_endpoint,
        cbr_endpoint=cbr_endpoint,
        block_storage_endpoint=block_storage_endpoint,
    )
    lines, summary, place = anyio.run(_made, choice, selection, output if to_file else None)
    with opened(output) as stream:
        stream.writelines(f"{line}\n" for line in lines)
    mention(f"in {place}")
    if to_file:
        mention(f"{output}: {summary}; next: vbsbatch check {shlex.quote(str(output))} --online")


@plan.command(
    short_help="List the volumes that are gone, new or changed.",
    epilog="""\
Exit codes: 0 no difference, 1 any difference, 2 or 3 the comparison failed.

\b
Examples:
  vbsbatch plan diff fleet.yaml
  vbsbatch plan diff fleet.yaml --cloud otc --json
""",
)
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--volumes", metavar="FILE", help="Volumes from a list instead; - is standard input.")
@with_options(*cloud_options)
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def diff(plan: Path, volumes: str | None, as_json: bool, **place: str | None) -> int:
    """List the volumes of PLAN that are gone, those that are new, and those that changed."""
    import anyio

    from vbsbatch.api.sessions import choice_for_plan
    from vbsbatch.cli.plan_loading import load_plan
    from vbsbatch.report import opened

    loaded = load_plan(plan, volumes)
    choice = choice_for_plan(loaded, **place, service="auto")
    found, in_cloud = anyio.run(_compare, loaded, choice)
    lines = (_as_json if as_json else _as_lines)(plan, len(loaded), in_cloud, found)
    with opened(None) as stream:
        stream.writelines(f"{line}\n" for line in lines)
    return FAILED if found else 0


async def _made(
    choice: CloudChoice, selection: VolumeSelection, output: str | None
) -> tuple[list[str], str, str]:
    """Make the plan: its lines, a summary, and the cloud."""
    from vbsbatch.api.plans import choose_volumes, plan_lines
    from vbsbatch.api.sessions import place_line
    from vbsbatch.cli.cloud_line import counting, warn
    from vbsbatch.cloud import connect
    from vbsbatch.inventory.plan_writer import counted

    async with connect(choice, workers=1) as service:
        warn(service)
        with counting("volumes") as count:
            contents = await choose_volumes(service, selection, count)
        place = place_line(service)
        lines = plan_lines(contents, selection, service, output)
    if contents.nameless is not None:
        mention(f"note: groups are named by the ids of servers: {contents.nameless}")
    summary = f"{counted(len(contents.volumes), 'volume')}, {contents.gigabytes} GB"
    if contents.left_out:
        summary += f", {len(contents.left_out)} left out that cannot be backed up"
    return lines, summary, place


async def _compare(plan: Plan, choice: CloudChoice) -> tuple[list[PlanDifference], int]:
    """Compare the plan with the cloud; also the number of volumes there."""
    from vbsbatch.api.plans import compare_plan
    from vbsbatch.api.sessions import place_line
    from vbsbatch.cli.cloud_line import counting, warn
    from vbsbatch.cloud import connect

    async with connect(choice, workers=1) as service:
        warn(service)
        with counting("volumes") as count:
            compared = await compare_plan(plan, service, count)
        mention(f"in {place_line(service)}")
        return compared


def selection_of(words: dict[str, Any]) -> VolumeSelection:
    """What the options of `volume_filters` select; sizes that exclude each other are an error."""
    from vbsbatch.plan import VolumeSelection

    low, high = words["min_size"], words["max_size"]
    if low is not None and high is not None and low > high:
        raise click.UsageError("--min-size is more than --max-size")
    pairs = tuple(pair.partition("=")[::2] for pair in words.pop("metadata"))
    return VolumeSelection(**words, metadata=pairs)


def _as_lines(
    path: Path, in_plan: int, in_cloud: int, found: Sequence[PlanDifference]
) -> Iterator[str]:
    from vbsbatch.report import clean

    for each in found:
        told = [f"{each.kind:<7} {clean(each.volume_id)} {clean(each.name)}"]
        if each.kind == "new" and each.size is not None:
            told.append(f"{each.size} GB")
        if each.group is not None:
            told.append(f"on {clean(each.group)}")
        told += [
            f"{change.what}: {clean(change.was or 'none')} -> {clean(change.now or 'none')}"
            for change in each.changes
        ]
        yield ", ".join(told)
    kinds = [each.kind for each in found]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("gone", "new", "changed"))
    yield (f"{clean(str(path))}: {counts} ({in_plan} volumes in the plan, {in_cloud} in the cloud)")


def _as_json(
    path: Path, in_plan: int, in_cloud: int, found: Sequence[PlanDifference]
) -> Iterator[str]:
    import json

    from vbsbatch.report.text import clean, cleaned

    rows = [
        {
            "kind": each.kind,
            "volume_id": clean(each.volume_id),
            "name": clean(each.name),
            "group": cleaned(each.group),
            "size": each.size,
            "changes": [
                {"what": change.what, "was": cleaned(change.was), "now": cleaned(change.now)}
                for change in each.changes
            ],
        }
        for each in found
    ]
    document = {
        "schema": 1,
        "plan": clean(str(path)),
        "in_plan": in_plan,
        "in_cloud": in_cloud,
        "differences": rows,
    }
    yield json.dumps(document, indent=2)
