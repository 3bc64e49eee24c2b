"""The command coverage: the volumes of a project without a recent good backup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import FAILED, mention
from vbsbatch.cli.options import cloud_options, with_options
from vbsbatch.cli.plan_commands import selection_of, volume_filters
from vbsbatch.model import Service

if TYPE_CHECKING:
    from vbsbatch.cloud import CloudChoice
    from vbsbatch.model import Coverage
    from vbsbatch.plan import VolumeSelection

FORMATS = ("table", "json", "csv", "html")

_DAYS = re.compile(r"\d{1,5}d", re.ASCII)


class Age(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """A duration that may be in days: `24h`, `7d`."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse it."""
        from vbsbatch.plan.units import parse_duration

        if isinstance(value, float):
            return value
        text = str(value).strip()
        if _DAYS.fullmatch(text):
            seconds = 86400.0 * int(text[:-1])
        else:
            try:
                seconds = parse_duration(text)
            except ValueError as error:
                self.fail(f"{error}; or in days, such as 7d", param, ctx)
        if seconds <= 0:
            self.fail("must be more than 0, such as 24h or 7d", param, ctx)
        return seconds


@click.command(
    epilog="""\
A backup is good if it is available, whoever made it; its age is by the cloud's clock.
Options that choose volumes are those of plan new; without them all volumes count.

Exit codes: 0 every volume is covered, 1 any is not, 2 or 3 it could not be found out.

\b
Examples:
  vbsbatch coverage --cloud otc
  vbsbatch coverage --cloud otc --max-age 7d --server db01 --exclude '*-swap'
  vbsbatch coverage --cloud otc --format html --output coverage.html
"""
)
@with_options(*cloud_options, *volume_filters)
@click.option(
    "--max-age",
    type=Age(),
    default="24h",
    show_default=True,
    metavar="TIME",
    help="How old the newest good backup may be, such as 24h or 7d.",
)
@click.option(
    "--service",
    type=click.Choice(("auto", *map(str, Service))),
    default="auto",
    show_default=True,
    help="Whose backups count; auto is all services of the cloud.",
)
@click.option("--all", "every", is_flag=True, help="List the covered volumes too.")
@click.option(
    "--format", "format_name", type=click.Choice(FORMATS), default="table", show_default=True
)
@click.option("--output", metavar="FILE", help="Write here instead of to standard output.")
def coverage(
    max_age: float,
    service: str,
    every: bool,
    format_name: str,
    output: str | None,
    cloud: str | None,
    vbs_endpoint: str | None,
    cbr_endpoint: str | None,
    block_storage_endpoint: str | None,
    **words: Any,
) -> int:
    """List the volumes of a cloud that have no good backup young enough, whoever made it."""
    import os

    import anyio

    from vbsbatch.cloud import CloudChoice
    from vbsbatch.report import opened
    from vbsbatch.report.coverage import summary, write

    selection = selection_of(words)
    choice = CloudChoice(
        cloud=cloud or os.environ.get("OS_CLOUD"),
        service=None if service == "auto" else Service(service),
        vbs_endpoint=vbs_endpoint,
        cbr_endpoint=cbr_endpoint,
        block_storage_endpoint=block_storage_endpoint,
    )
    found = anyio.run(_look, choice, selection, max_age)
    with opened(output) as stream:
        write(found, format_name, stream, every=every)
    if format_name != "table" or output not in (None, "-"):
        mention(summary(found))
    return FAILED if found.uncovered else 0


async def _look(choice: CloudChoice, selection: VolumeSelection, max_age: float) -> Coverage:
    from vbsbatch.api.coverage import look
    from vbsbatch.cli.cloud_line import counting, warn
    from vbsbatch.cloud.connection import connect_all

    async with connect_all(choice, workers=1) as services:
        warn(services[0])
        with counting("volumes") as count:
            found = await look(services, selection, max_age, count)
        mention(f"in {found.place}; backups of {', '.join(found.services)}")
        if found.nameless is not None and any(each.servers for each in found.volumes):
            mention(f"note: servers are named by their ids: {found.nameless}")
    return found
