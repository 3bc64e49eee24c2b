"""The volumes of a plan, collected one by one as they are read: checked, each once, kept small."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from vbsbatch.plan.findings import COUNTED, Findings, KeyPath, TooMany
from vbsbatch.plan.plan import NO_CHOICES, Choices, PlanVolume, Seen
from vbsbatch.plan.pydantic_messages import report
from vbsbatch.plan.schema import SeenKeys, VolumeKeys
from vbsbatch.plan.units import described, volume_uuid

_SIZE = re.compile(r"([0-9]{1,9})(?:\.0+)?\s*(?:GB|GiB|G)?", re.ASCII | re.IGNORECASE)


class VolumeCollector:
    """Volumes so far, and what is wrong with those that are not among them.

    An entry's place is one number (index or line); `path_of` turns it into the path of its id.
    """

    def __init__(self, path_of: Callable[[int], KeyPath]) -> None:
        self.path_of = path_of
        self.volumes: list[PlanVolume] = []
        self.findings = Findings()
        self.found = 0
        """Entries seen, good or bad."""
        self._places: dict[str, int] = {}
        self._choices: dict[Choices, Choices] = {NO_CHOICES: NO_CHOICES}
        self._groups: dict[str, str] = {}
        self._sights: dict[Seen, Seen] = {}

    def add_entry(self, index: int, entry: Any) -> None:
        """Take one item of a plan's `volumes`; raises TooMany like all that take one."""
        self._count()
        path: KeyPath = ("volumes", index)
        try:
            keys = VolumeKeys.model_validate(entry).given()
        except ValidationError as error:
            report(error, self.findings, path)
            keys = {}
        volume_id = keys.get("id") or _id_of(entry)
        if volume_id is None:
            return
        if self._is_first(volume_id, index, (*path, "id")) and keys:
            self.volumes.append(self._volume(keys))

    def add_listed(
        self, place: int, path: KeyPath, given_id: Any, given_name: Any, given_size: Any = None
    ) -> None:
        """Take the id, name and size of one row of a list; `path` leads to the id.

        Lists are exports: characters of a name that cannot be shown are replaced, not refused, and
        what is no size in whole GB is left out.
        """
        self._count()
        try:
            volume_id = volume_uuid(given_id)
        except ValueError as error:
            self.findings.add(path, f"volume id {error}" if given_id else "has no volume id")
            return
        if self._is_first(volume_id, place, path):
            name = shown_name(given_name) or volume_id
            self.volumes.append(PlanVolume(id=volume_id, name=name, size=_gigabytes(given_size)))

    def place(self, volume: PlanVolume) -> int:
        """The place of the volume."""
        return self._places[volume.id]

    def refuse(self, path: KeyPath, message: str) -> None:
        """Take an entry that is not a volume."""
        self._count()
        self.findings.add(path, message)

    def _count(self) -> None:
        self.found += 1
        if self.findings.more > COUNTED:
            raise TooMany

    def _is_first(self, volume_id: str, place: int, path: KeyPath) -> bool:
        """Whether this volume, however its id is written, has no earlier place."""
        first = self._places.setdefault(volume_id, place)
        if first != place:
            text = f"volume {volume_id} is already listed"
            self.findings.add(path, text, first=self.path_of(first))
        return first == place

    def _volume(self, keys: Mapping[str, Any]) -> PlanVolume:
        own = NO_CHOICES
        chosen = choices(keys)
        if chosen != NO_CHOICES:
            own = self._choices.setdefault(chosen, chosen)
        group, az = keys.get("group"), keys.get("az")
        return PlanVolume(
            id=keys["id"],
            name=keys.get("name") or keys["id"],
            priority=keys.get("priority", 0),
            group=group and self._groups.setdefault(group, group),
            az=az and self._groups.setdefault(az, az),
            snapshot_id=keys.get("snapshot_id"),
            own=own,
            skip_if_newer_than=keys.get("skip_if_newer_than"),
            size=keys.get("size"),
            seen=self._seen(keys.get("seen")),
        )

    def _seen(self, keys: SeenKeys | None) -> Seen | None:
        """Volumes with equal values share one `Seen`."""
        if keys is None:
            return None
        seen = Seen(**keys.given())
        return self._sights.setdefault(seen, seen)


def choices(keys: Mapping[str, Any]) -> Choices:
    """The choices in a map of a plan."""
    tags = keys.get("tags")
    return Choices(
        backup_name=keys.get("backup_name"),
        description=keys.get("description"),
        tags=None if tags is None else tuple(tags.items()),
        full=keys.get("full"),
        full_if_no_parent=keys.get("full_if_no_parent"),
        force=keys.get("force"),
        wave=keys.get("wave"),
        vault=keys.get("vault"),
        associate=keys.get("associate"),
    )


def _gigabytes(value: Any) -> int | None:
    """A cell such as 40 or "40 GB"; None for anything else."""
    found = _SIZE.fullmatch(str(value).strip())
    return int(found[1]) if found else None


def _id_of(entry: Any) -> str | None:
    """The id of an entry with another problem, so that a second entry of it is still reported."""
    try:
        return volume_uuid(entry["id"])
    except (TypeError, KeyError, ValueError):
        return None


def shown_name(name: Any) -> str:
    """A name from the cloud as a plan may hold it: one line, no invisible characters."""
    text = name if isinstance(name, str) else described(name) if isinstance(name, int) else ""
    return "".join(c if c.isprintable() else " " for c in text[:255]).strip()
