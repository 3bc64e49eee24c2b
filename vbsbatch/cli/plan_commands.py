"""Commands that make a plan of what a cloud has, and compare one with it: plan new, plan diff."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import FAILED, mention
from vbsbatch.cli.cloud_line import place_line
from vbsbatch.cli.options import cloud_options, with_options
from vbsbatch.errors import UsageError

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudChoice
    from vbsbatch.inventory.plan_diff import PlanDifference
    from vbsbatch.inventory.volumes_by_server import VolumesByServer
    from vbsbatch.plan import Plan, VolumeSelection

_WORD_MOST = 255
_SIZE = click.IntRange(0, 1_000_000_000)


class Word(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """A word that a plan can hold."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take the word, or say why no plan could hold it."""
        word = str(value)
        if not 1 <= len(word) <= _WORD_MOST or not word.isprintable():
            self.fail(f"{word!r} is no word of 1 to {_WORD_MOST} visible characters", param, ctx)
        return word


class KeyValue(Word):
    """`KEY=VALUE`."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take the pair, or say what would be right."""
        word = super().convert(value, param, ctx)
        if not word.partition("=")[0] or "=" not in word:
            self.fail(f"{word!r} is not KEY=VALUE", param, ctx)
        return word


@click.group(
    epilog="""\b
Examples:
  vbsbatch plan new --cloud otc -o fleet.yaml
  vbsbatch plan diff fleet.yaml
"""
)
def plan() -> None:
    """Write a plan of the volumes that a cloud has, or compare a plan with them."""


def _several(name: str, metavar: str, text: str, kind: Any = None) -> Any:
    return click.option(name, multiple=True, type=kind or Word(), metavar=metavar, help=text)


_chosen = (
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
Several of one option: one of them must fit (of --metadata: one for each key). Options of
different kinds must all fit. Without --status, volumes in a state that cannot be backed up
are left out, and told of in a comment.

\b
Examples:
  vbsbatch plan new --cloud otc -o fleet.yaml
  vbsbatch plan new --cloud otc --name 'db*' --exclude '*-swap' --min-size 10 -o db.yaml
  vbsbatch plan new --cloud otc --server web01 --server web02 > web.yaml
""",
)
@with_options(*cloud_options, *_chosen)
@click.option(
    "-o", "--output", metavar="FILE", help="Write here; else, and for -, to standard output."
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def new(
    cloud: str | None,
    vbs_endpoint: str | None,
    block_storage_endpoint: str | None,
    output: str | None,
    force: bool,
    **words: Any,
) -> None:
    """Write a plan of the cloud's volumes: all of them, or those that fit the options."""
    import anyio

    from vbsbatch.report import opened

    low, high = words["min_size"], words["max_size"]
    if low is not None and high is not None and low > high:
        raise click.UsageError("--min-size is more than --max-size")
    to_file = output not in (None, "-")
    if to_file and os.path.lexists(str(output)) and not force:
        raise UsageError(f"{output} exists already: --force replaces it")
    choice = _choice(cloud or os.environ.get("OS_CLOUD"), vbs_endpoint, block_storage_endpoint)
    lines, summary, place = anyio.run(_made, choice, _selection(words), output if to_file else None)
    with opened(output) as stream:
        stream.writelines(f"{line}\n" for line in lines)
    mention(f"in {place}")
    if to_file:
        mention(f"{output}: {summary}; next: vbsbatch check {shlex.quote(str(output))} --online")


@plan.command(
    short_help="Tell which volumes of a plan are gone, new or changed.",
    epilog="""\
Exit codes: 0 no difference, 1 any difference, 2 or 3 it could not be found out.

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
def diff(
    plan: Path,
    volumes: str | None,
    cloud: str | None,
    vbs_endpoint: str | None,
    block_storage_endpoint: str | None,
    as_json: bool,
) -> int:
    """Tell which volumes of PLAN are gone, which are new, and which changed since."""
    import anyio

    from vbsbatch.cli.plan_loading import load_plan
    from vbsbatch.inventory.plan_diff import differences
    from vbsbatch.report import opened

    loaded = load_plan(plan, volumes)
    named = cloud or loaded.cloud or os.environ.get("OS_CLOUD")
    fleet = anyio.run(_fleet, _choice(named, vbs_endpoint, block_storage_endpoint))
    found = differences(loaded, fleet)
    lines = (_as_json if as_json else _as_lines)(plan, loaded, fleet, found)
    with opened(None) as stream:
        stream.writelines(f"{line}\n" for line in lines)
    return FAILED if found else 0


async def _made(
    choice: CloudChoice, selection: VolumeSelection, output: str | None
) -> tuple[list[str], str, str]:
    """The lines of the plan, what is in it, and in which cloud that is."""
    from vbsbatch.cli.cloud_queries import counting, survey
    from vbsbatch.cli.engine_process import warn
    from vbsbatch.cloud import connect
    from vbsbatch.inventory.filters import check_servers, chosen, usable
    from vbsbatch.inventory.plan_writer import Heading, counted, plan_text

    async with connect(choice, workers=1) as service:
        warn(service)
        with counting("volumes") as count:
            fleet, nameless = await survey(service.inventory, count)
        place = place_line(service)
        cloud = None if service.cloud_name == "envvars" else service.cloud_name
    check_servers(fleet, selection.server, names_known=nameless is None)
    fitting = chosen(fleet, selection)
    volumes = usable(fitting, selection)
    if not volumes:
        raise UsageError(_nothing(len(fleet.volumes), len(fitting)))
    if nameless is not None and any(volume.server_ids for volume in volumes.values()):
        mention(f"note: groups are named by the ids of servers: {nameless}")
    name = _plan_name(output, cloud)
    heading = Heading(name=name, cloud=cloud, selection=selection, place=place)
    left_out = {key: volume for key, volume in fitting.items() if key not in volumes}
    gigabytes = sum(volume.size or 0 for volume in volumes.values())
    summary = f"{counted(len(volumes), 'volume')}, {gigabytes} GB"
    if left_out:
        summary += f", {len(left_out)} left out that cannot be backed up"
    return list(plan_text(fleet, volumes, heading, left_out=left_out)), summary, place


async def _fleet(choice: CloudChoice) -> VolumesByServer:
    from vbsbatch.cli.cloud_queries import counting, survey
    from vbsbatch.cli.engine_process import warn
    from vbsbatch.cloud import connect

    async with connect(choice, workers=1) as service:
        warn(service)
        with counting("volumes") as count:
            fleet, _ = await survey(service.inventory, count)
        mention(f"in {place_line(service)}")
        return fleet


def _choice(
    cloud: str | None, vbs_endpoint: str | None, block_storage_endpoint: str | None
) -> CloudChoice:
    from vbsbatch.cloud import CloudChoice

    return CloudChoice(
        cloud=cloud, vbs_endpoint=vbs_endpoint, block_storage_endpoint=block_storage_endpoint
    )


def _selection(words: dict[str, Any]) -> VolumeSelection:
    from vbsbatch.plan import VolumeSelection

    pairs = tuple(pair.partition("=")[::2] for pair in words.pop("metadata"))
    return VolumeSelection(**words, metadata=pairs)


def _nothing(known: int, fitting: int) -> str:
    if not known:
        return "the cloud has no volumes in this project"
    if fitting:
        return f"no volume that fits can be backed up ({fitting} are in error or being deleted)"
    return f"none of the cloud's {known} volumes fits all of these options"


def _plan_name(output: str | None, cloud: str | None) -> str:
    """What the file is called, as for a plan that does not say; else the cloud."""
    from vbsbatch.plan.volume_collector import shown_name

    stem = Path(output).stem if output is not None else cloud
    return shown_name(stem)[:64].strip() or "fleet"


def _as_lines(
    path: Path, plan: Plan, fleet: VolumesByServer, found: Sequence[PlanDifference]
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
    yield (
        f"{clean(str(path))}: {counts} "
        f"({len(plan)} volumes in the plan, {len(fleet.volumes)} in the cloud)"
    )


def _as_json(
    path: Path, plan: Plan, fleet: VolumesByServer, found: Sequence[PlanDifference]
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
        "in_plan": len(plan),
        "in_cloud": len(fleet.volumes),
        "differences": rows,
    }
    yield json.dumps(document, indent=2)
