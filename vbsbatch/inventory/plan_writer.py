"""A plan of chosen volumes as text: for a person to read and edit, and a plan without a fault."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby

from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.masking import masked
from vbsbatch.model import CloudVolume
from vbsbatch.plan import VolumeSelection
from vbsbatch.plan.schema import editor_line
from vbsbatch.plan.units import UUID_PATTERN
from vbsbatch.plan.volume_collector import shown_name

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)*", re.ASCII)
# What some reader of YAML takes for something else than text.
_TAKEN = frozenset(["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"])
_UUID = re.compile(UUID_PATTERN)
_NUMBERS = ("min_size", "max_size")
_SIZE_MOST = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """What stands above the volumes."""

    name: str
    cloud: str | None
    selection: VolumeSelection
    place: str | None = None
    """Cloud, region and project that the volumes are in, cleaned."""


def plan_text(
    fleet: VolumesByServer,
    volumes: Mapping[str, CloudVolume],
    heading: Heading,
    *,
    left_out: Mapping[str, CloudVolume],
) -> Iterator[str]:
    """The plan's lines without their ends, in an order that only the fleet decides.

    `left_out` are the volumes that would have been chosen in another state.
    """
    yield from _heading(fleet, volumes, heading)
    yield "volumes:"
    ordered = sorted(volumes.items(), key=lambda item: _place(fleet, *item))
    for group, members in groupby(ordered, key=lambda item: fleet.group(item[1])):
        yield from _group(fleet, group, list(members))
    if left_out:
        yield ""
        yield "  # Left out, because a volume in this state cannot be backed up:"
        for volume_id, volume in sorted(left_out.items(), key=lambda item: _place(fleet, *item)):
            yield f"  # - id: {_id(volume_id)}  # {_told(volume)}, {_shown(volume.status)}"


def scalar(text: str) -> str:
    """A text as YAML writes it, on one line; quoted where any reader might read something else.

    JSON's strings are YAML's double-quoted ones.
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _TAKEN:
        return text
    if "-" in text and _UUID.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _heading(
    fleet: VolumesByServer, volumes: Mapping[str, CloudVolume], heading: Heading
) -> Iterator[str]:
    servers = {fleet.group(volume) for volume in volumes.values()} - {None}
    sizes = f"{counted(len(volumes), 'volume')}, {_gigabytes(volumes.values())}"
    yield f"# {sizes}, on {counted(len(servers), 'server')}. Made with:"
    yield f"#   {_command(heading)}"
    if heading.place is not None:
        yield f"# In {heading.place}"
    yield "# Edit it, then see what would happen:  vbsbatch check THIS-FILE --online"
    yield "# What changed in the cloud since:      vbsbatch plan diff THIS-FILE"
    yield "# Every key, explained:                vbsbatch schema"
    yield editor_line()
    yield f"name: {scalar(heading.name)}"
    if heading.cloud is not None:
        yield f"cloud: {scalar(heading.cloud)}"
    yield ""
    yield "defaults:"
    yield '  backup_name: "{plan}-{volume}-{run}"'
    yield "  # full: true               # a migration wants full backups"
    yield "limits: {rate: 5/s, in_flight: 50}"
    yield "# deadline: 8h               # after this nothing new is started"
    yield "# skip_if_newer_than: 24h    # a volume with a newer backup needs none now"
    yield "# on_preflight: skip         # leave out what would surely fail, run the rest"
    yield ""
    yield from _selection(heading.selection)


def _command(heading: Heading) -> str:
    """The command that selects the same volumes again."""
    words = ["vbsbatch", "plan", "new"]
    if heading.cloud is not None:
        words += ["--cloud", heading.cloud]
    for key, values in _said(heading.selection):
        option = f"--{key.replace('_', '-')}"
        words += [word for value in values for word in (option, value)]
    return "".join(c if c.isprintable() else " " for c in shlex.join(words))


def _said(selection: VolumeSelection) -> Iterator[tuple[str, list[str]]]:
    """The keys of the selection with their values."""
    for field in fields(VolumeSelection):
        value = getattr(selection, field.name)
        if isinstance(value, int):
            yield field.name, [str(value)]
        elif value:
            yield (
                field.name,
                [f"{word[0]}={word[1]}" if isinstance(word, tuple) else word for word in value],
            )


def _selection(selection: VolumeSelection) -> Iterator[str]:
    """The `selection` of the plan; empty for a plan of all volumes."""
    lines = [
        f"  {key}: {values[0]}"
        if key in _NUMBERS
        else f"  {key}: [{', '.join(map(scalar, values))}]"
        for key, values in _said(selection)
    ]
    if lines:
        yield "selection:                   # what plan diff takes for new must fit this"
        yield from lines
        yield ""


def _group(
    fleet: VolumesByServer, group: str | None, members: Sequence[tuple[str, CloudVolume]]
) -> Iterator[str]:
    sizes = f"{counted(len(members), 'volume')}, {_gigabytes(volume for _, volume in members)}"
    yield ""
    yield f"  # {'Attached to no server' if group is None else _shown(group)}: {sizes}"
    for volume_id, volume in members:
        name = _shown(volume.name)
        yield f"  - id: {_id(volume_id)}  # {_told(volume)}"
        if name:
            yield f"    name: {scalar(name)}"
        if group is not None:
            yield f"    group: {scalar(_shown(group))}"
        if zone := _shown(volume.zone):
            yield f"    az: {scalar(zone)}"
        if seen := _seen(fleet, volume):
            yield f"    seen: {{{', '.join(seen)}}}"


def _seen(fleet: VolumesByServer, volume: CloudVolume) -> list[str]:
    """Facts that `plan diff` compares, as the plan has them."""
    facts = {
        "status": _shown(volume.status)[:64],
        "type": _shown(volume.volume_type),
        "server": _shown(fleet.server_id(volume))[:128],
    }
    size = volume.size
    known = [f"size: {size}"] if size is not None and 0 <= size <= _SIZE_MOST else []
    return known + [f"{key}: {scalar(value)}" for key, value in facts.items() if value]


def _place(
    fleet: VolumesByServer, volume_id: str, volume: CloudVolume
) -> tuple[bool, str, str, str, str]:
    """Order by server, volumes without one last, then by name."""
    group, name = fleet.group(volume), volume.name or ""
    return group is None, (group or "").casefold(), group or "", name.casefold(), volume_id


def _shown(text: str | None) -> str:
    """A name of the cloud, as a plan may hold it, without secrets."""
    return shown_name(None if text is None else masked(text))


def _id(volume_id: str) -> str:
    return scalar(masked(volume_id))


def _told(volume: CloudVolume) -> str:
    size = "size unknown" if volume.size is None else f"{volume.size} GB"
    return f"{_shown(volume.name) or 'no name'}, {size}"


def _gigabytes(volumes: Iterable[CloudVolume]) -> str:
    return f"{sum(volume.size or 0 for volume in volumes)} GB"


def counted(count: int, what: str) -> str:
    """`1 volume`, `2 volumes`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
