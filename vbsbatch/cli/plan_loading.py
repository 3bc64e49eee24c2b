"""Loads plans; the commands check and schema."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vbsbatch.cli import say
from vbsbatch.cli.options import cloud_options, db_option, service_option, with_options
from vbsbatch.cli.user_config import with_rate
from vbsbatch.errors import UsageError

if TYPE_CHECKING:
    from vbsbatch.plan import Plan


@click.command(
    epilog="""\
Exit codes: 0 the plan is fine; 2 it has problems, which are all listed, or, with --online,
something would fail or could not be checked.

\b
Examples:
  vbsbatch check nightly.yaml
  vbsbatch check nightly.yaml --online --cloud otc
"""
)
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--volumes", metavar="FILE", help="Volumes from a list instead; - is standard input.")
@click.option(
    "--online", is_flag=True, help="Also ask the cloud: volumes, states, backups, quota, forecast."
)
@click.option("--json", "as_json", is_flag=True, help="With --online: as one JSON document.")
@with_options(*cloud_options, service_option, db_option)
def check(
    plan: Path,
    volumes: str | None,
    online: bool,
    as_json: bool,
    db: Path | None,
    **place: str | None,
) -> int:
    """Check PLAN, and list every problem as file:line:column.

    A PLAN of - is standard input. With --online it also checks whether the cloud could make the
    backups now; without it no cloud is asked.
    """
    if not online and (as_json or any(place.values())):
        raise click.UsageError("--json and the options that name a cloud are for --online")
    loaded = load_plan(plan, volumes)
    if not as_json:
        _say_fine(plan, loaded)
        if not online:
            _say_where(loaded)
    if not online:
        return 0
    from vbsbatch.api.sessions import choice_for_plan
    from vbsbatch.cli.preflight import check_online

    return check_online(plan, loaded, choice_for_plan(loaded, **place), as_json=as_json, db=db)


def _say_fine(path: Path, plan: Plan) -> None:
    from vbsbatch.cli.schedule_summary import order_lines
    from vbsbatch.inventory.plan_writer import counted
    from vbsbatch.report import clean

    limits = plan.settings.limits
    at_least = len(plan) / limits.rate.per_second
    say(
        f"{clean(str(path))}: fine: {counted(len(plan), 'volume')}, {limits.rate}, "
        f"{limits.in_flight} in flight, at least {_minutes(at_least)} to submit"
    )
    for line in order_lines(plan, time.time()):
        say(clean(line))
    if not plan.names_unique:
        say(
            "note: backup names do not contain {run}: only its age then tells a backup of this run "
            "from an older one, after a create without an answer"
        )


def _say_where(plan: Plan) -> None:
    """Print the cloud that the plan or the environment names; only a sign-in shows the project."""
    import os

    from vbsbatch.cli import mention
    from vbsbatch.cloud import trust_warnings
    from vbsbatch.report import clean

    cloud = plan.cloud or os.environ.get("OS_CLOUD")
    if cloud is not None:
        region = os.environ.get("OS_REGION_NAME")
        where = f"cloud {cloud}" + (f", region {region}" if region else "")
        mention(clean(f"in {where}; --online signs in and shows region and project"))
    for text in trust_warnings(cloud):
        mention(clean(f"warning: {text}"))


@click.command(
    epilog="""\b
Examples:
  vbsbatch schema > vbsbatch.schema.json
"""
)
def schema() -> None:
    """Print the JSON Schema of plan files, for editors."""
    import json

    from vbsbatch.plan import json_schema

    say(json.dumps(json_schema(), indent=2))


def load_plan(plan: Path, volumes: str | None) -> Plan:
    """Load a plan from a file, its volumes from another when one is named."""
    import sys

    from vbsbatch.cli.user_config import channel_names
    from vbsbatch.plan import load

    from_stdin = "-" in (volumes, str(plan))
    if from_stdin and sys.stdin is None:
        raise UsageError("-: there is no standard input")
    stdin = sys.stdin.buffer if from_stdin else None
    return with_rate(load(plan, volumes=volumes, stdin=stdin, channels=channel_names()))


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
