"""One job as one row of the table: which columns fit a width, and their cells.

At 80 cells, with `>` for the cursor and `*` for a mark::

       STATE     VOLUME                GB HTTP CODE        TRY    AGE NEXT
       x FAIL    db-prod-0017         500  503 VB.0900       5  2m11s
    >* ~ RETRY   [sda] home            40  429 APIG.0308     2    31s in 12s
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vbsbatch.model import Job
from vbsbatch.tui import formatting
from vbsbatch.tui.formatting import Line
from vbsbatch.tui.sanitize import fit
from vbsbatch.tui.view_models import Sort, SortKey

_LEAD = 3
"""Cells before the first column: cursor, mark, space."""

_LEAST_VOLUME = 8
_ENOUGH_VOLUME = 60
_GROUP_FROM, _NUMBER_FROM = 84, 88
"""Cells of a table that has room for these columns."""

_GROUP = 12

SORTED_BY = {
    "STATE": SortKey.STATE,
    "#": SortKey.NUMBER,
    "VOLUME": SortKey.VOLUME,
    "GROUP": SortKey.GROUP,
    "GB": SortKey.SIZE,
    "HTTP": SortKey.HTTP,
    "CODE": SortKey.CODE,
    "TRY": SortKey.ATTEMPTS,
    "AGE": SortKey.AGE,
    "NEXT": SortKey.DUE,
}
"""What a click on a column's head sorts by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column: its head, its width in cells, and whether it is aligned right."""

    head: str
    width: int
    right: bool = False


def columns(width: int, total: int, *, grouped: bool) -> tuple[Column, ...]:
    """The columns for a table of `width` cells over a run of `total` jobs, `grouped` or not.

    The volume takes what the others leave; if that is too little, the last columns are left out.
    """
    found = [
        Column(head="STATE", width=9),
        Column(head="VOLUME", width=0),
        Column(head="GB", width=6, right=True),
        Column(head="HTTP", width=4, right=True),
        Column(head="CODE", width=11),
        Column(head="TRY", width=3, right=True),
        Column(head="AGE", width=6, right=True),
        Column(head="NEXT", width=8),
    ]
    grouped = grouped and width >= _GROUP_FROM
    if grouped:
        found.insert(2, Column(head="GROUP", width=_GROUP))
    if width >= _NUMBER_FROM + (_GROUP if grouped else 0):
        found.insert(1, Column(head="#", width=max(5, len(str(total)))))
    while (room := _room(found, width)) < _LEAST_VOLUME and len(found) > 2:
        found.pop()
    if room < 1:
        found = found[:1]
    return tuple(
        Column(head="VOLUME", width=max(1, min(room, _ENOUGH_VOLUME)))
        if column.head == "VOLUME"
        else column
        for column in found
    )


def _room(found: list[Column], width: int) -> int:
    return width - _LEAD - sum(column.width for column in found) - (len(found) - 1)


def head(found: tuple[Column, ...], sorts: Sequence[Sort]) -> Line:
    """The line above the rows; a column that is sorted by has a role and a sign."""
    line: list[formatting.Piece] = [(" " * _LEAD, "dim")]
    for column in found:
        by = next((sort for sort in sorts if sort.key is SORTED_BY.get(column.head)), None)
        text = column.head
        if by is not None:
            text = _sorted_head(text, "↑" if by.descending else "↓", column.width)
        role = "dim" if by is None else "strong"
        line.append((fit(text, column.width, right=column.right), role))
        line.append((" ", "dim"))
    return tuple(line)


def _sorted_head(text: str, sign: str, width: int) -> str:
    """The head of a column that is sorted by, with the sign even where it is narrow."""
    return f"{text[: width - 1]}{sign}"


def column_at(found: tuple[Column, ...], x: int) -> SortKey | None:
    """What a click at cell `x` of the head sorts by."""
    end = _LEAD
    for column in found:
        end += column.width + 1
        if x < end:
            return SORTED_BY.get(column.head)
    return None


def row(job: Job, found: tuple[Column, ...], now: float, total: int) -> Line:
    """The job's cells: the state in its colour, the rest plain, so that few bytes are sent."""
    mark = formatting.mark_of(job)
    cells = {
        "#": formatting.number(job.no, total),
        "VOLUME": job.volume_name,
        "GROUP": job.group or "",
        "GB": "-" if job.size is None else f"{job.size:,}",
        "HTTP": "" if job.http_status is None else str(job.http_status),
        "CODE": formatting.short_code(job.code) if job.http_status or job.code else "",
        "TRY": str(job.attempts) if job.attempts else "",
        "AGE": formatting.age(job, now),
        "NEXT": formatting.next_step(job, now),
    }
    rest = (fit(cells[column.head], column.width, right=column.right) for column in found[1:])
    state = fit(f"{mark.glyph} {mark.word}", found[0].width)
    return ((state, mark.role), (" " + " ".join(rest), "plain"))
