"""The options that say which backups are kept, and the table of what becomes of each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from vbsbatch.model import CalendarSpan, Retention
from vbsbatch.model.retention import MOST_KEPT
from vbsbatch.report.text import clean, moment

if TYPE_CHECKING:
    from vbsbatch.inventory.retention import Fate

_NUMBERS = {
    "last": "Keep the newest N of each volume.",
    "daily": "Keep the newest of each of the last N days that have one.",
    "weekly": "The same of weeks, Monday to Sunday.",
    "monthly": "The same of months.",
    "yearly": "The same of years.",
}


class SpanType(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """`30d`, `6m`, `1y6m`, `12h`."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> CalendarSpan:
        """Parse the text, or fail with an example."""
        if isinstance(value, CalendarSpan):
            return value
        try:
            return CalendarSpan.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ZoneType(click.ParamType):  # type: ignore[type-arg]  # generic only in a newer click
    """A name of the time zone database."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the name, or suggest the nearest one."""
        from vbsbatch.plan.checks import TimeZone

        try:
            return TimeZone().check(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


keep_options = (
    *(
        click.option(
            f"--keep-{name}",
            type=click.IntRange(1, MOST_KEPT),
            metavar="N",
            help=text,
        )
        for name, text in _NUMBERS.items()
    ),
    click.option(
        "--keep-within",
        type=SpanType(),
        metavar="SPAN",
        help="Keep all that are younger than SPAN, counted from the newest: 30d, 6m, 1y6m, 12h.",
    ),
    click.option(
        "--timezone",
        type=ZoneType(),
        metavar="Z",
        help="Of days, weeks, months and years; else that of the plan.",
    ),
)


def rules_of(given: dict[str, Any], usual: str) -> Retention | None:
    """The rules that the options name, None without any; `usual` is the plan's time zone."""
    names = (*_NUMBERS, "within")
    said = {name: given[f"keep_{name}"] for name in names if given[f"keep_{name}"] is not None}
    return Retention(**said, timezone=given["timezone"] or usual) if said else None


def write_fates(told: Sequence[Fate], stream: TextIO | None = None) -> None:
    """Print one row for each backup, volume by volume: what keeps it, or that it goes."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    stream = stream or sys.stdout
    rows = [_cells(fate) for fate in told]
    if not stream.isatty():
        titles = ("VOLUME", "CREATED", "RUN", "BACKUP", "GB", "KEPT BY")
        widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
        for row in (titles, *rows):
            cells = zip(row, widths, strict=True)
            stream.write("  ".join(cell.ljust(width) for cell, width in cells).rstrip() + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("VOLUME", overflow="fold")
    table.add_column("CREATED", no_wrap=True)
    table.add_column("RUN", no_wrap=True)
    table.add_column("BACKUP", overflow="fold")
    table.add_column("GB", justify="right", no_wrap=True)
    table.add_column("KEPT BY", overflow="fold")
    for fate, row in zip(told, rows, strict=True):
        table.add_row(*map(Text, row), style="yellow" if fate.goes else "")
    Console(file=stream, highlight=False).print(table)


def _cells(fate: Fate) -> tuple[str, ...]:
    found = fate.found
    made = found.backup.created_at
    return (
        clean(found.job.volume_name),
        "unknown" if made is None else moment(made),
        found.run.id,
        clean(found.backup.id),
        "-" if found.backup.size is None else str(found.backup.size),
        clean(what_keeps(fate)),
    )


def what_keeps(fate: Fate) -> str:
    """`last, daily`, `pinned until 2027-01-31`, another reason, or `to go`."""
    from vbsbatch.report.pins import pin_words

    words = list(fate.rules)
    if fate.pin is not None:
        words.append(pin_words(fate.pin))
    elif fate.stays is not None:
        words.append(fate.stays)
    return ", ".join(words) or "to go"


def fate_document(fate: Fate) -> dict[str, Any]:
    """One backup of `prune --plan --json`."""
    from vbsbatch.report.text import cleaned, time_or_none

    found, pin = fate.found, fate.pin
    return {
        "volume_id": clean(found.job.volume_id),
        "name": clean(found.job.volume_name),
        "backup_id": clean(found.backup.id),
        "backup_name": cleaned(found.backup.name),
        "run": found.run.id,
        "created_at": time_or_none(found.backup.created_at),
        "size_gb": found.backup.size,
        "status": cleaned(found.backup.status),
        "kept_by": list(fate.rules),
        "pinned": pin is not None,
        "pinned_until": None if pin is None else time_or_none(pin.until),
        "stays": cleaned(fate.stays),
        "goes": fate.goes,
    }
