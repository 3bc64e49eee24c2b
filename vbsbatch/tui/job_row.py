"""One job as one row of the table: which columns a width has room for, and what stands in them.

At 80 cells::

       ST       #     VOLUME                HTTP ERR         ATT  AGE    NEXT
       x FAIL   04711 db-prod-0017          503  VB.0900       5  2m11s
    >  ~ RETRY  04720 [sda] home            429  APIG.0308     2  31s    in 12s
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
_ENOUGH_VOLUME = 40
_GROUP_FROM = 90

SORTED_BY = {
    "ST": SortKey.STATE,
    "#": SortKey.NUMBER,
    "VOLUME": SortKey.VOLUME,
    "GROUP": SortKey.GROUP,
    "HTTP": SortKey.HTTP,
    "ERR": SortKey.CODE,
    "ATT": SortKey.ATTEMPTS,
    "AGE": SortKey.AGE,
    "NEXT": SortKey.DUE,
}
"""What a click on a column's head sorts by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column: its head, its width in cells, and whether it stands at the right."""

    head: str
    width: int
    right: bool = False


def columns(width: int, total: int, *, grouped: bool) -> tuple[Column, ...]:
    """The columns for a table of `width` cells over a run of `total` jobs, `grouped` or not.

    The volume takes what the others leave; when that is too little, columns go from the right.
    """
    found = [
        Column(head="ST", width=8),
        Column(head="#", width=max(5, len(str(total)))),
        Column(head="VOLUME", width=0),
        Column(head="HTTP", width=4),
        Column(head="ERR", width=11),
        Column(head="ATT", width=3, right=True),
        Column(head="", width=0),  # one more space between a right and a left column
        Column(head="AGE", width=6),
        Column(head="NEXT", width=8),
    ]
    if grouped and width >= _GROUP_FROM:
        found.insert(3, Column(head="GROUP", width=14))
    while (room := _room(found, width)) < _LEAST_VOLUME and len(found) > 3:
        found.pop()
    if room < 1 and len(found) > 1:
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
    """The line above the rows; a column that is sorted by is marked by a role and by its sign."""
    line: list[formatting.Piece] = [(" " * _LEAD, "dim")]
    for column in found:
        by = next((sort for sort in sorts if sort.key is SORTED_BY.get(column.head)), None)
        text = column.head
        if by is not None:
            text = f"{'-' if by.descending else '+'}{text}"[: column.width]
        role = "dim" if by is None else "strong"
        line.append((fit(text, column.width, right=column.right), role))
        line.append((" ", "dim"))
    return tuple(line)


def column_at(found: tuple[Column, ...], x: int) -> SortKey | None:
    """What a click at cell `x` of the head sorts by."""
    end = _LEAD
    for column in found:
        end += column.width + 1
        if x < end:
            return SORTED_BY.get(column.head)
    return None


def row(job: Job, found: tuple[Column, ...], now: float, total: int) -> Line:
    """The job's cells: the state in its colour, the rest plain, so that little is sent."""
    mark = formatting.mark_of(job)
    cells = {
        "#": formatting.number(job.no, total),
        "VOLUME": job.volume_name,
        "GROUP": job.group or "",
        "HTTP": "" if job.http_status is None else str(job.http_status),
        "ERR": formatting.short_code(job.code) if job.http_status or job.code else "",
        "ATT": str(job.attempts) if job.attempts else "",
        "AGE": formatting.age(job, now),
        "NEXT": formatting.next_step(job, now),
    }
    rest = (
        fit(cells.get(column.head, ""), column.width, right=column.right) for column in found[1:]
    )
    state = fit(f"{mark.glyph} {mark.word}", found[0].width)
    return ((state, mark.role), (" " + " ".join(rest), "plain"))
