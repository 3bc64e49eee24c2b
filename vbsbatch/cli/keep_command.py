"""The command keep: pins backups, so that no prune and no retention deletes them."""

from __future__ import annotations

import sys
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vbsbatch.cli import say
from vbsbatch.cli.completion_values import run_ids
from vbsbatch.cli.options import db_option, open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbsbatch.api.pins import Pinnable
    from vbsbatch.model import Pin
    from vbsbatch.store import RunStore


class DateType(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """`2027-01-31`, or with a time of that day."""

    name = "date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Parse the date: its end, in local time; or the time that it names."""
        if isinstance(value, datetime):
            return value
        try:
            if len(value) == len("2027-01-31"):
                day = datetime.strptime(value, "%Y-%m-%d") + timedelta(days=1)
                return datetime.combine(day, time.min).astimezone()
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no date such as 2027-01-31 or 2027-01-31T18:00", param, ctx)


@click.command(
    epilog="""\
RUN is an id, the beginning of one, or latest. BACKUP is the id of a backup, or its whole name.
Without either, it lists the pins.

\b
Examples:
  vbsbatch keep 20261123-0715
  vbsbatch keep 20261123-0715 --until 2027-01-31
  vbsbatch keep 0b1c8ac0-13fb-4a0c-b8d2-2c4f5a0e6a11
  vbsbatch keep 20261123-0715 --release
  vbsbatch keep
"""
)
@click.argument("what", metavar="[RUN|BACKUP]", required=False, shell_complete=run_ids)
@click.option(
    "--until",
    type=DateType(),
    metavar="DATE",
    help="To the end of this day, or to a time (2027-01-31T18:00); else until it is released.",
)
@click.option("--release", is_flag=True, help="Release it again.")
@click.option("--json", "as_json", is_flag=True, help="The list as one JSON document.")
@db_option
def keep(
    what: str | None, until: datetime | None, release: bool, as_json: bool, db: Path | None
) -> int:
    """Keep every backup of RUN, or one BACKUP: no prune and no retention deletes it.

    It protects against vbsbatch alone: anybody can still delete the backup in the cloud.
    """
    if what is None and (until is not None or release):
        raise click.UsageError("name a RUN or a BACKUP")
    if release and until is not None:
        raise click.UsageError("--release and --until exclude each other")
    if as_json and what is not None:
        raise click.UsageError("--json is for the list, without RUN or BACKUP")
    if what is None:
        with open_store(db, readonly=True) as store:
            _list(store, as_json=as_json)
        return 0
    from vbsbatch.api import pins
    from vbsbatch.cli.steering_commands import asked_by
    from vbsbatch.report.pins import pin_words

    with open_store(db) as store:
        if release:
            say(f"{_named(pins.unpin(store, what))}: released")
        else:
            found = pins.pinnable(store, what)
            made = pins.pin(store, what, until=until, by=asked_by())
            say(f"{_named(found)}: {pin_words(made)}")
    return 0


def _named(found: Pinnable) -> str:
    from vbsbatch.report import clean

    if found.job is None:
        return f"every backup of run {found.run.id}"
    volume = clean(found.job.volume_name)
    return f"backup {clean(found.job.backup_id or '')} of {volume} (run {found.run.id})"


def _list(store: RunStore, *, as_json: bool) -> None:
    from vbsbatch.model.clocks import wall

    now = wall()
    found = [pin for pin in store.pins() if pin.holds(now)]
    if as_json:
        import json

        from vbsbatch.report.documents import pin_document

        pins = [{"run": pin.run_id, **pin_document(pin)} for pin in found]
        say(json.dumps({"schema": 1, "pins": pins}, indent=2))
    elif not found:
        say("nothing is pinned")
    else:
        _write_table(found)


def _write_table(found: Sequence[Pin]) -> None:
    from vbsbatch.report import clean
    from vbsbatch.report.as_table import write_rows
    from vbsbatch.report.text import moment

    cells = [
        (
            pin.run_id,
            "all" if pin.backup_id is None else clean(pin.backup_id),
            "released" if pin.until is None else moment(pin.until),
            moment(pin.pinned_at),
            clean(pin.pinned_by),
        )
        for pin in found
    ]
    write_rows(("RUN", "BACKUP", "UNTIL", "SINCE", "BY"), cells, sys.stdout)
