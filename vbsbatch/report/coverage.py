"""Which volumes of a project have a good backup, as table, JSON, CSV and HTML."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

from vbsbatch.model import Coverage, Uncovered, VolumeCoverage
from vbsbatch.report.as_csv import cell
from vbsbatch.report.as_html import head
from vbsbatch.report.markup import literal
from vbsbatch.report.text import clean, cleaned, moment, span, time_or_none, utc

_COLUMNS = ("VOLUME", "ID", "GB", "SERVER", "STATUS", "WHY", "AGE", "NEWEST GOOD BACKUP")

_WORDS: Mapping[Uncovered, str] = {
    Uncovered.NONE: "no backup",
    Uncovered.FAILED: "only failed backups",
    Uncovered.UNFINISHED: "first backup is being made",
    Uncovered.UNDATED: "age of its backup unknown",
    Uncovered.OLD: "too old",
}


def summary(found: Coverage) -> str:
    """`41 of 43 volumes covered by a good backup of the last 24 h, 1,080 of 1,120 GB`."""
    total = sum(each.size or 0 for each in found.volumes)
    lost = sum(each.size or 0 for each in found.uncovered)
    return (
        f"{found.covered:,} of {len(found.volumes):,} volumes covered by a good backup of the last"
        f" {_in_one_unit(found.max_age)}, {total - lost:,} of {total:,} GB"
    )


def _in_one_unit(seconds: float) -> str:
    """`24 h`, `7 d`, `90 min`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def why(each: VolumeCoverage) -> str:
    """Why a volume is not covered, and how often backups of it failed since its newest one."""
    words = "covered" if each.reason is None else _WORDS[each.reason]
    if not each.failed:
        return words
    if each.reason is Uncovered.FAILED:
        return f"{words} ({each.failed})"
    return f"{words}, {each.failed} failed since"


def write(found: Coverage, format_name: str, stream: TextIO, *, every: bool = False) -> None:
    """Write the volumes that are not covered, with `every` all of them; see `FORMATS`."""
    volumes = found.volumes if every else found.uncovered
    FORMATS[format_name](found, volumes, stream)


def _row(found: Coverage, each: VolumeCoverage) -> tuple[str, ...]:
    newest = each.newest
    backup = "-" if newest is None else clean(newest.name or newest.id)
    if newest is not None and len(found.services) > 1:
        backup += f" ({each.service})"
    return (
        clean(each.name or "-"),
        clean(each.volume_id),
        "-" if each.size is None else str(each.size),
        ", ".join(map(clean, each.servers)) or "-",
        clean(each.status or "-"),
        why(each),
        "-" if each.age is None else span(each.age),
        backup,
    )


def _table(found: Coverage, volumes: Iterable[VolumeCoverage], stream: TextIO) -> None:
    rows = [_row(found, each) for each in volumes]
    if rows:
        widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
        for row in (_COLUMNS, *rows):
            cells = zip(row, widths, strict=True)
            stream.write("  ".join(text.ljust(width) for text, width in cells).rstrip() + "\n")
        stream.write("\n")
    stream.write(f"{summary(found)}\n")


def _document(each: VolumeCoverage) -> dict[str, Any]:
    newest = each.newest
    return {
        "volume_id": clean(each.volume_id),
        "name": cleaned(each.name),
        "size_gb": each.size,
        "status": cleaned(each.status),
        "servers": [clean(server) for server in each.servers],
        "covered": each.reason is None,
        "reason": each.reason,
        "age_seconds": None if each.age is None else round(each.age),
        "failed_since": each.failed,
        "backup_id": None if newest is None else clean(newest.id),
        "backup_name": None if newest is None else cleaned(newest.name),
        "backup_created_at": None if newest is None else time_or_none(newest.created_at),
        "backup_service": each.service,
    }


def _json(found: Coverage, volumes: Iterable[VolumeCoverage], stream: TextIO) -> None:
    document = {
        "schema": 1,
        "place": clean(found.place),
        "services": list(found.services),
        "cloud_time": utc(found.now),
        "max_age_seconds": round(found.max_age),
        "volumes": len(found.volumes),
        "covered": found.covered,
        "listed": [_document(each) for each in volumes],
    }
    json.dump(document, stream, indent=2)
    stream.write("\n")


def _csv(found: Coverage, volumes: Iterable[VolumeCoverage], stream: TextIO) -> None:
    writer = csv.writer(stream, lineterminator="\r\n")
    columns = tuple(_document(VolumeCoverage(volume_id="")))
    writer.writerow(columns)
    for each in volumes:
        document = _document(each) | {"servers": ", ".join(map(clean, each.servers))}
        writer.writerow([cell(_plain(document[column])) for column in columns])


def _plain(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _html(found: Coverage, volumes: Iterable[VolumeCoverage], stream: TextIO) -> None:
    stream.write(head("Backup coverage"))
    stream.write(f'<h1>Backup coverage</h1>\n<p class="verdict">{literal(summary(found))}.</p>\n')
    facts = {
        "in": found.place,
        "backups of": ", ".join(found.services),
        "cloud's time": moment(found.now),
    }
    stream.write('<table class="facts">\n')
    for label, value in facts.items():
        stream.write(f'<tr><th scope="row">{label}</th><td>{literal(value)}</td></tr>\n')
    stream.write("</table>\n")
    heads = "".join(f'<th scope="col">{literal(each.capitalize())}</th>' for each in _COLUMNS)
    rows = list(volumes)
    if rows:
        stream.write(f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n")
        stream.writelines(_html_row(found, each) for each in rows)
        stream.write("</tbody>\n</table>\n")
    stream.write('<p class="note">Ages are by the cloud\'s clock.</p>\n</body>\n</html>\n')


def _html_row(found: Coverage, each: VolumeCoverage) -> str:
    cells = [f"<td>{literal(text)}</td>" for text in _row(found, each)]
    kind = "succeeded" if each.reason is None else "failed"
    cells[_COLUMNS.index("WHY")] = f'<td class="{kind}">{literal(why(each))}</td>'
    return f"<tr>{''.join(cells)}</tr>\n"


FORMATS: Mapping[str, Callable[[Coverage, Sequence[VolumeCoverage], TextIO], None]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "html": _html,
}
"""What `--format` takes."""
