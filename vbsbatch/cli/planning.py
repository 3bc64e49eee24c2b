"""Commands about plans: check, schema."""

from __future__ import annotations

import time
from pathlib import Path

import click

from vbsbatch.cli.options import RateType


@click.command(epilog="Exit code 0 when the plan is fine, 2 with every problem listed otherwise.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--volumes", metavar="FILE", help="Volumes from a list instead; - is standard input.")
def check(plan: Path, volumes: str | None) -> None:
    """Check PLAN without touching any cloud; every problem at once, as file:line:column."""
    from vbsbatch.cli.forecasting import order_lines
    from vbsbatch.report import clean

    loaded = load_plan(plan, volumes)
    limits = loaded.settings.limits
    at_least = len(loaded) / limits.rate.per_second
    click.echo(
        f"{clean(str(plan))}: fine: {len(loaded)} volumes, {limits.rate}, "
        f"{limits.in_flight} in flight, at least {_minutes(at_least)} to submit"
    )
    for line in order_lines(loaded, time.time()):
        click.echo(clean(line))
    if not loaded.names_unique:
        click.echo(
            "note: backup names hold no {run}: what an unanswered create left behind is then told "
            "from older backups by its age alone (see docs/plan.md)"
        )


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

    click.echo(json.dumps(json_schema(), indent=2))


def load_plan(plan: Path, volumes: str | None):  # type: ignore[no-untyped-def]
    """Load a plan from a file, its volumes from another when one is named."""
    import sys

    from vbsbatch.plan import load

    return load(plan, volumes=volumes, stdin=sys.stdin.buffer if volumes == "-" else None)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


__all__ = ["RateType", "check", "load_plan", "schema"]
